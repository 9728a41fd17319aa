"""The events of a run, their schema version, and which of them are decision points.

One event is one line of compact JSON; see `chain` for how lines are sealed and checked, and
`payloads` for what each type says, which is not imported here: pydantic would come with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LOG_SCHEMA = 1
"""The version of the log format: what `run_started` names in `log_schema`."""

Payload = dict[str, Any]
"""A payload as it is handled: plain JSON. The `TypedDict`s of `payloads` say what stands in it."""


class Draft(NamedTuple):
    """An event that is decided and not yet written: the log writer adds the envelope."""

    type: str
    payload: Payload


class Event(NamedTuple):
    """One event of a run. `line` is its JSON line without the newline, kept byte for byte."""

    run_id: str
    seq: int
    ts: str
    type: str
    payload: Payload
    line: bytes
    prev: str | None = None
    more: bool = False


DECISION_POINTS: frozenset[str] = frozenset(
    {
        "run_started",
        "run_resumed",
        "state_entered",
        "state_exited",
        "transition",
        "tool_call",
        "tool_result",
        "approval_requested",
        "approval_resolved",
        "approval_applied",
        "retry_scheduled",
        "run_paused",
        "run_failed",
        "run_interrupted",
        "run_completed",
        "log_repaired",
    }
)
"""Event types that a `durable` store syncs before `append` returns.

The others are written at once and become durable with what follows them: lost to a power cut,
the call they record is made again.
"""


def is_decision_point(events: list[Event] | tuple[Event, ...]) -> bool:
    """Whether a batch has to survive power loss when `append` returns."""
    return any(event.type in DECISION_POINTS for event in events)
