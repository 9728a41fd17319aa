"""Executing handlers again: what is found first, what ends it, and which handlers it knows."""

from __future__ import annotations

import asyncio
import functools
import itertools
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, Field, JsonValue, create_model

from replayt_core import (
    DefinitionError,
    Event,
    LLMError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    Verification,
    Workflow,
    resolve,
    tool,
    verify,
)
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports.llm import ChatRequest
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.gate import Gate, ask
from tests.core.helpers import (
    RUN,
    EchoClient,
    Handler,
    batches,
    cut,
    log,
    one_step,
    payloads,
    run_once,
    types,
    workflow,
)
from tests.core.programs import StateSpec, World, build, finish, programs
from tests.drawn import examples


@tool(idempotent=True)
def look_up(name: str) -> str:
    return name


def again(handler: Callable[..., Any], events: Any, **options: Any) -> Verification:
    return verify(one_step(handler), events, tools=[look_up], **options)


def difference(handler: Callable[..., Any], events: Any, **options: Any) -> str:
    """What is found first, in words."""
    found = again(handler, events, **options)
    assert found.difference is not None
    assert not found.ok
    return f"{found.difference.what}: {found.difference.recorded} | {found.difference.now}"


# A reply that the log mode did not keep.


def asking_two(second: str) -> Callable[[AsyncRunContext], Awaitable[None]]:
    async def handler(ctx: AsyncRunContext) -> None:
        await asyncio.gather(
            ctx.llm.complete_text(messages=ask("one")),
            ctx.llm.complete_text(messages=ask(second)),
        )

    return handler


def test_a_changed_prompt_beside_a_reply_that_was_not_kept_is_found() -> None:
    """DESIGN 5: what is not replayable hides no difference that was found before it was missed."""
    store = MemoryStore()
    runner = AsyncRunner(one_step(asking_two("two")), store, llm_client=Gate("one", "two"))
    assert asyncio.run(runner.run(run_id=RUN)).status == "completed"
    same = again(asking_two("two"), store.read(RUN))
    assert same.difference is None
    assert len(same.not_replayable) == 1
    assert "call 2 is not the recorded one" in difference(asking_two("three"), store.read(RUN))


def test_what_a_handler_does_behind_a_reply_that_was_not_kept_is_no_difference() -> None:
    def handler(ctx: RunContext) -> None:
        try:
            ctx.set("text", ctx.llm.complete_text(messages=ask("one")))
        except Exception:
            ctx.note("without it")  # only where the reply is missing
        ctx.tools.call("look_up", {"name": "x" if "text" in ctx.data else "y"})

    store = MemoryStore()
    Runner(one_step(handler), store, llm_client=EchoClient(), tools=[look_up]).run(run_id=RUN)
    found = again(handler, store.read(RUN))
    assert found.ok
    assert len(found.not_replayable) == 1


# The order of calls and notes.


def noting(*order: str, fail: bool = False) -> Callable[[RunContext], None]:
    def handler(ctx: RunContext) -> None:
        for word in order:
            if word.startswith("call"):
                ctx.tools.call("look_up", {"name": word})
            else:
                ctx.note("note", word)
        if fail:
            raise ValueError("wrong")

    return handler


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize(
    "changed",
    [
        ("call 1", "note 1", "call 2", "note 2"),
        ("note 1", "call 1", "note 2", "call 2"),
        ("note 1", "call 1", "call 2", "note 2", "note 3"),
        ("call 1", "call 2", "note 1", "note 2"),
    ],
)
def test_a_note_that_moved_across_a_call_is_found(changed: tuple[str, ...], fail: bool) -> None:
    store, same = MemoryStore(), ("note 1", "call 1", "call 2", "note 2")
    Runner(one_step(noting(*same, fail=fail)), store, tools=[look_up]).run(run_id=RUN)
    events = log(store)
    for count in range(2, len(events) + 1):
        if not events[count - 1].more:
            assert again(noting(*same, fail=fail), events[:count]).difference is None
    text = difference(noting(*changed, fail=fail), events)
    if len(changed) == len(same):
        assert text.startswith("the order of calls and notes: ")
        first, second = (text.index(f'"{word}"') for word in _swapped(same, changed))
        assert first < second  # as recorded


