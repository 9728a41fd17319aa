"""What a paused run waits for, read from its log: answers of people, or word of a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replayt_core import Approval, Event, RunState, apply, new_state
from replayt_core.ports import EventStore


@dataclass(frozen=True, kw_only=True)
class WaitingCall:
    """A tool call whose outcome nobody knows. `seq` is its public name."""

    seq: int
    tool: str
    arguments: object
    requested_ts: str


@dataclass(frozen=True, kw_only=True)
class IgnoredAnswer:
    """An answer in the log that opens nothing, and why."""

    seq: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a paused run waits for: approvals, or word of one call.

    An approval that has its answer is among them until the run acts on it. `can_be_answered` is
    false for a log of an older release, which is only shown.
    """

    run_id: str
    approvals: tuple[Approval, ...]
    call: WaitingCall | None
    ignored: tuple[IgnoredAnswer, ...]
    can_be_answered: bool

    @property
    def answered(self) -> bool:
        """Whether nothing is open any more: the run can go on."""
        return self.call is None and not any(approval.open for approval in self.approvals)


def read_waiting(store: EventStore, run_id: str) -> Waiting | None:
    """What a run waits for; None where it is not paused. Raises what reading the store raises."""
    return waiting_of(run_id, store.read(run_id))


def waiting_of(run_id: str, events: Iterable[Event]) -> Waiting | None:
    """What a run with these events waits for; None where it is not paused."""
    state = new_state(run_id)
    calls: dict[int, Event] = {}
    for event in events:
        apply(state, event)
        if event.type == "state_entered":
            calls.clear()
        elif event.type == "tool_call":
            calls[event.seq] = event
    if state.summary.status != "paused":
        return None
    asked, call = _reasons(state)
    return Waiting(
        run_id=run_id,
        approvals=tuple(_awaited(state, asked)),
        call=None if call is None else _call(call, calls.get(call)),
        ignored=tuple(
            IgnoredAnswer(seq=seq, problem=problem)
            for seq, problem in state.ignored_resolutions.items()
            if seq > asked
        ),
        can_be_answered=state.chained,
    )


def _reasons(state: RunState) -> tuple[int, int | None]:
    """The seq of the request that the run paused for, or 0, and that of the call, if any."""
    pause = state.pause
    asked = None if pause is None else pause.request_seq
    call = None if pause is None else pause.call
    return asked if type(asked) is int else 0, call if type(call) is int else None


def _awaited(state: RunState, asked: int) -> list[Approval]:
    return [
        approval
        for approval in state.approvals.values()
        if approval.open or (approval.request_seq == asked and not approval.applied)
    ]


def _call(seq: int, event: Event | None) -> WaitingCall:
    payload = {} if event is None else event.payload
    return WaitingCall(
        seq=seq,
        tool=str(payload.get("name") or ""),
        arguments=payload.get("arguments"),
        requested_ts="" if event is None else event.ts,
    )
