"""Tools are typed, logged, and rebuilt from the log (SC-76 to SC-81)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from replayt_core import (
    ContextInUseError,
    DefinitionError,
    MemoryStore,
    NotReplayableError,
    RetryPolicy,
    RunContext,
    Runner,
    ToolError,
    fold,
    tool,
)
from tests.core.helpers import RUN, cut, cut_behind, one_step, only, payloads, run_once, types


class Sum(BaseModel):
    total: int


class Item(BaseModel):
    sku: str
    count: int = Field(alias="n")


def call(function: Any, arguments: dict[str, Any] | None = None, **run: Any) -> Any:
    """What a tool returned, or the `ToolError` it ended in."""
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(function, name="t")
        try:
            got.append(ctx.tools.call("t", arguments))
        except ToolError as error:
            got.append(error)

    result = run_once(handler, **run)
    assert result.status == "completed", result.error
    return got[0]


def test_register_names_a_tool_by_its_function_and_returns_the_function() -> None:
    """SC-76."""

    def handler(ctx: RunContext) -> None:
        def add(a: int, b: int) -> int:
            return a + b

        assert ctx.tools.register(add) is add
        assert ctx.tools.names() == ["add"]
        named = ctx.tools.register(name="plus", idempotent=True)(add)
        assert named is add
        assert ctx.tools.names() == ["add", "plus"]
        ctx.set("sum", ctx.tools.call("add", {"a": 1, "b": 2}))

    assert run_once(handler).context == {"sum": 3}


def test_the_typed_tool_example_of_the_readme() -> None:
    """SC-81, SC-78: the result is the typed object; context `sum` is 4."""

    def add_up(ctx: RunContext) -> None:
        @ctx.tools.register
        def add(a: int, b: int) -> Sum:
            return Sum(total=a + b)

        result = ctx.tools.call("add", {"a": 2, "b": 2})
        ctx.set("sum", result.total)

    assert run_once(add_up).context == {"sum": 4}


def test_call_and_result_are_logged_with_state() -> None:
    """SC-79, SC-107."""
    store = MemoryStore()

    def add(a: int, b: int = 2) -> Sum:
        return Sum(total=a + b)

    assert call(add, {"a": 1}, store=store) == Sum(total=3)
    asked, ended = only(store, "tool_call"), only(store, "tool_result")
    assert asked == {"call": 1, "state": "only", "name": "t", "arguments": {"a": 1}}
    assert ended.pop("elapsed_ms") >= 0
    assert ended == {"call": 1, "state": "only", "name": "t", "ok": True, "result": {"total": 3}}


def test_pydantic_and_primitive_parameters_are_validated() -> None:
    """SC-77."""
    seen: list[Any] = []

    def book(item: Item, at: datetime, tags: list[str], note: str | None = None) -> None:
        seen.append((item, at, tags, note))

    call(book, {"item": {"sku": "a", "n": 2}, "at": "2026-01-02T00:00:00Z", "tags": ["x"]})
    assert seen == [
        (Item(sku="a", n=2), datetime(2026, 1, 2, tzinfo=timezone.utc), ["x"], None),
    ]
    call(book, {"item": Item(sku="b", n=1), "at": datetime(2026, 1, 2), "tags": ()})  # noqa: DTZ001
    assert seen[1][0] == Item(sku="b", n=1)


def test_parameters_without_annotation_take_plain_json() -> None:
    """SC-77."""
    assert call(lambda x: x, {"x": {"a": [1]}}) == {"a": [1]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"a": 1, "b": 2, "c": 3}, "unexpected argument 'c'"),
        ({"a": 1}, "missing argument 'b'"),
        ({"a": "one", "b": 2}, "argument 'a': (root): int_parsing"),
        ({"a": None, "b": 2}, "argument 'a': (root): int_type"),
        ({}, "missing argument 'a'"),
    ],
)
def test_arguments_that_do_not_fit_are_an_error_and_a_failed_result(
    arguments: dict[str, Any], says: str
) -> None:
    """SC-80: the body does not run; call and result are one batch."""
    store, ran = MemoryStore(), []

    def add(a: int, b: int) -> int:
        ran.append(1)
        return a + b

    error = call(add, arguments, store=store)
    assert isinstance(error, ToolError)
    assert error.error_type == "InvalidArguments"
    assert says in error.message
    ended = only(store, "tool_result")
    assert (ended["ok"], ended["error"]["kind"]) == (False, "InvalidArguments")
    assert says in ended["error"]["message"]
    assert not ran


def test_an_unknown_tool_is_an_error_and_a_failed_result() -> None:
    """SC-80."""
    store = MemoryStore()
    result = run_once(lambda ctx: ctx.tools.call("nope", {"a": 1}), store=store)
    assert (result.error or {})["type"] == "ToolError"
    assert only(store, "tool_call")["name"] == "nope"
    ended = only(store, "tool_result")
    assert (ended["ok"], ended["error"]["kind"]) == (False, "UnknownTool")


def test_whatever_a_body_raises_is_a_tool_error_with_the_original_as_its_cause() -> None:
    """SC-80, DESIGN 2."""

    def broken() -> None:
        raise KeyError("stock")

    store = MemoryStore()
    error = call(broken, store=store)
    assert isinstance(error, ToolError)
    assert error.error_type == "KeyError"
    assert isinstance(error.__cause__, KeyError)
    assert only(store, "tool_result")["error"]["kind"] == "KeyError"


def test_arguments_that_are_no_json_are_a_tool_error() -> None:
    """SC-80, DESIGN 2: `ctx.tools.call` raises `ToolError`, whatever went wrong."""
    error = call(lambda x: x, {"x": {1}})
    assert isinstance(error, ToolError)
    assert "set" in str(error)


def test_a_result_that_does_not_fit_its_annotation_is_a_tool_error() -> None:
    """SC-80."""

    def wrong() -> int:
        return "many"  # type: ignore[return-value]

    error = call(wrong)
    assert isinstance(error, ToolError)
    assert error.error_type == "InvalidResult"


def test_a_result_without_annotation_is_plain_json_live_too() -> None:
    """SC-78, DESIGN 2: the handler receives what was logged."""
    assert call(lambda: (1, Sum(total=2))) == [1, {"total": 2}]
    error = call(lambda: {1})
    assert isinstance(error, ToolError)


def test_a_result_is_the_logged_one_and_not_the_object_returned() -> None:
    """DESIGN 2: live equals served."""
    kept = Sum(total=1)

    def give() -> Sum:
        return kept

    got = call(give)
    assert got == kept
    assert got is not kept


class Lossy(BaseModel):
    shown: int
    hidden: int = Field(default=0, exclude=True)


def test_a_result_that_would_not_come_back_fails_the_step() -> None:
    """DESIGN 2: `NotReplayableError`."""

    def handler(ctx: RunContext) -> None:
        @ctx.tools.register
        def give() -> Lossy:
            return Lossy(shown=1, hidden=2)

        with pytest.raises(NotReplayableError):
            ctx.tools.call("give")
        raise NotReplayableError("as the handler would have")

    result = run_once(handler)
    assert (result.error or {})["type"] == "NotReplayableError"


class Pair(TypedDict):
    a: int


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (None, None),
        (int, 4),
        (float, 4.0),
        (tuple[int, ...], (1, 2)),
        (set[int], {1, 2}),
        (datetime, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        (bytes, b"abc"),
        (Pair, {"a": 1}),
        (list[Item], [Item(sku="a", n=1)]),
        (dict[int, str], {1: "a"}),
        (Any, {"x": [1]}),
    ],
)
def test_results_of_many_types_come_back_as_they_are_live_and_served(
    annotation: Any, value: Any
) -> None:
    """SC-78, DESIGN 2: live equals served."""
    got: list[Any] = []

    def give():
        return value

    give.__annotations__["return"] = annotation

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(give)
        got.append(ctx.tools.call("give"))

    store = MemoryStore()
    assert run_once(handler, store=store).error is None
    Runner(one_step(handler), cut(store, 3)).resume(RUN)
    assert got[0] == got[1] == value
    assert type(got[0]) is type(got[1]) is type(value)


def test_a_tool_registered_in_a_handler_belongs_to_that_visit() -> None:
    """DESIGN 2, Calls."""

    def handler(ctx: RunContext) -> str | None:
        if ctx.visit == 1:
            ctx.tools.register(lambda: 1, name="t")
            return "only"
        assert ctx.tools.names() == []
        return None

    assert run_once(handler).status == "completed"


def test_tools_of_the_runner_are_there_in_every_step() -> None:
    """DESIGN 2, Calls."""

    @tool(name="twice", idempotent=True)
    def double(x: int) -> int:
        return 2 * x

    def handler(ctx: RunContext) -> str | None:
        ctx.set("x", ctx.tools.call("twice", {"x": ctx.get("x")}))
        return "only" if ctx.visit < 3 else None

    assert run_once(handler, tools=[double], inputs={"x": 1}).context == {"x": 8}


@pytest.mark.parametrize("use", ["set", "llm", "tools", "approval", "note", "because"])
def test_inside_a_body_ctx_is_read_only_and_calls_raise(use: str) -> None:
    """DESIGN 2: a served result does not run the body, so what it did would be lost."""
    caught: list[Exception] = []

    def handler(ctx: RunContext) -> None:
        def body() -> int:
            assert ctx.get("x") == [1]
            ctx.get("x").append(2)
            ctx.data["y"] = 1
            try:
                {
                    "set": lambda: ctx.set("x", 1),
                    "llm": lambda: ctx.llm.complete_text(messages=[{"role": "user"}]),
                    "tools": lambda: ctx.tools.call("t"),
                    "approval": lambda: ctx.request_approval("a"),
                    "note": lambda: ctx.note("n"),
                    "because": lambda: ctx.because("x"),
                }[use]()
            except ContextInUseError as error:
                caught.append(error)
            return 1

        ctx.tools.register(body, name="t")
        ctx.tools.call("t")

    result = run_once(handler, inputs={"x": [1]})
    assert len(caught) == 1
    assert result.context == {"x": [1]}


def test_the_idempotency_key_of_a_body_is_that_of_the_use() -> None:
    """DESIGN 2: of tool name, arguments and the how-many-eth such call."""
    keys: list[str] = []

    def handler(ctx: RunContext) -> None:
        def use(n: int) -> None:
            keys.append(ctx.idempotency_key)

        ctx.tools.register(use)
        for n in (1, 1, 2):
            ctx.tools.call("use", {"n": n})
        if ctx.attempt == 1:
            raise ValueError

    run_once(handler, retries=RetryPolicy(2))
    assert len(set(keys[:3])) == 3
    assert keys[:3] == keys[3:]


@pytest.mark.parametrize("refused", ["unknown", "arguments", "raised"])
def test_a_failed_call_does_not_shift_the_keys_of_a_resumed_attempt(refused: str) -> None:
    """DESIGN 2: the idempotency key is the same in every attempt and resume."""
    keys: list[str] = []

    def handler(ctx: RunContext) -> None:
        def use(n: int) -> None:
            keys.append(ctx.idempotency_key)
            if refused == "raised" and len(keys) == 1:
                raise ValueError

        if refused != "unknown":
            strict = {"arguments": lambda: None}.get(refused, use)
            ctx.tools.register(strict, name="use")
        with pytest.raises(ToolError):
            ctx.tools.call("use", {"n": 1})
        ctx.tools.register(use, name="use", idempotent=True)
        ctx.tools.call("use", {"n": 1})

    store = MemoryStore()
    assert run_once(handler, store=store).error is None
    live = keys[-1]
    first_result = cut_behind(store, "tool_result")
    assert Runner(one_step(handler), first_result).resume(RUN).error is None
    assert keys[-1] == live


def test_what_a_body_draws_at_random_does_not_shift_the_handlers_stream() -> None:
    """DESIGN 2: a served call does not run the body, and the handler draws the same."""
    drawn: list[float] = []

    def handler(ctx: RunContext) -> None:
        def draw() -> float:
            return ctx.random.random()

        ctx.tools.register(draw, name="t")
        ctx.tools.call("t")
        drawn.append(ctx.random.random())

    store = MemoryStore()
    run_once(handler, store=store)
    Runner(one_step(handler), cut(store, 3)).resume(RUN)
    assert drawn[0] == drawn[1]


def test_changing_a_result_in_place_changes_neither_log_nor_state() -> None:
    """DESIGN 2: the state the runner holds equals the fold of the log."""
    store, states = MemoryStore(), []

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda: {"a": [1]}, name="t")
        ctx.tools.call("t")["a"].append(2)
        ctx.tools.call("t")
        states.append((list(ctx._attempt.state.effects), fold(RUN, store.read(RUN)).effects))

    run_once(handler, store=store)
    assert states[0][0] == states[0][1]


def test_a_parameter_that_cannot_be_named_is_a_definition_error_before_anything_is_logged() -> None:
    """SC-77."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda *rest: None, name="t")
        ctx.tools.call("t")

    result = run_once(handler, store=store, retries=RetryPolicy(3))
    assert (result.error or {})["type"] == DefinitionError.__name__
    assert "retry_scheduled" not in types(store)


def test_an_annotation_without_schema_is_found_before_the_body_runs() -> None:
    """SC-77: nothing has happened yet that the log would have to undo."""
    ran: list[int] = []

    class Plain:
        pass

    def handler(ctx: RunContext) -> None:
        @ctx.tools.register
        def give() -> Plain:
            ran.append(1)
            return Plain()

        ctx.tools.call("give")

    result = run_once(handler)
    assert result.status == "failed"
    assert not ran


def test_calls_are_numbered_in_the_order_they_start() -> None:
    """DESIGN 5: `call` counts from 1 in each attempt."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda: 1, name="t")
        ctx.tools.call("t")
        ctx.tools.call("t")
        if ctx.attempt == 1:
            raise ValueError

    run_once(handler, store=store, retries=RetryPolicy(2))
    assert [item["call"] for item in payloads(store, "tool_call")] == [1, 2, 1, 2]
