"""What may stand in a log: JSON, and the few types that have one obvious JSON form.

Never `default=str`: a value that would come back as something else is refused where it is set,
with its path and type.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json, to_json, to_jsonable_python

from replayt_core.errors import NotJSONError

MAX_DEPTH = 64
MAX_INT_BITS = 14_000
"""About 4,200 decimal digits: what every JSON reader in use here takes."""

_ONE_FORM = (datetime, date, time, timedelta, UUID)


def to_json_value(value: object, path: str = "value") -> JsonValue:
    """A plain JSON copy of `value`.

    Pydantic models, dataclasses, enums, dates, UUIDs and Decimals take their JSON form; tuples
    become lists. Everything else raises `NotJSONError` naming the key path and the type.
    """
    return cast(JsonValue, _convert(value, path, 0))


def encode_value(value: object, path: str = "value") -> bytes:
    """The JSON bytes of `value`, under the same rules."""
    return to_json(_convert(value, path, 0))


def decode_value(encoded: bytes) -> JsonValue:
    """The value that `encode_value` wrote."""
    return cast(JsonValue, from_json(encoded))


def _convert(value: object, path: str, depth: int) -> object:
    kind = type(value)
    if kind is str:
        return _check_text(cast(str, value), path)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _check_int(cast(int, value), path)
    if kind is float:
        return _check_float(cast(float, value), path)
    if depth > MAX_DEPTH:
        raise NotJSONError(path, f"nested deeper than {MAX_DEPTH} levels, or part of itself")
    if kind is dict:
        return _convert_mapping(cast("dict[Any, Any]", value), path, depth)
    if kind is list or kind is tuple:
        items = cast("list[object]", value)
        return [_convert(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]
    return _convert_other(value, path, depth)


def _convert_other(value: object, path: str, depth: int) -> object:
    if isinstance(value, Enum):
        return _convert(value.value, path, depth + 1)
    if isinstance(value, BaseModel):
        try:
            dumped = value.model_dump(mode="json", by_alias=True)
        except ValueError as error:
            raise NotJSONError(path, f"{type(value).__name__} has no JSON form: {error}") from error
        return _convert(dumped, path, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return _convert_mapping(pairs, path, depth)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise NotJSONError(path, f"{value} has no JSON form")
        return str(value)
    if isinstance(value, _ONE_FORM):
        return to_jsonable_python(value)
    if isinstance(value, str):
        return _check_text(str.__str__(value), path)
    if isinstance(value, int):
        return _check_int(int(value), path)
    if isinstance(value, float):
        return _check_float(float(value), path)
    if isinstance(value, Mapping):
        return _convert_mapping(value, path, depth)
    if isinstance(value, list | tuple):
        return _convert(list(value), path, depth)
    raise NotJSONError(path, f"a {type(value).__name__} has no JSON form; set plain data instead")


def _convert_mapping(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str) or isinstance(key, Enum):
            raise NotJSONError(path, f"the key {key!r:.80} is a {type(key).__name__}, not text")
        result[_check_text(key, path)] = _convert(item, f"{path}.{key}", depth + 1)
    return result


def _check_text(value: str, path: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotJSONError(path, "holds a lone surrogate, which is no text") from None
    return value


def _check_int(value: int, path: str) -> int:
    if value.bit_length() > MAX_INT_BITS:
        raise NotJSONError(path, f"an integer of more than {MAX_INT_BITS} bits")
    return value


def _check_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise NotJSONError(path, f"{value} has no JSON form")
    return value