def _swapped(same: tuple[str, ...], changed: tuple[str, ...]) -> tuple[str, str]:
    for early, late in itertools.pairwise(changed):
        if same.index(early) > same.index(late):
            return late, early
    raise AssertionError


def test_a_call_where_a_cut_log_goes_on_with_a_note_is_found() -> None:
    store = MemoryStore()
    Runner(one_step(noting("note 1", "call 1")), store, tools=[look_up]).run(run_id=RUN)
    cut_short = log(store)[:3]
    assert cut_short[-1].type == "step_note"
    assert again(noting("note 1", "call 1"), cut_short).difference is None
    assert "note 1" in difference(noting("call 1", "note 1"), cut_short)


@examples(100)
@given(programs())
def test_every_prefix_of_every_log_verifies_against_its_own_code(
    program: tuple[StateSpec, ...],
) -> None:
    """DESIGN 5: an attempt that was cut short is followed as far as its events go."""
    store = MemoryStore()
    finish(program, store, World())
    wf, read = build(program, World()), list[Event]()
    for batch in batches(log(store)):
        read += batch
        found = verify(wf, read)
        assert found.difference is None
        assert (found.damage, found.illegal, found.not_replayable) == (None, (), ())


# What a handler raises, and what a signal raises.


def ending(error: BaseException | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def plain(ctx: RunContext) -> None:
        ctx.note("before")
        if error is not None:
            raise error

    async def awaited(ctx: AsyncRunContext) -> None:
        ctx.note("before")
        await asyncio.sleep(0)
        if error is not None:
            raise error

    return plain, awaited


def recorded(handler: Callable[..., Any], raises: type[BaseException] | None) -> MemoryStore:
    store, wf = MemoryStore(), one_step(handler)

    def run() -> None:
        if asyncio.iscoroutinefunction(handler):
            asyncio.run(AsyncRunner(wf, store).run(run_id=RUN))
        else:
            Runner(wf, store).run(run_id=RUN)

    if raises is None:
        run()
    else:
        with pytest.raises(raises):
            run()
        assert types(store)[-1] == "run_interrupted"
    return store


@pytest.fixture
def own_interrupt_handler() -> Any:
    """Somebody handles Ctrl-C himself, as the command line does."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_the_outcome_of_its_attempt(
    error: type[BaseException], way: int, own_interrupt_handler: None
) -> None:
    """A handler that calls sys.exit, or raises KeyboardInterrupt itself, does not end `verify`."""
    store = recorded(ending(error())[way], error)
    assert again(ending(error())[way], store.read(RUN)).difference is None
    finished = recorded(ending(None)[way], None)
    text = difference(ending(error())[way], finished.read(RUN))
    assert text == (
        f"how the attempt ends: returns None, run_completed | is interrupted by {error.__name__}"
    )


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
def test_a_recorded_keyboard_interrupt_needs_nobody_to_handle_the_signal(way: int) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    store = recorded(ending(KeyboardInterrupt())[way], KeyboardInterrupt)
    assert again(ending(KeyboardInterrupt())[way], store.read(RUN)).difference is None


def test_a_step_that_exits_before_what_it_recorded_is_found() -> None:
    store = recorded(ending(SystemExit())[0], SystemExit)

    def sooner(ctx: RunContext) -> None:
        raise SystemExit

    assert "a recorded effect is not made any more" in difference(sooner, store.read(RUN))


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
def test_a_signal_ends_verify(way: int) -> None:
    """Ctrl-C, as Python raises it; and whatever carries the number of a signal."""

    class Asked(BaseException):
        signum = 15

    store = recorded(ending(None)[way], None)
    with pytest.raises(Asked):
        again(ending(Asked())[way], store.read(RUN))
    with pytest.raises(KeyboardInterrupt):
        again(ending(KeyboardInterrupt())[way], store.read(RUN))


# A handler that does not end.


def spinning(spin: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def plain(ctx: RunContext) -> None:
        ctx.note("before")
        while spin:
            ctx.get("key")

    async def awaited(ctx: AsyncRunContext) -> None:
        ctx.note("before")
        while spin:  # noqa: ASYNC110 it waits for nothing
            await asyncio.sleep(0)

    return plain, awaited


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
def test_a_handler_that_does_not_end_offline_is_stopped_and_named(way: int) -> None:
    store = recorded(spinning(False)[way], None)
    assert again(spinning(False)[way], store.read(RUN), timeout_seconds=60).ok
    found = again(spinning(True)[way], store.read(RUN), timeout_seconds=0.05).difference
    assert found is not None
    assert found.what == "the time for executing this run again is used up"
    assert (found.state, found.seq) == ("only", 4)
    assert found.now == "the handler of 'only' has not ended"


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
def test_a_run_that_timed_out_may_take_for_ever_when_it_is_executed_again(way: int) -> None:
    """DESIGN 5: an attempt that was cut short is followed as far as its events go."""
    store = recorded(spinning(False)[way], None)
    cut_short = log(store)[:3]
    assert again(spinning(True)[way], cut_short, timeout_seconds=0.05).difference is None


def test_a_handler_that_spins_before_what_its_cut_log_holds_is_found() -> None:
    store = recorded(spinning(False)[0], None)

    def other(ctx: RunContext) -> None:
        while True:
            ctx.get("key")

    assert "time" in difference(other, log(store)[:3], timeout_seconds=0.05)


def test_a_limit_of_no_time_is_refused() -> None:
    with pytest.raises(DefinitionError, match="above 0"):
        again(spinning(False)[0], [], timeout_seconds=0)


# Handlers that have to be awaited, though they do not say so.


async def on(ctx: AsyncRunContext, suffix: str = "") -> str:
    ctx.set("said", await ctx.llm.complete_text(messages=ask(f"hello{suffix}")))
    return "end"


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(ctx: Any) -> Any:
        return function(ctx)

    return wrapper


class Callee:
    async def __call__(self, ctx: AsyncRunContext) -> str:
        return await on(ctx)


class Later:
    """Awaitable, and no coroutine."""

    def __init__(self, awaitable: Callable[[], Awaitable[str]]) -> None:
        self._awaitable = awaitable

    def __await__(self) -> Any:
        return self._awaitable().__await__()


SHAPES: Mapping[str, Callable[[], Callable[..., Any]]] = {
    "decorated": lambda: decorated(on),
    "partial": lambda: functools.partial(on, suffix="!"),
    "callable object": Callee,
    "lambda": lambda: lambda ctx: on(ctx, ""),
    "awaitable": lambda: lambda ctx: Later(lambda: on(ctx)),
}


def shaped(handler: Callable[..., Any]) -> Workflow:
    return workflow(only=handler, end=lambda ctx: None)


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_is_awaitable_is_awaited(shape: str) -> None:
    store = MemoryStore()
    runner = AsyncRunner(shaped(SHAPES[shape]()), store, llm_client=EchoClient(), log_mode="full")
    result = asyncio.run(runner.run(run_id=RUN))
    assert result.status == "completed"
    assert result.context["said"].startswith("hello")
    read: list[Event] = []
    for batch in batches(log(store)):
        read += batch
        found = verify(shaped(SHAPES[shape]()), read)
        assert (found.difference, found.ok) == (None, True)
    assert found.served_calls == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_runner_says_at_once_that_it_awaits_nothing(shape: str) -> None:
    """Nothing is left un-awaited: the suite runs with warnings as errors."""
    store = MemoryStore()
    result = Runner(shaped(SHAPES[shape]()), store, llm_client=EchoClient()).run(run_id=RUN)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["type"] == "DefinitionError"
    assert "use AsyncRunner" in result.error["message"]
    assert payloads(store, "llm_request") == []


def test_a_task_that_a_plain_runner_is_given_is_cancelled() -> None:
    tasks: list[asyncio.Future[Any]] = []

    def handler(ctx: RunContext) -> Any:
        tasks.append(asyncio.ensure_future(asyncio.sleep(60)))
        return tasks[0]

    async def main() -> None:
        result = Runner(one_step(handler), MemoryStore()).run()
        assert "use AsyncRunner" in (result.error or {})["message"]
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    asyncio.run(main())


# What environment and libraries fill in.


class Answer(BaseModel):
    yes: bool


class Configured:
    """A client that says what it would use, and is never asked to call anything."""

    def __init__(self, **effective: JsonValue) -> None:
        self._effective = effective

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        if self._effective.get("model") == "missing":
            raise LLMError("not_configured", "no model is set")
        overrides = request.settings.overrides()
        return {"provider": "here", **self._effective, **overrides}  # type: ignore[dict-item]


class Describing(EchoClient, Configured):
    def __init__(self, **effective: JsonValue) -> None:
        EchoClient.__init__(self, lambda request: '{"yes": true}')
        Configured.__init__(self, **effective)


def judging(answer: type[BaseModel] = Answer) -> Callable[[RunContext], None]:
    def handler(ctx: RunContext) -> None:
        for _ in range(2):
            ctx.llm.with_settings(temperature=0.5).parse(answer, messages=ask("is it?"))

    return handler


@pytest.mark.parametrize("mode", list(LogMode))
def test_another_model_or_limit_is_a_note_and_no_difference(mode: LogMode) -> None:
    """DESIGN 5: what environment filled in is recorded in `effective`; a change is a note."""
    store = MemoryStore()
    client = Describing(model="m1", host="a.example", max_tokens=100)
    Runner(one_step(judging()), store, llm_client=client, log_mode=mode).run(run_id=RUN)
    assert again(judging(), store.read(RUN), llm_client=client).notes == ()
    now = Configured(model="m2", host="a.example", seed=7)
    found = again(judging(), store.read(RUN), llm_client=now)
    assert (found.ok, found.difference) == (True, None)
    assert found.notes == (
        'model of a model call: recorded "m1", now "m2" (2 calls, the first at seq 3)',
        "max_tokens of a model call: recorded 100, now nothing (2 calls, the first at seq 3)",
        "seed of a model call: recorded nothing, now 7 (2 calls, the first at seq 3)",
    )
    assert again(judging(), store.read(RUN)).notes == ()  # nobody says what would be used


def test_a_schema_that_reads_otherwise_is_a_note_without_any_client() -> None:
    """It changes with the Pydantic version, too."""
    store = MemoryStore()
    client = MockLLMClient().enqueue(Answer(yes=True)).enqueue(Answer(yes=True))
    Runner(one_step(judging()), store, llm_client=client).run(run_id=RUN)
    reworded = create_model("Answer", yes=(bool, Field(description="whether it is")))
    found = again(judging(reworded), store.read(RUN))
    assert (found.ok, found.difference) == (True, None)
    (note,) = found.notes
    assert (
        note == "the JSON schema of a reply has changed since the run (2 calls, the first at seq 3)"
    )


def test_a_client_that_cannot_say_what_it_would_use_is_a_note() -> None:
    store = MemoryStore()
    client = Describing(model="m1")
    Runner(one_step(judging()), store, llm_client=client).run(run_id=RUN)
    found = again(judging(), store.read(RUN), llm_client=Configured(model="missing"))
    assert found.ok
    assert found.notes == ("what a model call would use now cannot be said: no model is set",)


def test_the_time_that_a_run_had_left_is_no_note() -> None:
    store = MemoryStore()
    client = Describing(timeout_seconds=60.0)
    runner = Runner(
        one_step(judging()), store, llm_client=client, timeout_seconds=20, clock=FrozenClock()
    )
    runner.run(run_id=RUN)
    assert payloads(store, "llm_request")[0]["effective"]["timeout_seconds"] == 20
    assert again(judging(), store.read(RUN), llm_client=client).notes == ()


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "once"])
@pytest.mark.parametrize("more", [True, False], ids=["goes on", "ends"])
def test_a_call_broken_off_by_no_exception_is_named_and_no_difference(
    idempotent: bool, more: bool
) -> None:
    def quits() -> None:
        raise SystemExit(1)

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(quits, idempotent=idempotent)
        try:
            ctx.tools.call("quits")
        except SystemExit:
            ctx.set("quit", True)
        if more:
            ctx.note("after")

    store = MemoryStore()
    assert run_once(handler, store=store).context == {"quit": True}
    ends = [event.seq for event in log(store) if not event.more]
    for count in range(1, len(ends) + 1):
        found = verify(one_step(handler), log(cut(store, count)))
        assert found.difference is None
        went_on = ends[count - 1] > 3
        assert bool(found.not_replayable) is went_on
        if went_on:
            assert "the tool call at seq 3 was broken off" in found.not_replayable[0]


def test_a_call_without_end_hides_no_other_call() -> None:
    def quits(n: int) -> None:
        raise SystemExit(n)

    def quitting(n: int) -> Handler:
        def handler(ctx: RunContext) -> None:
            ctx.tools.register(quits, idempotent=True)
            with suppress(SystemExit):
                ctx.tools.call("quits", {"n": n})

        return handler

    store = MemoryStore()
    run_once(quitting(1), store=store)
    found = verify(one_step(quitting(2)), log(store))
    assert found.difference is not None
    assert found.difference.seq == 3


def test_what_a_handler_raises_now_is_shown_with_its_place() -> None:
    def changing(problem: str | None) -> Handler:
        def handler(ctx: RunContext) -> None:
            if problem is not None:
                raise LookupError(problem)

        return handler

    store = MemoryStore()
    run_once(changing(None), store=store)
    found = verify(one_step(changing("no such\nrow")), log(store)).difference
    assert found is not None
    assert found.details == ("raised now:  LookupError: no such row",)
    assert found.location is not None
    raised_at = changing("").__code__.co_firstlineno + 2  # type: ignore[attr-defined]
    assert found.location.endswith(f"test_reexecution.py:{raised_at}")


def test_another_error_than_the_recorded_one_is_shown_beside_it() -> None:
    def raising(error: Exception) -> Handler:
        def handler(ctx: RunContext) -> None:
            raise error

        return handler

    store = MemoryStore()
    run_once(raising(LookupError("then")), store=store)
    found = verify(one_step(raising(KeyError("now"))), log(store)).difference
    assert found is not None
    assert found.details == ("raised then: LookupError: then", "raised now:  KeyError: 'now'")


# Every field that is compared is found when it changes.


def removing(ctx: RunContext, changed: bool) -> None:
    if not changed:
        ctx.data.pop("old", None)


def failing_with(ctx: RunContext, changed: bool) -> None:
    ctx.set("tries", 9 if changed else 1)
    raise ValueError("again")


def pausing_with(ctx: RunContext, changed: bool) -> None:
    ctx.set("seen", 9 if changed else 1)
    ctx.request_approval("go")


def routing_on_reject(ctx: RunContext, changed: bool) -> None:
    ctx.request_approval("go", on_reject="b" if changed else "a")


def routing_on_approve(ctx: RunContext, changed: bool) -> None:
    ctx.request_approval("go", on_approve="b" if changed else "a")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (removing, "the removed keys"),
        (failing_with, "the context key 'tries'"),
        (pausing_with, "the context key 'seen'"),
        (routing_on_reject, "approval_requested.on_reject"),
        (routing_on_approve, "approval_requested.on_approve"),
    ],
)
def test_each_part_of_a_boundary_counts(
    body: Callable[[RunContext, bool], None], what: str
) -> None:
    def made(changed: bool) -> Workflow:
        wf = Workflow("w")
        wf.set_initial("a")
        wf.step("a", to=["a", "b"], retries=RetryPolicy(2))(lambda ctx: body(ctx, changed))
        wf.step("b", to=[])(lambda ctx: None)
        return wf

    store = MemoryStore()
    Runner(made(False), store, clock=FrozenClock()).run({"old": 1}, run_id=RUN)
    assert verify(made(False), log(store)).ok
    found = verify(made(True), log(store)).difference
    assert found is not None
    assert found.what == what
    if body is failing_with:  # the retry already, not only the end of the run
        assert log(store)[found.seq - 1].type == "retry_scheduled"


def test_a_log_that_takes_another_route_than_was_asked_for_is_found() -> None:
    wf = Workflow("w")
    wf.set_initial("a")
    wf.step("a", to=["b", "c"])(lambda ctx: ctx.request_approval("go", on_approve="b"))
    wf.step("b", to=[])(lambda ctx: None)
    wf.step("c", to=[])(lambda ctx: None)
    store = MemoryStore()
    runner = Runner(wf, store, clock=FrozenClock())
    runner.run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    runner.resume(RUN)
    head, forged = first_prev(RUN), []
    for batch in batches(log(store)):
        drafts = [
            Draft(
                event.type,
                {key: "c" if value == "b" else value for key, value in event.payload.items()}
                if event.seq > 4
                else event.payload,
            )
            for event in batch
        ]
        forged += seal(RUN, drafts, after=batch[0].seq - 1, head=head, ts=batch[0].ts)
        head = line_hash(forged[-1].line)
    found = verify(wf, forged)
    assert found.damage is None
    assert found.illegal == ()
    assert found.difference is not None
    assert found.difference.what == "the route of an approval"
    assert (found.difference.recorded, found.difference.now) == ("c", "b")
