"""Retry, then fail; no policy means one attempt (SC-39 to SC-42)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from replayt_core import (
    LLMError,
    MemoryStore,
    RetryPolicy,
    RunContext,
    RunFailed,
    Runner,
    ToolError,
)
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import ASK, RUN, cut_behind, one_step, only, payloads, run_once, types


def fails(times: int) -> Callable[[RunContext], None]:
    """A handler that fails that often and then does not."""

    def handler(ctx: RunContext) -> None:
        if ctx.attempt <= times:
            raise ValueError(f"attempt {ctx.attempt}")

    return handler


def test_a_step_that_fails_n_minus_1_times_completes_with_one_event_a_retry() -> None:
    """SC-39, SC-108."""
    store = MemoryStore()
    result = run_once(fails(2), store=store, retries=RetryPolicy(3))
    assert result.status == "completed"
    scheduled = payloads(store, "retry_scheduled")
    assert [(item["attempt"], item["max_attempts"]) for item in scheduled] == [(2, 3), (3, 3)]
    assert [item["error"]["message"] for item in scheduled] == ["attempt 1", "attempt 2"]
    assert [item["attempt"] for item in payloads(store, "state_entered")] == [1, 2, 3]


def test_after_the_last_attempt_the_run_fails_with_state_and_error() -> None:
    """SC-40, SC-108, SC-110."""
    store = MemoryStore()
    result = run_once(fails(9), store=store, retries=RetryPolicy(3))
    assert (result.status, result.final_state) == ("failed", "only")
    failed = only(store, "run_failed")
    assert failed["state"] == "only"
    assert failed["error"]["type"] == "ValueError"
    assert failed["error"]["message"] == "attempt 3"
    assert failed["error"] == result.error
    assert types(store)[-1] == "run_completed"
    assert only(store, "run_completed")["status"] == "failed"
    assert len(payloads(store, "step_error")) == 3


def test_no_policy_is_exactly_one_attempt() -> None:
    """SC-41, R-23 (RELIABILITY b2)."""
    store = MemoryStore()
    assert run_once(fails(1), store=store).status == "failed"
    assert "retry_scheduled" not in types(store)
    assert len(payloads(store, "state_entered")) == 1


def test_backoff_waits_between_attempts_and_the_log_has_the_delay() -> None:
    """SC-42."""
    store, clock = MemoryStore(), FrozenClock()
    policy = RetryPolicy(4, 2.0, multiplier=3.0, max_backoff_seconds=10.0)
    run_once(fails(3), store=store, clock=clock, retries=policy)
    assert clock.slept == [2.0, 6.0, 10.0]
    assert [item["delay_seconds"] for item in payloads(store, "retry_scheduled")] == clock.slept


def test_without_backoff_nothing_waits() -> None:
    """SC-42."""
    clock = FrozenClock()
    run_once(fails(1), clock=clock, retries=RetryPolicy(2))
    assert clock.slept == []


def test_jitter_is_drawn_once_and_read_from_the_log_by_whoever_resumes() -> None:
    """SC-42, issue 3 point 9: delays are drawn once."""
    store, clock = MemoryStore(), FrozenClock()
    policy = RetryPolicy(2, 8.0, jitter=0.5)
    wf = one_step(fails(1), retries=policy)
    Runner(wf, store, clock=clock).run(run_id=RUN)
    (drawn,) = clock.slept
    assert 4.0 <= drawn <= 8.0
    again = FrozenClock()
    assert Runner(wf, cut_behind(store, "retry_scheduled"), clock=again).resume(RUN).status == (
        "completed"
    )
    assert again.slept == [drawn]


def test_the_backoff_stream_is_not_the_handlers() -> None:
    """DESIGN 2: `ctx.random` draws the same whether there was a wait or not."""
    drawn: list[float] = []

    def handler(ctx: RunContext) -> None:
        drawn.append(ctx.random.random())
        raise ValueError

    run_once(handler, retries=RetryPolicy(2))
    run_once(handler, retries=RetryPolicy(2, 1.0, jitter=1.0))
    assert drawn[:2] == drawn[2:]


def test_growth_that_overflows_is_cut_at_the_maximum() -> None:
    """SC-42."""
    policy = RetryPolicy(100, 1.0, multiplier=1e300, max_backoff_seconds=5.0)
    assert policy.delay(99, random.Random(1)) == 5.0


def test_only_the_failures_named_are_retried() -> None:
    """Issue 3 point 9: `retry_on`."""
    assert run_once(fails(1), retries=RetryPolicy(2, retry_on=(KeyError,))).status == "failed"
    assert run_once(fails(1), retries=RetryPolicy(2, retry_on=(ValueError,))).status == "completed"


def test_run_failed_gives_the_run_up_whatever_retries_are_left() -> None:
    """SC-40."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        raise RunFailed("no use")

    assert run_once(handler, store=store, retries=RetryPolicy(5)).error is not None
    assert "retry_scheduled" not in types(store)


def test_a_handler_may_catch_a_failed_call_and_take_another_route() -> None:
    """DESIGN 2, failure policy: another route is a handler that catches."""

    def handler(ctx: RunContext) -> None:
        try:
            ctx.llm.complete_text(messages=ASK)
        except LLMError as error:
            ctx.set("llm", error.kind)
        try:
            ctx.tools.call("nothing")
        except ToolError as error:
            ctx.set("tool", error.error_type)

    mock = MockLLMClient().enqueue(LLMError("server", "down", status=503))
    result = run_once(handler, llm_client=mock)
    assert result.context == {"llm": "server", "tool": "UnknownTool"}


def test_a_provider_error_fails_the_step_with_its_status_and_is_retried_by_the_policy() -> None:
    """SC-67."""

    def handler(ctx: RunContext) -> None:
        ctx.set("text", ctx.llm.complete_text(messages=ASK))

    store = MemoryStore()
    mock = MockLLMClient().enqueue(LLMError("server", "HTTP 503: down", status=503)).enqueue("ok")
    result = run_once(handler, store=store, llm_client=mock, retries=RetryPolicy(2))
    assert result.context == {"text": "ok"}
    error = payloads(store, "retry_scheduled")[0]["error"]
    assert (error["status"], error["kind"]) == (503, "server")
    mock = MockLLMClient().enqueue(LLMError("auth", "HTTP 401: who?", status=401))
    failed = run_once(handler, llm_client=mock)
    assert failed.error is not None
    assert failed.error["status"] == 401
    assert "401" in failed.error["message"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_is_no_failure_to_retry(error: type[BaseException]) -> None:
    """R-15 (RELIABILITY b1), SC-25: written down, raised on, resumable."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        raise error

    with pytest.raises(error):
        run_once(handler, store=store, retries=RetryPolicy(5))
    assert types(store)[-1] == "run_interrupted"
    assert only(store, "run_interrupted")["reason"] == error.__name__
    assert Runner(one_step(lambda ctx: None), store).resume(RUN).status == "completed"
