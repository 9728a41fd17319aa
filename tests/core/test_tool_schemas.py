"""Tools as models are told of them: `ctx.tools.schemas()` (issue 5 point 4, SC-76, SC-77)."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from replayt_core import DefinitionError, MemoryStore, RunContext, ToolError, tool
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.testing import FrozenClock
from replayt_core.tools import make_tool
from tests.core.helpers import one_step, run_once, types


class Line(BaseModel):
    sku: str
    count: int = 1


class Order(BaseModel):
    lines: list[Line]


def place(
    order: Order,
    day: date = date(2026, 1, 2),
    how: Annotated[Literal["fast", "slow"], Field(description="how it is sent")] = "fast",
    note: str | None = None,
) -> str:
    """Place an order.

    It is sent the same day.
    """
    return f"{len(order.lines)} {day} {how} {note}"


def parameters(function: Callable[..., Any]) -> Any:
    described: Any = make_tool(function).schema()["function"]
    return described["parameters"]


def schemas(*tools: Any, register: tuple[Any, ...] = ()) -> list[Any]:
    """What a handler gets."""
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        for function in register:
            ctx.tools.register(function)
        got.extend(ctx.tools.schemas())

    result = run_once(handler, tools=tools)
    assert result.status == "completed", result.error
    return got


def test_a_tool_is_described_as_chat_protocols_take_it() -> None:
    """Issue 5 point 4: written by hand, from the typed signature."""
    (described,) = schemas(place)
    assert described == {
        "type": "function",
        "function": {
            "name": "place",
            "description": "Place an order.\n\nIt is sent the same day.",
            "parameters": {
                "type": "object",
                "properties": {
                    "order": {"$ref": "#/$defs/Order"},
                    "day": {"type": "string", "format": "date", "default": "2026-01-02"},
                    "how": {
                        "type": "string",
                        "enum": ["fast", "slow"],
                        "description": "how it is sent",
                        "default": "fast",
                    },
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                },
                "required": ["order"],
                "additionalProperties": False,
                "$defs": {
                    "Line": {
                        "type": "object",
                        "title": "Line",
                        "properties": {
                            "sku": {"type": "string", "title": "Sku"},
                            "count": {"type": "integer", "title": "Count", "default": 1},
                        },
                        "required": ["sku"],
                    },
                    "Order": {
                        "type": "object",
                        "title": "Order",
                        "properties": {
                            "lines": {
                                "type": "array",
                                "title": "Lines",
                                "items": {"$ref": "#/$defs/Line"},
                            }
                        },
                        "required": ["lines"],
                    },
                },
            },
        },
    }


def test_arguments_that_fit_the_schema_are_arguments_that_the_tool_takes() -> None:
    """SC-77: the schema and the call read the same signature."""
    arguments = {"order": {"lines": [{"sku": "a"}]}, "how": "slow"}
    assert set(arguments) <= set(parameters(place)["properties"])

    def handler(ctx: RunContext) -> None:
        ctx.set("sent", ctx.tools.call("place", arguments))
        with pytest.raises(ToolError):  # additionalProperties: false
            ctx.tools.call("place", {**arguments, "more": 1})

    assert run_once(handler, tools=[place]).context["sent"] == "1 2026-01-02 slow None"


def test_tools_of_the_run_come_first_and_the_order_is_that_of_registration() -> None:
    """SC-76: stable, so that a prompt made of them is the same in every process."""

    @tool(name="zeta")
    def first(a: int) -> int:
        return a

    def alpha(b: str) -> str:
        return b

    def beta() -> None:
        return None

    found = schemas(first, place, register=(beta, alpha))
    assert [item["function"]["name"] for item in found] == ["zeta", "place", "beta", "alpha"]
    assert found[2]["function"]["parameters"] == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    assert "description" not in found[0]["function"]


def test_a_tool_of_the_visit_takes_the_place_of_one_of_the_run() -> None:
    """SC-76: it is the one that would be called."""

    def replacing(order: int) -> None:
        """Another one."""

    replacing.__name__ = "place"
    (described,) = schemas(place, register=(replacing,))
    assert described["function"]["description"] == "Another one."


def test_the_text_is_the_same_in_every_process() -> None:
    """Issue 5 point 4."""
    program = (
        "import json, sys; sys.path.insert(0, '.')\n"
        "from tests.core.test_tool_schemas import place\n"
        "from replayt_core.tools import make_tool\n"
        "print(json.dumps(make_tool(place).schema()))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {json.dumps(make_tool(place).schema()) + "\n"}


def test_types_of_the_handlers_own_scope_are_known() -> None:
    """SC-77: a model class defined in the handler."""
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        class Local(BaseModel):
            n: int

        @ctx.tools.register
        def use(value: Local) -> int:
            return value.n

        got.extend(ctx.tools.schemas())

    assert run_once(handler).status == "completed"
    assert got[0]["function"]["parameters"]["$defs"]["Local"]["required"] == ["n"]


def test_a_default_without_a_json_form_is_left_out() -> None:
    """Issue 5 point 4: the parameter is still optional."""

    def fetch(n: int, clock: Any = object()) -> int:
        return n

    made = parameters(fetch)
    assert (made["properties"]["clock"], made["required"]) == ({}, ["n"])


class Adder:
    """Adds."""

    def __call__(self, a: int, b: int = 1) -> int:
        return a + b


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@pytest.mark.parametrize(
    ("called", "name", "text", "required"),
    [
        (Adder(), "Adder", "Adds.", ["a"]),
        (functools.partial(add, b=1), "add", "Add.", ["a"]),
        (functools.partial(functools.partial(add), 1), "add", "Add.", ["b"]),
    ],
)
def test_whatever_can_be_called_by_name_is_a_tool(
    called: Any, name: str, text: str, required: list[str]
) -> None:
    """Issue 5 point 4: an object with `__call__`, and a function with something filled in."""
    described: Any = make_tool(called).schema()["function"]
    assert (described["name"], described["description"]) == (name, text)
    assert described["parameters"]["properties"][required[0]] == {"type": "integer"}
    assert described["parameters"]["required"] == required
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(called)
        got.append(ctx.tools.call(name, {required[0]: "2"}))

    assert run_once(handler).status == "completed"
    assert got == [3]


def test_what_cannot_be_told_of_is_refused_with_its_reason() -> None:
    """House style 5: a `Field` as a default would reach the body as it is."""

    def odd(n: int = Field(default=3, ge=1)) -> int:
        return n

    with pytest.raises(DefinitionError, match=r"parameter 'n' would get the Field itself"):
        make_tool(odd).schema()
    with pytest.raises(DefinitionError, match="tool 'int': no signature"):
        make_tool(int).schema()


@pytest.mark.parametrize("annotation", ["Nowhere", "list[", "1 / 0", "int.nothing"])
def test_an_annotation_in_quotes_that_is_no_type_is_an_error_that_says_so(annotation: str) -> None:
    """House style 5: such a text is code, which may raise anything."""

    def odd(n: int) -> None:
        return None

    odd.__annotations__["n"] = annotation
    with pytest.raises(DefinitionError, match="tool 'odd': an annotation is unknown"):
        make_tool(odd).check()


def test_a_parameter_that_no_schema_describes_is_an_error_that_says_so() -> None:
    """House style 5."""

    def odd(call: Callable[[], int]) -> None:
        return None

    with pytest.raises(DefinitionError, match="tool 'odd': a parameter has no JSON schema"):
        make_tool(odd).schema()


def test_changing_a_schema_changes_no_other() -> None:
    """Handlers fit schemas to their provider, for example with `strict`."""
    made = make_tool(place)
    first: Any = made.schema()
    first["function"]["strict"] = True
    first["function"]["parameters"]["properties"].clear()
    assert "strict" not in str(made.schema()["function"])
    assert len(parameters(place)["properties"]) == 4


def test_asking_for_schemas_is_no_call_and_writes_nothing() -> None:
    """Issue 5 point 4: no loop; control flow stays with the handler."""
    store = MemoryStore()
    run_once(lambda ctx: ctx.set("n", len(ctx.tools.schemas())), tools=[place], store=store)
    assert not {"tool_call", "tool_result"} & set(types(store))


def test_async_handlers_get_the_same() -> None:
    """Issue 3 point 8."""
    got: list[Any] = []

    async def work(n: int) -> int:
        """Work on it."""
        return n

    async def handler(ctx: AsyncRunContext) -> None:
        ctx.tools.register(work)
        got.extend(ctx.tools.schemas())

    runner = AsyncRunner(one_step(handler), MemoryStore(), tools=[place], clock=FrozenClock())
    assert asyncio.run(runner.run()).status == "completed"
    assert got == [make_tool(place).schema(), make_tool(work).schema()]
