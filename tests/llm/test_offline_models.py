"""A dry run of any Pydantic model: what its JSON Schema does not say, the model itself does.

The offline client makes up an answer by the schema and has the model judge it, so these are about
rules that no schema shows: bounds of dates, schemes of URLs, digits, keys, validators.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import warnings
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    UUID1,
    UUID4,
    VERSION,
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    FileUrl,
    FiniteFloat,
    FutureDate,
    FutureDatetime,
    HttpUrl,
    JsonValue,
    KafkaDsn,
    MongoDsn,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    PostgresDsn,
    PydanticSchemaGenerationError,
    RedisDsn,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    UrlConstraints,
    field_validator,
    model_validator,
)
from typing_extensions import NotRequired, TypedDict

from replayt_core import MemoryStore, RunContext, Runner, RunResult, Workflow, verify
from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest, ResponseSchema
from replayt_llm import LLMSettings, OfflineClient
from tests.drawn import examples
from tests.llm.helpers import no_retry


def answer_of(model: type[BaseModel], content: str = "hello") -> str:
    schema = ResponseSchema(name=model.__name__, json_schema=model.model_json_schema(), model=model)
    request = ChatRequest(messages=({"role": "user", "content": content},), schema=schema)
    return OfflineClient().complete(request, on_retry=no_retry).text


# Pydantic has names for these since 2.7.
FtpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["ftp"])]
WebSocketUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["ws", "wss"])]


def model_of(kind: Any, **config: Any) -> type[BaseModel]:
    body = {"__annotations__": {"f": kind}, "__module__": __name__}
    return type("Made", (BaseModel,), {**body, "model_config": ConfigDict(**config)})


class Color(enum.Enum):
    RED = "r"
    GREEN = 2
    NONE = None


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Cat(BaseModel):
    kind: Literal["cat", "kitten"]
    born: PastDate


class Dog(BaseModel):
    kind: Literal["dog"]
    home: HttpUrl


def kind_of(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else value.kind
    return "dog" if kind == "dog" else "cat"


class Typed(TypedDict):
    until: FutureDate
    note: NotRequired[str]


@dataclass
class Plain:
    at: NaiveDatetime
    name: str = "a"


class Named(NamedTuple):
    a: Annotated[Decimal, Field(max_digits=2)]
    b: str = "q"


class Tree(BaseModel):
    label: Annotated[str, StringConstraints(pattern=r"^\p{Lu}{2}$")]
    due: Annotated[dt.date, Field(ge=dt.date(2031, 1, 1))]
    children: list[Tree] = []
    parent: Tree | None = None


class Numbers(RootModel[list[Annotated[int, Field(multiple_of=3)]]]):
    pass


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    items: Annotated[list[Item], Field(min_length=2)]
    following: Item | None = None


def is_upper(text: str) -> str:
    if text != text.upper():
        raise ValueError("not upper case")
    return text


def is_even(number: int) -> int:
    if number % 2:
        raise ValueError("odd")
    return number


YEAR = dt.datetime.fromisoformat("2030-01-01")
KINDS: dict[str, Any] = {
    "enum of mixed values": Color,
    "integer enum": Size,
    "literal": Literal[1, "a", True, None],
    "discriminated union": Annotated[Cat | Dog, Field(discriminator="kind")],
    "list of discriminated": list[Annotated[Cat | Dog, Field(discriminator="kind")]],
    "union by function": Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(kind_of)
    ],
    "left to right": Annotated[int | str, Field(union_mode="left_to_right")],
    "union of bounded": Annotated[int, Field(gt=5)] | Annotated[str, Field(max_length=2)],
    "recursive": Tree,
    "map of recursive": dict[str, Tree | None],
    "typed dict": Typed,
    "dataclass": Plain,
    "named tuple": Named,
    "root model": Numbers,
    "generic": Page[Typed],
    "any JSON": JsonValue,
    "past": PastDate,
    "past moment": PastDatetime,
    "future": FutureDate,
    "future moment": FutureDatetime,
    "with time zone": AwareDatetime,
    "without time zone": NaiveDatetime,
    "date between": Annotated[dt.date, Field(gt=dt.date(2030, 1, 1), lt=dt.date(2030, 1, 9))],
    "date at most": Annotated[dt.date, Field(le=dt.date(1980, 1, 1))],
    "moment from": Annotated[dt.datetime, Field(ge=YEAR)],
    "moment before": Annotated[dt.datetime, Field(lt=dt.datetime.fromisoformat("1990-01-01"))],
    "moment with zone from": Annotated[dt.datetime, Field(gt=YEAR.replace(tzinfo=dt.timezone.utc))],
    "time before": Annotated[dt.time, Field(lt=dt.time(3))],
    "duration from": Annotated[dt.timedelta, Field(ge=dt.timedelta(days=3))],
    "uuid 1": UUID1,
    "uuid 4": UUID4,
    "url": AnyUrl,
    "ftp": FtpUrl,
    "file url": FileUrl,
    "web socket": WebSocketUrl,
    "postgres": PostgresDsn,
    "redis": RedisDsn,
    "mongo": MongoDsn,
    "kafka": KafkaDsn,
    "short url": Annotated[AnyUrl, UrlConstraints(max_length=22, allowed_schemes=["ftp"])],
    "network": IPv4Network,
    "decimal digits": Annotated[Decimal, Field(max_digits=3, decimal_places=3)],
    "decimal place": Annotated[Decimal, Field(ge=10, lt=11, decimal_places=1)],
    "decimal steps": Annotated[Decimal, Field(multiple_of=Decimal("0.05"), ge=0)],
    "two digits": Annotated[Decimal, Field(max_digits=2, ge=10)],
    "float steps": Annotated[float, Field(multiple_of=0.1, gt=0, lt=1)],
    "finite": FiniteFloat,
    "bytes": Annotated[bytes, Field(min_length=3, max_length=5)],
    "byte size": ByteSize,
    "secret": Annotated[SecretStr, Field(min_length=10)],
    "path": Path,
    "fraction": Fraction,
    "time zone": ZoneInfo,
    "set": Annotated[set[int], Field(min_length=3)],
    "set of enum": Annotated[set[Size], Field(min_length=2)],
    "deque": Annotated[deque[int], Field(min_length=3)],
    "counter": Counter[str],
    "sequence": Sequence[FutureDate],
    "mapping": Mapping[str, FutureDate],
    "tuple": tuple[int, FutureDate, Color],
    "empty tuple": tuple[()],
    "long tuple": Annotated[tuple[int, ...], Field(min_length=4)],
    "integer keys": Annotated[dict[int, str], Field(min_length=3)],
    "float keys": dict[float, str],
    "boolean keys": dict[bool, str],
    "date keys": Annotated[dict[dt.date, int], Field(min_length=2)],
    "uuid keys": dict[UUID, int],
    "decimal keys": dict[Decimal, int],
    "enum keys": Annotated[dict[Literal["a", "b"], int], Field(min_length=2)],
    "patterned keys": dict[Annotated[str, Field(pattern="^x[0-9]$")], int],
    "letters of Unicode": Annotated[str, Field(pattern=r"^[\p{L}\d]{3}\p{N}$")],
    "POSIX class": Annotated[str, Field(pattern=r"^[[:upper:]][[:alpha:]]+$", min_length=9)],
    "pattern and length": Annotated[str, Field(pattern=r"^\S+( \S+){4}$", max_length=60)],
    "one exact string": Annotated[str, StringConstraints(min_length=3, max_length=3,
                                                        pattern="^[A-Z]+$", to_upper=True)],
    "validator of text": Annotated[str, AfterValidator(is_upper)],
    "validator of numbers": Annotated[int, AfterValidator(is_even)],
    "list of validated": Annotated[list[Annotated[str, AfterValidator(is_upper)]],
                                   Field(min_length=3)],
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_model_takes_what_is_made_up_for_it(name):
    try:
        model = model_of(KINDS[name])
    except PydanticSchemaGenerationError:
        pytest.skip(f"Pydantic {VERSION} knows no {KINDS[name]}")
    for number in range(8):
        model.model_validate_json(answer_of(model, f"message {number}"))


def test_the_config_of_a_model_holds_too():
    class Strict(BaseModel):
        model_config = ConfigDict(
            extra="forbid", strict=True, str_min_length=2, str_max_length=6, frozen=True,
            str_to_lower=True, alias_generator=lambda name: name.upper(),
        )  # fmt: skip
        name: str
        at: dt.datetime
        count: int

    for number in range(8):
        Strict.model_validate_json(answer_of(Strict, str(number)))


def test_examples_of_a_field_are_what_is_answered():
    class Order(BaseModel):
        code: Annotated[str, AfterValidator(lambda text: int(text[4:]) and text)] = Field(
            examples=["ord-17", "ord-23"]
        )
        count: int = Field(examples=["not a number", 3])

    for number in range(8):
        order = Order.model_validate_json(answer_of(Order, str(number)))
        assert order.code in ("ord-17", "ord-23")
        assert order.count == 3


def test_a_field_that_has_a_default_is_left_out_rather_than_failing():
    def never(value: Any) -> Any:
        raise ValueError("never")

    class Whole(BaseModel):
        kept: int
        odd: Annotated[str, AfterValidator(never)] = "x" * 3

    assert set(json.loads(answer_of(Whole))) == {"kept"}


def test_rules_between_fields_are_met_by_drawing_again():
    class Span(BaseModel):
        low: Annotated[int, Field(ge=0, le=50)]
        high: Annotated[int, Field(ge=0, le=50)]

        @model_validator(mode="after")
        def ordered(self) -> Span:
            if self.low >= self.high:
                raise ValueError("low is not below high")
            return self

    for number in range(20):
        Span.model_validate_json(answer_of(Span, str(number)))


class Booking(BaseModel):
    """What no JSON Schema shows: a date to come, a scheme, digits, an upper-case code."""

    starts: FutureDate
    page: Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"])]
    price: Annotated[Decimal, Field(max_digits=4, decimal_places=2)]
    code: Annotated[str, AfterValidator(is_upper)]
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


def dry_run(model: type[BaseModel]) -> RunResult:
    wf = Workflow("dry")
    wf.set_initial("ask")

    @wf.step("ask")
    def ask(ctx: RunContext) -> None:
        made = ctx.llm.parse(model, messages=[{"role": "user", "content": "hello"}])
        ctx.set("made", made)

    store = MemoryStore()
    settings = LLMSettings(provider="offline")
    result = Runner(wf, store, llm_settings=settings).run(run_id="r1")
    if result.status == "completed":
        assert verify(wf, store.read("r1")).ok
    return result


def test_a_dry_run_gets_through_a_step_with_rules_that_no_schema_shows():
    result = dry_run(Booking)
    assert (result.status, result.error) == ("completed", None)
    assert result.context["made"]["starts"] > "2026"


def test_a_dry_run_says_in_one_line_which_field_it_cannot_make_up():
    class Order(BaseModel):
        class Line(Impossible):
            code: str

        lines: Annotated[list[Line], Field(min_length=1)]

    result = dry_run(Order)
    assert result.status == "failed"
    assert "cannot make up a Order: at $.lines[0].code" in result.error["message"]
    assert "\n" not in result.error["message"]


def test_the_same_request_gets_the_same_answer():
    model = model_of(KINDS["discriminated union"])
    assert answer_of(model) == answer_of(model)
    assert len({answer_of(model, str(number)) for number in range(9)}) > 1


class Impossible(BaseModel):
    """Fields that nothing can be made up for, each alone in a model."""

    @field_validator("*", mode="before", check_fields=False)
    @classmethod
    def refuse(cls, value: Any) -> Any:
        raise ValueError("secret-in-a-validator")


def refused(model: type[BaseModel]) -> LLMError:
    with pytest.raises(LLMError) as caught:
        answer_of(model)
    assert "\n" not in caught.value.message
    assert caught.value.kind == "schema"
    return caught.value


def test_what_cannot_be_made_up_is_one_line_that_names_the_field():
    class Order(BaseModel):
        class Line(Impossible):
            code: str

        lines: Annotated[list[Line], Field(min_length=2)]

    error = refused(Order)
    assert error.fields == ("$.lines[0].code",)
    assert "cannot make up a Order: at $.lines[0].code" in error.message
    assert "(value_error)" in error.message
    assert "examples=[...]" in error.message
    assert "secret-in-a-validator" not in error.message


@pytest.mark.parametrize(
    "kind",
    [
        Literal[b"x"],
        dict[tuple[int, int], int],
        Annotated[str, Field(pattern=r"^\d{3}$", max_length=2)],
        Annotated[str, Field(pattern=r"^[a-z&&[^aeiou]]$")],
        type[int],
    ],
)
def test_what_json_cannot_say_is_refused_at_its_field(kind):
    assert refused(model_of(kind)).fields[0].startswith("$.f")


def test_a_rule_that_nothing_meets_names_the_whole():
    class Never(BaseModel):
        a: int

        @model_validator(mode="after")
        def never(self) -> Never:
            raise ValueError("never")

    assert refused(Never).fields == ("$",)


def test_a_validator_that_breaks_is_no_crash():
    class Broken(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def divide(cls, value: int) -> int:
            return value // 0

    assert "(ZeroDivisionError)" in refused(Broken).message


# --- any model ------------------------------------------------------------------------------------

TIMES = [FutureDate, PastDatetime, NaiveDatetime, AwareDatetime, dt.time, dt.timedelta]
OTHERS = [
    PostgresDsn,
    UUID1,
    Color,
    Size,
    Decimal,
    IPv4Network,
    bytes,
    bool,
    None,
]
names = st.sampled_from(["alpha", "beta", "gamma", "delta"])
leaves = st.one_of(
    st.sampled_from([*TIMES, *OTHERS, Tree, Typed, Plain]),
    st.builds(
        lambda low, more: Annotated[
            dt.date, Field(ge=dt.date(1990, 1, 1) + dt.timedelta(days=low),
                           le=dt.date(1990, 1, 1) + dt.timedelta(days=low + more))
        ],
        st.integers(0, 30_000), st.integers(0, 40),
    ),
    st.builds(
        lambda digits, places: Annotated[
            Decimal, Field(max_digits=digits + places, decimal_places=places)
        ],
        st.integers(1, 4), st.integers(0, 3),
    ),
    st.builds(
        lambda step, low: Annotated[int, Field(multiple_of=step, ge=low)],
        st.integers(1, 50), st.integers(-500, 500),
    ),
    st.sampled_from([r"^[A-Z]{3}-\d{4}$", r"^\p{L}+ [[:digit:]]{2}$", r"(a|b)c*$"]).map(
        lambda pattern: Annotated[str, Field(pattern=pattern)]
    ),
    st.sampled_from([is_upper]).map(lambda rule: Annotated[str, AfterValidator(rule)]),
    st.sampled_from([is_even]).map(lambda rule: Annotated[int, AfterValidator(rule)]),
)  # fmt: skip


def bigger(inner):
    return st.one_of(
        st.builds(lambda item, low: Annotated[list[item], Field(min_length=low)],
                  inner, st.integers(0, 3)),
        inner.map(lambda item: item | None if item is not None else None),
        st.builds(lambda a, b: Union[a, b], inner, inner),  # noqa: UP007 - not every pair takes |
        st.builds(lambda key, item: dict[key, item],
                  st.sampled_from([str, int, dt.date, UUID, Literal["a", "b"]]), inner),
        st.builds(lambda a, b: tuple[a, b], inner, inner),
        st.dictionaries(names, inner, min_size=1).map(fields_model),
    )  # fmt: skip


def fields_model(fields: dict[str, Any]) -> type[BaseModel]:
    return type("Made", (BaseModel,), {"__annotations__": fields, "__module__": __name__})


models = st.dictionaries(names, st.recursive(leaves, bigger, max_leaves=6), min_size=1).map(
    fields_model
)


@examples(150)
@given(models)
def test_any_model_takes_its_answer(model):
    with warnings.catch_warnings():
        # Of a union that holds plain data classes Pydantic warns when it makes the schema.
        warnings.simplefilter("ignore")
        model.model_validate_json(answer_of(model))


@examples(40)
@given(models, names)
def test_any_model_with_a_field_that_nothing_fits_is_refused_at_that_field(model, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = fields_model({**model.__annotations__, f"{name}_never": Literal[b"x"]})
        assert refused(more).fields == (f"$.{name}_never",)
