"""Two schemas as one, for the sampler's proposals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replayt_llm._matches import same


def merge(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas at once, as far as a proposal needs it; the judge has the exact word."""
    merged = dict(left)
    for key, value in right.items():
        if key not in merged or key in ("title", "description", "default"):
            merged.setdefault(key, value)
        elif key == "properties":
            both = dict(merged[key])
            for name, part in value.items():
                both[name] = {"allOf": [both[name], part]} if name in both else part
            merged[key] = both
        elif key == "required":
            merged[key] = [*merged[key], *(name for name in value if name not in merged[key])]
        elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
            merged[key] = max(merged[key], value)
        elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
            merged[key] = min(merged[key], value)
        elif key == "enum":
            merged[key] = [item for item in merged[key] if any(same(item, v) for v in value)]
        elif key == "items" and isinstance(value, Mapping) and isinstance(merged[key], Mapping):
            merged[key] = {"allOf": [merged[key], value]}
        elif key == "type":
            merged[key] = _common_type(merged[key], value)
        elif key == "allOf":
            merged[key] = [*merged[key], *value]
        elif key in ("anyOf", "oneOf", "$ref"):
            merged["allOf"] = [*merged.get("allOf", ()), {key: value}]
        elif key == "additionalProperties" and value is False:
            merged[key] = False
    return merged


def _common_type(left: Any, right: Any) -> Any:
    one = [left] if isinstance(left, str) else list(left)
    two = [right] if isinstance(right, str) else list(right)
    if "number" in one and "integer" in two:
        one.append("integer")
    if "integer" in one and "number" in two:
        two.append("integer")
    common = [name for name in one if name in two]
    return (common[0] if len(common) == 1 else common) or left
