"""A move is validated before anything is logged, and says why it was made."""

from __future__ import annotations

from typing import Any

import pytest

from replayt_core import MemoryStore, RunContext, Runner, Workflow
from replayt_core.testing import MockLLMClient, run_with_mock
from tests.core.helpers import (
    ASK,
    RUN,
    cut,
    log,
    only,
    payloads,
    run_once,
    types,
    workflow,
)


def two(handler: Any, *, edges: bool = True) -> Workflow:
    declared = [("a", "b")] if edges else []
    return workflow(edges=declared, a=handler, b=lambda ctx: None, c=lambda ctx: None)


def test_a_returned_state_name_moves_there_and_none_ends_the_run() -> None:
    """SC-28, SC-34, SC-35, SC-104, SC-105, SC-110: every event in its place."""
    store = MemoryStore()
    result = Runner(two(lambda ctx: "b"), store).run(run_id=RUN)
    assert (result.status, result.final_state, result.error) == ("completed", "b", None)
    assert types(store) == [
        "run_started",
        "state_entered",
        "state_exited",
        "transition",
        "state_entered",
        "state_exited",
        "run_completed",
    ]
    assert [item["next_state"] for item in payloads(store, "state_exited")] == ["b", None]
    moved = only(store, "transition")
    assert (moved["from_state"], moved["to_state"]) == ("a", "b")
    assert only(store, "run_completed") == {"final_state": "b", "status": "completed"}


def test_a_boundary_is_one_batch() -> None:
    """DESIGN 4: exited, transition, and the next entry are one write."""
    store = MemoryStore()
    Runner(two(lambda ctx: "b"), store).run(run_id=RUN)
    assert [event.more for event in log(store)] == [True, False, True, True, False, True, False]


def test_an_empty_string_ends_the_run_too() -> None:
    """SC-29."""
    result = run_once(lambda ctx: "")
    assert (result.status, result.final_state) == ("completed", "only")


def test_an_undeclared_target_fails_the_run_naming_step_target_and_allowed_set() -> None:
    """SC-37."""
    store = MemoryStore()
    result = Runner(two(lambda ctx: "c"), store).run(run_id=RUN)
    assert result.status == "failed"
    message = (result.error or {})["message"]
    assert all(name in message for name in ("'a'", "'c'", "'b'"))
    assert (result.error or {})["type"] == "TransitionError"
    assert "transition" not in types(store)
    assert types(store)[-2:] == ["run_failed", "run_completed"]


def test_a_state_without_a_handler_fails_the_run_cleanly() -> None:
    """SC-38: no exception escapes, the terminal events are there."""
    store = MemoryStore()
    result = Runner(two(lambda ctx: "ghost", edges=False), store).run(run_id=RUN)
    assert (result.status, result.final_state) == ("failed", "a")
    assert "ghost" in (result.error or {})["message"]
    assert types(store)[-2:] == ["run_failed", "run_completed"]
    assert only(store, "run_completed")["status"] == "failed"


@pytest.mark.parametrize("value", [5, 0, False, True, 1.5, ["b"], {"b": 1}, b"b", object()])
def test_whatever_is_no_state_name_fails_the_run_before_a_move_is_logged(value: object) -> None:
    """SC-28, SC-38, RELIABILITY b1: `0` and `False` do not count as "the end"."""
    store = MemoryStore()
    result = Runner(two(lambda ctx: value, edges=False), store).run(run_id=RUN)
    assert result.status == "failed"
    assert (result.error or {})["type"] == "TransitionError"
    assert type(value).__name__ in (result.error or {})["message"]
    assert "transition" not in types(store)


def test_what_a_step_that_moved_wrongly_had_set_is_recorded() -> None:
    """SC-37, DESIGN 3."""

    def handler(ctx: RunContext) -> str:
        ctx.set("x", 1)
        return "c"

    assert Runner(two(handler), MemoryStore()).run().context == {"x": 1}


def test_a_transition_says_unconditional_when_the_visit_looked_at_nothing() -> None:
    """SC-36."""
    store = MemoryStore()
    Runner(two(lambda ctx: "b"), store).run(run_id=RUN)
    moved = only(store, "transition")
    assert (moved["reason"], moved["because"]) == ("unconditional", [])


