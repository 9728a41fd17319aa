"""The events of a run, their schema version, and which of them are decision points.

One event is one line of compact JSON; see `chain` for how lines are sealed and checked, and
`payloads` for what each type says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from replayt_core.payloads import PAYLOADS

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


DECISION_POINTS: frozenset[str] = frozenset(PAYLOADS) - {
    "llm_request",
    "llm_response",
    "llm_retry",
    "structured_output",
    "structured_output_failed",
    "step_error",
    "step_note",
}
"""Event types that a `durable` store syncs before `append` returns.

The others are written at once and become durable with what follows them: lost to a power cut,
the call they record is made again.
"""


def is_decision_point(events: list[Event] | tuple[Event, ...]) -> bool:
    """Whether a batch has to survive power loss when `append` returns."""
    return any(event.type in DECISION_POINTS for event in events)
