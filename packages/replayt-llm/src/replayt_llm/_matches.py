"""Whether a value fits a JSON Schema: the judge of what the offline client answers.

Covers the assertions that Pydantic and the usual generators write. One that it does not know raises
`UnknownAssertion`, since silence would be a promise nobody keeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from replayt_llm._pattern import in_python

Schema = Mapping[str, Any] | bool
Resolve = Callable[[str], Schema]

_UNKNOWN = ("unevaluatedProperties", "unevaluatedItems", "dependentSchemas", "$dynamicRef")


class UnknownAssertion(Exception):
    """The schema holds an assertion that is not understood; the argument names it."""


def matches(value: Any, schema: Schema, resolve: Resolve) -> bool:
    """Whether `value` fits `schema`; `resolve` gives what a `$ref` points at."""
    if isinstance(schema, bool):
        return schema
    for name in _UNKNOWN:
        if name in schema:
            raise UnknownAssertion(name)
    if "$ref" in schema and not matches(value, resolve(schema["$ref"]), resolve):
        return False
    return (
        ("type" not in schema or _has_type(value, schema["type"]))
        and ("enum" not in schema or any(same(value, item) for item in schema["enum"]))
        and ("const" not in schema or same(value, schema["const"]))
        and _combines(value, schema, resolve)
        and (not isinstance(value, str) or _string(value, schema))
        and (not _is_number(value) or _number(value, schema))
        and (not isinstance(value, list) or _array(value, schema, resolve))
        and (not isinstance(value, dict) or _object(value, schema, resolve))
    )


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, and neither is true."""
    return _key(left) == _key(right)


def _key(value: Any) -> str:
    def plain(item: Any) -> Any:
        if isinstance(item, float) and item.is_integer():
            return int(item)
        if isinstance(item, dict):
            return {name: plain(part) for name, part in item.items()}
        return [plain(part) for part in item] if isinstance(item, list) else item

    return json.dumps(plain(value), sort_keys=True)


def _has_type(value: Any, types: Any) -> bool:
    for name in [types] if isinstance(types, str) else types:
        if name == "null" and value is None:
            return True
        if name == "boolean" and isinstance(value, bool):
            return True
        if name == "string" and isinstance(value, str):
            return True
        if name == "array" and isinstance(value, list):
            return True
        if name == "object" and isinstance(value, dict):
            return True
        if name == "number" and _is_number(value):
            return True
        if name == "integer" and _is_number(value) and float(value).is_integer():
            return True
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _combines(value: Any, schema: Mapping[str, Any], resolve: Resolve) -> bool:
    def fits(part: Schema) -> bool:
        return matches(value, part, resolve)

    if not all(fits(part) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(fits(part) for part in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(part) for part in schema["oneOf"]) != 1:
        return False
    if "not" in schema and fits(schema["not"]):
        return False
    if "if" in schema:
        return fits(schema.get("then" if fits(schema["if"]) else "else", True))
    return True


def _string(value: str, schema: Mapping[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    pattern = schema.get("pattern")
    return pattern is None or _found(pattern, value)


def _found(pattern: str, value: str) -> bool:
    compiled = in_python(pattern)
    if compiled is None:
        raise UnknownAssertion("pattern")
    return compiled.search(value) is not None


def _number(value: int | float, schema: Mapping[str, Any]) -> bool:
    if "minimum" in schema and value < schema["minimum"]:
        return False
    if "maximum" in schema and value > schema["maximum"]:
        return False
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return False
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return False
    step = schema.get("multipleOf")
    if step is None:
        return True
    if isinstance(step, float) or isinstance(value, float):
        # As strict as the strictest reader: no tolerance, whichever way the division goes.
        return float(value / step).is_integer()
    return bool(value % step == 0)


def _array(value: list[Any], schema: Mapping[str, Any], resolve: Resolve) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    if schema.get("uniqueItems") and len({_key(item) for item in value}) != len(value):
        return False
    first = schema.get("prefixItems", [])
    if not all(matches(item, part, resolve) for item, part in zip(value, first)):  # noqa: B905
        return False
    rest = schema.get("items", True)
    if not all(matches(item, rest, resolve) for item in value[len(first) :]):
        return False
    if "contains" in schema:
        found = sum(matches(item, schema["contains"], resolve) for item in value)
        return bool(schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)))
    return True


def _object(value: dict[str, Any], schema: Mapping[str, Any], resolve: Resolve) -> bool:
    if not all(name in value for name in schema.get("required", ())):
        return False
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    for name, others in schema.get("dependentRequired", {}).items():
        if name in value and not all(other in value for other in others):
            return False
    properties = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    names = schema.get("propertyNames", True)
    for name, part in value.items():
        if not matches(name, names, resolve):
            return False
        known = [properties[name]] if name in properties else []
        known += [body for pattern, body in patterns.items() if _found(pattern, name)]
        if not known:
            known = [schema.get("additionalProperties", True)]
        if not all(matches(part, body, resolve) for body in known):
            return False
    return True
