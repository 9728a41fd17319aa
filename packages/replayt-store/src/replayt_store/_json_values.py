"""Values of a query as strict JSON, which has no dates, bytes or NaN; and as CSV."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from pydantic import JsonValue
from pydantic_core import from_json

_QUOTED = re.compile(r'[",\r\n]|^\s|\s$|^$')


def json_record(
    columns: Sequence[str], types: Sequence[str], row: Sequence[object]
) -> dict[str, JsonValue]:
    """A row as a JSON object. What a column of type JSON holds is a value of it, not its text."""
    return {
        name: _parsed(value) if kind == "JSON" else json_value(value)
        for name, kind, value in zip(columns, types, row, strict=True)
    }


def _parsed(value: object) -> JsonValue:
    if isinstance(value, str):
        # What is nested too deeply stays text, in every Python: this parser has a limit of its own.
        with suppress(ValueError):
            return json_value(from_json(value))
    return json_value(value)


def json_value(value: object) -> JsonValue:
    """The JSON form of a value.

    Times as ISO 8601 (a timestamp in UTC ends with `Z`), durations in seconds, decimals, UUIDs and
    everything else that JSON does not know as text, bytes as hexadecimal digits, NaN and infinities
    as null. Keys of maps become text.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {_key(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    return str(value)


def _key(key: object) -> str:
    found = json_value(key)
    return found if isinstance(found, str) else str(found)


def csv_line(values: Iterable[object]) -> str:
    """Values as a line of CSV, without its end.

    Texts and the JSON forms of times are written as they are, everything else as JSON. Null is an
    empty field, and an empty text one in quotes.
    """
    return ",".join(map(_field, values)) or '""'  # a line that is empty is no row to readers


def _field(value: object) -> str:
    found = json_value(value)
    if found is None:
        return ""
    if not isinstance(found, str):
        found = json.dumps(found, ensure_ascii=False)
    return '"' + found.replace('"', '""') + '"' if _QUOTED.search(found) else found
