"""JSON for programs: one document on stdout, ASCII only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from replayt_cli.render.text import echo

_ITEM = " " * 4


def dump(document: Any) -> str:
    """The document as indented JSON, everything but ASCII escaped; NaN becomes null."""
    try:
        return json.dumps(document, indent=2, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), indent=2, allow_nan=False)


def print_json(document: Any) -> None:
    """Print the document."""
    echo(dump(document))


def print_with_items(document: dict[str, Any], name: str, items: Iterable[Any]) -> None:
    """Print the document with one more member, a list, each of whose items is held only once.

    The text is that of `print_json`.
    """
    head = dump({**document, name: []}).removesuffix("[]\n}")
    waiting = None
    for item in items:
        echo(f"{head}[" if waiting is None else f"{waiting},")
        waiting = _ITEM + dump(item).replace("\n", f"\n{_ITEM}")
    echo(f"{head}[]\n}}" if waiting is None else f"{waiting}\n  ]\n}}")


def inline(value: Any) -> str:
    """A value on one line, for text output: texts as they are, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _finite(value: Any) -> Any:
    """Logs of others may hold NaN, which is no JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
