"""The offline provider: always valid, always the same, never mistaken for a model."""

from __future__ import annotations

import enum
import json
import socket
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, Json, TypeAdapter

from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest, LLMClient, ResponseSchema
from replayt_llm import LLMSettings, OfflineClient
from tests.drawn import examples
from tests.llm.helpers import ask, no_retry


def reply_to(schema: dict[str, Any], content: str = "hello") -> Any:
    request = ChatRequest(
        messages=({"role": "user", "content": content},),
        schema=ResponseSchema(name="Reply", json_schema=schema),
    )
    return json.loads(OfflineClient().complete(request, on_retry=no_retry).text)


def check(schema: dict[str, Any], times: int = 5) -> list[Any]:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    made = [reply_to(schema, f"message {index}") for index in range(times)]
    for value in made:
        validator.validate(value)
    return made


class Level(str, enum.Enum):
    LOW = "low"
    HIGH = "high"


class Address(BaseModel):
    street: Annotated[str, Field(min_length=3, max_length=12)]
    zip: Annotated[str, Field(pattern=r"^\d{5}(-\d{4})?$")]


class Texts(BaseModel):
    exact: Annotated[str, Field(min_length=7, max_length=7)]
    one: Annotated[str, Field(max_length=1)]
    long: Annotated[str, Field(min_length=500)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3,6}$", max_length=7)]
    either: Annotated[str, Field(pattern=r"^(cat|dog)s?$")]
    loose: Annotated[str, Field(pattern=r"\w+@\w+\.com", min_length=20)]
    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    nothing: Annotated[str, Field(max_length=0)]


class Numbers(BaseModel):
    confidence: Annotated[float, Field(ge=0, le=1)]
    above: Annotated[float, Field(gt=0, lt=0.001)]
    point: Annotated[float, Field(ge=2.5, le=2.5)]
    below: Annotated[int, Field(lt=0)]
    even: Annotated[int, Field(multiple_of=2, gt=10, lt=14)]
    cents: Annotated[float, Field(multiple_of=0.25, ge=0, le=9)]
    price: Decimal
    bounded: Annotated[Decimal, Field(ge=0, max_digits=6, decimal_places=2)]
    big: Annotated[int, Field(ge=10**12)]
    flag: bool
    strict: Annotated[int, Field(strict=True, ge=1)]


class Formats(BaseModel):
    at: datetime
    day: date
    clock: time
    span: timedelta
    id: UUID
    url: AnyUrl
    web: HttpUrl
    v4: IPv4Address
    v6: IPv6Address
    raw: bytes


class Collections(BaseModel):
    tags: Annotated[list[str], Field(min_length=2, max_length=3)]
    unique: Annotated[set[Literal["a", "b", "c"]], Field(min_length=3)]
    numbers: Annotated[set[int], Field(min_length=5)]
    pair: tuple[int, str]
    many: tuple[float, ...]
    table: dict[str, int]
    some: Annotated[dict[str, Address], Field(min_length=2)]
    anything: Any
    loose: dict[str, Any]
    bare: list
    frozen: frozenset[date]
    text: Json[dict[str, int]]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    friend: Pet | None = None


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Unions(BaseModel):
    pet: Pet
    pets: list[Pet]
    either: int | str
    maybe: Address | None
    optional: str | None = None
    nothing: None
    levels: Level | Literal[1, 2, True, None]
    nested: list[int] | dict[str, str] | None = None


class Node(BaseModel):
    value: int
    left: Node | None = None
    children: list[Node] = []


class Tree(BaseModel):
    branches: Annotated[list[Tree | Leaf], Field(min_length=1)]


class Leaf(BaseModel):
    name: str


class Even(BaseModel):
    odd: Odd | None


class Odd(BaseModel):
    even: Even


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner_value: int = Field(alias="innerValue")
    default: int = 5
    factory: list[int] = Field(default_factory=list)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


