"""Whether and how a run is taken up: decided from its state before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replayt_core._approvals import open_request
from replayt_core._fold import Pause, RunState
from replayt_core._graph import reachable
from replayt_core._hiding import Hiding
from replayt_core._journal import CallAnswer, recorded_calls
from replayt_core._machine import MAX_RECOVERIES
from replayt_core._outcome import Resumed
from replayt_core.errors import (
    DamagedLogError,
    NotServableError,
    RefusedError,
    RunEndedError,
    WorkflowChangedError,
)
from replayt_core.events import LOG_SCHEMA
from replayt_core.workflow import Workflow

Edges = set[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ResumeOptions:
    """What a person allows or says when a run is taken up; whatever is used is recorded."""

    answers: Mapping[int, CallAnswer] = field(default_factory=dict)
    allow_changed: bool = False
    retry_failed: bool = False
    restart_state: bool = False
    supplied: Mapping[str, Any] = field(default_factory=dict)


def plan_resume(workflow: Workflow, state: RunState, options: ResumeOptions) -> Resumed | None:
    """How to take the run up; None where it still waits for a person.

    Raises a `RefusedError` (nothing is written, no handler runs) where it must not be taken up.
    """
    if not state.chained:
        raise RefusedError(
            f"run {state.run_id} was written by an older release (its log is unchained); it can be "
            "shown, not resumed"
        )
    if state.log_schema is not None and state.log_schema > LOG_SCHEMA:
        raise RefusedError(
            f"run {state.run_id} was written by a later release (log schema {state.log_schema}); "
            "update replayt-core to go on with it"
        )
    if state.phase == "ended":
        _check_ended(state, options)
    if state.problems:
        seq, problem = state.problems[0]
        raise DamagedLogError(
            f"run {state.run_id}: event {seq} does not fit its log: {problem}",
            run_id=state.run_id,
            where=f"event {seq}",
        )
    try:
        return _plan(workflow, state, options)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise DamagedLogError(
            f"run {state.run_id}: its log holds a payload that does not fit: {error!r:.120}",
            run_id=state.run_id,
        ) from error


def _plan(workflow: Workflow, state: RunState, options: ResumeOptions) -> Resumed | None:
    """How to take up a run whose log is whole."""
    if state.state is not None and state.state not in workflow.steps:
        raise WorkflowChangedError(
            f"run {state.run_id} stands in state {state.state!r}, which workflow "
            f"{workflow.name!r} does not have; use the recorded workflow"
        )
    overrides: dict[str, Any] = {}
    changes = workflow_changes(workflow, state)
    if changes:
        if not options.allow_changed:
            raise WorkflowChangedError(
                f"run {state.run_id}: the workflow is not the one that was recorded: "
                + "; ".join(changes)
                + "; use the recorded one, or --allow-changed"
            )
        overrides["allow_changed"] = changes
    overrides.update(_answered_calls(state, options.answers))
    if state.phase == "ended":
        return Resumed(reason="retry_failed", overrides=overrides, restart=state.moving_to is None)
    if state.pause is not None:
        return _after_pause(state, state.pause, options, overrides)
    restart = state.phase == "executing" and _restart(state, options, overrides)
    return Resumed(
        reason="interrupted",
        overrides=overrides,
        restart=restart,
        give_up=state.recoveries >= MAX_RECOVERIES and not options.restart_state,
    )


def _check_ended(state: RunState, options: ResumeOptions) -> None:
    if state.summary.status == "completed":
        raise RunEndedError(f"run {state.run_id} is completed; it is never run again")
    if not options.retry_failed:
        raise RunEndedError(
            f"run {state.run_id} has failed; to try its last state again, use --retry-failed"
        )


def _answered_calls(state: RunState, answers: Mapping[int, CallAnswer]) -> dict[str, Any]:
    """What was said of calls, as it is recorded. Raises where a call is not in question."""
    calls = recorded_calls(state.effects).values()
    unknown = {call.seq for call in calls if call.kind == "tool" and not call.finished}
    said: dict[str, Any] = {}
    for seq, answer in answers.items():
        if seq not in unknown:
            names = ", ".join(map(str, sorted(unknown))) or "none"
            raise RefusedError(
                f"run {state.run_id}: seq {seq} is no tool call with an unknown outcome; "
                f"such calls: {names}"
            )
        said[str(seq)] = {"action": answer.action}
        if answer.action != "retry":
            said[str(seq)]["value"] = answer.value
    return {"calls": said} if said else {}


def _after_pause(
    state: RunState, pause: Pause, options: ResumeOptions, overrides: dict[str, Any]
) -> Resumed | None:
    if pause.call is not None:
        if options.restart_state:
            return Resumed(
                reason="restart_state",
                overrides=overrides,
                restart=_restart(state, options, overrides),
            )
        if pause.call not in options.answers:
            return None
        return Resumed(reason="call_answered", overrides=overrides)
    approval = state.approvals.get(pause.request_seq or 0)
    if approval is None or approval.open:
        return None
    routed = (approval.on_approve if approval.approved else approval.on_reject) is not None
    restart = not routed and _restart(state, options, overrides)
    return Resumed(
        reason="approval", overrides=overrides, applies=approval.request_seq, restart=restart
    )


def _restart(state: RunState, options: ResumeOptions, overrides: dict[str, Any]) -> bool:
    """Whether the state begins anew as its next attempt; the reason goes on record."""
    if options.restart_state:
        overrides["restart_state"] = True
        return True
    reason = _needs_restart(state)
    if reason:
        overrides["restarted"] = reason
    return bool(reason)


def _needs_restart(state: RunState) -> str:
    """Why the state has to begin anew as its next attempt; empty where its calls can be served.

    Raises `NotServableError` where beginning anew would repeat tool calls.
    """
    calls = recorded_calls(state.effects)
    lost = [call for call in calls.values() if call.finished and not call.servable]
    if not lost:
        return ""
    names = ", ".join(str(call.seq) for call in lost)
    mode = state.summary.log_mode
    if any(call.kind == "tool" for call in calls.values()):
        raise NotServableError(
            f"run {state.run_id}: the replies of the text calls at seq {names} were not kept (log "
            f"mode {mode}), and state {state.state!r} has called tools; it cannot go on from "
            "the log; --restart-state accepts that all of them are made again"
        )
    return f"the replies of the text calls at seq {names} were not kept (log mode {mode})"


def workflow_changes(workflow: Workflow, state: RunState) -> list[str]:
    """What differs between the workflow and the recorded one, where it still matters.

    Name, version, and the graph over the states reachable from where the run stands.
    """
    changes = []
    summary = state.summary
    for what, recorded, now in (
        ("name", summary.workflow_name, workflow.name),
        ("version", summary.workflow_version, workflow.version),
    ):
        if recorded != now:
            changes.append(f"{what} {recorded!r} is now {now!r}")
    here = state.state or str(state.graph.get("initial"))
    then: Edges = {(str(a), str(b)) for a, b in state.graph.get("edges", ())}
    now_edges: Edges = set(workflow.edges)
    states_then, edges_then = _ahead(here, set(state.graph.get("states", ())), then)
    states_now, edges_now = _ahead(here, set(workflow.steps), now_edges)
    changes += [f"state {name!r} is gone" for name in sorted(states_then - states_now)]
    changes += [f"state {name!r} is new" for name in sorted(states_now - states_then)]
    changes += [f"edge {a} -> {b} is gone" for a, b in sorted(edges_then - edges_now)]
    changes += [f"edge {a} -> {b} is new" for a, b in sorted(edges_now - edges_then)]
    return changes


def _ahead(here: str, states: set[str], edges: Edges) -> tuple[set[str], Edges]:
    """The part of a graph that a run standing in `here` can still see."""
    if not edges:
        return states, edges
    inside = reachable(here, edges)
    return inside & states, {edge for edge in edges if edge[0] in inside}


def require_revealed(state: RunState, hiding: Hiding) -> None:
    """Raise `RedactedValueError` where what a handler would get holds what nobody handed in.

    That is the context, what served calls returned, what approvals showed.
    """
    if not hiding.names:
        return
    served = [
        payload.get("result" if kind == "tool_result" else "data")
        for _, kind, payload in state.effects
        if kind in ("tool_result", "structured_output")
    ]
    shown = [approval.details for approval in state.approvals.values()]
    hiding.reveal([state.context, state.pause.delta if state.pause else None, served, shown])


def check_answerable(
    workflow: Workflow,
    state: RunState,
    options: ResumeOptions,
    *,
    approval_id: str | None = None,
    approved: bool = True,
) -> None:
    """Raise what a resume would raise once `approval_id` is answered, with nothing answered yet."""
    request = next(
        (item for item in state.open_approvals() if item.approval_id == approval_id), None
    )
    if request is None:
        plan_resume(workflow, state, options)
        if approval_id is not None:
            open_request(state, approval_id, approved)
        return
    request.approved = approved
    try:
        plan_resume(workflow, state, options)
    finally:
        request.approved = None
