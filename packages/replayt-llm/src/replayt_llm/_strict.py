"""JSON Schema made to fit the strict subset that hosted providers enforce.

What the subset does not know is moved into `description`, where the model still reads it. It only
ever asks for less than the user's model, which core checks afterwards; so moving is safe. A schema
that cannot be said in the subset at all (free-form objects, `Any`, tuples) is sent as it is, with
`strict: false`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_FORMATS = frozenset(
    {"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
_KEPT = frozenset(
    {
        "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const",
        "description", "title", "$ref", "$defs", "pattern", "format", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
    }
)  # fmt: skip
_DROPPED = frozenset({"discriminator", "examples", "example", "$schema", "$id", "$comment"})
"""Notes for tools and readers; nothing is lost without them."""
_LIMITS = {"properties": 5_000, "levels": 10, "enum values": 1_000, "characters": 120_000}
_TYPE_KEYS = frozenset({"type", "$ref", "anyOf", "enum", "const", "properties"})


class _NotInSubset(Exception):
    """The schema says something that the subset has no words for."""


@dataclass
class _Count:
    properties: int = 0
    enum_values: int = 0
    characters: int = 0


@dataclass(frozen=True, kw_only=True)
class FittedSchema:
    """A schema to send, and whether it may be called strict."""

    schema: dict[str, Any] = field(repr=False)
    strict: bool


def fit(schema: Mapping[str, Any]) -> FittedSchema:
    """`schema` in the strict subset, or unchanged and not strict."""
    original = dict(schema)
    definitions = original.pop("$defs", {})
    count = _Count()
    try:
        root = _merge_single_all_of(original)
        reference = root.get("$ref")
        if reference is not None:  # recursive models: the root must be the object itself
            root = {**_resolve(reference, definitions), **root}
            del root["$ref"]
        fitted = _fit(root, definitions, count, level=1, inlining=())
        if fitted.get("type") != "object":
            raise _NotInSubset("the root is no object")
        kept = {
            name: _fit(body, definitions, count, level=1, inlining=(name,))
            for name, body in definitions.items()
        }
    # The last three: a schema that is none, which only the server can judge.
    except (_NotInSubset, RecursionError, AttributeError, KeyError, TypeError):
        return FittedSchema(schema=dict(schema), strict=False)
    used = _used(fitted, kept)
    if used:
        fitted["$defs"] = {name: body for name, body in kept.items() if name in used}
    if (
        count.properties > _LIMITS["properties"]
        or count.enum_values > _LIMITS["enum values"]
        or count.characters > _LIMITS["characters"]
    ):
        return FittedSchema(schema=dict(schema), strict=False)
    return FittedSchema(schema=fitted, strict=True)


def _fit(
    schema: Any, definitions: Mapping[str, Any], count: _Count, *, level: int, inlining: Any
) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or level > _LIMITS["levels"]:
        raise _NotInSubset("a boolean schema, or too many levels")
    schema = {key: value for key, value in schema.items() if key not in _DROPPED}
    schema = _merge_single_all_of(schema)
    if "$ref" in schema:
        return _fit_reference(schema, definitions, count, level=level, inlining=inlining)
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    _refuse_unsayable(schema)

    fitted = {key: value for key, value in schema.items() if key in _KEPT}
    moved = {key: value for key, value in schema.items() if key not in _KEPT}
    if moved.get("default", 0) is None:
        del moved["default"]
    if "pattern" in fitted and any(mark in fitted["pattern"] for mark in ("(?=", "(?!", "(?<")):
        moved["pattern"] = fitted.pop("pattern")
    if "format" in fitted and fitted["format"] not in _FORMATS:
        moved["format"] = fitted.pop("format")

    def inner(part: Any) -> dict[str, Any]:
        return _fit(part, definitions, count, level=level + 1, inlining=inlining)

    if fitted.get("type") == "object" or "properties" in fitted:
        _fit_object(fitted, inner, count)
    if fitted.get("type") == "array":
        if "items" not in fitted:
            raise _NotInSubset("an array of anything")
        fitted["items"] = inner(fitted["items"])
    if "anyOf" in fitted:
        # An anyOf opens no level of its own.
        fitted["anyOf"] = [
            _fit(part, definitions, count, level=level, inlining=inlining)
            for part in fitted["anyOf"]
        ]
    if "enum" in fitted:
        count.enum_values += len(fitted["enum"])
        count.characters += sum(len(str(value)) for value in fitted["enum"])
    if "const" in fitted:
        count.characters += len(str(fitted["const"]))
    if moved:
        notes = "; ".join(f"{key}: {_text(value)}" for key, value in moved.items())
        fitted["description"] = f"{fitted.get('description', '')} ({notes})".strip()
    return fitted


def _refuse_unsayable(schema: Mapping[str, Any]) -> None:
    if not _TYPE_KEYS & schema.keys():
        raise _NotInSubset("a value of any type")
    if isinstance(schema.get("type"), list) and {"object", "array"} & set(schema["type"]):
        raise _NotInSubset("a list of types that holds object or array")
    if {"prefixItems", "patternProperties", "unevaluatedProperties"} & schema.keys():
        raise _NotInSubset("tuples and free-form objects")


def _fit_object(fitted: dict[str, Any], inner: Any, count: _Count) -> None:
    extra = fitted.get("additionalProperties")
    properties = fitted.get("properties")
    # A model with extra="allow" loses its extras; a free-form object would lose everything.
    if isinstance(extra, Mapping) or (properties is None and extra is not False):
        raise _NotInSubset("an object with free names")
    properties = properties or {}
    count.properties += len(properties)
    count.characters += sum(len(name) for name in properties)
    fitted["type"] = "object"
    fitted["properties"] = {name: inner(part) for name, part in properties.items()}
    # Optional fields become required and not nullable: a model that cannot take null stays valid.
    fitted["required"] = list(properties)
    fitted["additionalProperties"] = False


def _fit_reference(
    schema: dict[str, Any],
    definitions: Mapping[str, Any],
    count: _Count,
    *,
    level: int,
    inlining: Any,
) -> dict[str, Any]:
    reference = schema.pop("$ref")
    target = _resolve(reference, definitions)
    beside = {key: value for key, value in schema.items() if not _empty_note(key, value)}
    name = reference.rpartition("/")[2]
    if not beside or name in inlining:
        # In a recursion what stands beside the reference has nowhere to go.
        return {"$ref": reference}
    merged = {**target, **beside}
    return _fit(merged, definitions, count, level=level, inlining=(*inlining, name))


def _empty_note(key: str, value: Any) -> bool:
    return key == "title" or (key == "default" and value is None)


def _resolve(reference: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    prefix = "#/$defs/"
    name = reference[len(prefix) :] if isinstance(reference, str) else ""
    target = definitions.get(name.replace("~1", "/").replace("~0", "~"))
    if not str(reference).startswith(prefix) or not isinstance(target, Mapping):
        raise _NotInSubset("a reference that leads elsewhere")
    return target


def _merge_single_all_of(schema: dict[str, Any]) -> dict[str, Any]:
    parts = schema.get("allOf")
    if parts is None:
        return schema
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    if len(parts) == 1 and isinstance(parts[0], Mapping) and not set(parts[0]) & set(rest):
        return {**parts[0], **rest}
    raise _NotInSubset("several schemas at once")


def _used(fitted: Mapping[str, Any], kept: Mapping[str, Any]) -> set[str]:
    """The definitions that the schema still points at; the others were inlined everywhere."""
    used: set[str] = set()
    waiting = [fitted]
    while waiting:
        text = json.dumps(waiting.pop())
        for name in kept.keys() - used:
            if json.dumps(f"#/$defs/{name}") in text:
                used.add(name)
                waiting.append(kept[name])
    return used


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
