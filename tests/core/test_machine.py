"""The machine decides from the state alone, and only what the table of moves allows (DESIGN 2)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core import RetryPolicy, RunState, Workflow, apply, new_state
from replayt_core._machine import next_action, record
from replayt_core._moves import ANYWHERE, MOVES
from replayt_core._outcome import (
    AskedApproval,
    Enter,
    Entered,
    Execute,
    Interrupted,
    Outcome,
    OutcomeUnknown,
    Raised,
    Resumed,
    Returned,
    Started,
    Stop,
    no_delta,
)
from replayt_core.chain import seal
from replayt_core.events import Draft, Event
from replayt_core.payloads import PAYLOADS
from tests.core.helpers import RUN
from tests.core.strict import strictly_valid
from tests.drawn import examples

TS = "2026-01-01T00:00:00.000000Z"


def machine_workflow() -> Workflow:
    wf = Workflow("demo")
    wf.set_initial("a")
    wf.step("a", to=["a", "b"], retries=RetryPolicy(3, 1.0))(lambda ctx: None)
    wf.step("b", to=["a"])(lambda ctx: None)
    return wf


WORKFLOW = machine_workflow()


def write(state: RunState, outcome: Outcome, **options: Any) -> list[Event]:
    """Record an outcome and take its events into the state, as the log writer does."""
    drafts = record(WORKFLOW, state, outcome, **options)
    return put(state, *drafts)


def put(state: RunState, *drafts: Draft) -> list[Event]:
    events = seal(RUN, drafts, after=state.last_seq, head=state.head, ts=TS)
    for event in events:
        apply(state, event)
    return events


def started() -> RunState:
    state = new_state(RUN)
    write(state, Started(inputs={"x": 1}, tags={}, log_mode="redacted"))
    return state


def returned(value: object, **delta: Any) -> Returned:
    return Returned(
        value=value,
        delta={"set": delta, "unset": []},
        elapsed_ms=1.0,
        reason="because",
        because=[],
    )


def raised(retryable: bool = True) -> Raised:
    return Raised(error={"type": "ValueError", "message": "no"}, retryable=retryable)


def asked(**routes: str | None) -> AskedApproval:
    return AskedApproval(
        approval_id="go",
        summary="",
        details=None,
        digest="0" * 64,
        on_approve=routes.get("on_approve"),
        on_reject=routes.get("on_reject"),
        delta=no_delta(),
    )


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_the_table_names_known_events_and_phases_only() -> None:
    """DESIGN 2: the table of legal moves is one literal."""
    phases = set(MOVES)
    for moves in MOVES.values():
        assert set(moves) <= set(PAYLOADS)
        assert set(moves.values()) <= phases
    assert set(PAYLOADS) >= ANYWHERE
    assert {kind for moves in MOVES.values() for kind in moves} | ANYWHERE == set(PAYLOADS)


def test_a_run_starts_and_enters_its_initial_state_in_one_batch() -> None:
    """SC-104, SC-105."""
    state = new_state(RUN)
    events = write(state, Started(inputs={}, tags={}, log_mode="full"))
    assert kinds(events) == ["run_started", "state_entered"]
    assert next_action(state) == Execute("a", 1, 1)


def test_what_to_do_follows_from_the_phase_alone() -> None:
    """DESIGN 2."""
    state = started()
    assert next_action(state) == Execute("a", 1, 1)
    write(state, raised())
    assert next_action(state) == Enter(1.0)
    write(state, Entered())
    assert next_action(state) == Execute("a", 1, 2)
    write(state, returned("a"))
    assert next_action(state) == Execute("a", 2, 1)
    write(state, asked())
    assert next_action(state) == Stop()
    write(state, Resumed(reason="approval"))
    assert next_action(state) == Execute("a", 2, 1)
    write(state, returned(None))
    assert next_action(state) == Stop()
    assert state.problems == []


def test_recording_changes_nothing() -> None:
    """DESIGN 2: the machine decides and does nothing; the fold alone changes the state."""
    state = started()
    before = copy.deepcopy(state)
    for outcome in (returned("b", y=2), returned("ghost"), raised(), asked(), returned(None)):
        record(WORKFLOW, state, outcome)
    assert state == before


def test_the_same_state_and_outcome_give_the_same_events() -> None:
    """SC-45, DESIGN 2: even the delay of a retry."""
    wf = machine_workflow()
    state = started()
    assert record(wf, state, raised()) == record(wf, copy.deepcopy(state), raised())


def test_a_pause_names_its_request_by_seq() -> None:
    """SC-83, SC-109."""
    state = started()
    asked_event, paused = write(state, asked())
    assert paused.payload["request_seq"] == asked_event.seq
    assert [item.request_seq for item in state.open_approvals()] == [asked_event.seq]


@pytest.mark.parametrize("route", ["ghost", "undeclared"])
def test_a_recorded_route_that_is_not_declared_any_more_fails_the_run(route: str) -> None:
    """SC-37, SC-87: with `allow_changed` the target may be gone."""
    state = started()
    (request, _) = write(state, asked(on_approve=route))
    put(state, Draft("approval_resolved", {"approval_id": "go", "approved": True}))
    events = write(state, Resumed(reason="approval", applies=request.seq))
    assert kinds(events) == ["run_resumed", "approval_applied", "run_failed", "run_completed"]
    assert state.problems == []


outcomes = st.one_of(
    st.builds(
        returned,
        st.sampled_from(["a", "b", "ghost", "", None, 5, True, b"a", ["a"]]),
        y=st.integers(0, 3),
    ),
    st.builds(raised, st.booleans()),
    st.builds(
        asked,
        on_approve=st.sampled_from([None, "a", "b", "ghost"]),
        on_reject=st.sampled_from([None, "a"]),
    ),
    st.builds(OutcomeUnknown, call=st.just(1), delta=st.just(no_delta())),
    st.builds(Interrupted, reason=st.just("SIGTERM")),
    st.just("effects"),
)
plans = st.tuples(st.booleans(), st.booleans(), st.booleans())


@examples(300)
@given(st.lists(st.tuples(outcomes, plans), max_size=25))
def test_the_machine_never_emits_an_event_that_the_fold_rejects(steps: list[Any]) -> None:
    """Issue 3: whatever comes of an attempt, and however the run is taken up."""
    state = started()
    for outcome, (answer, restart, give_up) in steps:
        if state.phase == "ended":
            break
        if state.phase == "paused":
            if state.pause is not None and state.pause.request_seq is not None:
                payload = {"approval_id": "go", "approved": answer}
                put(state, Draft("approval_resolved", payload))
                plan = Resumed(reason="approval", applies=state.pause.request_seq, restart=restart)
                approval = state.approvals[state.pause.request_seq]
                routed = approval.on_approve if answer else approval.on_reject
                if routed is not None:
                    plan = Resumed(reason="approval", applies=state.pause.request_seq)
            else:
                plan = Resumed(reason="call_answered")
            events = write(state, plan, max_steps=8)
        elif state.phase in ("backoff", "entering"):
            events = write(state, Entered(), max_steps=8)
        elif outcome == "effects":
            head = {"call": 1, "state": "a", "name": "t"}
            events = put(
                state,
                Draft("tool_call", {**head, "arguments": {}}),
                Draft("tool_result", {**head, "ok": True, "result": 1, "elapsed_ms": 0.0}),
            )
        else:
            events = write(state, outcome, max_steps=8)
            if isinstance(outcome, Interrupted):
                resumed = Resumed(reason="interrupted", restart=restart, give_up=give_up)
                events += write(state, resumed, max_steps=8)
        assert state.problems == []
        for event in events:
            strictly_valid(event.type, event.payload)
            assert event.payload == as_read(event)


def as_read(event: Event) -> dict[str, Any]:
    from replayt_core.chain import decode

    return decode(event.line).payload
