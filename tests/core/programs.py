"""Random workflows as data, so that hypothesis can make them and a new process can rebuild them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from replayt_core import (
    Event,
    LLMError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    RunResult,
    ToolError,
    Workflow,
    fold,
    resolve,
)
from replayt_core._log_writer import LogWriter
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener, RetryNotice
from replayt_core.testing import FrozenClock
from tests.core.helpers import RUN

MAX_VISITS = 3
KEYS = "abc"
PARSES = {"bad parse": "bad", "mended parse": "mend", "failing call": "fail"}
"""Model calls that fail, and how their prompts begin."""


class Number(BaseModel):
    n: int


def draw(*parts: object) -> int:
    """A number that depends on nothing but its parts."""
    return hashlib.sha256(repr(parts).encode()).digest()[0]


@dataclass(frozen=True)
class StateSpec:
    """What one state does, in order, and where it may go."""

    ops: tuple[tuple[str, str, int], ...]
    targets: tuple[int, ...]
    attempts: int
    backoff: float


ops = st.tuples(
    st.sampled_from(
        [
            "set",
            "add",
            "append",
            "unset",
            "tool",
            "bad tool",
            "failing tool",
            "parse",
            "bad parse",
            "mended parse",
            "failing call",
            "text",
            "note",
            "random",
            "fail",
            "fail",
            "give up",
            "approve",
            "route",
        ]
    ),
    st.sampled_from(KEYS),
    st.integers(0, 4),
)


@st.composite
def programs(draw_: Any) -> tuple[StateSpec, ...]:
    """One to four states with branches, loops, retries, tools, model calls and approvals."""
    count = draw_(st.integers(1, 4))
    return tuple(
        StateSpec(
            ops=tuple(draw_(st.lists(ops, max_size=5))),
            targets=tuple(draw_(st.lists(st.integers(0, count - 1), max_size=3))),
            attempts=draw_(st.sampled_from([3, 2, 1])),
            backoff=draw_(st.sampled_from([0.0, 0.5])),
        )
        for _ in range(count)
    )


class Oracle:
    """A model whose reply depends on the request alone."""

    def __init__(self) -> None:
        self.calls = 0

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        self.calls += 1
        asked = str(request.messages[-1]["content"])
        if asked.startswith("fail"):
            raise LLMError("server", f"no answer to {asked}", status=503)
        if draw(asked) % 4 == 0:
            on_retry(RetryNotice(delay_seconds=0.5, status=429))
        if asked.startswith("bad") or (asked.startswith("mend") and "no valid" not in asked):
            return ChatResponse(text="no number here")
        if request.schema is None:
            return ChatResponse(text=f"text {draw(asked)}", model="oracle", finish_reason="stop")
        return ChatResponse(text=f'{{"n": {draw(asked)}}}', model="oracle", finish_reason="stop")


@dataclass
class World:
    """What really happened outside: tool bodies by their idempotency key, handlers by attempt."""

    bodies: Counter[str] = field(default_factory=Counter)
    attempts: Counter[tuple[str, int, int]] = field(default_factory=Counter)


def build(program: tuple[StateSpec, ...], world: World) -> Workflow:
    """The workflow of a program."""
    wf = Workflow("random")
    wf.set_initial("s0")
    for index, spec in enumerate(program):
        edges = {f"s{target}" for target in spec.targets}
        edges |= {f"s{n % len(program)}" for kind, _, n in spec.ops if kind == "route"}
        wf.step(
            f"s{index}",
            to=sorted(edges),
            retries=RetryPolicy(spec.attempts, spec.backoff, jitter=0.5),
        )(_handler(spec, world, len(program)))
    return wf


def _handler(spec: StateSpec, world: World, states: int) -> Any:
    def handler(ctx: RunContext) -> str | None:
        world.attempts[ctx.state, ctx.visit, ctx.attempt] += 1

        def work(n, broken=False):  # no annotations: schemas cost time
            world.bodies[ctx.idempotency_key] += 1
            if broken:
                raise KeyError(n)
            return {"n": n + 1}

        ctx.tools.register(work, idempotent=True)
        for position, (kind, key, n) in enumerate(spec.ops):
            _perform(ctx, kind, key, n, position, states)
        allowed = [target for target in spec.targets if ctx.visit < MAX_VISITS or target != 0]
        if not allowed or len(ctx.data.get("path", [])) > 4:
            return None
        ctx.set("path", [*ctx.get("path", []), 1])
        return f"s{allowed[draw(ctx.get('a'), ctx.visit, ctx.get('b')) % len(allowed)]}"

    return handler


def _perform(  # noqa: PLR0912 one branch an operation
    ctx: RunContext, kind: str, key: str, n: int, position: int, states: int
) -> None:
    where = f"{ctx.state}.{position} {n}"
    if kind == "set":
        ctx.set(key, {"n": n, "list": [n]})
    elif kind == "add":
        ctx.set("sum", ctx.get("sum", 0) + n)
    elif kind == "append":
        value = ctx.get(key)
        if isinstance(value, dict):
            value["list"].append(n)
    elif kind == "unset":
        ctx.data.pop(key, None)
    elif kind == "tool":
        got = ctx.tools.call("work", {"n": n})
        got["n"] += 1  # the caller's own copy
        ctx.set(key, got)
    elif kind in ("bad tool", "failing tool"):
        try:
            ctx.tools.call("work", {"x": 1} if kind == "bad tool" else {"n": n, "broken": True})
        except ToolError as error:
            ctx.set(key, error.error_type)
    elif kind == "parse":
        ctx.set(key, ctx.llm.parse(Number, messages=[{"role": "user", "content": where}]).n)
    elif kind in PARSES:
        asked = f"{PARSES[kind]} {where}"
        try:
            answer = ctx.llm.parse(
                Number, messages=[{"role": "user", "content": asked}], repair=n % 3
            )
            ctx.set(key, answer.n)
        except LLMError as error:
            ctx.set(key, f"{error.kind} {error}")
    elif kind == "text":
        ctx.set(key, ctx.llm.complete_text(messages=[{"role": "user", "content": where}]))
    elif kind == "note":
        ctx.note("note", summary=where, data={"n": n})
    elif kind == "random":
        ctx.set(key, ctx.random.random())
    elif kind == "fail":
        if ctx.attempt <= 1 + n % 3:
            raise ValueError(where)
    elif kind == "give up":
        if n == 4 and ctx.visit > 1:
            raise ValueError("for good")
    elif kind == "approve":
        ctx.set(key, ctx.request_approval(f"gate {position}", summary=where, details={"n": n}))
    elif kind == "route":
        target = f"s{n % states}"
        if ctx.visit < MAX_VISITS:
            ctx.request_approval(f"route {position}", on_approve=target, on_reject=target)


def finish(program: tuple[StateSpec, ...], store: MemoryStore, world: World) -> RunResult:
    """Run or resume to the end, with every request answered by a rule."""
    client = Oracle()
    before = list(store.read(RUN))
    new, waiting = not before, fold(RUN, before).open_approvals()
    for _ in range(200):
        runner = Runner(
            build(program, world),
            store,
            llm_client=client,
            log_mode=LogMode.full,
            clock=FrozenClock(),
            max_steps=9,
        )
        for request in waiting:
            answer = draw(request.approval_id) % 2 == 0
            resolve(store, RUN, request.approval_id, approved=answer, clock=FrozenClock())
        result = runner.run({"a": 1}, run_id=RUN) if new else runner.resume(RUN)
        if result.status != "paused":
            return result
        new, waiting = False, list(result.waiting)
    raise AssertionError("the run does not end")


def essence(events: list[Event]) -> list[tuple[object, ...]]:
    """A log without what differs between one process and several that did the same."""
    kept: dict[int, tuple[object, ...]] = {}
    open_calls: dict[object, int] = {}
    for event in events:
        payload = event.payload
        if event.type in ("run_resumed", "run_interrupted"):
            continue
        if event.type == "state_entered":
            open_calls = {}
        if event.type in ("llm_request", "tool_call"):
            # Written again because its result was lost: the later one counts.
            lost = open_calls.get(payload["call"])
            if lost is not None:
                for seq in [seq for seq in kept if seq >= lost]:
                    del kept[seq]
            open_calls[payload["call"]] = event.seq
        dropped = ("because", "request_seq", "reason", "elapsed_ms")
        kept[event.seq] = (
            event.type,
            repr({name: value for name, value in payload.items() if name not in dropped}),
        )
    return list(kept.values())


@contextmanager
def watched(store: MemoryStore) -> Iterator[list[int]]:
    """Compare the runner's state with a fresh fold of the store after every append."""
    original = LogWriter.append
    compared: list[int] = []

    def append(self: LogWriter, drafts: Any) -> list[Event]:
        events = original(self, drafts)
        assert self.state == fold(RUN, store.read(RUN))
        assert self.state.problems == []
        compared.append(self.state.last_seq)
        return events

    LogWriter.append = append  # type: ignore[method-assign]
    try:
        yield compared
    finally:
        LogWriter.append = original  # type: ignore[method-assign]
