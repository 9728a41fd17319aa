"""`AsyncRunner`: the same workflow, sync or async, gives the same events (issue 3 point 8)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel

from replayt_core import (
    ContextInUseError,
    DefinitionError,
    LLMError,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    RunResult,
    StoreError,
    ToolError,
    Workflow,
    fold,
    resolve,
    verify,
)
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.ports.llm import (
    AsyncLLMClient,
    ChatRequest,
    ChatResponse,
    LLMClient,
    RetryListener,
    RetryNotice,
)
from replayt_core.ports.system import AsyncClock, SystemClock
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core import programs
from tests.core.gate import until
from tests.core.helpers import (
    ASK,
    RUN,
    DyingStore,
    Killed,
    cut,
    log,
    one_step,
    only,
    payloads,
    types,
)
from tests.core.programs import Number, Oracle, StateSpec, World, draw
from tests.drawn import examples

Program = tuple[StateSpec, ...]


def run_async(handler: Any, *, store: MemoryStore | None = None, **runner: Any) -> RunResult:
    """Run one handler as the state `only` of run `r1`."""
    step = {name: runner.pop(name) for name in ("retries", "expects") if name in runner}
    runner.setdefault("clock", FrozenClock())
    made = AsyncRunner(one_step(handler, **step), store or MemoryStore(), **runner)
    return asyncio.run(made.run(run_id=RUN))


# The same workflow twice: `programs` has the plain handlers, these are the same with `await`.


class AsyncOracle(Oracle):
    """The same model, awaited."""

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        await asyncio.sleep(0)
        return self.complete(request, on_retry=on_retry)


def async_workflow(program: Program, world: World) -> Workflow:
    """What `programs.build` makes, of `async def` handlers."""
    made = Workflow("random")
    made.set_initial("s0")
    plain = programs.build(program, world)
    for index, spec in enumerate(program):
        made.step(
            f"s{index}",
            to=sorted(plain.targets(f"s{index}") or ()),
            retries=RetryPolicy(spec.attempts, spec.backoff, jitter=0.5),
        )(async_handler(spec, world, len(program)))
    return made


def async_handler(spec: StateSpec, world: World, states: int) -> Any:
    async def handler(ctx: AsyncRunContext) -> str | None:
        world.attempts[ctx.state, ctx.visit, ctx.attempt] += 1

        async def work(n, broken=False):  # type: ignore[no-untyped-def]
            world.bodies[ctx.idempotency_key] += 1
            await asyncio.sleep(0)
            if broken:
                raise KeyError(n)
            return {"n": n + 1}

        ctx.tools.register(work, idempotent=True)
        for position, (kind, key, n) in enumerate(spec.ops):
            await perform(ctx, kind, key, n, position, states)
        allowed = [
            target for target in spec.targets if ctx.visit < programs.MAX_VISITS or target != 0
        ]
        if not allowed or len(ctx.data.get("path", [])) > 4:
            return None
        ctx.set("path", [*ctx.get("path", []), 1])
        return f"s{allowed[draw(ctx.get('a'), ctx.visit, ctx.get('b')) % len(allowed)]}"

    return handler


async def perform(
    ctx: AsyncRunContext, kind: str, key: str, n: int, position: int, states: int
) -> None:
    where = f"{ctx.state}.{position} {n}"
    asked = [{"role": "user", "content": where}]
    if kind == "tool":
        got = await ctx.tools.call("work", {"n": n})
        got["n"] += 1
        ctx.set(key, got)
    elif kind in ("bad tool", "failing tool"):
        arguments = {"x": 1} if kind == "bad tool" else {"n": n, "broken": True}
        try:
            await ctx.tools.call("work", arguments)
        except ToolError as error:
            ctx.set(key, error.error_type)
    elif kind == "parse":
        ctx.set(key, (await ctx.llm.parse(Number, messages=asked)).n)
    elif kind in programs.PARSES:
        text = f"{programs.PARSES[kind]} {where}"
        try:
            answer = await ctx.llm.parse(
                Number, messages=[{"role": "user", "content": text}], repair=n % 3
            )
            ctx.set(key, answer.n)
        except LLMError as error:
            ctx.set(key, f"{error.kind} {error}")
    elif kind == "text":
        ctx.set(key, await ctx.llm.complete_text(messages=asked))
    else:  # nothing to await
        programs._perform(ctx, kind, key, n, position, states)  # type: ignore[arg-type]


def finish_async(program: Program, store: MemoryStore, client: Any) -> RunResult:
    """As `programs.finish`."""
    result: RunResult | None = None
    while result is None or result.status == "paused":
        runner = AsyncRunner(
            async_workflow(program, World()),
            store,
            llm_client=client,
            log_mode="full",
            clock=FrozenClock(),
            max_steps=9,
        )
        if result is None:
            result = asyncio.run(runner.run({"a": 1}, run_id=RUN))
            continue
        for request in result.waiting:
            answer = draw(request.approval_id) % 2 == 0
            resolve(store, RUN, request.approval_id, approved=answer, clock=FrozenClock())
        result = asyncio.run(runner.resume(RUN))
    return result


def comparable(store: MemoryStore) -> list[tuple[str, bool, dict[str, Any]]]:
    """A log but for what differs between any two workflows: sources, places, durations."""
    found = []
    for event in log(store):
        payload = dict(event.payload)
        for name in ("code", "latency_ms", "elapsed_ms"):
            payload.pop(name, None)
        if isinstance(payload.get("error"), dict):
            payload["error"] = {**payload["error"], "location": None}
        found.append((event.type, event.more, payload))
    return found


@examples(60)
@given(programs.programs())
def test_sync_and_async_logs_are_equal_but_for_ids_and_times(program: Program) -> None:
    """Issue 3, what must hold: random workflows, a client that awaits and a plain one."""
    plain = MemoryStore()
    expected = programs.finish(program, plain, World())
    for client in (AsyncOracle(), Oracle()):
        store = MemoryStore()
        result = finish_async(program, store, client)
        assert (result.status, result.context) == (expected.status, expected.context)
        assert comparable(store) == comparable(plain)
    assert verify(async_workflow(program, World()), store.read(RUN)).difference is None


def test_a_plain_handler_runs_in_either_runner() -> None:
    made = Workflow("demo")
    made.set_initial("a")

    @made.step("a", to=["b"])
    def a(ctx: Any) -> str:
        ctx.set("n", ctx.get("n", 0) + 1)
        ctx.note("seen", data=ctx.random.random())
        return "b"

    @made.step("b")
    async def b(ctx: AsyncRunContext) -> None:
        ctx.set("n", ctx.get("n") + 1)

    store = MemoryStore()
    result = asyncio.run(AsyncRunner(made, store).run())
    assert result.context == {"n": 2}
    assert verify(made, store.read(result.run_id)).ok


async def call_once(ctx: AsyncRunContext, text: str = "a") -> None:
    ctx.set("got", await ctx.llm.complete_text(messages=ASK))


def wrapped(ctx: Any) -> Any:
    return call_once(ctx)


@pytest.mark.parametrize("handler", [wrapped, partial(call_once, text="b")])
def test_what_returns_a_coroutine_is_awaited_and_verified(handler: Any) -> None:
    store = MemoryStore()
    client = MockLLMClient().enqueue("yes")
    assert run_async(handler, store=store, llm_client=client, log_mode="full").context == {
        "got": "yes"
    }
    assert verify(one_step(handler), store.read(RUN)).ok


def test_verify_works_while_an_event_loop_runs() -> None:
    store = MemoryStore()
    run_async(call_once, store=store, llm_client=MockLLMClient().enqueue("yes"), log_mode="full")

    async def main() -> None:
        found = verify(one_step(call_once), store.read(RUN))
        assert found.ok
        assert found.served_calls == 1

    asyncio.run(main())


def test_verify_finds_what_an_async_handler_does_differently() -> None:
    async def changed(ctx: AsyncRunContext) -> None:
        ctx.set("got", 1 + len(await ctx.llm.complete_text(messages=ASK)))

    async def longer(ctx: AsyncRunContext) -> None:
        await call_once(ctx)
        await asyncio.gather(ctx.llm.complete_text(messages=ASK), return_exceptions=True)

    store = MemoryStore()
    run_async(call_once, store=store, llm_client=MockLLMClient().enqueue("yes"), log_mode="full")
    difference = verify(one_step(changed), store.read(RUN)).difference
    assert difference is not None
    assert (difference.recorded, difference.now) == ('"yes"', "4")
    assert difference.location is not None
    assert "test_aio.py" in difference.location
    difference = verify(one_step(longer), store.read(RUN)).difference
    assert difference is not None
    assert "llm_request" in difference.now


def test_a_fork_runs_too() -> None:
    store = MemoryStore()
    made = one_step(call_once)
    runner = AsyncRunner(made, store, llm_client=MockLLMClient().enqueue("a").enqueue("b"))
    asyncio.run(runner.run(run_id=RUN))
    result = asyncio.run(runner.fork(RUN, "only", changes={"x": 1}))
    assert result.context == {"x": 1, "got": "b"}
    again = AsyncRunner(made, cut(store, 1), llm_client=MockLLMClient().enqueue("c"))
    assert asyncio.run(again.run(run_id=RUN, resume=True)).context == {"got": "c"}
    with pytest.raises(DefinitionError, match="run_id"):
        asyncio.run(runner.run(resume=True))


# Waiting.


class SyncClock:
    """A clock of a third party that knows nothing of `async`."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._real = SystemClock()
        self.now = self._real.now
        self.monotonic = self._real.monotonic

    def sleep(self, seconds: float) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.slept.append(seconds)


