"""Why a run branched the way it did: each move with what was looked at, and what was not taken.

A read model: made from events alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from replayt_core._fold import RunState, apply, new_state
from replayt_core._journal import RecordedCall, recorded_calls
from replayt_core._summary import ends_run
from replayt_core.events import Event, Payload

__all__ = ["Branch", "Cause", "why"]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One thing that a visit had looked at when it decided.

    `read` is `context`, `input`, `call`, `approval` or `attempt`; `seq` the event that wrote it
    (None: the key was absent), `state` where that was; `value` what the visit saw, None where
    there is none or it was not kept.
    """

    read: str
    name: str
    seq: int | None
    state: str | None
    value: JsonValue


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One move of a run. `not_taken` are the other declared targets of the state it left."""

    seq: int
    from_state: str
    visit: int
    to_state: str
    reason: str
    causes: tuple[Cause, ...]
    not_taken: tuple[str, ...]


def why(events: Iterable[Event], state: str | None = None) -> list[Branch]:
    """The moves of a run in order, or those out of one state."""
    return [branch for branch in _branches(events) if state in (None, branch.from_state)]


def _branches(events: Iterable[Event]) -> Iterable[Branch]:
    run: RunState | None = None
    seen: Mapping[str, Any] = {}
    calls: dict[int, RecordedCall] = {}
    writers: dict[int, str | None] = {}
    for event in events:
        run = run or new_state(event.run_id)
        if event.type == "state_exited":
            calls = {call.seq: call for call in recorded_calls(run.effects).values()}
        if event.type in ("state_exited", "retry_scheduled", "approval_resolved"):
            writers[event.seq] = run.state
        apply(run, event)
        if event.type == "state_entered":
            seen = dict(run.context)
        elif event.type == "transition" and not ends_run(event.payload):
            yield _branch(run, event, seen, calls, writers)


def _branch(
    run: RunState,
    event: Event,
    seen: Mapping[str, Any],
    calls: Mapping[int, RecordedCall],
    writers: Mapping[int, str | None],
) -> Branch:
    payload = event.payload
    source, target = str(payload.get("from_state")), str(payload.get("to_state"))
    causes = []
    because = payload.get("because")
    for item in because if isinstance(because, list) else ():
        if isinstance(item, dict):
            seq = item.get("seq")
            seq = seq if isinstance(seq, int) else None
            causes.append(
                Cause(
                    read=str(item.get("read")),
                    name=str(item.get("name")),
                    seq=seq,
                    state=run.state if seq in calls else writers.get(seq or 0),
                    value=_value(run, item, seq, seen, calls),
                )
            )
    edges = run.graph.get("edges")
    others = [
        str(edge[1])
        for edge in (edges if isinstance(edges, list) else ())
        if isinstance(edge, list) and len(edge) > 1 and edge[0] == source
    ]
    return Branch(
        seq=event.seq,
        from_state=source,
        visit=run.visits.get(source, 1),
        to_state=target,
        reason=str(payload.get("reason") or ""),
        causes=tuple(causes),
        not_taken=tuple(dict.fromkeys(other for other in others if other != target)),
    )


def _value(
    run: RunState,
    item: Payload,
    seq: int | None,
    seen: Mapping[str, Any],
    calls: Mapping[int, RecordedCall],
) -> JsonValue:
    """What the visit saw: the key as it was at entry, the call's result, the answer."""
    if item.get("read") in ("context", "input"):
        value: JsonValue = seen.get(str(item.get("name")))
        return value
    if item.get("read") == "approval":
        for approval in run.approvals.values():
            if seq is not None and approval.resolved_seq == seq:
                return "approved" if approval.approved else "rejected"
        return "not answered"
    call = calls.get(seq or 0)
    return _result(call) if call is not None else None


def _result(call: RecordedCall) -> JsonValue:
    if call.output is not None and call.output[0] == "structured_output":
        data: JsonValue = call.output[1].get("data")
        return data
    if call.output is not None:
        return {"failed": call.output[1].get("stage"), "fields": call.output[1].get("fields")}
    response = call.response or {}
    if not response.get("ok"):
        error = response.get("error")
        return {"error": error if isinstance(error, dict) else None}
    kept: JsonValue = response.get("result", (response.get("reply") or {}).get("content"))
    return kept
