"""The approval bridge as a WSGI application: routes, and what each answer of HTTP means.

Why it exists: it can be tested, and mounted in a server of yours, without the server that
`approval_bridge` starts. The name in the log is that of the session, never a field of a form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from replayt import RefusedError, ReplaytError, resolve
from replayt.examples.patterns import bridge_answers, bridge_pages
from replayt.examples.patterns.bridge_sessions import LIFETIME_SECONDS, Sessions
from replayt.persistence import JSONLStore

MAX_FORM_BYTES = 65_536
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
]
Reply = tuple[str, str, list[tuple[str, str]]]
"""Status, page, further headers."""


class ApprovalBridge:
    """The WSGI application over one directory of logs."""

    def __init__(self, directory: Path, sessions: Sessions, *, secure_cookie: bool) -> None:
        self._directory = directory
        self._sessions = sessions
        self._cookie = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={LIFETIME_SECONDS}"
        self._cookie += "; Secure" if secure_cookie else ""

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        status, text, more = self._reply(environ)
        body = text.encode("utf-8", "replace")
        start_response(status, [*HEADERS, ("Content-Length", str(len(body))), *more])
        return [body]

    def _reply(self, environ: dict[str, Any]) -> Reply:
        route = (environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if route == ("POST", "/sign-in"):
            return self._sign_in(_form(environ).get("token", ""))
        session = _session(environ)
        person = self._sessions.name_of(session)
        if person is None:
            return "401 Unauthorized", bridge_pages.sign_in_page(), []
        if route == ("GET", "/"):
            asked = bridge_answers.waiting(JSONLStore(self._directory))
            token = self._sessions.form_token(session)
            return "200 OK", bridge_pages.list_page(person, asked, token), []
        if route == ("POST", "/answer"):
            return self._answer(person, session, _form(environ))
        return "404 Not Found", bridge_pages.message_page("Not found", "No such page."), []

    def _sign_in(self, token: str) -> Reply:
        session = self._sessions.sign_in(token)
        if session is None:
            return "401 Unauthorized", bridge_pages.sign_in_page("Nobody has that token."), []
        cookie = ("Set-Cookie", f"session={session}; {self._cookie}")
        return "303 See Other", "", [("Location", "/"), cookie]

    def _answer(self, person: str, session: str, form: dict[str, str]) -> Reply:
        if not self._sessions.is_form_token(session, form.get("form_token", "")):
            text = "This form is not from a page of yours. Nothing was answered."
            return "403 Forbidden", bridge_pages.message_page("Refused", text), []
        try:
            approved = {"approve": True, "reject": False}[form["answer"]]
            run_id, approval_id, seq = form["run_id"], form["approval_id"], int(form["seq"])
        except (KeyError, ValueError):
            return "400 Bad Request", bridge_pages.message_page("Refused", "Not a whole form."), []
        reason = form.get("reason", "").strip()[:500] or None
        try:
            resolve(
                JSONLStore(self._directory),
                run_id,
                approval_id,
                approved=approved,
                by=person,
                reason=reason,
                request_seq=seq,
            )
        except RefusedError as error:  # somebody else was faster, or the run asks anew
            return "409 Conflict", bridge_pages.message_page("Not answered", str(error)), []
        except ReplaytError as error:
            return "404 Not Found", bridge_pages.message_page("Not answered", str(error)), []
        return "303 See Other", "", [("Location", "/")]


def _session(environ: dict[str, Any]) -> str:
    try:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _form(environ: dict[str, Any]) -> dict[str, str]:
    """The fields of a form, each once; what is too long or no form reads as empty."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
        return {}
    text = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        return {}