MODELS = [
    Address, Texts, Numbers, Formats, Collections, Cat, Dog, Unions, Node, Tree, Even, Odd, Aliased,
    Open,
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_answers_fit_the_schema_and_the_model(model):
    model.model_rebuild()
    for value in check(model.model_json_schema(), times=15):
        model.model_validate_json(json.dumps(value))


SCHEMAS = [
    {"type": "object", "properties": {"a": {"const": {"x": [1, None]}}}, "required": ["a"]},
    {"allOf": [{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
               {"properties": {"a": {"minimum": 5}, "b": {"type": "string"}}, "required": ["b"]}]},
    {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}], "maximum": 4},
    {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 10}]},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"enum": ["x"]}], "items": False,
     "minItems": 2},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "boolean"},
     "minItems": 4},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 4},
     "uniqueItems": True, "minItems": 5},
    {"type": "array", "contains": {"const": 7}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    {"type": "object", "patternProperties": {"^x-[a-z]{2}$": {"type": "boolean"}},
     "additionalProperties": False, "minProperties": 2},
    {"type": "object", "propertyNames": {"pattern": "^[a-f]{4}$"}, "minProperties": 2},
    {"type": "object", "propertyNames": {"enum": ["low", "high"]}, "minProperties": 2,
     "additionalProperties": {"type": "number"}},
    {"type": "object", "properties": {"a": {}}, "required": ["a", "b"], "maxProperties": 2},
    {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"],
     "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]},
     "else": {"required": ["y"]}},
    {"not": {"type": "integer"}, "type": "number"},
    {"type": "integer", "multipleOf": 7, "minimum": -20, "exclusiveMaximum": 0},
    {"type": "number", "multipleOf": 0.01, "minimum": 0.01, "maximum": 0.99},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-9},
    {"type": "number", "minimum": 1e300}, {"type": "number", "maximum": -1e300},
    {"type": "integer", "minimum": 0.5, "maximum": 1.5}, {"enum": [1, "a", None, [1]]}, {},
    {"type": "string", "format": "hostname"}, {"type": "string", "format": "uri-reference"},
    {"type": "string", "format": "regex"}, {"type": "string", "format": "json-pointer"},
    {"type": "string", "format": "no-such-format"},
    {"$defs": {"a/b": {"type": "integer"}}, "$ref": "#/$defs/a~1b"},
    {"definitions": {"n": {"type": "null"}}, "properties": {"x": {"$ref": "#/definitions/n"}}},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_answers_fit_schemas_of_every_kind(schema):
    check(schema, times=10)


IMPOSSIBLE = {
    "$.a": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 4}},
            "required": ["a"]},
    "$.a.b": {"properties": {"a": {"properties": {"b": False}, "required": ["b"]}},
              "required": ["a"]},
    "$[0]": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"(?=x)y"}},
    "$.c": {"properties": {"c": {"type": "string", "minLength": 3, "maxLength": 2}},
            "required": ["c"]},
    "$.d": {"properties": {"d": {"enum": [1, 2], "type": "string"}}, "required": ["d"]},
    "$.e": {"properties": {"e": {"unevaluatedProperties": False, "type": "object"}},
            "required": ["e"]},
    "$.f": {"properties": {"f": {"type": "array", "items": {"const": 1}, "uniqueItems": True,
                                 "minItems": 2}}, "required": ["f"]},
    "$.r": {"properties": {"r": {"$ref": "https://elsewhere.example/x"}}, "required": ["r"]},
    "$": {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
          "$ref": "#/$defs/n"},
    "$.g": {"properties": {"g": {"type": "array", "minItems": 10**9}}, "required": ["g"]},
}  # fmt: skip


@pytest.mark.parametrize("path", IMPOSSIBLE)
def test_what_cannot_be_satisfied_names_the_path(path):
    with pytest.raises(LLMError) as caught:
        reply_to(IMPOSSIBLE[path])
    assert caught.value.kind == "schema"
    assert path in caught.value.message
    assert caught.value.fields == (path,)


# --- any model ------------------------------------------------------------------------------------

names = st.sampled_from(["alpha", "beta", "gamma", "delta"])
leaves = st.one_of(
    st.sampled_from([str, int, float, bool, None, datetime, date, UUID, Decimal, Level, bytes]),
    st.builds(
        lambda low, more: Annotated[str, Field(min_length=low, max_length=low + more)],
        st.integers(0, 40), st.integers(0, 20),
    ),
    st.builds(
        lambda low, more: Annotated[int, Field(ge=low, le=low + more)],
        st.integers(-1000, 1000), st.integers(0, 50),
    ),
    st.builds(
        lambda low, more: Annotated[float, Field(ge=low, le=low + more)],
        st.floats(-1e6, 1e6), st.floats(0, 100),
    ),
    st.lists(st.sampled_from(["x", "y", 3, True]), min_size=1, max_size=3).map(
        lambda values: Literal[tuple(values)]  # type: ignore[misc]
    ),
)  # fmt: skip