@pytest.mark.parametrize("make", [FrozenClock, SyncClock])
def test_the_waits_of_retries_go_through_the_clock(make: Callable[[], Any]) -> None:
    """DESIGN 2: backoff through the Clock port, with `sleep_async` where the clock has it."""

    async def handler(ctx: AsyncRunContext) -> None:
        if ctx.attempt < 3:
            raise ValueError("again")

    clock, store = make(), MemoryStore()
    policy = RetryPolicy(max_attempts=3, backoff_seconds=2, multiplier=3)
    result = run_async(handler, store=store, clock=clock, retries=policy)
    assert result.status == "completed"
    assert clock.slept == [2.0, 6.0]
    assert [item["delay_seconds"] for item in payloads(store, "retry_scheduled")] == [2.0, 6.0]
    assert isinstance(clock, AsyncClock) is (make is FrozenClock)


def test_a_run_that_is_cancelled_while_it_waits_is_interrupted() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        if ctx.attempt == 1:
            raise ValueError("again")

    store = MemoryStore()
    policy = RetryPolicy(max_attempts=2, backoff_seconds=1000)

    async def main() -> None:
        run = asyncio.create_task(
            AsyncRunner(one_step(handler, retries=policy), store).run(run_id=RUN)
        )
        await until(lambda: "retry_scheduled" in types(store))
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert types(store)[-1] == "run_interrupted"
    result = asyncio.run(
        AsyncRunner(one_step(handler, retries=policy), store, clock=FrozenClock()).resume(RUN)
    )
    assert result.status == "completed"


