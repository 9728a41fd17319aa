"""Random workflows of `async def` handlers, as data: trees of calls that run beside each other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from replayt_core import LLMError, MemoryStore, RetryPolicy, RunResult, ToolError, Workflow, resolve
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.testing import FrozenClock
from tests.core.gate import ask
from tests.core.helpers import RUN
from tests.core.programs import draw

Node = tuple[Any, ...]
Program = tuple[Node, ...]

HANG_SECONDS = 60
"""Nothing in here takes a second: what takes that long waits for what never comes."""

_LEAVES = ("say", "say", "broken", "tool", "slow tool", "failing tool", "note", "turn", "approve")
_SURE = ("gather", "settle", "tasks", "wait_for", "in turn", "locked", "queue", "group")
_RACING = ("first", "cancel", "leave")


def _nodes(kinds: tuple[str, ...]) -> st.SearchStrategy[Node]:
    leaf = st.tuples(st.sampled_from(_LEAVES), st.integers(0, 3))

    def grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.tuples(
            st.sampled_from(kinds), st.integers(0, 3), st.lists(inner, min_size=1, max_size=3)
        )

    return st.recursive(leaf, grow, max_leaves=8)


def programs() -> st.SearchStrategy[Program]:
    """One or two states with concurrent calls; the outcome is the same in any order."""
    return st.lists(_nodes(_SURE), min_size=1, max_size=2).map(tuple)


def racing_programs() -> st.SearchStrategy[Program]:
    """The same with races: what is cancelled depends on what comes first."""
    return st.lists(_nodes(_SURE + _RACING), min_size=1, max_size=2).map(tuple)


class Shuffled:
    """A model whose replies take some turns of the loop; how many depends on what is asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        raise AssertionError("the async method is there")

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        asked = str(request.messages[-1]["content"])
        for _ in range(draw(self._seed, asked) % 80):
            await asyncio.sleep(0)
        if asked.startswith("broken"):
            raise LLMError("server", f"no answer to {asked}", status=503)
        return ChatResponse(text=f"<{asked}>", model="shuffled", finish_reason="stop")


def build(program: Program, *, attempts: int = 2) -> Workflow:
    """The workflow of a program: its states one after the other."""
    wf = Workflow("random")
    wf.set_initial("s0")
    for index, node in enumerate(program):
        after = f"s{index + 1}" if index + 1 < len(program) else None
        wf.step(f"s{index}", to=[after] if after else [], retries=RetryPolicy(attempts))(
            _handler(node, after)
        )
    wf.note_transition("s0", "s0")
    return wf


def _handler(node: Node, after: str | None) -> Any:
    async def handler(ctx: AsyncRunContext) -> str | None:
        scene = Scene(ctx)
        ctx.set(f"out {ctx.state}", [])
        await scene.play(node, ctx.state)
        return after

    return handler


