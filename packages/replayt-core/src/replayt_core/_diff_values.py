"""Comparing two JSON values field by field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from replayt_core._hiding import MARK, Hiding
from replayt_core.events import Payload

Side = Literal["a", "b"]
"""One of the two runs."""

_ERROR = ("type", "kind", "status", "message")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value that differs.

    `path` leads to it, as in `items[2].name`; empty where it is the whole. `only` names the run
    that has a value there where the other has none.
    """

    path: str
    a: JsonValue
    b: JsonValue
    only: Side | None = None


def value_changes(a: JsonValue, b: JsonValue, path: str = "") -> Iterator[Change]:
    """Where two values differ. The order of keys counts for nothing, that of lists does.

    A hidden value equals whatever has its digest.
    """
    if isinstance(a, dict) and isinstance(b, dict) and not (_is_mark(a) or _is_mark(b)):
        for key in [*a, *(key for key in b if key not in a)]:
            deeper = join(path, key)
            if key not in b:
                yield only("a", a[key], deeper)
            elif key not in a:
                yield only("b", b[key], deeper)
            else:
                yield from value_changes(a[key], b[key], deeper)
    elif isinstance(a, list) and isinstance(b, list):
        for index in range(max(len(a), len(b))):
            deeper = f"{path}[{index}]"
            if index >= len(b):
                yield only("a", a[index], deeper)
            elif index >= len(a):
                yield only("b", b[index], deeper)
            else:
                yield from value_changes(a[index], b[index], deeper)
    elif not _equal(a, b):
        yield Change(path=path, a=a, b=b)


def only(side: Side, value: JsonValue, path: str = "") -> Change:
    """A value that one run alone has."""
    return Change(
        path=path,
        a=value if side == "a" else None,
        b=value if side == "b" else None,
        only=side,
    )


def join(path: str, key: str) -> str:
    """The path to a key; one that is no name stands in brackets, as JSON."""
    if not _NAME.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _equal(a: JsonValue, b: JsonValue) -> bool:
    if _is_mark(a) != _is_mark(b):
        a, b = (a, _mark_of(b)) if _is_mark(a) else (_mark_of(a), b)
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True  # the NaN of a foreign log
    # 1, 1.0 and true are three values.
    return type(a) is type(b) and a == b


def _is_mark(value: JsonValue) -> bool:
    return isinstance(value, dict) and value.keys() == {MARK}


def _mark_of(value: JsonValue) -> JsonValue:
    """The value as it would stand in a log that hides it."""
    hidden: JsonValue = Hiding(("value",)).hide({"data": {"value": value}})["data"]["value"]
    return hidden


# Reading payloads.


def error_of(payload: Payload) -> Payload | None:
    """The error in a payload without its place in the code, which moves with the code."""
    error = payload.get("error")
    return part_of(error, _ERROR) if isinstance(error, dict) else None


def part_of(payload: Payload, names: tuple[str, ...]) -> Payload:
    return {name: payload[name] for name in names if payload.get(name) is not None}


def mapping(value: Any) -> Payload:
    return value if isinstance(value, dict) else {}


def error_field(end: Payload) -> Payload:
    error = error_of(end)
    return {} if error is None else {"error": error}