# Clients.


class SlowClient:
    """A plain client that retries once and says in which thread it was called."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        self.threads.add(threading.get_ident())
        on_retry(RetryNotice(delay_seconds=0.5, status=429))
        return ChatResponse(text="done", model="slow", finish_reason="stop")


def test_a_plain_client_is_called_in_a_thread_and_its_retries_are_logged() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        ctx.set(
            "got",
            await asyncio.gather(*(ctx.llm.complete_text(messages=ASK) for _ in range(3))),
        )

    client, store = SlowClient(), MemoryStore()
    result = run_async(handler, store=store, llm_client=client)
    assert result.context == {"got": ["done"] * 3}
    assert threading.get_ident() not in client.threads
    assert [item["call"] for item in sorted(payloads(store, "llm_retry"), key=str)] == [1, 2, 3]
    for call in (1, 2, 3):
        kinds = [event.type for event in log(store) if event.payload.get("call") == call]
        assert kinds == ["llm_request", "llm_retry", "llm_response"]


def test_a_plain_client_that_nobody_waits_for_any_more_logs_nothing() -> None:
    gone, told = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    class Stuck:
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            gone.wait(60)
            try:
                on_retry(RetryNotice(delay_seconds=0.5, status=429))
            except LLMError as error:
                raised.append(error)
                raise
            finally:
                told.set()
            raise AssertionError("not reached")

    async def handler(ctx: AsyncRunContext) -> None:
        task = asyncio.ensure_future(ctx.llm.complete_text(messages=ASK))
        await until(lambda: "llm_request" in types(store))
        task.cancel()
        await asyncio.wait({task})
        gone.set()

    store = MemoryStore()
    assert run_async(handler, store=store, llm_client=Stuck()).status == "completed"
    assert told.wait(60)
    assert [str(error) for error in raised] == ["nobody waits for this call any more"]
    assert "llm_retry" not in types(store)
    assert only(store, "llm_response")["error"]["kind"] == "interrupted"


def test_what_a_client_raises_is_an_llm_error() -> None:
    class Broken(MockLLMClient):
        async def complete_async(
            self, request: ChatRequest, *, on_retry: RetryListener
        ) -> ChatResponse:
            if request.settings.seed == 1:
                raise asyncio.CancelledError
            raise KeyError("wire")

    async def handler(ctx: AsyncRunContext) -> None:
        for seed in (1, 2):
            try:
                await ctx.llm.with_settings(seed=seed).complete_text(messages=ASK)
            except LLMError as error:
                ctx.set(str(seed), [error.kind, str(error)])

    store = MemoryStore()
    assert run_async(handler, store=store, llm_client=Broken()).context == {
        "1": ["other", "RuntimeError: the call was cancelled from inside"],
        "2": ["other", "KeyError: 'wire'"],
    }
    assert verify(one_step(handler), store.read(RUN)).ok


def test_the_mock_offers_both_ports() -> None:
    assert isinstance(MockLLMClient(), LLMClient)
    assert isinstance(MockLLMClient(), AsyncLLMClient)


class Reply(BaseModel):
    n: int


def test_settings_are_kept_by_an_async_bridge() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        warm = ctx.llm.with_settings(temperature=0.5)
        ctx.set("n", (await warm.with_settings(model="m").parse(Reply, messages=ASK)).n)

    client = MockLLMClient().enqueue(Reply(n=3))
    assert run_async(handler, llm_client=client).context == {"n": 3}
    (request,) = client.requests
    assert (request.settings.model, request.settings.temperature) == ("m", 0.5)


# Tools.


def test_tools_may_be_async_in_the_async_runner() -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    def plain(n: int) -> int:
        return n + 2

    def sly(n: int) -> Any:
        return slow(n)

    async def handler(ctx: AsyncRunContext) -> None:
        ctx.tools.register(slow)
        ctx.set("got", [await ctx.tools.call(name, {"n": 1}) for name in ("slow", "plain")])
        for name, arguments in (("slow", {"x": 1}), ("sly", {"n": 1}), ("none", {})):
            try:
                await ctx.tools.call(name, arguments)
            except ToolError as error:
                ctx.get("got").append(error.error_type)

    store = MemoryStore()
    result = run_async(handler, store=store, tools=[plain, sly])
    assert result.context == {"got": [2, 3, "InvalidArguments", "DefinitionError", "UnknownTool"]}
    assert verify(one_step(handler), store.read(RUN), tools=[plain, sly]).ok


def test_an_async_tool_is_refused_by_the_plain_runner_before_anything_is_logged() -> None:
    async def slow() -> int:
        return 1

    class Callable_:
        async def __call__(self) -> int:
            return 1

    def registers(ctx: RunContext) -> None:
        ctx.tools.register(slow)

    def calls(ctx: RunContext) -> None:
        ctx.tools.call("Callable_")

    for handler in (registers, calls):
        store = MemoryStore()
        result = Runner(one_step(handler), store, tools=[Callable_()]).run(run_id=RUN)
        assert result.error is not None
        assert result.error["type"] == "DefinitionError"
        assert "AsyncRunner" in result.error["message"]
        assert "tool_call" not in types(store)


def test_an_async_handler_is_refused_by_the_plain_runner() -> None:
    result = Runner(one_step(call_once), MemoryStore()).run()
    assert result.error is not None
    assert "AsyncRunner" in result.error["message"]


def test_inside_an_async_tool_ctx_is_read_only_for_that_task_alone() -> None:
    """DESIGN 2: per task, and for the tasks that a tool's body starts."""
    inside = asyncio.Event
    seen: dict[str, Any] = {}

    async def handler(ctx: AsyncRunContext) -> None:
        entered, leave = inside(), inside()

        async def child() -> None:
            with pytest.raises(ContextInUseError, match="inside the tool 'body'"):
                ctx.set("x", 1)

        async def body() -> int:
            seen["key"] = ctx.idempotency_key
            with pytest.raises(ContextInUseError, match="inside the tool 'body'"):
                ctx.set("x", 1)
            with pytest.raises(ContextInUseError, match="inside the tool 'body'"):
                await ctx.tools.call("body")
            await asyncio.gather(child())
            ctx.get("shared").append("lost")  # a copy, inside a tool
            entered.set()
            await leave.wait()
            return 1

        async def other() -> None:
            await entered.wait()
            ctx.set("other", ctx.idempotency_key != seen["key"])
            ctx.get("shared").append("kept")
            leave.set()

        ctx.set("shared", [])
        ctx.tools.register(body)
        await asyncio.gather(ctx.tools.call("body"), other())
        ctx.set("after", True)

    result = run_async(handler)
    assert result.error is None
    assert result.context == {"shared": ["kept"], "other": True, "after": True}


