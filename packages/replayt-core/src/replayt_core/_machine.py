"""The pure machine: what to do next, and which events an outcome becomes. It does nothing itself.

Legal moves stand in the table of `_moves`. A boundary is one batch: exited, transition, and the
next state entry, so that a run on disk never stands between two states.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

from replayt_core._fold import Approval, RunState
from replayt_core._outcome import (
    Action,
    AskedApproval,
    Enter,
    Entered,
    Execute,
    Interrupted,
    Outcome,
    OutcomeUnknown,
    OverBudget,
    Raised,
    Resumed,
    Returned,
    Started,
    Stop,
    TimedOut,
    no_delta,
)
from replayt_core.events import LOG_SCHEMA, Draft, Payload
from replayt_core.payloads import ErrorInfo
from replayt_core.workflow import Workflow

MAX_STEPS = 1_000
MAX_RECOVERIES = 5


def next_action(state: RunState) -> Action:
    """What the driver has to do now."""
    if state.phase == "executing":
        return Execute(state.state or "", state.visit, state.attempt)
    if state.phase == "backoff":
        return Enter(state.retry_delay)
    if state.phase == "entering":
        return Enter()
    return Stop()


def record(
    workflow: Workflow, state: RunState, outcome: Outcome, *, max_steps: int = MAX_STEPS
) -> list[Draft]:
    """The events that `outcome` becomes, as one batch."""
    return _RECORDERS[type(outcome)](_Desk(workflow, state, max_steps), outcome)


class _Desk:
    """What the recorders look at: the definition, the state, the loop guard."""

    __slots__ = ("max_steps", "state", "workflow")

    def __init__(self, workflow: Workflow, state: RunState, max_steps: int) -> None:
        self.workflow = workflow
        self.state = state
        self.max_steps = max_steps

    @property
    def here(self) -> str:
        """The state the run stands in."""
        return self.state.state or ""


def _started(desk: _Desk, outcome: Started) -> list[Draft]:
    workflow = desk.workflow
    graph = workflow.graph()
    first = outcome.state or graph["initial"]
    payload: Payload = {
        "log_schema": LOG_SCHEMA,
        "workflow_name": workflow.name,
        "workflow_version": workflow.version,
        "graph": graph,
        "code": workflow.code(),
        "initial_state": first,
        "inputs": outcome.inputs,
        "tags": outcome.tags,
        "log_mode": outcome.log_mode,
    }
    if outcome.redact_keys:
        payload["redact_keys"] = list(outcome.redact_keys)
    if outcome.context is not None:
        payload["context"] = outcome.context
        payload["forked_from"] = outcome.forked_from
    return [Draft("run_started", payload), _entry(desk, first)]


def _entered(desk: _Desk, _outcome: Entered) -> list[Draft]:
    if desk.state.phase == "backoff":
        return [_attempt(desk, desk.state.retry_attempt)]
    # Between a move and its entry stands a run that the loop guard ended, when it is retried.
    return [_entry(desk, desk.state.moving_to or desk.workflow.startable())]


def _returned(desk: _Desk, outcome: Returned) -> list[Draft]:
    target = outcome.value
    if target is None or target == "":
        return [
            Draft("state_exited", _exit(desk, None, outcome.delta, outcome.elapsed_ms)),
            Draft("run_completed", {"final_state": desk.here, "status": "completed"}),
        ]
    problem = _move_problem(desk, target)
    if problem is not None or not isinstance(target, str):
        return _fail(desk, problem or _no_state(desk, target), outcome.delta)
    target = str.__str__(target)  # a text enum goes into the log by its value
    return [
        Draft("state_exited", _exit(desk, target, outcome.delta, outcome.elapsed_ms)),
        *_move(desk, target, outcome.reason, cast("list[Any]", outcome.because)),
    ]


def _raised(desk: _Desk, outcome: Raised) -> list[Draft]:
    state, policy = desk.state, desk.workflow.steps[desk.here].retries
    step_error = Draft(
        "step_error",
        {
            "state": desk.here,
            "visit": state.visit,
            "attempt": state.attempt,
            "error": outcome.error,
        },
    )
    if not outcome.retryable or state.attempt >= policy.max_attempts:
        return [step_error, *_fail(desk, outcome.error, outcome.delta)]
    # A stream of its own: `ctx.random` must not depend on whether there was a wait.
    stream = random.Random(f"{state.run_id}/{desk.here}/{state.visit}/{state.attempt}/backoff")  # noqa: S311 jitter is no secret
    scheduled: Payload = {
        "state": desk.here,
        "attempt": state.attempt + 1,
        "max_attempts": policy.max_attempts,
        "error": outcome.error,
        "delay_seconds": policy.delay(state.attempt, stream),
        "context": outcome.delta,
    }
    return [step_error, Draft("retry_scheduled", scheduled)]


def _asked_approval(desk: _Desk, outcome: AskedApproval) -> list[Draft]:
    request_seq = desk.state.last_seq + 1
    asked: Payload = {
        "approval_id": outcome.approval_id,
        "state": desk.here,
        "visit": desk.state.visit,
        "summary": outcome.summary,
        "details": outcome.details,
        "digest": outcome.digest,
        "on_approve": outcome.on_approve,
        "on_reject": outcome.on_reject,
    }
    paused: Payload = {
        "state": desk.here,
        "reason": "approval",
        "request_seq": request_seq,
        "context": outcome.delta,
    }
    return [Draft("approval_requested", asked), Draft("run_paused", paused)]


def _outcome_unknown(desk: _Desk, outcome: OutcomeUnknown) -> list[Draft]:
    paused: Payload = {
        "state": desk.here,
        "reason": "outcome_unknown",
        "call": outcome.call,
        "context": outcome.delta,
    }
    return [Draft("run_paused", paused)]


def _cut_off(desk: _Desk, outcome: TimedOut | OverBudget) -> list[Draft]:
    return _fail(desk, outcome.error, outcome.delta)


def _interrupted(desk: _Desk, outcome: Interrupted) -> list[Draft]:
    payload: Payload = {"state": desk.state.state, "reason": outcome.reason}
    if outcome.signal is not None:
        payload["signal"] = outcome.signal
    return [Draft("run_interrupted", payload)]


def _resumed(desk: _Desk, outcome: Resumed) -> list[Draft]:
    state = desk.state
    payload: Payload = {
        "epoch": state.epoch + 1,
        "from_seq": state.last_seq,
        "reason": outcome.reason,
    }
    if outcome.redact_keys:
        payload["redact_keys"] = list(outcome.redact_keys)
    if outcome.overrides:
        payload["overrides"] = outcome.overrides
    drafts = [Draft("run_resumed", payload)]
    if outcome.give_up:
        text = (
            f"state {desk.here!r} was recovered {MAX_RECOVERIES} times in this visit and never "
            "ended; mend the handler, then use --retry-failed"
        )
        error: ErrorInfo = {"type": "TooManyRecoveries", "message": text}
        return [*drafts, *_fail(desk, error, no_delta())]
    if outcome.applies is not None:
        approval = state.approvals[outcome.applies]
        drafts.append(Draft("approval_applied", _applied(approval)))
        route = approval.on_approve if approval.approved else approval.on_reject
        if route is not None:
            return drafts + _take_route(desk, approval, route)
    if outcome.restart:
        drafts.append(_attempt(desk, state.attempt + 1))
    return drafts


def _take_route(desk: _Desk, approval: Approval, route: str) -> list[Draft]:
    """Leave the paused state without running it again; what it had changed is committed."""
    answer = "approved" if approval.approved else "rejected"
    because = [
        {"read": "approval", "name": approval.approval_id, "seq": approval.resolved_seq},
    ]
    pause = desk.state.pause
    delta = pause.delta if pause is not None else no_delta()
    problem = _move_problem(desk, route)
    if problem is not None:
        return _fail(desk, problem, delta)
    return [
        Draft("state_exited", _exit(desk, route, delta, 0.0)),
        *_move(desk, route, f"approval {approval.approval_id} {answer}", because),
    ]


def _applied(approval: Approval) -> Payload:
    return {
        "approval_id": approval.approval_id,
        "request_seq": approval.request_seq,
        "approved": approval.approved,
    }


def _exit(desk: _Desk, target: str | None, delta: Payload, elapsed_ms: float) -> Payload:
    return {"state": desk.here, "next_state": target, "context": delta, "elapsed_ms": elapsed_ms}


def _move(desk: _Desk, target: str, reason: str, because: list[Any]) -> list[Draft]:
    """The transition and the entry it leads to, or the end where the loop guard strikes."""
    moved = Draft(
        "transition",
        {"from_state": desk.here, "to_state": target, "reason": reason, "because": because},
    )
    if desk.state.summary.states < desk.max_steps:
        return [moved, _entry(desk, target)]
    path = " -> ".join([*list(desk.state.recent)[-10:], target])
    error: ErrorInfo = {
        "type": "MaxStepsError",
        "message": f"the run entered {desk.max_steps} states (max_steps); the last were {path}",
    }
    return [moved, *_fail(desk, error, no_delta())]


def _entry(desk: _Desk, state: str) -> Draft:
    visit = desk.state.visits.get(state, 0) + 1
    return Draft("state_entered", {"state": state, "visit": visit, "attempt": 1})


def _attempt(desk: _Desk, attempt: int) -> Draft:
    return Draft(
        "state_entered", {"state": desk.here, "visit": desk.state.visit, "attempt": attempt}
    )


def _fail(desk: _Desk, error: ErrorInfo, delta: Payload) -> list[Draft]:
    return [
        Draft("run_failed", {"state": desk.here, "error": error, "context": delta}),
        Draft("run_completed", {"final_state": desk.here, "status": "failed"}),
    ]


def _move_problem(desk: _Desk, target: object) -> ErrorInfo | None:
    """Why the run may not go to `target`, or None when it may."""
    workflow, here = desk.workflow, desk.here
    allowed = workflow.targets(here)
    if not isinstance(target, str):
        return _no_state(desk, target)
    if allowed is not None and target not in allowed:
        names = ", ".join(map(repr, allowed)) or "none"
        problem = f"may not go to {target!r:.120}; declared for it: {names}"
    elif target not in workflow.steps:
        problem = f"went to {target!r:.120}, which has no step; declare @wf.step({target!r:.120})"
    else:
        return None
    return {"type": "TransitionError", "message": f"step {here!r} {problem}"}


def _no_state(desk: _Desk, returned: object) -> ErrorInfo:
    text = f"returned a {type(returned).__name__}; return a state's name or None"
    return {"type": "TransitionError", "message": f"step {desk.here!r} {text}"}


_RECORDERS: dict[type[Any], Callable[[_Desk, Any], list[Draft]]] = {
    Started: _started,
    Entered: _entered,
    Returned: _returned,
    Raised: _raised,
    AskedApproval: _asked_approval,
    OutcomeUnknown: _outcome_unknown,
    TimedOut: _cut_off,
    OverBudget: _cut_off,
    Interrupted: _interrupted,
    Resumed: _resumed,
}
