"""`ctx`: what a handler reads and writes, and what the log says of it (DESIGN 2, Context)."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from replayt_core import (
    ContextInUseError,
    MemoryStore,
    NotReplayableError,
    RetryPolicy,
    RunContext,
    Runner,
)
from replayt_core.testing import FrozenClock
from tests.core.helpers import SecretClient, log, one_step, only, payloads, run_once, workflow


def delta(store: MemoryStore) -> dict[str, Any]:
    return payloads(store, "state_exited")[-1]["context"]


def test_inputs_are_context_values_before_the_first_step() -> None:
    """SC-26."""
    result = run_once(lambda ctx: ctx.set("y", ctx.get("x") + 1), inputs={"x": 1})
    assert result.context == {"x": 1, "y": 2}


def test_the_callers_inputs_are_copied() -> None:
    """SC-26, R-22 (RELIABILITY b2): a handler cannot change what the caller holds."""
    inputs = {"k": {"deep": [1]}}
    result = run_once(lambda ctx: ctx.get("k")["deep"].append(2), inputs=inputs)
    assert inputs == {"k": {"deep": [1]}}
    assert result.context == {"k": {"deep": [1, 2]}}


def test_a_value_is_visible_to_later_steps_and_a_missing_one_has_a_default() -> None:
    """SC-27."""
    seen: list[object] = []

    def first(ctx: RunContext) -> str:
        ctx.set("x", [1])
        return "second"

    def second(ctx: RunContext) -> None:
        seen.extend([ctx.get("x"), ctx.get("none"), ctx.get("none", 7)])

    Runner(workflow(first=first, second=second), MemoryStore()).run()
    assert seen == [[1], None, 7]


def test_set_keeps_a_copy() -> None:
    """SC-27, DESIGN 2: what the caller does to its own object later is no write."""

    def handler(ctx: RunContext) -> None:
        mine = [1]
        ctx.set("x", mine)
        mine.append(2)
        assert ctx.get("x") == [1]

    assert run_once(handler).context == {"x": [1]}


def test_changing_what_get_returned_is_a_write() -> None:
    """SC-27, DESIGN 2."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.get("x")["list"].append(2)
        assert ctx.get("x") is ctx.get("x")

    run_once(handler, store=store, inputs={"x": {"list": [1]}, "y": [0]})
    assert delta(store) == {"set": {"x": {"list": [1, 2]}}, "unset": []}


def test_the_delta_holds_what_changed_and_nothing_else() -> None:
    """SC-105, DESIGN 3: a value set to what it was is no change, and 1 is not 1.0 nor true."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.get("read")
        ctx.set("same", [1])
        ctx.set("float", 1.0)
        ctx.set("bool", True)
        ctx.data.pop("gone")
        ctx.data["new"] = {"a": (1, 2)}

    inputs = {"read": 1, "same": [1], "float": 1, "bool": 1, "gone": 1, "untouched": 1}
    result = run_once(handler, store=store, inputs=inputs)
    found = delta(store)
    assert json.dumps(found["set"], sort_keys=True) == (
        '{"bool": true, "float": 1.0, "new": {"a": [1, 2]}}'
    )
    assert found["unset"] == ["gone"]
    assert "gone" not in result.context


def test_data_is_a_plain_dict() -> None:
    """DESIGN 2: `json.dumps` and `**` work."""

    def handler(ctx: RunContext) -> None:
        assert type(ctx.data) is dict
        ctx.set("text", json.dumps(ctx.data, sort_keys=True))
        ctx.set("copy", {**ctx.data}["a"])

    assert run_once(handler, inputs={"a": 1}).context["text"] == '{"a": 1}'


def test_a_bad_value_put_in_place_fails_the_step_naming_its_path() -> None:
    """R-24, DESIGN 2: found at the boundary; the good writes of the attempt are recorded."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.set("good", 1)
        ctx.get("x")["deep"].append(b"bytes")

    result = run_once(handler, store=store, inputs={"x": {"deep": []}})
    assert result.status == "failed"
    assert (result.error or {})["message"].startswith("x.deep[0]:")
    assert only(store, "run_failed")["context"]["set"] == {"good": 1}


def test_a_key_of_data_that_is_no_text_fails_the_step() -> None:
    """R-24."""

    def handler(ctx: RunContext) -> None:
        ctx.data[5] = 1  # type: ignore[index]

    assert (run_once(handler).error or {})["type"] == "NotJSONError"


def test_what_an_attempt_wrote_is_visible_to_its_retry_and_logged() -> None:
    """R-22 (RELIABILITY b2), SC-39."""
    store = MemoryStore()
    seen: list[object] = []

    def handler(ctx: RunContext) -> None:
        seen.append(ctx.get("n"))
        ctx.set("n", (ctx.get("n") or 0) + 1)
        if ctx.get("n") < 3:
            raise ValueError("again")

    result = run_once(handler, store=store, retries=RetryPolicy(3))
    assert seen == [None, 1, 2]
    assert result.context == {"n": 3}
    assert [item["context"]["set"] for item in payloads(store, "retry_scheduled")] == [
        {"n": 1},
        {"n": 2},
    ]


