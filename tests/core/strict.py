"""Whether a payload is exactly what its `TypedDict` says, unknown keys included."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic_core import to_json
from typing_extensions import NotRequired, get_type_hints, is_typeddict

from replayt_core.payloads import PAYLOADS


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(PAYLOADS[kind])


@cache
def fields_of(typed: type[Any]) -> dict[str, Any]:
    """The fields of a typed dictionary with their types."""
    return get_type_hints(typed)


def strictly_valid(kind: str, payload: dict[str, Any]) -> None:
    """Raise unless the payload fits its type, without a key that the type does not name."""
    _adapter(kind).validate_json(to_json(payload), strict=True)
    unknown = list(unknown_keys(PAYLOADS[kind], payload, kind))
    assert not unknown, unknown


def unknown_keys(kind: Any, value: Any, path: str) -> Any:
    """The keys in a value that its type does not name, as paths."""
    if is_typeddict(kind):
        hints = fields_of(kind)
        if not isinstance(value, dict):
            return
        for key, item in value.items():
            if key in hints:
                yield from unknown_keys(hints[key], item, f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif get_origin(kind) is list and isinstance(value, list):
        for item in value:
            yield from unknown_keys(get_args(kind)[0], item, f"{path}[]")
    elif get_origin(kind) is NotRequired:
        yield from unknown_keys(get_args(kind)[0], value, path)
    elif any(is_typeddict(part) for part in get_args(kind)) and value is not None:
        for part in get_args(kind):
            yield from unknown_keys(part, value, path)