def bigger(inner):
    return st.one_of(
        st.builds(
            lambda item, low: Annotated[list[item], Field(min_length=low, max_length=low + 2)],
            inner, st.integers(0, 3),
        ),
        inner.map(lambda item: item | None if item is not None else None),
        # The operator does not take every pair, for example None and None.
        st.builds(lambda a, b: Union[a, b], inner, inner),  # noqa: UP007
        inner.map(lambda item: dict[str, item]),
        st.builds(lambda a, b: tuple[a, b], inner, inner),
        st.dictionaries(names, inner, min_size=1).map(model_of),
    )  # fmt: skip


def model_of(fields: dict[str, Any]) -> type[BaseModel]:
    # Not create_model: the oldest Pydantic takes the Ellipsis beside an Annotated for a default.
    return type("Made", (BaseModel,), {"__annotations__": fields, "__module__": __name__})


types = st.recursive(leaves, bigger, max_leaves=6)


@examples(150)
@given(st.dictionaries(names, types, min_size=1).map(model_of), st.text(max_size=5))
def test_any_model_gets_a_valid_answer(model, content):
    schema = model.model_json_schema()
    value = reply_to(schema, content.encode("utf-8", "replace").decode())
    Draft202012Validator(schema).validate(value)
    model.model_validate_json(json.dumps(value))


@examples(60)
@given(types)
def test_any_type_gets_a_valid_answer(kind):
    adapter = TypeAdapter(kind)
    value = reply_to(adapter.json_schema())
    Draft202012Validator(adapter.json_schema()).validate(value)


# --- what it promises besides ---------------------------------------------------------------------


def test_the_same_request_gets_the_same_answer_in_another_process():
    code = (
        "from replayt_core.ports import *; from replayt_llm import OfflineClient; "
        "import json, sys; schema = json.loads(sys.argv[1]); "
        "r = ChatRequest(messages=({'role': 'user', 'content': 'hello'},), "
        "schema=ResponseSchema(name='Reply', json_schema=schema)); "
        "print(OfflineClient().complete(r, on_retry=None).text)"
    )
    schema = Collections.model_json_schema()
    shown = [
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(schema)], capture_output=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert shown[0] == shown[1]
    assert json.loads(shown[0]) == reply_to(schema)


def test_other_messages_and_seeds_get_other_answers():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10**9,
              "minimum": 0}}, "required": ["n"]}  # fmt: skip
    assert len({reply_to(schema, f"m{index}")["n"] for index in range(20)}) > 10
    client = OfflineClient()
    seeded = {client.complete(ask(schema, seed=s), on_retry=no_retry).text for s in range(20)}
    assert len(seeded) > 10


def test_it_is_labelled_wherever_it_shows():
    client = OfflineClient()
    assert isinstance(client, LLMClient)
    response = client.complete(ask(), on_retry=no_retry)
    assert response.text.startswith("[offline] No model was called")
    assert "hello" not in response.text
    assert response.model == "offline (no model was called)"
    assert response.usage is None
    shown = client.effective(ask({"type": "object"}, extra_headers={"X-Secret": "s3cret-value"}))
    assert (shown["provider"], shown["host"]) == ("offline", None)
    assert shown["model"] == "offline (no model was called)"
    assert shown["extra_headers"] == ["X-Secret"]
    assert list(client.secrets()) == []
    assert reply_to({"type": "object", "properties": {"title": {"type": "string"}},
                     "required": ["title"]})["title"].startswith("offline title")  # fmt: skip


def test_it_opens_no_connection_and_needs_no_key(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    client = LLMSettings.from_env({"REPLAYT_PROVIDER": "offline", "OPENAI_API_KEY": "x"}).client()
    assert isinstance(client, OfflineClient)
    assert client.complete(ask(), on_retry=no_retry).text
