"""The commands that give a paused run what it waits for, to be copied into a shell."""

from __future__ import annotations

from collections.abc import Sequence

from replayt_cli.arguments.store_choice import command_line
from replayt_core import Approval, RunState

TARGET = "TARGET"
"""Stands for the workflow, which no log names."""


def approval_commands(approval: Approval, run_id: str, flags: Sequence[str]) -> dict[str, str]:
    """How it is approved and rejected; where it has its answer, how the run goes on."""
    if not approval.open:
        return {"resume": _resume(run_id, flags)}
    named = approval_option(approval.approval_id)
    return {
        "approve": _resume(run_id, flags, *named),
        "reject": _resume(run_id, flags, *named, "--reject"),
    }


def next_step(state: RunState, status: str, flags: Sequence[str]) -> str | None:
    """What a person does with a run that has not come to its end.

    None where there is nothing: it is complete or damaged, or of an older release.
    """
    run_id = state.run_id
    if not state.chained:  # of an older release, which is only shown
        return None
    if status == "paused":
        approval = next(iter(state.open_approvals()), None)
        if approval is not None:
            commands = approval_commands(approval, run_id, flags)
            return f"to approve (with --reject to reject): {commands['approve']}"
        if state.pause is not None and state.pause.call is not None:
            commands = call_commands(state.pause.call, run_id, flags)
            return f"to say what became of the call: {commands['result']}"
        return f"it has its answer; to go on: {_resume(run_id, flags)}"
    if status == "failed":
        return f"to try its last state again: {_resume(run_id, flags, '--retry-failed')}"
    if status == "interrupted":
        return f"to go on: {_resume(run_id, flags)}"
    return None


def call_commands(seq: int, run_id: str, flags: Sequence[str]) -> dict[str, str]:
    """How a call of unknown outcome is made again, or its outcome is told."""
    call = str(seq)
    return {
        "retry": _resume(run_id, flags, "--retry", call),
        "result": _resume(run_id, flags, "--result", call, "JSON"),
        "fail": _resume(run_id, flags, "--fail", call),
    }


def approval_option(approval_id: str) -> list[str]:
    """`--approval ID`; an id that starts with a dash has to be joined to its option."""
    joined = f"--approval={approval_id}"
    return [joined] if approval_id.startswith("-") else ["--approval", approval_id]


def _resume(run_id: str, flags: Sequence[str], *options: str) -> str:
    return command_line("replayt", "resume", TARGET, run_id, *options, *flags)