def test_a_run_inside_a_tool_has_a_ctx_of_its_own() -> None:
    def inner(ctx: RunContext) -> None:
        ctx.set("inner", ctx.tools.call("plain"))

    def plain() -> int:
        return 1

    def outer(ctx: RunContext) -> None:
        def nested() -> Any:
            result = Runner(one_step(inner), MemoryStore(), tools=[plain]).run()
            with pytest.raises(ContextInUseError):
                ctx.set("x", 1)
            return result.context

        ctx.tools.register(nested)
        ctx.set("got", ctx.tools.call("nested"))

    result = Runner(one_step(outer), MemoryStore()).run()
    assert result.context == {"got": {"inner": 1}}


def test_context_variables_reach_handlers_and_tools_and_do_not_leak() -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="none")

    async def handler(ctx: AsyncRunContext) -> None:
        async def who() -> str:
            return tenant.get()

        ctx.tools.register(who)
        before = tenant.get()
        tenant.set(before + "+")
        ctx.set("got", [before, await ctx.tools.call("who")])

    async def main() -> RunResult:
        tenant.set("acme")
        result = await AsyncRunner(one_step(handler), MemoryStore()).run()
        assert tenant.get() == "acme"
        return result

    assert asyncio.run(main()).context == {"got": ["acme", "acme+"]}


