"""The pages of the approval bridge: text in, escaped HTML out.

Why it exists: what a run shows may come from a customer or a model. None of it may become markup,
and no invisible character may make it read as something else.
"""

from __future__ import annotations

import json
from html import escape

from replayt import Approval

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "article{border:1px solid #767676;border-radius:6px;padding:0 1rem 1rem;margin:1rem 0}"
    "h2,code{overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f2f2f2;padding:.5rem}"
    "textarea{width:100%;box-sizing:border-box;margin:.3rem 0 .8rem}"
    "[role=alert]{border-left:4px solid #b00020;padding-left:.8rem}"
)


def visible(text: str) -> str:
    """Text for a page: escaped, with everything that cannot be seen written out."""
    shown = (c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    return escape("".join(shown), quote=True)


def page(title: str, body: str) -> str:
    """A whole page; `title` is ours, `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        f"{STYLE}</style><h1>{title}</h1>{body}</html>\n"
    )


def sign_in_page(message: str = "") -> str:
    """Asks for a token."""
    alert = f'<p role="alert">{visible(message)}</p>' if message else ""
    return page(
        "Sign in",
        f'{alert}<form method="post" action="/sign-in">'
        '<input autocomplete="username" hidden><label>Token '
        '<input type="password" name="token" autocomplete="current-password" required></label> '
        "<button>Sign in</button></form>",
    )


def list_page(person: str, asked: list[tuple[str, Approval]], form_token: str) -> str:
    """Everything that waits for an answer, each with a form of its own."""
    articles = "".join(_article(run_id, request, form_token) for run_id, request in asked)
    return page(
        "Waiting for an answer",
        f"<p>Signed in as {visible(person)}.</p>" + (articles or "<p>Nothing waits.</p>"),
    )


def message_page(title: str, message: str) -> str:
    """One message, and the way back to the list."""
    return page(title, f'<p role="alert">{visible(message)}</p><p><a href="/">The list</a></p>')


def _article(run_id: str, asked: Approval, form_token: str) -> str:
    hidden = {
        "form_token": form_token,
        "run_id": run_id,
        "approval_id": asked.approval_id,
        "seq": str(asked.request_seq),
    }
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value, quote=True)}">'
        for name, value in hidden.items()
    )
    # A text area for the reason: Enter in a line of input would press the first button, Approve.
    details = visible(json.dumps(asked.details, indent=2, ensure_ascii=False))
    return (
        f"<article><h2>{visible(asked.summary) or visible(asked.approval_id)}</h2>"
        f"<pre>{details}</pre><p>Run {visible(run_id)}, {visible(asked.approval_id)}, asked "
        f"{visible(asked.requested_ts)}<br>digest <code>{visible(asked.digest)}</code></p>"
        f'<form method="post" action="/answer">{fields}<label>Reason '
        '<textarea name="reason" maxlength="500" rows="2"></textarea></label>'
        '<button name="answer" value="approve">Approve</button> '
        '<button name="answer" value="reject">Reject</button></form></article>'
    )