class Scene:
    """What the tasks of one handler share."""

    def __init__(self, ctx: AsyncRunContext) -> None:
        self.ctx = ctx
        self.lock = asyncio.Lock()
        self.queue: asyncio.Queue[str] = asyncio.Queue()

        async def slow(n: int) -> int:
            for _ in range(n):
                await asyncio.sleep(0)
            return n + 1

        def quick(n: int) -> int:
            return n + 2

        async def failing(n: int) -> int:
            await asyncio.sleep(0)
            raise KeyError(n)

        for function in (slow, quick, failing):
            ctx.tools.register(function, idempotent=True)

    def keep(self, value: object) -> None:
        self.ctx.get(f"out {self.ctx.state}").append(value)

    async def play(self, node: Node, path: str) -> None:
        kind, number, *rest = node
        if rest:
            parts = [(child, f"{path}.{index}") for index, child in enumerate(rest[0])]
            await getattr(self, "_" + kind.replace(" ", "_"))(number, parts)
            self.keep(f"{kind} {path}")
        else:
            await self._leaf(kind, number, path)

    async def _leaf(self, kind: str, n: int, path: str) -> None:
        ctx = self.ctx
        if kind == "say":
            self.keep(await ctx.llm.complete_text(messages=ask(f"{path} {n}")))
        elif kind == "broken":
            # Number 0 is not caught: the attempt fails, and whatever runs beside it is cancelled.
            try:
                await ctx.llm.complete_text(messages=ask(f"broken {path} {n}"))
            except LLMError as error:
                if n == 0 and ctx.attempt == 1:
                    raise
                self.keep(f"{error.kind} {path}")
        elif kind in ("tool", "slow tool"):
            name = "quick" if kind == "tool" else "slow"
            self.keep(f"{await ctx.tools.call(name, {'n': n})} {path}")
        elif kind == "failing tool":
            try:
                await ctx.tools.call("failing", {"n": n})
            except ToolError as error:
                self.keep(f"{error.error_type} {path}")
        elif kind == "note":
            ctx.note("note", path)
        elif kind == "turn":
            for _ in range(n):
                await asyncio.sleep(0)
        elif kind == "approve":
            self.keep(f"{ctx.request_approval(f'gate {path}')} {path}")

    async def _gather(self, number: int, parts: Any) -> None:
        await asyncio.gather(*(self.play(*part) for part in parts))

    async def _settle(self, number: int, parts: Any) -> None:
        ended = await asyncio.gather(*(self.play(*p) for p in parts), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _tasks(self, number: int, parts: Any) -> None:
        tasks = [asyncio.create_task(self.play(*part)) for part in parts]
        for task in reversed(tasks):
            await task

    async def _wait_for(self, number: int, parts: Any) -> None:
        for part in parts:
            await asyncio.wait_for(self.play(*part), HANG_SECONDS)

    async def _in_turn(self, number: int, parts: Any) -> None:
        for part in parts:
            await self.play(*part)

    async def _locked(self, number: int, parts: Any) -> None:
        async def one(part: Any) -> None:
            # A lock that is taken again further down would be a deadlock of the program's own.
            lock = asyncio.Lock() if self.lock.locked() else self.lock
            async with lock:
                await asyncio.sleep(0)
            await self.play(*part)

        await asyncio.gather(*map(one, parts))

    async def _queue(self, number: int, parts: Any) -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def work() -> None:
            while (part := await queue.get()) is not None:
                await self.play(*part)

        workers = [asyncio.create_task(work()) for _ in range(1 + number % 2)]
        for part in [*parts, *([None] * len(workers))]:
            await queue.put(part)
        await asyncio.gather(*workers)

    async def _group(self, number: int, parts: Any) -> None:
        if sys.version_info < (3, 11):
            await self._gather(number, parts)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self.play(*part))
        except BaseExceptionGroup as group_error:  # noqa: F821 from Python 3.11 on
            raise group_error.exceptions[0] from None

    async def _first(self, number: int, parts: Any) -> None:
        tasks = [asyncio.create_task(self.play(*part)) for part in parts]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in tasks:
            if task in done:
                task.result()

    async def _cancel(self, number: int, parts: Any) -> None:
        task = asyncio.create_task(self._gather(number, parts))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _leave(self, number: int, parts: Any) -> None:
        """The first is awaited, the others are left to themselves."""
        tasks = [asyncio.create_task(self.play(*part)) for part in parts]
        await tasks[0]


async def in_time(work: Coroutine[Any, Any, RunResult]) -> RunResult:
    """Whatever hangs is a failure, and none that hangs the suite."""
    return await asyncio.wait_for(work, HANG_SECONDS)


def finish(program: Program, store: MemoryStore, *, seed: int = 0) -> RunResult:
    """Run or resume to the end, with every request approved."""
    wf = build(program)
    for _ in range(50):
        runner = AsyncRunner(
            wf, store, llm_client=Shuffled(seed), log_mode="full", clock=FrozenClock()
        )
        new = next(iter(store.read(RUN)), None) is None
        result = asyncio.run(in_time(runner.run(run_id=RUN) if new else runner.resume(RUN)))
        if result.status != "paused":
            return result
        for request in result.waiting:
            resolve(store, RUN, request.approval_id, approved=True, clock=FrozenClock())
    raise AssertionError("the run does not end")


def outcome(result: RunResult) -> object:
    """How a run ended, whatever the order in which its calls came back."""
    context = {key: sorted(map(str, value)) for key, value in result.context.items()}
    return result.status, result.final_state, context
