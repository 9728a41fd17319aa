"""The one fold: events in, `RunState` out. Nothing else interprets events on its own.

`apply` changes the state it is given and nothing else. It is total: an event of an unknown type is
counted, one whose payload does not fit is noted in `problems`, and neither is fatal.
The summary is the cheap first part; listings and the index use it alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from replayt_core._moves import ANYWHERE, MOVES, Phase
from replayt_core._summary import RunSummary, apply_summary, entry_of
from replayt_core.budget import Account
from replayt_core.chain import first_prev, line_hash
from replayt_core.events import LOG_SCHEMA, Event, Payload
from replayt_core.payloads import PAYLOADS

EFFECTS = frozenset(
    {
        "llm_request",
        "llm_retry",
        "llm_response",
        "structured_output",
        "structured_output_failed",
        "tool_call",
        "tool_result",
        "step_note",
    }
)
"""What an attempt did to the outside: what a resumed attempt is served."""

RECENT_STATES = 20


@dataclass(slots=True)
class Approval:
    """One request for an approval, and its answer."""

    approval_id: str
    request_seq: int
    state: str
    visit: int
    requested_ts: str
    summary: str = ""
    details: Any = None
    digest: str = ""
    on_approve: str | None = None
    on_reject: str | None = None
    approved: bool | None = None
    by: str | None = None
    reason: str | None = None
    resolved_seq: int | None = None
    applied: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits for an answer."""
        return self.approved is None


@dataclass(slots=True)
class Pause:
    """Why a run waits, and what its handler had changed when it paused."""

    reason: str
    request_seq: int | None
    call: int | None
    delta: Payload


