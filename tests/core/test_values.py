"""Values are JSON: what `ctx.get` returns live is what a resumed run would get (DESIGN 2)."""

from __future__ import annotations

import dataclasses
import enum
import math
import uuid
from collections import OrderedDict, UserDict, namedtuple
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from replayt_core import MemoryStore, NotJSONError, RunContext
from replayt_core._values import MAX_DEPTH, decode_value, encode_value, to_json_value
from tests.core.helpers import payloads, run_once
from tests.drawn import examples

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.ü"), inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.Enum):
    red = "r"


class Order(BaseModel):
    number: int
    at: datetime


@dataclasses.dataclass
class Line:
    sku: str
    price: Decimal


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = [value]
    return value


REFUSED = {
    "bytes": (b"x", "order.raw[1]", "bytes"),
    "set": ({1}, "order.raw[1]", "set"),
    "frozenset": (frozenset({1}), "order.raw[1]", "frozenset"),
    "object": (object(), "order.raw[1]", "object"),
    "function": (print, "order.raw[1]", "builtin_function_or_method"),
    "nan": (math.nan, "order.raw[1]", "nan"),
    "infinity": (math.inf, "order.raw[1]", "inf"),
    "decimal nan": (Decimal("NaN"), "order.raw[1]", "NaN"),
    "int key": ({1: "a"}, "order.raw[1]", "int"),
    "none key": ({None: "a"}, "order.raw[1]", "NoneType"),
    "bool key": ({True: "a"}, "order.raw[1]", "bool"),
    "tuple key": ({(1, 2): "a"}, "order.raw[1]", "tuple"),
    "enum key": ({Colour.red: "a"}, "order.raw[1]", "Colour"),
    "lone surrogate": ("\ud800", "order.raw[1]", "surrogate"),
    "lone surrogate in a key": ({"\udfff": 1}, "order.raw[1]", "surrogate"),
    "10**5000": (10**5000, "order.raw[1]", "bits"),
    "-10**5000": (-(10**5000), "order.raw[1]", "bits"),
    "too deep": (nested(MAX_DEPTH + 5), "order.raw[1]", "deeper"),
    "cycle": (cycle(), "order.raw[1]", "part of itself"),
    "generator": ((n for n in ()), "order.raw[1]", "generator"),
    "complex": (1j, "order.raw[1]", "complex"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_json_is_refused_at_set_naming_path_and_type(case: str) -> None:
    """R-24 (RELIABILITY b3), SC-27: never `default=str`."""
    value, path, word = REFUSED[case]
    seen: list[NotJSONError] = []

    def handler(ctx: RunContext) -> None:
        with pytest.raises(NotJSONError) as caught:
            ctx.set("order", {"raw": ["fine", value]})
        seen.append(caught.value)
        assert ctx.get("order") is None

    store = MemoryStore()
    result = run_once(handler, store=store)
    assert result.status == "completed", result.error
    assert seen[0].path.startswith(path)
    assert word in str(seen[0])
    assert payloads(store, "state_exited")[0]["context"] == {"set": {}, "unset": []}


def test_a_value_that_is_no_json_fails_the_step_and_the_log_says_where() -> None:
    """R-24, SC-44."""
    result = run_once(lambda ctx: ctx.set("order", {"lines": [{"at": b"x"}]}))
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["type"] == "NotJSONError"
    assert result.error["message"].startswith("order.lines[0].at:")


@pytest.mark.parametrize("key", [5, None, ("a",), b"k"])
def test_a_context_key_is_text(key: Any) -> None:
    """R-24."""
    result = run_once(lambda ctx: ctx.set(key, 1))
    assert (result.error or {})["type"] == "NotJSONError"


TAKES = {
    "model": (
        Order(number=1, at=datetime(2026, 1, 2, tzinfo=timezone.utc)),
        {"number": 1, "at": "2026-01-02T00:00:00Z"},
    ),
    "dataclass": (Line("a", Decimal("1.50")), {"sku": "a", "price": "1.50"}),
    "enum": (Colour.red, "r"),
    "date": (date(2026, 1, 2), "2026-01-02"),
    "timedelta": (timedelta(seconds=90), "PT90S"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "decimal": (Decimal("0.10"), "0.10"),
    "tuple": ((1, (2,)), [1, [2]]),
    "named tuple": (namedtuple("Pair", "a b")(1, 2), [1, 2]),
    "ordered dict": (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    "user dict": (UserDict(a=1), {"a": 1}),
    "big int": (10**4000, 10**4000),
    "minus zero": (-0.0, -0.0),
    "separators": ("\u2028\u2029\x85\x00", "\u2028\u2029\x85\x00"),
}


@pytest.mark.parametrize("case", TAKES)
def test_a_type_with_one_json_form_takes_it_at_set(case: str) -> None:
    """R-24: what `get` returns live equals what the log holds."""
    value, expected = TAKES[case]
    got: list[object] = []

    def handler(ctx: RunContext) -> None:
        ctx.set("k", value)
        got.append(ctx.get("k"))

    store = MemoryStore()
    result = run_once(handler, store=store)
    assert result.error is None
    logged = payloads(store, "state_exited")[0]["context"]["set"]["k"]
    if case == "timedelta":
        assert got[0] == logged
        assert isinstance(logged, str)
        return
    assert got[0] == logged == expected
    assert type(got[0]) is type(expected)


@examples(100)
@given(json_values)
def test_json_values_come_back_as_they_are(value: Any) -> None:
    """R-24: encode then decode is the identity on JSON, type by type."""
    back = decode_value(encode_value(value))
    assert back == value
    assert encode_value(back) == encode_value(value)
    assert to_json_value(value) == value


@examples(100)
@given(
    st.recursive(
        st.binary(max_size=3) | st.floats() | st.text(st.characters()) | st.sets(st.integers()),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.integers() | st.text(st.characters()), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_any_value_is_either_kept_exactly_or_refused_with_its_path(value: Any) -> None:
    """R-24: no third way, and no exception of another kind."""
    try:
        encoded = encode_value(value, "k")
    except NotJSONError as refused:
        error = refused
    else:
        assert decode_value(encoded) == value
        return
    assert error.path.startswith("k")


def test_a_depth_just_inside_the_limit_is_kept() -> None:
    """R-24: 64 levels."""
    value = nested(MAX_DEPTH - 1)
    assert decode_value(encode_value(value)) == value
