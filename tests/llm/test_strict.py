"""Schemas cut to the strict subset: what fits, what moves, and what cannot be said."""

from __future__ import annotations

import enum
import json
from copy import deepcopy
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from replayt_llm._strict import fit

UNSUPPORTED = {
    "allOf", "oneOf", "not", "if", "then", "else", "minLength", "maxLength", "patternProperties",
    "propertyNames", "minProperties", "maxProperties", "contains", "uniqueItems", "default",
    "discriminator", "prefixItems",
}  # fmt: skip


def schemas(node: Any):
    """Every schema inside a schema."""
    yield node
    for name in ("properties", "$defs"):
        for part in node.get(name, {}).values():
            yield from schemas(part)
    for part in node.get("anyOf", []):
        yield from schemas(part)
    if isinstance(node.get("items"), dict):
        yield from schemas(node["items"])


def strict_of(model: type[BaseModel]) -> dict[str, Any]:
    """The fitted schema, with every rule of the subset checked."""
    original = model.model_json_schema()
    before = deepcopy(original)
    fitted = fit(original)
    assert original == before, "the caller's schema was changed"
    assert fitted.strict
    assert fitted.schema["type"] == "object"
    assert "anyOf" not in fitted.schema
    for part in schemas(fitted.schema):
        assert not UNSUPPORTED & part.keys(), part
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
        if "$ref" in part:
            assert part.keys() == {"$ref"}
            assert part["$ref"].rpartition("/")[2] in fitted.schema["$defs"]
    return fitted.schema


class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=9, description="A name")]
    when: date | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Outer(BaseModel):
    inner: Inner
    again: Inner = Field(description="beside the reference")
    color: Color = Color.RED
    tags: Annotated[set[str], Field(max_length=3)] = set()
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    code: Annotated[str, Field(json_schema_extra={"pattern": r"^(?=a)abc$"})]
    plain: Annotated[str, Field(pattern=r"^[a-z]+$")]
    link: Annotated[str, Field(json_schema_extra={"format": "uri"})]


class Node(BaseModel):
    value: int
    left: Node | None = None
    children: list[Node] = []


class Holder(BaseModel):
    root: Node


def test_a_rich_model_fits():
    schema = strict_of(Outer)
    properties = schema["properties"]
    name = schema["$defs"]["Inner"]["properties"]["name"]
    assert (
        name["description"] == "A name (maxLength: 9; minLength: 2)"
        or name["description"] == "A name (minLength: 2; maxLength: 9)"
    )
    assert properties["again"]["description"] == "beside the reference"
    assert "default: red" in properties["color"]["description"]
    assert "uniqueItems: true" in properties["tags"]["description"]
    assert properties["tags"]["maxItems"] == 3
    assert [part["$ref"] for part in properties["pet"]["anyOf"]] == ["#/$defs/Cat", "#/$defs/Dog"]
    assert "(?=a)" in properties["code"]["description"]
    assert "pattern" not in properties["code"]
    assert properties["plain"]["pattern"] == r"^[a-z]+$"
    assert "format: uri" in properties["link"]["description"]
    assert schema["$defs"]["Cat"]["properties"]["lives"]["maximum"] == 9


def test_an_optional_field_is_required_and_not_made_nullable():
    schema = strict_of(Outer)
    assert "lives" in schema["$defs"]["Cat"]["required"]
    assert "anyOf" not in schema["$defs"]["Cat"]["properties"]["lives"]


@pytest.mark.parametrize("model", [Node, Holder])
def test_recursive_models_keep_their_recursion(model):
    schema = strict_of(model)
    assert "#/$defs/Node" in json.dumps(schema["properties"])


class Free(BaseModel):
    data: dict[str, int]


class Anything(BaseModel):
    data: Any


class Pair(BaseModel):
    data: tuple[int, str]


class Bare(BaseModel):
    data: list


class Rows(RootModel[list[int]]):
    pass


class Either(RootModel[Cat | Dog]):
    pass


@pytest.mark.parametrize("model", [Free, Anything, Pair, Bare, Rows, Either])
def test_what_the_subset_cannot_say_is_left_alone(model):
    original = model.model_json_schema()
    fitted = fit(original)
    assert not fitted.strict
    assert fitted.schema == original


def test_extra_allow_keeps_only_the_named_fields():
    class Open(BaseModel, extra="allow"):
        a: int

    assert strict_of(Open)["additionalProperties"] is False


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def big(count: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"a": {"type": "integer", "enum": list(range(count))}},
    }


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (nested(9), True), (nested(11), False), (nested(3_000), False),
        (big(1_000), True), (big(1_001), False),
        ({"type": "object", "properties": {"x" * 120_001: {"type": "string"}}}, False),
        ({"type": "object", "properties": {"a": {"$ref": "https://elsewhere.example/s"}}}, False),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/None"}}}, False),
        ({"type": "object", "properties": {"a": True}}, False),
        ({"type": "object", "properties": {}}, True),
        ({"type": "object"}, False),
    ],
)  # fmt: skip
def test_the_limits_of_the_subset_are_kept(schema, strict):
    assert fit(schema).strict is strict