def test_another_thread_is_refused() -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        with pytest.raises(ContextInUseError, match="another thread"):
            await asyncio.to_thread(ctx.set, "x", 1)

        def elsewhere() -> None:
            asyncio.run(call_once(ctx))

        with pytest.raises(ContextInUseError, match="another thread"):
            await asyncio.to_thread(elsewhere)

    assert run_async(handler, llm_client=MockLLMClient()).error is None


# Stores and imports.


@pytest.mark.parametrize("appends", range(6))
def test_a_store_that_dies_ends_the_run_and_nothing_is_appended_after(appends: int) -> None:
    async def handler(ctx: AsyncRunContext) -> None:
        await asyncio.gather(
            *(ctx.llm.complete_text(messages=ASK) for _ in range(2)), return_exceptions=True
        )

    store = DyingStore(appends)
    client = MockLLMClient().enqueue("a").enqueue("b")
    with pytest.raises((Killed, StoreError)):
        run_async(handler, store=store, llm_client=client, log_mode="full")
    left = MemoryStore()
    if appends:
        left.append(RUN, log(store), after=0)
    assert fold(RUN, left.read(RUN)).problems == []
    if appends:
        runner = AsyncRunner(
            one_step(handler), left, llm_client=MockLLMClient().enqueue("a").enqueue("b")
        )
        assert asyncio.run(runner.resume(RUN)).status == "completed"


def test_importing_the_core_does_not_import_asyncio() -> None:
    """It would double the time that a command needs to start."""
    program = "import sys, replayt_core; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
