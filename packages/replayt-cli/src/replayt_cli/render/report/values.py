"""Values of a log as text for the page: JSON, times, sizes; and how much of it a page takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MOST_CHARACTERS = 16_000
"""The most that is shown of one text."""
_PAGE_BYTES = 2_000_000
"""What all long texts of a page may take; behind that only their beginnings are shown."""
_SHORT_CHARACTERS = 240
_INLINE_CHARACTERS = 72


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as far as the page shows it; `rest` counts the characters that it leaves out."""

    text: str
    rest: int = 0


class Allowance:
    """How much text the page still takes: a long log makes short excerpts, not a huge page."""

    def __init__(self, size: int = _PAGE_BYTES) -> None:
        self._left = size
        self.cut = 0
        """How many texts were cut."""

    def take(self, text: str) -> Shown:
        """The text, or its beginning where it is too long or the page is full."""
        most = MOST_CHARACTERS if self._left > 0 else _SHORT_CHARACTERS
        self.cut += len(text) > most
        return self.excerpt(text, most)

    def excerpt(self, text: str, most: int) -> Shown:
        """The beginning of a text that the page has in another place."""
        shown = text if len(text) <= most else text[:most]
        self._left -= len(shown.encode(errors="replace")) + 4 * sum(map(shown.count, "<>&"))
        return Shown(shown, len(text) - len(shown))


def json_text(value: Any) -> str:
    """A value for reading: a text as it is, what is short on one line, the rest indented."""
    if isinstance(value, str):
        return value
    try:
        return "\n".join(_lines(value))
    except RecursionError:
        return "(nested too deeply to be shown)"


def _lines(value: Any) -> list[str]:
    """A value as JSON: an object or array whose parts fit on a line together stands on one."""
    if isinstance(value, dict):
        parts = [(f"{_scalar(str(key))}: ", _lines(item)) for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list | tuple):
        parts = [("", _lines(item)) for item in value]
        brackets = "[]"
    else:
        return [_scalar(value)]
    if all(len(lines) == 1 for _key, lines in parts):
        line = ", ".join(key + lines[0] for key, lines in parts)
        if len(line) + 2 <= _INLINE_CHARACTERS:
            return [f"{brackets[0]}{line}{brackets[1]}"]
    indented = [brackets[0]]
    for key, lines in parts:
        indented.append(f"  {key}{lines[0]}")
        indented += [f"  {line}" for line in lines[1:]]
        indented[-1] += ","
    indented[-1] = indented[-1].removesuffix(",")
    return [*indented, brackets[1]]


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def compact(value: Any) -> str:
    """A value as JSON on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    except RecursionError:
        return "(nested too deeply to be shown)"


def duration_text(seconds: float) -> str:
    """A time span in the units that people read it in."""
    if 0 < seconds < 0.001:
        return "< 1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours} h"


def mapping(value: Any) -> dict[str, Any]:
    """The value, if it is an object of JSON."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value, if it is an array of JSON."""
    return value if isinstance(value, list) else []
