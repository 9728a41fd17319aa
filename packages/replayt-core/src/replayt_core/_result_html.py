"""How a run stands as a small table: what a notebook shows of a result."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replayt_core._session import RunResult


def result_html(result: RunResult) -> str:
    """The table as markup. All text is escaped, what is invisible is shown as an escape."""
    rows = "".join(
        f'<tr><th style="text-align: left">{label}</th>'
        f'<td style="text-align: left">{_text(value)}</td></tr>'
        for label, value in _facts(result)
        if value
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _facts(result: RunResult) -> list[tuple[str, str]]:
    summary, error = result.summary, result.error
    waiting = [
        f"{item.approval_id}: {item.summary}" if item.summary else item.approval_id
        for item in result.waiting
    ]
    return [
        ("run", result.run_id),
        ("workflow", f"{summary.workflow_name}@{summary.workflow_version}"),
        ("status", result.status),
        ("state", result.final_state or summary.state or ""),
        ("error", f"{error['type']}: {error['message']}" if error else ""),
        ("waits for approval", "; ".join(waiting)),
        ("model calls", str(summary.llm_calls or "")),
        ("tool calls", str(summary.tool_calls or "")),
        ("tokens", f"{summary.total_tokens:,}" if summary.total_tokens else ""),
        ("head", result.head),
    ]


def _text(value: str) -> str:
    shown = "".join(
        char if char.isprintable() else f"\\x{ord(char):02x}" if ord(char) < 256
        else f"\\u{ord(char):04x}"
        for char in value
    )  # fmt: skip
    return escape(shown)
