"""Values that fit a JSON Schema, drawn from a seeded generator.

`Sampler.sample` proposes by the shape of the schema and has `_matches` judge; what stays unfit
after some proposals is an error that names the place. Recursion ends because below a certain depth
each choice goes to the branch that can end soonest.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from typing import Any

from replayt_llm._formats import string_of_format
from replayt_llm._matches import Schema, UnknownAssertion, matches, same
from replayt_llm._merge import merge
from replayt_llm._numbers import Unsatisfiable, number_for
from replayt_llm._pattern import string_for

_TRIES = 40
_LEAN_DEPTH = 5
"""From this depth on nothing optional is made that would lead deeper."""
_HARD_DEPTH = 60
_MAX_ITEMS = 10_000


class Sampler:
    """Draws values for one schema document."""

    def __init__(self, schema: Mapping[str, Any], rng: random.Random) -> None:
        self._root = schema
        self._rng = rng
        self._heights: dict[str, float] = {}
        self._settle_heights()

    def sample(self) -> Any:
        """A value that fits. Raises `Unsatisfiable`."""
        return self._make(self._root, "$", 0)

    def resolve(self, reference: str) -> Schema:
        """What a `$ref` points at, within the document only."""
        node: Any = self._root
        if not reference.startswith("#"):
            raise Unsatisfiable(reference, "a reference out of the schema")
        for step in reference[1:].strip("/").split("/"):
            if not step:
                continue
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                raise Unsatisfiable(reference, "a reference to nothing")
        return node if isinstance(node, bool) else dict(node)

    # --- how deep a value must be at least -------------------------------------------------

    def _settle_heights(self) -> None:
        """Least depths of everything referenced, as a fixed point from "cannot end" downwards."""
        found: set[str] = set()
        waiting: list[Any] = [self._root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mapping):
                reference = node.get("$ref")
                if isinstance(reference, str):
                    found.add(reference)
                waiting.extend(node.values())
            elif isinstance(node, list):
                waiting.extend(node)
        self._heights = dict.fromkeys(found, math.inf)
        changed = True
        while changed:
            changed = False
            for reference in found:
                try:
                    height = self._height(self.resolve(reference))
                except Unsatisfiable:
                    continue
                if height < self._heights[reference]:
                    self._heights[reference] = height
                    changed = True

    def _height(self, schema: Schema) -> float:
        if isinstance(schema, bool):
            return 0
        height: float = 0
        if "$ref" in schema:
            height = max(height, 1 + self._heights.get(schema["$ref"], math.inf))
        for part in schema.get("allOf", ()):
            height = max(height, self._height(part))
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                height = max(height, min(self._height(part) for part in schema[name]))
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            height = max(height, 1 + self._height(properties.get(name, True)))
        if schema.get("minItems", 0) > 0:
            inner = [*schema.get("prefixItems", ()), schema.get("items", True)]
            height = max(height, 1 + max(self._height(part) for part in inner))
        return height

    # --- proposals and judgement -----------------------------------------------------------

    def _make(self, schema: Schema, path: str, depth: int) -> Any:
        if schema is False:
            raise Unsatisfiable(path, "nothing fits here")
        if schema is True or not schema:
            return "offline"
        if depth > _HARD_DEPTH:
            raise Unsatisfiable(path, "the schema recurses without end")
        problem: Unsatisfiable | None = None
        try:
            examples = schema.get("examples")
            told = examples if isinstance(examples, list) else []
            if fitting := [item for item in told if matches(item, schema, self.resolve)]:
                return self._rng.choice(fitting)
            for attempt in range(_TRIES):
                try:
                    value = self._propose(schema, path, depth, attempt)
                except Unsatisfiable as exc:
                    problem = exc
                    if attempt >= 3:
                        break
                    continue
                if matches(value, schema, self.resolve):
                    return value
            if "default" in schema and matches(schema["default"], schema, self.resolve):
                return schema["default"]
        except UnknownAssertion as exc:
            raise Unsatisfiable(path, f"{exc} is not understood") from None
        keywords = ", ".join(name for name in schema if name not in ("title", "description"))
        raise problem or Unsatisfiable(path, f"found no value that fits {keywords}")

    def _propose(  # noqa: PLR0911 - one return for each way to a value
        self, schema: Mapping[str, Any], path: str, depth: int, attempt: int
    ) -> Any:
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            fitting = [item for item in schema["enum"] if matches(item, schema, self.resolve)]
            if not fitting:
                raise Unsatisfiable(path, "no value of the enum fits")
            return self._rng.choice(fitting)
        if "$ref" in schema or "allOf" in schema:
            return self._make_merged(schema, path, depth)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                return self._make_branch(schema, name, path, depth, attempt)
        if "if" in schema:
            return self._make_conditional(schema, path, depth, attempt)
        kind = self._type_of(schema, depth)
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._array(schema, path, depth)
        if kind == "string":
            return self._string(schema, path, attempt)
        if kind in ("integer", "number"):
            return number_for(schema, self._rng, path, whole=kind == "integer")
        if kind == "boolean":
            return self._rng.random() < 0.5
        return None

    def _make_merged(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        merged: dict[str, Any] = {
            key: schema[key] for key in schema if key not in ("$ref", "allOf")
        }
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            reference = schema["$ref"]
            try:
                parts.append(self.resolve(reference))
            except Unsatisfiable as exc:
                raise Unsatisfiable(path, f"{reference} is {exc.problem}") from None
            if self._heights.get(reference, math.inf) == math.inf:
                raise Unsatisfiable(path, "the schema recurses without end")
        for part in parts:
            if isinstance(part, bool):
                if not part:
                    raise Unsatisfiable(path, "nothing fits here")
                continue
            merged = merge(merged, part)
        return self._make(merged, path, depth + 1)

    def _make_branch(
        self, schema: Mapping[str, Any], name: str, path: str, depth: int, attempt: int
    ) -> Any:
        branches = [part for part in schema[name] if part is not False]
        heights = [self._height(part) for part in branches]
        if not branches or min(heights) == math.inf:
            raise Unsatisfiable(path, "no branch can end")
        if depth >= _LEAN_DEPTH:
            best = min(heights)
            branches = [p for p, h in zip(branches, heights) if h == best]  # noqa: B905
        else:
            branches = [p for p, h in zip(branches, heights) if h < math.inf]  # noqa: B905
            told = [part for part in branches if not _is_null(part)]
            branches = told or branches  # an answer says more than none
        branches = _without_bare_string(branches)
        if attempt == 0:
            chosen = self._rng.choice(branches)
        else:  # whatever was wrong with the last one, try another
            chosen = branches[(attempt - 1) % len(branches)]
        rest = {key: value for key, value in schema.items() if key not in (name, "discriminator")}
        return self._make(merge(rest, chosen if chosen is not True else {}), path, depth + 1)

    def _make_conditional(
        self, schema: Mapping[str, Any], path: str, depth: int, attempt: int
    ) -> Any:
        rest = {key: val for key, val in schema.items() if key not in ("if", "then", "else")}
        if attempt % 2 == 0:
            for name in ("if", "then"):
                part = schema.get(name, True)
                rest = merge(rest, part if isinstance(part, Mapping) else {})
        else:
            part = schema.get("else", True)
            rest = merge(rest, part if isinstance(part, Mapping) else {})
        return self._make(rest, path, depth + 1)

    def _type_of(self, schema: Mapping[str, Any], depth: int) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            told = [name for name in named if name != "null"]
            if depth >= _LEAN_DEPTH and "null" in named:
                return "null"
            return str(self._rng.choice(told or ["null"]))
        if isinstance(named, str):
            return named
        hints = {
            "object": ("properties", "additionalProperties", "required", "patternProperties"),
            "array": ("items", "prefixItems", "minItems", "contains"),
            "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        }
        for kind, names in hints.items():
            if any(name in schema for name in names):
                return kind
        return "string"

    # --- the kinds of values ---------------------------------------------------------------

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        properties = schema.get("properties", {})
        required = list(schema.get("required", ()))
        most = schema.get("maxProperties", math.inf)
        names = required + [name for name in properties if name not in required]
        for name in names:
            part = properties.get(name)
            if part is None:
                part = self._extra_schema(schema)
            optional = name not in required
            if optional:
                height = self._height(part)
                lean = depth >= _LEAN_DEPTH and height > 0
                if lean or part is False or height == math.inf or len(made) >= most:
                    continue
            try:
                made[name] = self._make(part, f"{path}.{name}", depth + 1)
            except Unsatisfiable:
                if not optional:
                    raise
        free = not properties and depth < _LEAN_DEPTH and self._describes_extras(schema)
        fewest = max(schema.get("minProperties", 0), 1 if free else 0)
        for index in range(1_000):
            if len(made) >= min(fewest, most):
                break
            key = self._key(schema, path, index)
            if key not in made:
                made[key] = self._make(self._extra_schema(schema, key), f"{path}.{key}", depth + 1)
        order = {name: place for place, name in enumerate(properties)}
        return dict(sorted(made.items(), key=lambda pair: order.get(pair[0], len(order))))

    @staticmethod
    def _describes_extras(schema: Mapping[str, Any]) -> bool:
        return isinstance(schema.get("additionalProperties"), Mapping) or bool(
            schema.get("patternProperties")
        )

    def _extra_schema(self, schema: Mapping[str, Any], key: str | None = None) -> Schema:
        patterns = schema.get("patternProperties")
        if patterns and key is not None:
            for part in patterns.values():
                return part  # type: ignore[no-any-return]
        extra: Schema = schema.get("additionalProperties", True)
        return extra

    def _key(self, schema: Mapping[str, Any], path: str, index: int) -> str:
        if "propertyNames" in schema:
            names = schema["propertyNames"]
            if isinstance(names, Mapping):
                key = self._make({"type": "string", **names}, f"{path}.*", 0)
                return str(key)
        for pattern in schema.get("patternProperties", ()):
            found = string_for(pattern, self._rng, low=1, high=None)
            if found is not None:
                return found
        return f"offline_{index + 1}"

    def _array(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        first = list(schema.get("prefixItems", ()))
        rest = schema.get("items", True)
        fewest = schema.get("minItems", 0)
        most = min(schema.get("maxItems", math.inf), _MAX_ITEMS)
        if fewest > _MAX_ITEMS:
            raise Unsatisfiable(path, f"more than {_MAX_ITEMS} items")
        wanted = fewest
        if depth < _LEAN_DEPTH and rest is not False and self._height(rest) < math.inf:
            wanted = min(most, max(fewest, len(first), 1 if first else self._rng.randint(1, 2)))
        if rest is False:
            wanted = min(wanted if wanted >= fewest else fewest, len(first))
            wanted = max(wanted, min(len(first), most)) if depth < _LEAN_DEPTH else wanted
        made: list[Any] = []
        for tries in range(int(wanted) * 4 + 100):
            if len(made) >= wanted:
                break
            index = len(made)
            if index == 0 and "contains" in schema and not first:
                part = merge({}, schema["contains"]) if schema["contains"] is not True else {}
            else:
                part = first[index] if index < len(first) else rest
            item = self._make(part, f"{path}[{index}]", depth + 1)
            if schema.get("uniqueItems") and any(same(item, other) for other in made):
                if len(made) >= fewest and tries > wanted + 20:
                    break
                continue
            made.append(item)
        return made

    def _string(self, schema: Mapping[str, Any], path: str, attempt: int) -> str:
        low = int(schema.get("minLength", 0))
        high = schema.get("maxLength")
        high = None if high is None else int(high)
        if "pattern" in schema:
            made = string_for(schema["pattern"], self._rng, low=low, high=high)
            if made is None:
                raise Unsatisfiable(path, "found no string that fits the pattern")
            return made
        if schema.get("contentMediaType") == "application/json" and "contentSchema" in schema:
            return json.dumps(self._make(schema["contentSchema"], path, 0))
        if "format" in schema:
            formatted = string_of_format(schema["format"], self._rng, most=high)
            if formatted is not None:
                return formatted
        name = path.rpartition(".")[2].partition("[")[0]
        label = f"offline {name}" if name not in ("$", "*") else "offline"
        text = f"{label} {self._rng.getrandbits(16):04x}"
        if high is not None and len(text) > high:
            # Too short for the label: letters that differ, so that unique items stay possible.
            text = "".join(self._rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(high))
        padding = " offline" * (-(-max(0, low - len(text)) // 8))
        return (text + padding)[:high]


def _without_bare_string(branches: list[Any]) -> list[Any]:
    """Beside a number, a string without any rule is how Pydantic writes the text of a Decimal."""
    if not any(isinstance(part, Mapping) and part.get("type") == "number" for part in branches):
        return branches
    rules = {"type", "title", "description"}
    return [
        part
        for part in branches
        if not (isinstance(part, Mapping) and part.get("type") == "string" and part.keys() <= rules)
    ]


def _is_null(schema: Schema) -> bool:
    return isinstance(schema, Mapping) and (
        schema.get("type") == "null" or schema.get("const", 0) is None
    )