@dataclass(slots=True)
class RunState:
    """Everything a process needs to go on with a run, made from its events alone."""

    run_id: str
    summary: RunSummary
    phase: Phase = "absent"
    log_schema: int | None = None
    graph: Payload = field(default_factory=dict)
    code: dict[str, str | None] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    forked_from: Payload | None = None
    context: dict[str, Any] = field(default_factory=dict)
    written_by: dict[str, int] = field(default_factory=dict)
    state: str | None = None
    visit: int = 0
    attempt: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT_STATES))
    entered_seq: int = 0
    entered_ts: str = ""
    effects: list[tuple[int, str, Payload]] = field(default_factory=list)
    approvals: dict[int, Approval] = field(default_factory=dict)
    ignored_resolutions: dict[int, str] = field(default_factory=dict)
    pause: Pause | None = None
    moving_to: str | None = None
    retry_attempt: int = 0
    retry_delay: float = 0.0
    final_state: str | None = None
    epoch: int = 0
    recoveries: int = 0
    account: Account = field(default_factory=Account)
    redact_keys: frozenset[str] = frozenset()
    last_line: bytes | None = None
    unknown: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The hash of the last line: what the next event carries as `prev`."""
        return first_prev(self.run_id) if self.last_line is None else line_hash(self.last_line)

    @property
    def last_seq(self) -> int:
        """The seq of the last event."""
        return self.summary.last_seq

    @property
    def chained(self) -> bool:
        """Whether the log is of a schema that carries the hash chain."""
        return self.log_schema is not None

    def open_approvals(self) -> list[Approval]:
        """The requests that wait for an answer."""
        return [approval for approval in self.approvals.values() if approval.open]

    def visit_approval(self, approval_id: str) -> Approval | None:
        """The request of that id made in the current visit, or None."""
        for approval in reversed(self.approvals.values()):
            if approval.approval_id == approval_id and (approval.state, approval.visit) == (
                self.state,
                self.visit,
            ):
                return approval
        return None


def new_state(run_id: str) -> RunState:
    """The state of a run that has no event."""
    return RunState(run_id, RunSummary(run_id))


def fold(run_id: str, events: Iterable[Event]) -> RunState:
    """The state after `events`."""
    state = new_state(run_id)
    for event in events:
        apply(state, event)
    return state


def apply(state: RunState, event: Event) -> None:
    """Take one event into the state."""
    apply_summary(state.summary, event)
    state.last_line = event.line
    kind = event.type
    if kind not in ANYWHERE:
        following = MOVES[state.phase].get(kind)
        if following is not None:
            state.phase = following
        elif kind in PAYLOADS:
            # The table is of schema 1. Replayt 0.1 to 0.4 entered a state neither for each attempt
            # nor once a visit; only a log with two beginnings fits none of them.
            if state.chained or kind == "run_started" or state.phase == "absent":
                _note(state, event.seq, f"{kind} while {state.phase}")
            state.phase = _PHASE_AFTER.get(kind, state.phase)
        else:
            state.unknown[kind] = state.unknown.get(kind, 0) + 1
            return
    if kind in EFFECTS:
        state.effects.append((event.seq, kind, event.payload))
        if kind == "llm_request":
            state.account.llm_calls = state.summary.llm_calls
            _hide(state, event.payload)
        elif kind == "llm_response":
            state.account.add_response(event.payload)
        return
    change = _CHANGES.get(kind)
    if change is None:
        return
    try:
        change(state, event, event.payload)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        _note(state, event.seq, f"{kind}: its payload does not fit ({error!r:.120})")


def _note(state: RunState, seq: int, problem: str) -> None:
    state.problems.append((seq, problem))


# The state: what each event type changes.


def _started(state: RunState, event: Event, payload: Payload) -> None:
    schema = payload.get("log_schema")
    state.log_schema = schema if isinstance(schema, int) else None
    if state.log_schema is None and event.prev is not None:
        state.log_schema = LOG_SCHEMA
    state.graph = _mapping(payload.get("graph"))
    state.code = _mapping(payload.get("code"))
    state.inputs = _mapping(payload.get("inputs"))
    state.forked_from = payload.get("forked_from")
    state.context = dict(_mapping(payload.get("context", state.inputs)))
    state.written_by = dict.fromkeys(state.context, event.seq)
    state.epoch = 1
    _hide(state, payload)


def _entered(state: RunState, event: Event, payload: Payload) -> None:
    name, visit, attempt = entry_of(payload, state.visits)
    if (name, visit) != (state.state, state.visit):
        state.recoveries = 0
        state.recent.append(name)
    state.state, state.visit, state.attempt = name, visit, attempt
    state.visits[name] = visit
    state.entered_seq, state.entered_ts = event.seq, event.ts
    state.effects = []
    state.pause = state.moving_to = None
    if not state.chained:  # goes on behind a pause or an end without a word
        state.final_state = None
        for approval in state.approvals.values():
            approval.applied = approval.applied or not approval.open


def _exited(state: RunState, event: Event, payload: Payload) -> None:
    _commit(state, event, payload.get("context"))
    state.effects = []
    state.pause = None


def _approval_requested(state: RunState, event: Event, payload: Payload) -> None:
    state.approvals[event.seq] = Approval(
        approval_id=str(payload["approval_id"]),
        request_seq=event.seq,
        state=str(payload.get("state", state.state)),
        visit=int(payload.get("visit", state.visit)),
        requested_ts=event.ts,
        summary=str(payload.get("summary") or ""),
        details=payload.get("details"),
        digest=str(payload.get("digest") or ""),
        on_approve=payload.get("on_approve"),
        on_reject=payload.get("on_reject"),
    )


def _approval_resolved(state: RunState, event: Event, payload: Payload) -> None:
    approved = payload.get("approved")
    request = _request_for(state, payload)
    if isinstance(request, str):
        state.ignored_resolutions[event.seq] = request
    elif not isinstance(approved, bool):
        state.ignored_resolutions[event.seq] = "`approved` is neither true nor false"
    else:
        request.approved = approved
        request.by = _text(payload.get("by", payload.get("resolver")))
        request.reason = _text(payload.get("reason"))
        request.resolved_seq = event.seq


def _request_for(state: RunState, payload: Payload) -> Approval | str:
    """The open request that a resolution answers, or why it answers none."""
    approval_id, seq = payload.get("approval_id"), payload.get("request_seq")
    if seq is not None:
        request = state.approvals.get(seq) if type(seq) is int else None
        if request is None or request.approval_id != approval_id:
            return f"no request {seq!r:.40} for {approval_id!r:.80}"
        return request if request.open else f"{approval_id!r:.80} is answered already"
    waiting = [item for item in state.open_approvals() if item.approval_id == approval_id]
    return waiting[0] if len(waiting) == 1 else f"no open request for {approval_id!r:.80}"


def _approval_applied(state: RunState, _event: Event, payload: Payload) -> None:
    if state.chained or "request_seq" in payload:  # older logs name none: a state entry follows
        state.approvals[payload["request_seq"]].applied = True


def _transition(state: RunState, _event: Event, payload: Payload) -> None:
    state.moving_to = str(payload["to_state"])


def _retry_scheduled(state: RunState, event: Event, payload: Payload) -> None:
    _commit(state, event, payload.get("context"))
    state.retry_attempt = int(payload["attempt"])
    state.retry_delay = float(payload.get("delay_seconds") or 0.0)
    state.effects = []


def _paused(state: RunState, _event: Event, payload: Payload) -> None:
    state.pause = Pause(
        str(payload.get("reason") or "approval"),
        payload.get("request_seq"),
        payload.get("call"),
        _mapping(payload.get("context")),
    )


def _resumed(state: RunState, _event: Event, payload: Payload) -> None:
    state.epoch = int(payload.get("epoch", state.epoch + 1))
    reason = payload.get("reason")
    if reason == "retry_failed":
        state.recoveries = 0
    elif reason != "approval":
        state.recoveries += 1
    state.pause = None
    state.final_state = None
    _hide(state, payload)


def _failed(state: RunState, event: Event, payload: Payload) -> None:
    _commit(state, event, payload.get("context"))
    state.effects = []


def _completed(state: RunState, _event: Event, payload: Payload) -> None:
    state.final_state = payload.get("final_state")


def _hide(state: RunState, payload: Payload) -> None:
    names = payload.get("redact_keys")
    if isinstance(names, list):
        state.redact_keys |= {str(name) for name in names}


def _commit(state: RunState, event: Event, delta: Any) -> None:
    """Take a delta into the context: what comes next starts from it."""
    if not delta:
        return
    for key, value in delta["set"].items():
        state.context[key] = value
        state.written_by[key] = event.seq
    for key in delta["unset"]:
        state.context.pop(key, None)
        state.written_by.pop(key, None)


_CHANGES: dict[str, Callable[[RunState, Event, Payload], None]] = {
    "run_started": _started,
    "state_entered": _entered,
    "state_exited": _exited,
    "transition": _transition,
    "approval_requested": _approval_requested,
    "approval_resolved": _approval_resolved,
    "approval_applied": _approval_applied,
    "retry_scheduled": _retry_scheduled,
    "run_paused": _paused,
    "run_resumed": _resumed,
    "run_failed": _failed,
    "run_completed": _completed,
}

_PHASE_AFTER: dict[str, Phase] = {
    "run_started": "entering",
    "state_entered": "executing",
    "run_paused": "paused",
    "run_completed": "ended",
}
"""Where an event that comes out of turn leads all the same: older logs are read to their end."""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
