"""JSON for programs: one document on stdout, ASCII only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from replayt_cli.render.text import echo

_ITEM = " " * 4
_BLOCK = 1 << 16
_NOT_PLAIN = re.compile(r"[^\x00-\x7e]")


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
    """Print the document with one more member, a list, each of whose items is held only briefly."""
    head = dump({**document, name: []}).removesuffix("[]\n}")
    block, size, any_item = [f"{head}["], 0, False
    for item in items:
        text = _ITEM + quick_dump(item, indent=2).replace("\n", f"\n{_ITEM}")
        if any_item:
            block[-1] += ","
        any_item = True
        if size > _BLOCK:
            echo("\n".join(block))
            block, size = [], 0
        block.append(text)
        size += len(text)
    echo("\n".join(block) + "\n  ]\n}" if any_item else f"{head}[]\n}}")


def quick_dump(document: Any, *, indent: int | None = None) -> str:
    """As `dump`, for many documents: on one line unless `indent` is given, and seven times as fast.

    Only numbers may be written in another way than there: 1e16 for 1e+16.
    """
    from pydantic_core import to_json

    try:
        text = to_json(document, indent=indent, inf_nan_mode="null").decode()
    except ValueError:  # a lone surrogate
        return json.dumps(_finite(document), indent=indent)
    if "NaN" in text or "Infinity" in text:  # the oldest pydantic writes them in spite of the mode
        return json.dumps(_finite(document), indent=indent)
    # Outside of its texts JSON has ASCII alone.
    return text if text.isascii() and "\x7f" not in text else _NOT_PLAIN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f"


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
