"""The types of the format: `string`, `[integer]`, `{enum: [...]}`, nested objects -> Python types.

Structured outputs are validated by a Pydantic model made of them, like those of a Python workflow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model

from replayt_core._templates import Path
from replayt_core._yaml_nodes import ListNode, MapNode, Node, TextNode
from replayt_core._yaml_problems import Problems
from replayt_core._yaml_values import is_json_word, kind_of, read_flag, read_name, read_text

_SCALARS: dict[str, type] = {"string": str, "integer": int, "float": float, "boolean": bool}
OUTPUT_WORDS = tuple(_SCALARS)
"""The words for types that a model can be asked for."""
INPUT_WORDS = (*_SCALARS, "list", "object", "any")
"""The words for types that a step can require."""
TYPE_KEYS = ("type", "enum", "items", "fields", "optional", "description")

_OTHER_WORDS = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "number": "float",
    "double": "float",
    "bool": "boolean",
    "array": "list",
    "dict": "object",
    "mapping": "object",
}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_STRICT = ConfigDict(allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeSpec:
    """One type as it was declared."""

    kind: str
    item: TypeSpec | None = None
    fields: Mapping[str, TypeSpec] = field(default_factory=dict)
    values: tuple[str | int, ...] = ()
    optional: bool = False
    description: str | None = None

    def at(self, path: Path) -> TypeSpec | None:
        """The type of a field in it. Raises `KeyError` where there can be no such field."""
        if not path:
            return self
        if self.is_open:
            return None
        return self.fields[path[0]].at(path[1:])

    @property
    def is_open(self) -> bool:
        """Whether it may have fields that it does not declare."""
        return self.kind == "any" or (self.kind == "object" and not self.fields)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """All that a branch may find here, as text; None where that is not known."""
        known = ("true", "false") if self.kind == "boolean" else tuple(map(str, self.values))
        if not known:
            return None
        return (*known, "null") if self.optional else known


def read_type(node: Node, problems: Problems, what: str, words: tuple[str, ...]) -> TypeSpec | None:
    """The type that a node declares; None where it is none, which is a problem then."""
    if isinstance(node, TextNode):
        return _word(node, problems, what, words)
    if isinstance(node, ListNode):
        if len(node.items) == 1:
            item = read_type(node.items[0], problems, f"the items of {what}", words)
            return TypeSpec(kind="list", item=item) if item else None
        problems.add(node, f"{what} lists {len(node.items)} types; write [string], or enum: [...]")
        return None
    return _long_form(cast(MapNode, node), problems, what, words)


def read_fields(
    node: Node, problems: Problems, what: str, words: tuple[str, ...]
) -> dict[str, TypeSpec]:
    """Names and their types."""
    if not isinstance(node, MapNode) or not node.pairs:
        problems.add(node, f"{what} is {kind_of(node)}; write a mapping of names to types")
        return {}
    found: dict[str, TypeSpec] = {}
    for key, value in node.pairs:
        name = read_name(key, problems, f"a field of {what}")
        spec = read_type(value, problems, f"{key.text!r:.80}", words)
        if name is not None and spec is not None:
            found[name] = spec
    return found


def _word(node: TextNode, problems: Problems, what: str, words: tuple[str, ...]) -> TypeSpec | None:
    if node.text in words:
        return TypeSpec(kind=node.text)
    other = _OTHER_WORDS.get(node.text.lower())
    known = f"use {', '.join(words)}, [TYPE] or {{enum: [...]}}"
    text = f"the type of {what} is {node.text!r:.60}"
    if other in words:
        problems.add(node, f"{text}; did you mean {other!r}?")
    elif other or node.text in INPUT_WORDS:
        problems.add(node, f"{text}, which does not say what is in it; {known}, or fields: {{...}}")
    else:
        problems.add_unknown(node, node.text, words, text, known)
    return None


def _long_form(
    node: MapNode, problems: Problems, what: str, words: tuple[str, ...]
) -> TypeSpec | None:
    parts = {key.text: value for key, value in node.pairs}
    if not parts.keys() & {"type", "enum", "items", "fields"}:
        problems.add(
            node, f"{what} names no type; write type, enum or items, or nest: fields: {{...}}"
        )
        return None
    for key, _ in node.pairs:
        if key.text not in TYPE_KEYS:
            problems.add_unknown(
                key,
                key.text,
                TYPE_KEYS,
                f"unknown key {key.text!r:.80} in the type of {what}",
                f"use {', '.join(TYPE_KEYS)}; nested fields stand under `fields`",
            )
    optional = "optional" in parts and read_flag(parts["optional"], problems, "`optional`")
    description = None
    if "description" in parts:
        description = read_text(parts["description"], problems, "`description`")
    kind = _kind(node, parts, problems, what)
    more: dict[str, Any] = {"optional": optional, "description": description}
    if kind is None:
        return None
    if "enum" in parts:
        values = _values(parts["enum"], kind, problems, what)
        return TypeSpec(kind=kind, values=values, **more) if values else None
    if "items" in parts:
        item = read_type(parts["items"], problems, f"the items of {what}", words)
        return TypeSpec(kind=kind, item=item, **more) if item else None
    if "fields" in parts:
        return TypeSpec(
            kind=kind, fields=read_fields(parts["fields"], problems, what, words), **more
        )
    plain = read_type(parts["type"], problems, what, words)
    return TypeSpec(kind=kind, **more) if plain else None


def _kind(node: MapNode, parts: dict[str, Node], problems: Problems, what: str) -> str | None:
    """The type that the keys agree on."""
    implied = [
        kind
        for key, kind in (("enum", "string"), ("items", "list"), ("fields", "object"))
        if key in parts
    ]
    if len(implied) > 1:
        problems.add(node, f"{what} has more than one of enum, items and fields; keep one")
        return None
    if "type" not in parts:
        return implied[0]
    stated = parts["type"]
    kind = stated.text if isinstance(stated, TextNode) else ""
    fits = {"enum": ("string", "integer"), "items": ("list",), "fields": ("object",)}
    for key, kinds in fits.items():
        if key in parts and kind not in kinds:
            problems.add(
                stated, f"{what} has `{key}`, which goes with type {' or '.join(kinds)} alone"
            )
            return None
    return kind


def _values(node: Node, kind: str, problems: Problems, what: str) -> tuple[str | int, ...]:
    if not isinstance(node, ListNode) or not node.items:
        problems.add(node, f"the enum of {what} is {kind_of(node)}; write a list of values")
        return ()
    found: dict[str | int, None] = {}
    for item in node.items:
        if not isinstance(item, TextNode) or not item.text:
            problems.add(item, f"a value of {what} is {kind_of(item)}; write a text")
        elif kind == "integer":
            if not item.plain or not _INTEGER.fullmatch(item.text):
                problems.add(
                    item, f"{item.text!r:.60} in the enum of {what} is no integer; write 1, 2, -3"
                )
            else:
                _add(found, int(item.text), item, problems, what)
        elif is_json_word(item):
            problems.add(
                item,
                f"{item.text!r:.60} in the enum of {what} is no text; quote it, or say "
                "type: integer",
            )
        else:
            _add(found, item.text, item, problems, what)
    return tuple(found)


def _add(
    found: dict[str | int, None], value: str | int, node: TextNode, problems: Problems, what: str
) -> None:
    if value in found:
        problems.add(node, f"{node.text!r:.60} stands twice in the enum of {what}; delete one")
    found[value] = None


def make_model(name: str, fields: Mapping[str, TypeSpec]) -> type[BaseModel]:
    """The Pydantic model of declared fields.

    A field of it has a name of ours and the declared one as its alias, so that a field may be
    called `copy` or `model_id`.
    """
    made: dict[str, Any] = {}
    for index, (key, spec) in enumerate(fields.items()):
        kind = python_type(spec, f"{name}_{key}")
        about = {"alias": key, "title": key, "description": spec.description}
        default = None if spec.optional else ...
        made[f"field_{index}"] = (kind, Field(default, **cast("dict[str, Any]", about)))
    return create_model(name[:64], __config__=_STRICT, **made)


def python_type(spec: TypeSpec, name: str) -> Any:
    """The Python type that a declared one stands for; `name` is that of a nested model."""
    kind: Any
    if spec.values:
        kind = Literal[spec.values]
    elif spec.fields:
        kind = make_model(name, spec.fields)
    elif spec.item is not None:
        kind = list[python_type(spec.item, f"{name}_item")]  # type: ignore[misc]  # made at run time
    else:
        others = {"list": list[JsonValue], "object": dict[str, JsonValue], "any": Any}
        kind = {**_SCALARS, **others}[spec.kind]
    return Optional[kind] if spec.optional else kind  # noqa: UP045 made at run time
