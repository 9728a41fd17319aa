"""Time that is used up: `timeout=` of a step, `timeout_seconds=` of a runner (DESIGN 5, Ends)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from replayt_core import (
    AsyncRunContext,
    AsyncRunner,
    DefinitionError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    StepTimeout,
    Workflow,
    verify,
)
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import ASK, RUN, payloads, types


def _slow(clock: FrozenClock, *, swallow: bool = False, **step: Any) -> Workflow:
    """One step that takes ten seconds and then looks at the context."""
    wf = Workflow("slow")
    wf.set_initial("work")

    @wf.step("work", **step)
    def work(ctx: RunContext) -> None:
        ctx.set("begun", True)
        clock.tick(10)
        if not swallow:
            ctx.get("x")
            return
        try:
            ctx.get("x")
        except BaseException:
            return

    return wf


@pytest.mark.parametrize("swallow", [False, True])
def test_a_step_over_its_time_fails_the_run_even_if_it_swallows_everything(swallow: bool) -> None:
    """R-16, SC-132."""
    clock, store = FrozenClock(), MemoryStore()
    wf = _slow(clock, swallow=swallow, timeout=5, retries=RetryPolicy(max_attempts=3))
    result = Runner(wf, store, clock=clock).run(run_id=RUN)
    assert result.status == "failed"
    assert (result.error or {})["type"] == "StepTimeout"
    assert result.context == {"begun": True}
    assert types(store)[-2:] == ["run_failed", "run_completed"]
    assert verify(wf, store.read(RUN)).ok


def test_a_step_that_returns_too_late_has_failed_too() -> None:
    clock, store = FrozenClock(), MemoryStore()
    wf = Workflow("late")
    wf.set_initial("a")

    @wf.step("a", timeout=1)
    def a(ctx: RunContext) -> None:
        clock.tick(2)

    assert (Runner(wf, store, clock=clock).run().error or {})["type"] == "StepTimeout"


def test_a_step_within_its_time_is_not_touched() -> None:
    clock = FrozenClock()
    assert Runner(_slow(clock, timeout=11), MemoryStore(), clock=clock).run().status == "completed"


def test_a_timed_out_run_is_tried_again_with_retry_failed() -> None:
    """DESIGN 5: a timeout leaves the run resumable."""
    clock, store = FrozenClock(), MemoryStore()
    wf = _slow(clock)
    assert Runner(wf, store, clock=clock, timeout_seconds=5).run(run_id=RUN).status == "failed"
    again = Runner(wf, store, clock=clock).resume(RUN, retry_failed=True)
    assert (again.status, payloads(store, "state_entered")[-1]["attempt"]) == ("completed", 2)


def test_a_wait_ends_with_the_time_of_the_run() -> None:
    """The wait is cut to what is left, and no further attempt begins."""
    clock, store = FrozenClock(), MemoryStore()
    attempts: list[int] = []
    wf = Workflow("waits")
    wf.set_initial("a")

    @wf.step("a", retries=RetryPolicy(max_attempts=5, backoff_seconds=60))
    def a(ctx: RunContext) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("again")

    result = Runner(wf, store, clock=clock, timeout_seconds=90).run(run_id=RUN)
    assert (result.status, attempts, clock.slept) == ("failed", [1, 2], [60, 30])
    assert (result.error or {})["type"] == "StepTimeout"


def test_a_model_call_gets_no_more_time_than_is_left() -> None:
    """DESIGN 5: deadlines are passed to model calls; what the handler asked for stays on record."""
    clock, mock, store = FrozenClock(), MockLLMClient(), MemoryStore()
    wf = Workflow("calls")
    wf.set_initial("a")

    @wf.step("a", timeout=30)
    def a(ctx: RunContext) -> None:
        clock.tick(10)
        ctx.llm.complete_text(messages=ASK)
        ctx.llm.with_settings(timeout_seconds=5).complete_text(messages=ASK)

    mock.enqueue("one").enqueue("two")
    runner = Runner(wf, store, llm_client=mock, clock=clock, log_mode=LogMode.full)
    assert runner.run(run_id=RUN).status == "completed"
    assert [request.settings.timeout_seconds for request in mock.requests] == [20.0, 5]
    first = payloads(store, "llm_request")[0]
    assert (first["overrides"], first["effective"]["timeout_seconds"]) == ({}, 20.0)


def test_an_async_run_has_the_same_limits() -> None:
    clock, store = FrozenClock(), MemoryStore()
    wf = Workflow("slow")
    wf.set_initial("work")

    @wf.step("work", timeout=5)
    async def work(ctx: AsyncRunContext) -> None:
        clock.tick(10)
        ctx.get("x")

    result = asyncio.run(AsyncRunner(wf, store, clock=clock).run(run_id=RUN))
    assert (result.status, (result.error or {})["type"]) == ("failed", "StepTimeout")


def test_limits_that_make_no_sense_are_refused_where_they_are_given() -> None:
    wf = Workflow("odd")
    with pytest.raises(DefinitionError, match="timeout"):
        wf.step("a", timeout=0)
    with pytest.raises(DefinitionError, match="timeout_seconds"):
        Runner(wf, MemoryStore(), timeout_seconds=-1)
    assert not issubclass(StepTimeout, Exception)
