"""The rows of states, moves and approvals: what `records` makes of them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

StateOutcome = Literal["exited", "retried", "paused", "failed"]


class StateRow(NamedTuple):
    """One attempt of a visit; `seq` is that of its `state_entered`.

    `outcome` is None for an attempt that was cut short or is being executed.
    """

    seq: int
    ts: str
    state: str
    visit: int
    attempt: int
    outcome: StateOutcome | None
    ended_ts: str | None
    next_state: str | None
    elapsed_ms: float | None


class TransitionRow(NamedTuple):
    """A move from state to state. `because` is what the visit had looked at, as the log has it."""

    seq: int
    ts: str
    from_state: str | None
    to_state: str | None
    reason: str | None
    because: Any


class ApprovalRow(NamedTuple):
    """A request for an approval and its answer; `approved` is None while it waits for one."""

    seq: int
    ts: str
    approval_id: str
    state: str
    visit: int
    summary: str
    details: Any
    approved: bool | None
    resolved_ts: str | None
    by: str | None
    reason: str | None
    applied: bool