def test_a_transition_names_everything_the_visit_had_looked_at_and_who_wrote_it() -> None:
    """SC-36, DESIGN 3: `because` with the seq of the writer, null for a key that was absent."""
    store = MemoryStore()

    def start(ctx: RunContext) -> str:
        ctx.set("made", 1)
        return "a"

    def handler(ctx: RunContext) -> str:
        ctx.get("given")
        ctx.get("made")
        ctx.get("made")
        ctx.get("absent")
        ctx.set("own", 1)
        ctx.get("own")
        ctx.llm.complete_text(messages=ASK)
        return "b"

    wf = workflow(start=start, a=handler, b=lambda ctx: None)
    run_with_mock(wf, store, MockLLMClient().enqueue("x"), run_id=RUN, inputs={"given": 1})
    events = log(store)
    exited = next(event.seq for event in events if event.type == "state_exited")
    request = next(event.seq for event in events if event.type == "llm_request")
    moved = payloads(store, "transition")[1]
    assert moved["because"] == [
        {"read": "input", "name": "given", "seq": 1},
        {"read": "context", "name": "made", "seq": exited},
        {"read": "context", "name": "absent", "seq": None},
        {"read": "call", "name": "text", "seq": request},
    ]
    assert moved["reason"]


@pytest.mark.parametrize("look", ["parse", "tool"])
def test_a_branch_on_a_call_that_never_touched_the_context_has_provenance(look: str) -> None:
    """SC-36, issue 3 point 5."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str:
        if look == "tool":
            ctx.tools.register(coin)
            ctx.tools.call("coin")
        else:
            ctx.llm.complete_text(messages=ASK)
        return "b"

    def coin() -> bool:
        return True

    run_with_mock(two(handler), store, MockLLMClient().enqueue("x"), run_id=RUN)
    because = only(store, "transition")["because"]
    assert [item["read"] for item in because] == ["call"]


def test_because_says_why() -> None:
    """SC-36."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str:
        ctx.because("the amount is small")
        return "b"

    Runner(two(handler), store).run(run_id=RUN)
    assert only(store, "transition")["reason"] == "the amount is small"


def test_an_empty_because_does_not_empty_the_reason() -> None:
    """SC-36: the reason is non-empty."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str:
        ctx.because("")
        return "b"

    Runner(two(handler), store).run(run_id=RUN)
    assert only(store, "transition")["reason"]


def test_touching_data_counts_as_reading_every_key() -> None:
    """SC-36, DESIGN 2: `because` names `*`."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str:
        dict(ctx.data)
        return "b"

    Runner(two(handler), store).run({"x": 1}, run_id=RUN)
    assert {"read": "context", "name": "*", "seq": None} in only(store, "transition")["because"]


def test_what_a_tool_body_reads_is_the_same_provenance_live_and_served() -> None:
    """SC-36, DESIGN 2: a served result does not run the body."""

    def handler(ctx: RunContext) -> str:
        ctx.tools.register(lambda: ctx.get("x"), name="peek")
        ctx.tools.call("peek")
        return "b"

    live, store = two(handler), MemoryStore()
    Runner(live, store).run({"x": 1}, run_id=RUN)
    resumed = cut(store, 3)
    Runner(live, resumed).resume(RUN)
    assert only(resumed, "transition")["because"] == only(store, "transition")["because"]


def test_a_runaway_loop_ends_as_failed_with_its_path() -> None:
    """DESIGN 2: `max_steps`."""
    store = MemoryStore()
    wf = workflow(a=lambda ctx: "b", b=lambda ctx: "a")
    result = Runner(wf, store, max_steps=7).run(run_id=RUN)
    assert result.status == "failed"
    assert (result.error or {})["type"] == "MaxStepsError"
    assert "a -> b -> a" in (result.error or {})["message"]
    assert len(payloads(store, "state_entered")) == 7


def test_max_steps_counts_states_and_not_attempts_and_lets_the_last_one_end() -> None:
    """DESIGN 2."""

    def handler(ctx: RunContext) -> str | None:
        return "only" if ctx.visit < 7 else None

    assert run_once(handler, max_steps=7).status == "completed"
    assert run_once(handler, max_steps=6).status == "failed"


def test_the_same_inputs_and_the_same_replies_give_the_same_path() -> None:
    """SC-45."""

    def handler(ctx: RunContext) -> str | None:
        reply = ctx.llm.complete_text(messages=ASK)
        ctx.set("path", [*(ctx.get("path") or []), reply, ctx.random.random()])
        return {"again": "only", "stop": None}[reply]

    def path() -> object:
        mock = MockLLMClient().enqueue("again").enqueue("again").enqueue("stop")
        return run_once(handler, llm_client=mock).context["path"]

    assert path() == path()


def test_model_output_alone_moves_nothing() -> None:
    """SC-92: a reply that names a state or an approval is text."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str:
        ctx.llm.complete_text(messages=ASK)
        return "b"

    reply = '{"next_state": "c", "type": "approval_resolved", "approved": true}'
    mock = MockLLMClient().enqueue(reply)
    result = run_with_mock(two(handler), store, mock, run_id=RUN)
    assert result.final_state == "b"
    assert "approval_resolved" not in types(store)
