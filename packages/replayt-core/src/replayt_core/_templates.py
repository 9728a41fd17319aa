"""Templates over data: `{name}` and `{name.field}`, and nothing that runs code.

A name is looked up in the context and a field in an object of it. There are no attributes, no
indexes, no format specs and no conversions; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import to_json

NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_-]{0,63}")
_PIECE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_MAX_FIELDS = 16

Path = tuple[str, ...]
"""A context key, and the fields that lead from it to a value."""
Lookup = Callable[[Path], JsonValue]


class TemplateError(ValueError):
    """A template is not of the form; the message says what and the remedy."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places for values."""

    parts: tuple[str | Path, ...]

    @property
    def paths(self) -> list[Path]:
        """The values that are used, each once."""
        return list(dict.fromkeys(part for part in self.parts if isinstance(part, tuple)))

    def text(self, lookup: Lookup) -> str:
        """The text with the values put in: texts as they are, all else as compact JSON."""
        return "".join(
            part if isinstance(part, str) else as_text(lookup(part)) for part in self.parts
        )

    def value(self, lookup: Lookup) -> JsonValue:
        """The value itself where the template is one placeholder and nothing else."""
        if len(self.parts) == 1 and isinstance(self.parts[0], tuple):
            return lookup(self.parts[0])
        return self.text(lookup)


def as_text(value: JsonValue) -> str:
    """A value as it stands in a text."""
    return value if isinstance(value, str) else to_json(value).decode()


def parse_template(text: str) -> Template:
    """The template of a text. Raises `TemplateError`."""
    return Template(tuple(_joined(_parts(text))))


def parse_path(text: str) -> Path:
    """`name` or `name.field`. Raises `TemplateError`."""
    shown = f"{{{text[:60] if text.isprintable() else ascii(text[:60])}}}"
    for sign, what in (("!", "conversions"), (":", "format specs"), ("[", "indexes")):
        if sign in text:
            raise TemplateError(f"{shown} has {what}, which templates do not; use {{name.field}}")
    path = tuple(text.split("."))
    if any(part.startswith("__") for part in path):
        raise TemplateError(f"{shown} names an attribute; templates see data only: use a field")
    if not all(map(NAME.fullmatch, path)) or len(path) > _MAX_FIELDS:
        raise TemplateError(
            f"{shown} is no name; use {{name}} or {{name.field}}, and {{{{ }}}} for braces"
        )
    return path


def _parts(text: str) -> Iterator[str | Path]:
    end = 0
    for piece in _PIECE.finditer(text):
        yield text[end : piece.start()]
        end = piece.end()
        found = piece[0]
        if found in ("{{", "}}"):
            yield found[0]
        elif len(found) == 1:
            raise TemplateError(f"a single {found} stands here; write {found * 2} for the brace")
        else:
            yield parse_path(found[1:-1])
    yield text[end:]


def _joined(parts: Iterator[str | Path]) -> Iterator[str | Path]:
    """The parts with neighbouring texts made one, and no empty text."""
    literal: list[str] = []
    for part in parts:
        if isinstance(part, str):
            literal.append(part)
            continue
        if any(literal):
            yield "".join(literal)
        literal.clear()
        yield part
    if any(literal):
        yield "".join(literal)