def test_a_failing_run_records_what_its_last_attempt_wrote() -> None:
    """SC-40, DESIGN 3: the delta of `run_failed` is committed."""

    def handler(ctx: RunContext) -> None:
        ctx.set("n", 1)
        raise ValueError

    assert run_once(handler).context == {"n": 1}


def test_now_is_when_the_attempt_was_entered() -> None:
    """DESIGN 2: `ctx.now` does not move while the handler runs."""
    clock = FrozenClock(datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=timezone.utc))
    seen: list[datetime] = []

    def handler(ctx: RunContext) -> None:
        seen.append(ctx.now)
        clock.tick(60)
        seen.append(ctx.now)

    store = MemoryStore()
    run_once(handler, clock=clock, store=store)
    assert seen == [datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=timezone.utc)] * 2
    assert log(store)[1].ts == "2026-05-04T03:02:01.123456Z"


def test_random_is_the_same_for_the_same_attempt_and_another_for_the_next() -> None:
    """DESIGN 2: `random.Random(f"{run_id}/{state}/{visit}/{attempt}")`."""
    drawn: list[float] = []

    def handler(ctx: RunContext) -> None:
        drawn.append(ctx.random.random())
        raise ValueError

    run_once(handler, retries=RetryPolicy(2))
    run_once(handler, retries=RetryPolicy(2))
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_the_idempotency_key_is_that_of_the_visit() -> None:
    """DESIGN 2: the same in every attempt, another in every visit, state and run."""
    keys: list[str] = []

    def handler(ctx: RunContext) -> str | None:
        keys.append(ctx.idempotency_key)
        if ctx.visit == 1 and len(keys) == 1:
            raise ValueError
        return "only" if ctx.visit == 1 else None

    run_once(handler, retries=RetryPolicy(2))
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]) == 64


def test_visit_and_attempt_are_counted_from_1() -> None:
    """DESIGN 5."""
    seen: list[tuple[int, int]] = []

    def handler(ctx: RunContext) -> str | None:
        seen.append((ctx.visit, ctx.attempt))
        if ctx.attempt == 1:
            raise ValueError
        return "only" if ctx.visit < 2 else None

    run_once(handler, retries=RetryPolicy(2))
    assert seen == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_note_is_an_event() -> None:
    """DESIGN 3: `step_note`."""
    store = MemoryStore()
    run_once(lambda ctx: ctx.note("check", summary="fine", data={"n": (1,)}), store=store)
    assert only(store, "step_note") == {
        "state": "only",
        "kind": "check",
        "summary": "fine",
        "data": {"n": [1]},
    }


def test_ctx_kept_beyond_its_handler_is_refused() -> None:
    """DESIGN 5: when the handler returns its journal closes, and later calls raise."""
    kept: list[RunContext] = []
    run_once(kept.append)
    ctx = kept[0]
    for use in (
        lambda: ctx.get("x"),
        lambda: ctx.set("x", 1),
        lambda: ctx.data,
        lambda: ctx.tools.call("t"),
        lambda: ctx.llm.complete_text(messages=[{"role": "user", "content": "x"}]),
        lambda: ctx.request_approval("a"),
        lambda: ctx.note("x"),
    ):
        with pytest.raises(ContextInUseError, match="is over"):
            use()


def test_calls_from_another_thread_are_refused() -> None:
    """DESIGN 5."""
    caught: list[Exception] = []

    def handler(ctx: RunContext) -> None:
        def other() -> None:
            try:
                ctx.tools.call("t")
            except ContextInUseError as error:
                caught.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert run_once(handler).status == "completed"
    assert "thread" in str(caught[0])


def test_a_live_api_key_is_refused_by_set() -> None:
    """R-29 (RELIABILITY b5), SC-57, DESIGN 2."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        with pytest.raises(NotReplayableError, match="API key"):
            ctx.set("k", {"header": "Bearer my-secret-key-1"})

    result = run_once(handler, store=store, llm_client=SecretClient("my-secret-key-1"))
    assert result.status == "completed"
    assert b"my-secret-key-1" not in b"".join(event.line for event in log(store))


def test_a_runner_keeps_nothing_between_runs() -> None:
    """R-20 (RELIABILITY b2), SC-30."""
    seen: list[object] = []

    def handler(ctx: RunContext) -> None:
        seen.append(ctx.get("x"))
        ctx.set("x", 1)

    runner = Runner(one_step(handler), MemoryStore())
    runner.run(run_id="a")
    runner.run(run_id="b")
    assert seen == [None, None]
