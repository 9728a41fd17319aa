"""Concurrent calls in one state: logged as they happen, served in the recorded order (DESIGN 5)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core import (
    ContextInUseError,
    DeterminismError,
    MemoryStore,
    RunResult,
    Workflow,
    fold,
    resolve,
    verify,
)
from replayt_core._turns import Turns
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.gate import Gate, ask, until
from tests.core.helpers import RUN, batches, cut, log, one_step, only, payloads, types
from tests.core.strict import strictly_valid
from tests.drawn import examples

AsyncHandler = Callable[[AsyncRunContext], Awaitable[str | None]]


def drive(
    handler: AsyncHandler | Workflow,
    client: Any,
    *,
    store: MemoryStore | None = None,
    resume: bool = False,
    **runner: Any,
) -> RunResult:
    """Run or resume run `r1`."""
    made = handler if isinstance(handler, Workflow) else one_step(handler)
    runner.setdefault("log_mode", "full")
    runner.setdefault("clock", FrozenClock())
    driver = AsyncRunner(
        made, MemoryStore() if store is None else store, llm_client=client, **runner
    )
    return asyncio.run(driver.resume(RUN) if resume else driver.run(run_id=RUN), debug=False)


def interrupted(store: MemoryStore, kind: str = "llm_response") -> list[tuple[int, str]]:
    """The calls that were cut off, with the type of their error."""
    return [
        (item["call"], item["error"]["type"])
        for item in payloads(store, kind)
        if not item["ok"] and item["error"].get("kind") == "interrupted"
    ]


def assert_verifies(handler: AsyncHandler | Workflow, store: MemoryStore) -> None:
    made = handler if isinstance(handler, Workflow) else one_step(handler)
    found = verify(made, store.read(RUN))
    assert found.difference is None
    assert found.ok
    for event in log(store):
        strictly_valid(event.type, event.payload)


async def five(ctx: AsyncRunContext) -> None:
    """Five calls at once; what is kept says in which order their tasks woke."""

    async def one(number: int) -> str:
        reply = await ctx.llm.complete_text(messages=ask(str(number)))
        ctx.get("order").append(number)
        return reply

    ctx.set("order", [])
    ctx.set("replies", await asyncio.gather(*map(one, range(5))))


def test_requests_are_logged_as_they_start_and_results_as_they_arrive() -> None:
    """Issue 3 point 8."""
    store = MemoryStore()
    result = drive(five, Gate("3", "0", "4", "1", "2"), store=store)
    assert result.context["order"] == [3, 0, 4, 1, 2]
    assert result.context["replies"] == ["<0>", "<1>", "<2>", "<3>", "<4>"]
    assert types(store)[2:12] == ["llm_request"] * 5 + ["llm_response"] * 5
    assert [item["call"] for item in payloads(store, "llm_response")] == [4, 1, 5, 2, 3]
    assert_verifies(five, store)


def pipeline(workers: int) -> AsyncHandler:
    """Workers that call twice, use a tool, and write notes, all in one state."""

    async def handler(ctx: AsyncRunContext) -> None:
        async def slow(n: int) -> int:
            await asyncio.sleep(0)
            return n + 1

        def quick(n: int) -> int:
            return n + 2

        async def work(number: int) -> None:
            await ctx.llm.complete_text(messages=ask(f"{number}.0"))
            ctx.get("order").append(number)
            if number % 3 == 0:
                ctx.get("order").append(await ctx.tools.call("slow", {"n": number * 10}))
            elif number % 3 == 1:
                ctx.note("worker", data=number)
                ctx.get("order").append(await ctx.tools.call("quick", {"n": number * 10}))
            else:
                await asyncio.sleep(0)
            await ctx.llm.complete_text(messages=ask(f"{number}.1"))
            ctx.get("order").append(-number)

        ctx.tools.register(slow, idempotent=True)
        ctx.tools.register(quick, idempotent=True)
        ctx.set("order", [])
        await asyncio.gather(*map(work, range(workers)))
        ctx.set("last", await ctx.llm.complete_text(messages=ask("last")))

    return handler


@examples(50)
@given(
    order=st.permutations([f"{n}.{m}" for n in range(4) for m in range(2)]),
    together=st.integers(1, 3),
)
def test_in_whatever_order_results_arrived_they_are_served_in_it(
    order: list[str], together: int
) -> None:
    """DESIGN 5: tasks wake in the recorded order, in a resume and in `verify`."""
    handler, store = pipeline(4), MemoryStore()
    whole = drive(handler, Gate(*order, "last", together=together), store=store)
    assert whole.status == "completed"
    assert_verifies(handler, store)
    served = cut(store, len(batches(log(store))) - 1)
    result = drive(handler, MockLLMClient(), store=served, resume=True)  # it has no answers
    assert result.context == whole.context
    assert types(served)[-3:] == ["run_resumed", "state_exited", "run_completed"]


@pytest.mark.parametrize("order", ["0.0 1.0 0.1 1.1", "1.0 1.1 0.0 0.1", "1.0 0.0 1.1 0.1"])
def test_killed_anywhere_in_a_concurrent_state_and_resumed_it_ends_the_same(order: str) -> None:
    """Issue 3, what must hold: the log cut at every boundary, and cut again while it resumes."""
    handler, store = pipeline(2), MemoryStore()
    gate = (*order.split(), "last")
    whole = drive(handler, Gate(*gate), store=store)
    for count in range(1, len(batches(log(store)))):
        taken_up = cut(store, count)
        assert drive(handler, Gate(*gate), store=taken_up, resume=True).context == whole.context
        assert fold(RUN, taken_up.read(RUN)).problems == []
        assert_verifies(handler, taken_up)
        for again in range(count + 2, len(batches(log(taken_up)))):
            twice = cut(taken_up, again)
            assert drive(handler, Gate(*gate), store=twice, resume=True).context == whole.context


def test_calls_without_a_result_are_made_again_in_call_order() -> None:
    """DESIGN 5: when the log has run out, and not before."""
    store = MemoryStore()
    drive(five, Gate("3", "0", "4", "1", "2"), store=store)
    taken_up = cut(store, 1 + 5 + 2)
    gate = Gate("4", "1", "2")
    result = drive(five, gate, store=taken_up, resume=True)
    assert gate.asked == ["1", "2", "4"]
    assert result.context["order"] == [3, 0, 4, 1, 2]
    assert [item["call"] for item in payloads(taken_up, "llm_request")] == [1, 2, 3, 4, 5, 2, 3, 5]


def test_a_handler_that_waits_for_something_else_than_comes_next_is_told_so() -> None:
    """DESIGN 5: a `DeterminismError` at once, and no run that hangs."""

    async def one_by_one(ctx: AsyncRunContext) -> None:
        ctx.set("order", [])
        for number in range(5):
            await ctx.llm.complete_text(messages=ask(str(number)))

    async def in_a_gather(ctx: AsyncRunContext) -> None:
        ctx.set("order", [])
        await asyncio.gather(one_by_one(ctx), asyncio.create_task(asyncio.sleep(0)))

    store = MemoryStore()
    drive(five, Gate("3", "0", "4", "1", "2"), store=store)
    for changed in (one_by_one, in_a_gather):
        taken_up = cut(store, 1 + 5 + 2)
        with pytest.raises(DeterminismError, match="waits for something else") as caught:
            drive(changed, MockLLMClient(), store=taken_up, resume=True)
        assert caught.value.seq == 4
        assert "llm text" in caught.value.now
        assert types(taken_up)[-1] == "run_interrupted"
        found = verify(one_step(changed), store.read(RUN)).difference
        assert found is not None
        assert found.seq == 4


def test_behind_a_lock_or_a_timer_such_a_wait_ends_by_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def changed(ctx: AsyncRunContext) -> None:
        ctx.set("order", [])
        task = asyncio.create_task(five_of_one(ctx))
        await asyncio.wait({task})
        task.result()

    async def five_of_one(ctx: AsyncRunContext) -> None:
        for number in range(5):
            await ctx.llm.complete_text(messages=ask(str(number)))

    store = MemoryStore()
    drive(five, Gate("3", "0", "4", "1", "2"), store=store)
    monkeypatch.setattr(Turns, "patience_seconds", 0.05)
    with pytest.raises(DeterminismError):
        drive(changed, MockLLMClient(), store=cut(store, 8), resume=True)


def test_a_mismatch_in_one_task_ends_the_run_and_nothing_else_is_called() -> None:
    async def changed(ctx: AsyncRunContext) -> None:
        async def one(number: int) -> None:
            text = "other" if number == 2 else str(number)
            await ctx.llm.complete_text(messages=ask(text))
            await ctx.llm.complete_text(messages=ask(f"more {number}"))

        ctx.set("order", [])
        await asyncio.gather(*map(one, range(5)), return_exceptions=True)

    store = MemoryStore()
    drive(five, Gate("3", "0", "4", "1", "2"), store=store)
    client, taken_up = MockLLMClient(), cut(store, 8)
    with pytest.raises(DeterminismError, match="call 3"):
        drive(changed, client, store=taken_up, resume=True)
    assert client.requests == []
    assert types(taken_up)[-1] == "run_interrupted"


# A handler that ends while calls are in flight.


async def first_failure(ctx: AsyncRunContext) -> None:
    await asyncio.gather(
        ctx.llm.complete_text(messages=ask("broken")),
        ctx.llm.complete_text(messages=ask("never")),
        ctx.llm.complete_text(messages=ask("never too")),
    )


async def left_behind(ctx: AsyncRunContext) -> None:
    task = asyncio.ensure_future(ctx.llm.complete_text(messages=ask("never")))
    ctx.set("got", await ctx.llm.complete_text(messages=ask("yes")))
    assert not task.done()


def test_a_handler_that_fails_cancels_its_calls_before_the_boundary_is_written() -> None:
    """DESIGN 5: every started call ends in exactly one response."""
    store, gate = MemoryStore(), Gate("broken")
    assert drive(first_failure, gate, store=store).status == "failed"
    assert gate.cancelled == ["never", "never too"]
    assert interrupted(store) == [(2, "HandlerEnded"), (3, "HandlerEnded")]
    kinds = types(store)
    assert kinds.index("step_error") > max(
        index for index, kind in enumerate(kinds) if kind == "llm_response"
    )
    assert_verifies(first_failure, store)


def test_a_handler_that_returns_does_too() -> None:
    store, gate = MemoryStore(), Gate("yes")
    assert drive(left_behind, gate, store=store).context == {"got": "<yes>"}
    assert gate.cancelled == ["never"]
    assert interrupted(store) == [(2, "HandlerEnded")]
    assert_verifies(left_behind, store)


def test_what_such_a_task_does_afterwards_changes_nothing() -> None:
    """DESIGN 5: later calls raise."""
    seen: list[str] = []

    async def stubborn(ctx: AsyncRunContext) -> None:
        try:
            await ctx.llm.complete_text(messages=ask("never"))
        except asyncio.CancelledError:
            seen.append("cancelled")
            for use in (lambda: ctx.set("late", 1), lambda: ctx.note("late")):
                with pytest.raises(ContextInUseError):
                    use()
            with pytest.raises(ContextInUseError, match="is over"):
                await ctx.llm.complete_text(messages=ask("late"))
            seen.append("refused")
            raise

    tasks: list[Any] = []

    async def handler(ctx: AsyncRunContext) -> None:
        tasks.append(asyncio.ensure_future(stubborn(ctx)))
        await ctx.llm.complete_text(messages=ask("yes"))

    store = MemoryStore()
    result = drive(handler, Gate("yes"), store=store)
    assert (result.status, result.context) == ("completed", {})
    assert seen == ["cancelled", "refused"]
    assert "step_note" not in types(store)


def test_an_async_tool_in_flight_ends_as_interrupted() -> None:
    ended: list[str] = []

    async def handler(ctx: AsyncRunContext) -> None:
        async def forever() -> int:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("body")
            return 1

        ctx.tools.register(forever)
        await asyncio.gather(
            ctx.tools.call("forever"), ctx.llm.complete_text(messages=ask("broken"))
        )

    store = MemoryStore()
    assert drive(handler, Gate("broken"), store=store).status == "failed"
    assert ended == ["body"]
    assert interrupted(store, "tool_result") == [(1, "HandlerEnded")]
    assert_verifies(handler, store)


def test_calls_that_the_handler_cancels_are_served_as_cancelled() -> None:
    """The same branch live, resumed and verified: the handler sees `CancelledError` each time."""

    async def handler(ctx: AsyncRunContext) -> None:
        task = asyncio.ensure_future(ctx.llm.complete_text(messages=ask("never")))
        first = await ctx.llm.complete_text(messages=ask("first"))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            ctx.set("got", [first, "given up"])
        ctx.set("last", await ctx.llm.complete_text(messages=ask("last")))

    store = MemoryStore()
    whole = drive(handler, Gate("first", "last"), store=store)
    assert whole.context == {"got": ["<first>", "given up"], "last": "<last>"}
    assert interrupted(store) == [(2, "CancelledError")]
    assert_verifies(handler, store)
    for count in range(1, len(batches(log(store)))):
        taken_up = cut(store, count)
        gate = Gate("first", "last")
        assert drive(handler, gate, store=taken_up, resume=True).context == whole.context
        assert_verifies(handler, taken_up)


def test_a_call_with_a_time_limit_takes_the_same_branch_when_served() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        try:
            await asyncio.wait_for(ctx.llm.complete_text(messages=ask("never")), 0.02)
        except asyncio.TimeoutError:
            ctx.set("late", True)
        await ctx.llm.complete_text(messages=ask("last"))

    store = MemoryStore()
    whole = drive(handler, Gate("last"), store=store)
    assert whole.context == {"late": True}
    assert_verifies(handler, store)
    taken_up = cut(store, len(batches(log(store))) - 1)
    assert drive(handler, MockLLMClient(), store=taken_up, resume=True).context == whole.context


# A pause among concurrent calls.


async def gate_in_a_gather(ctx: AsyncRunContext) -> None:
    async def approve() -> bool:
        await ctx.llm.complete_text(messages=ask("before"))
        try:
            return ctx.request_approval("go", summary="may it?")
        except Exception:
            return False

    approved, reply = await asyncio.gather(
        approve(), ctx.llm.complete_text(messages=ask("meanwhile"))
    )
    ctx.set("got", [approved, reply])


def test_a_pause_in_one_task_pauses_the_run() -> None:
    """DESIGN 5: `except Exception` does not swallow it; calls in flight are made again after it."""
    store, gate = MemoryStore(), Gate("before")
    assert drive(gate_in_a_gather, gate, store=store).status == "paused"
    assert gate.cancelled == ["meanwhile"]
    assert interrupted(store) == [(2, "HandlerEnded")]
    assert types(store)[-3:] == ["llm_response", "approval_requested", "run_paused"]
    assert_verifies(gate_in_a_gather, store)
    resolve(store, RUN, "go", approved=True)
    gate = Gate("meanwhile")
    result = drive(gate_in_a_gather, gate, store=store, resume=True)
    assert result.context == {"got": [True, "<meanwhile>"]}
    assert gate.asked == ["meanwhile"]
    assert_verifies(gate_in_a_gather, store)


def test_a_pause_that_gather_hands_back_as_a_value_pauses_all_the_same() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        async def approve() -> bool:
            await asyncio.sleep(0)
            return ctx.request_approval("go")

        found = await asyncio.gather(
            approve(), ctx.llm.complete_text(messages=ask("a")), return_exceptions=True
        )
        ctx.set("got", [str(item) for item in found])

    store = MemoryStore()
    assert drive(handler, Gate("a"), store=store).status == "paused"
    assert interrupted(store) == []  # it had time to end
    resolve(store, RUN, "go", approved=True)
    assert drive(handler, MockLLMClient(), store=store, resume=True).context["got"] == [
        "True",
        "<a>",
    ]
    assert_verifies(handler, store)


def test_a_tool_in_flight_at_a_pause_has_an_unknown_outcome() -> None:
    """DESIGN 5: unless it is idempotent, a person has to say what became of it."""

    async def handler(ctx: AsyncRunContext) -> None:
        async def pay() -> int:
            await asyncio.Event().wait()
            return 1

        async def approve() -> bool:
            await ctx.llm.complete_text(messages=ask("before"))
            return ctx.request_approval("go")

        ctx.tools.register(pay)
        ctx.set("got", await asyncio.gather(ctx.tools.call("pay"), approve()))

    store = MemoryStore()
    assert drive(handler, Gate("before"), store=store).status == "paused"
    resolve(store, RUN, "go", approved=True)
    assert drive(handler, MockLLMClient(), store=store, resume=True).status == "paused"
    call = payloads(store, "run_paused")[-1]
    assert call["reason"] == "outcome_unknown"
    runner = AsyncRunner(one_step(handler), store, llm_client=MockLLMClient())
    result = asyncio.run(runner.resume(RUN, call_results={call["call"]: 7}))
    assert result.context == {"got": [7, True]}


async def cancels_at_a_pause(ctx: AsyncRunContext) -> None:
    """What a `TaskGroup` does with the others, where one of its tasks pauses."""
    task = asyncio.ensure_future(ctx.llm.complete_text(messages=ask("slow")))
    await asyncio.sleep(0)
    try:
        ctx.request_approval("go")
    except BaseException:
        task.cancel()
        await asyncio.wait({task})
        raise
    ctx.set("got", await task)


def test_a_call_that_is_cancelled_since_the_run_pauses_is_made_again_after_it() -> None:
    """Served as cancelled it would wait for a pause that does not come again."""
    store = MemoryStore()
    assert drive(cancels_at_a_pause, Gate("slow"), store=store).status == "paused"
    assert interrupted(store) == [(1, "HandlerEnded")]
    assert_verifies(cancels_at_a_pause, store)
    resolve(store, RUN, "go", approved=True)
    result = drive(cancels_at_a_pause, Gate("slow"), store=store, resume=True)
    assert result.context == {"got": "<slow>"}
    assert_verifies(cancels_at_a_pause, store)


# The run itself is cancelled.


@pytest.mark.parametrize("released", [0, 1, 2])
def test_cancelling_the_run_writes_it_down_and_leaves_calls_without_an_end(released: int) -> None:
    """Issue 3 point 7: interrupted, raised on; what was in flight is made again."""
    order = ["3", "0", "4", "1", "2"]
    store, gate = MemoryStore(), Gate(*order[:released])

    def responses() -> int:
        return len(payloads(store, "llm_response"))

    async def main() -> None:
        runner = AsyncRunner(
            one_step(five), store, llm_client=gate, log_mode="full", clock=FrozenClock()
        )
        run = asyncio.create_task(runner.run(run_id=RUN))
        await until(lambda: len(gate.asked) == 5 and responses() == released)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert types(store)[-1] == "run_interrupted"
    assert only(store, "run_interrupted")["reason"] == "CancelledError"
    assert len(payloads(store, "llm_response")) == released
    assert not store.locked(RUN)
    result = drive(five, Gate(*order), store=store, resume=True)
    assert result.context["order"] == order_of(order)
    assert_verifies(five, store)


def order_of(order: list[str]) -> list[int]:
    return [int(asked) for asked in order]


def test_when_all_tasks_are_cancelled_at_once_the_calls_are_still_made_again() -> None:
    """What `asyncio.run` does when its main coroutine ends, or Ctrl-C on older Pythons."""
    store = MemoryStore()

    async def main() -> None:
        runner = AsyncRunner(
            one_step(five), store, llm_client=Gate(), log_mode="full", clock=FrozenClock()
        )
        main.run = asyncio.create_task(runner.run(run_id=RUN))  # type: ignore[attr-defined]
        await until(lambda: len(payloads(store, "llm_request")) == 5)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert types(store)[-1] == "run_interrupted"
    assert payloads(store, "llm_response") == []
    order = ["3", "0", "4", "1", "2"]
    result = drive(five, Gate(*order), store=store, resume=True)
    assert result.context["order"] == order_of(order)


def test_a_handler_that_swallows_its_cancellation_is_interrupted_all_the_same() -> None:
    store = MemoryStore()

    async def handler(ctx: AsyncRunContext) -> None:
        try:
            await ctx.llm.complete_text(messages=ask("never"))
        except asyncio.CancelledError:
            ctx.set("swallowed", True)

    async def main() -> None:
        runner = AsyncRunner(one_step(handler), store, llm_client=Gate(), clock=FrozenClock())
        run = asyncio.create_task(runner.run(run_id=RUN))
        await until(lambda: "llm_request" in types(store))
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert types(store)[-2:] == ["llm_request", "run_interrupted"]


def test_a_keyboard_interrupt_in_one_task_is_written_down() -> None:
    store = MemoryStore()

    async def handler(ctx: AsyncRunContext) -> None:
        async def strike() -> None:
            await asyncio.sleep(0)
            raise KeyboardInterrupt

        await asyncio.gather(ctx.llm.complete_text(messages=ask("never")), strike())

    with pytest.raises(KeyboardInterrupt):
        drive(handler, Gate(), store=store)
    assert types(store)[-2:] == ["llm_request", "run_interrupted"]
    assert not store.locked(RUN)


def test_two_runs_in_one_loop_do_not_mix() -> None:
    """Each has its own turnstile, journal and tool scope."""
    store = MemoryStore()

    async def main() -> list[RunResult]:
        orders = [["3", "0", "4", "1", "2"], ["1", "2", "3", "4", "0"]]
        runners = [
            AsyncRunner(one_step(five), store, llm_client=Gate(*order), log_mode="full")
            for order in orders
        ]
        return await asyncio.gather(
            *(runner.run(run_id=f"r{index}") for index, runner in enumerate(runners))
        )

    first, second = asyncio.run(main())
    assert first.context["order"] == [3, 0, 4, 1, 2]
    assert second.context["order"] == [1, 2, 3, 4, 0]
    for run_id in ("r0", "r1"):
        assert verify(one_step(five), store.read(run_id)).ok


# Other ways to be concurrent.


async def say(ctx: AsyncRunContext, text: str) -> str:
    return await ctx.llm.complete_text(messages=ask(text))


async def as_completed(ctx: AsyncRunContext) -> None:
    ctx.set("out", [])
    for ended in asyncio.as_completed([asyncio.ensure_future(say(ctx, text)) for text in "abcd"]):
        ctx.get("out").append(await ended)


async def first_of_four(ctx: AsyncRunContext) -> None:
    tasks = [asyncio.ensure_future(say(ctx, text)) for text in "abcd"]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    ctx.set("first", [task.result() for task in done])


async def queue_and_semaphore(ctx: AsyncRunContext) -> None:
    slots, queue, out = asyncio.Semaphore(2), asyncio.Queue[str](), []

    async def produce(text: str) -> None:
        async with slots:
            out.append(await say(ctx, text))
            await queue.put(text)

    async def consume() -> None:
        for _ in range(4):
            out.append(await say(ctx, f"q{await queue.get()}"))

    await asyncio.gather(consume(), *map(produce, "abcd"))
    ctx.set("out", out)


async def task_group(ctx: AsyncRunContext) -> None:
    try:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
            for text in ("a", "broken", "never"):
                group.create_task(say(ctx, text))
    except Exception as error:
        ctx.set("failed", [str(one) for one in error.exceptions])  # type: ignore[attr-defined]
    ctx.set("last", await say(ctx, "last"))


@pytest.mark.parametrize(
    ("handler", "order"),
    [
        (as_completed, "c a d b"),
        (first_of_four, "b a c d"),
        (queue_and_semaphore, "b qb a d qd qa c qc"),
        (queue_and_semaphore, "a b qb c qa d qc qd"),
        pytest.param(
            task_group,
            "a broken last",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="no TaskGroup"),
        ),
    ],
)
def test_other_ways_to_be_concurrent_are_served_alike(handler: AsyncHandler, order: str) -> None:
    store = MemoryStore()
    whole = drive(handler, Gate(*order.split()), store=store)
    assert whole.status == "completed"
    assert_verifies(handler, store)
    for count in range(1, len(batches(log(store)))):
        taken_up = cut(store, count)
        result = drive(handler, Gate(*order.split()), store=taken_up, resume=True)
        assert result.context == whole.context
        assert_verifies(handler, taken_up)


@pytest.mark.parametrize("together", [2, 3])
def test_results_that_arrive_at_once_are_served_in_the_order_they_were_logged(
    together: int,
) -> None:
    for handler in (as_completed, first_of_four, queue_and_semaphore):
        store = MemoryStore()
        order = ["b", "a", "d", "c", "qb", "qd", "qa", "qc"]
        whole = drive(handler, Gate(*order, together=together), store=store)
        assert_verifies(handler, store)
        served = cut(store, len(batches(log(store))) - 1)
        result = drive(handler, MockLLMClient(), store=served, resume=True)
        assert result.context == whole.context


def behind_a_semaphore(second: int) -> AsyncHandler:
    async def handler(ctx: AsyncRunContext) -> None:
        async def slow(n: int) -> int:
            await asyncio.sleep(0)
            return n

        def quick(n: int) -> int:
            return n

        ctx.tools.register(slow, idempotent=True)
        ctx.tools.register(quick, idempotent=True)
        room = asyncio.Semaphore(2)

        async def late() -> None:
            await asyncio.sleep(0)
            await ctx.tools.call("slow", {"n": second})

        async def inside(work: Awaitable[Any]) -> None:
            async with room:
                await work

        await asyncio.gather(
            inside(ctx.tools.call("slow", {"n": 1})),
            inside(late()),
            inside(ctx.tools.call("quick", {"n": 3})),
        )

    return handler


def test_verify_of_a_run_cut_short_between_two_requests_waits_for_the_second() -> None:
    store = MemoryStore()
    drive(behind_a_semaphore(2), None, store=store)
    whole = batches(store.read(RUN))
    second = next(n for n, batch in enumerate(whole, 1) if batch[-1].payload.get("call") == 2)
    died = log(cut(store, second))
    assert [event.type for event in died[-2:]] == ["tool_call", "tool_call"]
    assert verify(one_step(behind_a_semaphore(2)), died).difference is None
    found = verify(one_step(behind_a_semaphore(9)), died).difference
    assert found is not None
    assert (found.seq, found.now) == (4, 'tool slow {"n":9}')
