"""What paused runs wait for, as text and as JSON, each with the commands that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replayt_cli.render.json import inline
from replayt_cli.render.text import cut, echo, escape, one_line, short_time, width, wrap
from replayt_cli.show.answer_commands import approval_commands, call_commands
from replayt_cli.show.waiting import Waiting, WaitingCall
from replayt_core import Approval

_SHOWN_CHARS = 400
_LABELS = {
    "approve": "approve:",
    "reject": "reject: ",
    "resume": "go on:",
    "retry": "make it again:",
    "result": "it returned:  ",
    "fail": "it failed:    ",
}


def waiting_documents(waiting: Waiting, flags: Sequence[str]) -> list[dict[str, Any]]:
    """What a run waits for as JSON; the commands name the run by its whole id."""
    documents = []
    for approval in waiting.approvals:
        commands = approval_commands(approval, waiting.run_id, flags)
        documents.append(_approval_document(approval, commands if waiting.can_be_answered else {}))
    if waiting.call is not None:
        commands = call_commands(waiting.call.seq, waiting.run_id, flags)
        documents.append(_call_document(waiting.call, commands if waiting.can_be_answered else {}))
    return documents


def print_waiting(waiting: Waiting, run_id: str, flags: Sequence[str]) -> None:
    """The same in words; the commands name the run by `run_id`, which may be a short id."""
    for approval in waiting.approvals:
        _say(_approval_words(approval), indent="  ")
        if approval.open and approval.details not in (None, {}, [], ""):
            _say(cut(one_line(inline(approval.details)), _SHOWN_CHARS), indent="    ")
        if approval.open and approval.digest:
            _say(f"digest {one_line(approval.digest)}", indent="    ")
        if waiting.can_be_answered:
            _print_commands(approval_commands(approval, run_id, flags))
    if waiting.call is not None:
        _say(_call_words(waiting.call), indent="  ")
        if waiting.can_be_answered:
            _print_commands(call_commands(waiting.call.seq, run_id, flags))
    for ignored in waiting.ignored:
        _say(
            f"the answer at seq {ignored.seq} is ignored: {one_line(ignored.problem)}", indent="  "
        )
    if not waiting.can_be_answered:
        _say("written by an older release: it can be shown, not answered", indent="  ")


def _approval_words(approval: Approval) -> str:
    name = escape(approval.approval_id)
    if not approval.open:
        answer = "approved" if approval.approved else "rejected"
        by = f" by {one_line(approval.by)}" if approval.by else ""
        reason = f" ({one_line(approval.reason)})" if approval.reason else ""
        return f"approval {name} is answered, {answer}{by}{reason}: the run has not gone on yet"
    words = cut(one_line(approval.summary), _SHOWN_CHARS)
    asked = f"waits for approval {name} since {short_time(approval.requested_ts)}"
    return f"{asked}: {words}" if words else asked


def _call_words(call: WaitingCall) -> str:
    tool = f" of tool {one_line(call.tool)}" if call.tool else ""
    since = f" since {short_time(call.requested_ts)}" if call.requested_ts else ""
    made = ""
    if call.arguments not in (None, {}):
        made = f"; arguments {cut(one_line(inline(call.arguments)), _SHOWN_CHARS)}"
    return f"waits for word of call {call.seq}{tool}{since}: did it happen?{made}"


def _print_commands(commands: Mapping[str, str]) -> None:
    """Each on one line, however long: what is copied from the terminal has to be whole."""
    for name, command in commands.items():
        echo(f"    {_LABELS[name]} {escape(command)}")


def _say(text: str, *, indent: str) -> None:
    for line in wrap(text, width(), indent=indent):
        echo(line)


def _approval_document(approval: Approval, commands: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": "approval",
        "approval_id": approval.approval_id,
        "state": approval.state,
        "visit": approval.visit,
        "request_seq": approval.request_seq,
        "requested_ts": approval.requested_ts,
        "summary": approval.summary,
        "details": approval.details,
        "digest": approval.digest or None,
        "on_approve": approval.on_approve,
        "on_reject": approval.on_reject,
        "approved": approval.approved,
        "by": approval.by,
        "reason": approval.reason,
        "resolved_seq": approval.resolved_seq,
        "commands": commands,
    }


def _call_document(call: WaitingCall, commands: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": "call",
        "call": call.seq,
        "tool": call.tool or None,
        "arguments": call.arguments,
        "requested_ts": call.requested_ts or None,
        "commands": commands,
    }
