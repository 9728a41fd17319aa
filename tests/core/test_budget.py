"""`Runner(budget=...)`: what a run may use of models (issue 5 point 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from replayt_core import (
    Budget,
    BudgetExceededError,
    DefinitionError,
    LLMError,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    RunResult,
    fold,
    resolve,
    verify,
)
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener, Usage
from replayt_core.testing import FrozenClock
from tests.core.helpers import (
    ASK,
    RUN,
    Killed,
    batches,
    cut,
    log,
    one_step,
    only,
    payloads,
    run_once,
    types,
    workflow,
)
from tests.core.strict import strictly_valid


class Counting:
    """Uses ten tokens a call, or what it is told; counts what is really asked of it."""

    def __init__(self, usage: Usage | None = Usage(total_tokens=10)) -> None:
        self.calls = 0
        self.usage = usage

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        self.calls += 1
        return ChatResponse(text=f"reply {self.calls}", finish_reason="stop", usage=self.usage)


def calling(times: int) -> Callable[[RunContext], None]:
    def handler(ctx: RunContext) -> None:
        for _ in range(times):
            ctx.llm.complete_text(messages=ASK)

    return handler


def spent(result: RunResult) -> Any:
    error: Any = result.error
    assert error["type"] == "BudgetExceededError", error
    return error["account"]


def account(calls: int, tokens: int, uncounted: int = 0) -> dict[str, int]:
    return {"llm_calls": calls, "tokens": tokens, "uncounted_replies": uncounted}


def test_a_call_above_the_budget_of_calls_is_not_made() -> None:
    """Issue 5 point 7: checked before each live call; the error holds the account so far."""
    client, store = Counting(), MemoryStore()
    result = run_once(
        calling(5), llm_client=client, budget=Budget(llm_calls=2), store=store, log_mode="full"
    )
    assert (result.status, client.calls) == ("failed", 2)
    assert spent(result) == account(2, 20)
    message = (result.error or {})["message"]
    assert "the budget of 2 model calls is used up: 20 tokens in 2 model calls so far" in message
    assert "test_budget.py" in (result.error or {})["location"]
    assert types(store)[-2:] == ["run_failed", "run_completed"]
    strictly_valid("run_failed", only(store, "run_failed"))


def test_a_reply_that_takes_the_run_above_its_tokens_ends_it() -> None:
    """Issue 5 point 7: checked after each response, which is in the log."""
    client, store = Counting(), MemoryStore()
    result = run_once(calling(5), llm_client=client, budget=Budget(tokens=25), store=store)
    assert (client.calls, spent(result)) == (3, account(3, 30))
    assert "the budget of 25 tokens is exceeded" in (result.error or {})["message"]
    assert len(payloads(store, "llm_response")) == 3


def test_a_budget_of_tokens_that_is_used_up_allows_no_call() -> None:
    """Issue 5 point 7: exactly used up is not exceeded, but no reply fits any more."""
    client = Counting()
    result = run_once(calling(5), llm_client=client, budget=Budget(tokens=20))
    assert (client.calls, spent(result)) == (2, account(2, 20))
    assert "the budget of 20 tokens is used up" in (result.error or {})["message"]
    assert run_once(calling(2), llm_client=Counting(), budget=Budget(tokens=20)).error is None


def test_without_limits_nothing_is_limited() -> None:
    """Issue 5 point 7."""
    assert run_once(calling(9), llm_client=Counting(), budget=Budget()).status == "completed"
    assert run_once(lambda ctx: None, budget=Budget(tokens=0, llm_calls=0)).status == "completed"


def test_no_retry_meets_the_same_end_again() -> None:
    """Issue 5 point 7: never retried."""
    client, store = Counting(), MemoryStore()
    result = run_once(
        calling(5),
        llm_client=client,
        budget=Budget(llm_calls=2),
        store=store,
        retries=RetryPolicy(max_attempts=5),
    )
    assert (client.calls, spent(result)["llm_calls"]) == (2, 2)
    assert "retry_scheduled" not in types(store)


def test_a_handler_that_swallows_it_fails_all_the_same() -> None:
    """Issue 5 point 7: and can do nothing else that would be logged."""
    refused: list[str] = []

    def handler(ctx: RunContext) -> str:
        calling(2)(ctx)
        try:
            ctx.llm.complete_text(messages=ASK)
        except Exception as error:
            refused.append(type(error).__name__)
        for use in (
            lambda: ctx.set("k", 1),
            lambda: ctx.note("n"),
            lambda: ctx.tools.call("t"),
            lambda: ctx.request_approval("a"),
            lambda: ctx.llm.complete_text(messages=ASK),
        ):
            with pytest.raises(BudgetExceededError):
                use()
        return "only"

    store = MemoryStore()
    result = run_once(handler, llm_client=Counting(), budget=Budget(llm_calls=2), store=store)
    assert refused == ["BudgetExceededError"]
    assert (spent(result), result.context) == (account(2, 20), {})
    assert not {"tool_call", "approval_requested", "step_note", "transition"} & set(types(store))


def test_failed_calls_and_repairs_are_calls() -> None:
    """Issue 5 points 2 and 7: every request counts."""
    from pydantic import BaseModel

    class Answer(BaseModel):
        n: int

    client = Counting()

    def handler(ctx: RunContext) -> None:
        ctx.llm.parse(Answer, messages=ASK, repair=9)

    result = run_once(handler, llm_client=client, budget=Budget(llm_calls=3))
    assert (client.calls, spent(result)) == (3, account(3, 30))


@pytest.mark.parametrize(
    ("usage", "tokens", "uncounted"),
    [
        (Usage(total_tokens=7, prompt_tokens=1, completion_tokens=2), 7, 0),
        (Usage(prompt_tokens=1, completion_tokens=2), 3, 0),
        (Usage(completion_tokens=2), 2, 0),
        (Usage(), 0, 1),
        (None, 0, 1),
        (Usage(total_tokens=-(10**9)), 0, 1),
        (Usage(total_tokens=2**60), 0, 1),
    ],
)
def test_what_the_provider_did_not_count_is_said_to_be_unknown(
    usage: Usage | None, tokens: int, uncounted: int
) -> None:
    """Issue 5 point 7, SC-53: nothing is guessed, and nothing lowers the account."""
    result = run_once(calling(2), llm_client=Counting(usage), budget=Budget(llm_calls=1))
    assert spent(result) == account(1, tokens, uncounted)
    unknown = "the tokens of 1 reply are unknown, the provider did not count them"
    assert (unknown in (result.error or {})["message"]) is bool(uncounted)


def test_the_account_is_that_of_the_whole_run_over_all_its_resumes() -> None:
    """Issue 5 point 7: served calls count once."""

    def first(ctx: RunContext) -> str:
        calling(2)(ctx)
        ctx.request_approval("go", on_approve="second")
        return "second"

    made = workflow(edges=[("first", "second")], first=first, second=calling(2))
    store, client = MemoryStore(), Counting()
    budget = Budget(llm_calls=3)
    runner = Runner(made, store, llm_client=client, budget=budget, log_mode="full")
    assert runner.run(run_id=RUN).status == "paused"
    resolve(store, RUN, "go", approved=True)
    result = runner.resume(RUN)
    assert (client.calls, spent(result)) == (3, account(3, 30))
    assert fold(RUN, store.read(RUN)).account.described() == account(3, 30)


def test_a_killed_run_is_served_what_it_paid_for_and_no_more() -> None:
    """Issue 5 point 7: killed at every batch, no process makes more calls than the budget has."""
    whole = MemoryStore()
    run_once(
        calling(3), llm_client=Counting(), budget=Budget(llm_calls=2), log_mode="full", store=whole
    )
    for count in range(1, len(batches(log(whole)))):
        store, client = cut(whole, count), Counting()
        before = types(store).count("llm_response")
        runner = Runner(one_step(calling(3)), store, llm_client=client, budget=Budget(llm_calls=2))
        result = runner.resume(RUN)
        assert spent(result) == account(2, 20)
        assert client.calls == 2 - before


def test_tokens_that_a_killed_run_had_used_up_end_it_where_it_is_resumed() -> None:
    """Issue 5 point 7: the crash stood between the reply and the end."""
    whole = MemoryStore()
    run_once(
        calling(1), llm_client=Counting(), budget=Budget(tokens=5), log_mode="full", store=whole
    )
    store, client = cut(whole, 3), Counting()
    assert types(store)[-1] == "llm_response"
    result = Runner(one_step(calling(1)), store, llm_client=client, budget=Budget(tokens=5)).resume(
        RUN
    )
    assert (spent(result), client.calls) == (account(1, 10), 0)


def test_a_larger_budget_goes_on_and_the_same_one_does_not() -> None:
    """Issue 5 point 7: --retry-failed is a new attempt."""
    store = MemoryStore()
    run_once(calling(3), llm_client=Counting(), budget=Budget(llm_calls=2), store=store)
    client = Counting()
    same = Runner(one_step(calling(3)), store, llm_client=client, budget=Budget(llm_calls=2))
    assert spent(same.resume(RUN, retry_failed=True)) == account(2, 20)
    assert client.calls == 0
    larger = Runner(one_step(calling(3)), store, llm_client=client, budget=Budget(llm_calls=5))
    assert larger.resume(RUN, retry_failed=True).status == "completed"
    assert client.calls == 3


def test_a_fork_has_an_account_of_its_own() -> None:
    """Issue 5 point 7: a parent's budget is not a fork's."""
    store, client = MemoryStore(), Counting()
    runner = Runner(one_step(calling(2)), store, llm_client=client, budget=Budget(llm_calls=2))
    assert runner.run(run_id=RUN).status == "completed"
    assert runner.fork(RUN, "only", new_run_id="f").status == "completed"
    assert fold("f", store.read("f")).account.described() == account(2, 20)


@pytest.mark.parametrize("budget", [Budget(llm_calls=2), Budget(tokens=15), Budget(tokens=20)])
def test_verify_follows_a_run_that_its_budget_ended(budget: Budget) -> None:
    """DESIGN 5: a limit is no behaviour of the code, so it is no difference."""
    store = MemoryStore()
    run_once(calling(3), llm_client=Counting(), budget=budget, store=store, log_mode="full")
    report = verify(one_step(calling(3)), store.read(RUN))
    assert (report.ok, report.served_calls) == (True, 2)
    changed = verify(one_step(lambda ctx: ctx.llm.complete_text(messages=[*ASK, *ASK])), log(store))
    assert not changed.ok


def test_async_runs_have_the_same_budget() -> None:
    """Issue 3 point 8: the requests are counted as they start; one in flight gets its end."""
    client = Counting()

    async def handler(ctx: AsyncRunContext) -> None:
        await asyncio.gather(*(ctx.llm.complete_text(messages=ASK) for _ in range(5)))

    store = MemoryStore()
    runner = AsyncRunner(
        one_step(handler), store, llm_client=client, budget=Budget(llm_calls=3), clock=FrozenClock()
    )
    result = asyncio.run(runner.run(run_id=RUN))
    assert spent(result)["llm_calls"] == 3
    assert result.error is not None
    assert "test_budget.py:" in result.error["location"]
    assert client.calls <= 3
    assert len(payloads(store, "llm_response")) == 3
    assert verify(one_step(handler), log(store)).ok


def test_async_tasks_that_swallow_it_fail_all_the_same() -> None:
    """Issue 5 point 7."""

    async def handler(ctx: AsyncRunContext) -> None:
        calls = (ctx.llm.complete_text(messages=ASK) for _ in range(3))
        got = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(item, BudgetExceededError) for item in got) >= 1

    store = MemoryStore()
    runner = AsyncRunner(
        one_step(handler), store, llm_client=Counting(), budget=Budget(llm_calls=2)
    )
    result = asyncio.run(runner.run(run_id=RUN))
    # The two calls ended after the third was refused, and are paid for.
    assert spent(result) == account(2, 20)
    assert "20 tokens in 2 model calls so far" in str(result.error)
    assert fold(RUN, log(store)).account.described() == account(2, 20)


@pytest.mark.parametrize("limit", [-1, 1.5, True, "10"])
@pytest.mark.parametrize("name", ["tokens", "llm_calls"])
def test_a_limit_is_a_count(name: str, limit: Any) -> None:
    """House style 5."""
    with pytest.raises(DefinitionError, match=f"Budget: {name} is a count"):
        Budget(**{name: limit})
    with pytest.raises(DefinitionError, match="budget is a Budget, not a int"):
        Runner(one_step(lambda ctx: None), MemoryStore(), budget=5)  # type: ignore[arg-type]


def test_a_call_that_was_cut_short_is_one_call_when_it_is_made_again() -> None:
    """DESIGN 5: written again under the same `call`; its place in the budget is its own."""

    class Dies(Counting):
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            raise Killed

    store, client = MemoryStore(), Counting()
    with pytest.raises(Killed):
        run_once(calling(1), llm_client=Dies(), budget=Budget(llm_calls=1), store=store)
    runner = Runner(one_step(calling(1)), store, llm_client=client, budget=Budget(llm_calls=1))
    assert (runner.resume(RUN).status, client.calls) == ("completed", 1)


def test_an_error_of_the_provider_uses_a_call_and_no_tokens() -> None:
    """Issue 5 point 7."""

    class Fails(Counting):
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            raise LLMError("server", "busy", status=503)

    def handler(ctx: RunContext) -> None:
        with pytest.raises(LLMError, match="busy"):
            ctx.llm.complete_text(messages=ASK)
        ctx.llm.complete_text(messages=ASK)

    assert spent(run_once(handler, llm_client=Fails(), budget=Budget(llm_calls=1))) == account(1, 0)
