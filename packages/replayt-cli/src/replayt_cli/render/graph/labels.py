"""The text inside the boxes of a drawn graph: short lines that stay distinct."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from replayt_cli.render.text import escape

LINE_COLUMNS = 26
MOST_LINES = 3
_BREAK_BEHIND = " _-./:"


def box_labels(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The lines to write for each name.

    Invisible characters are shown as escapes, long names are broken and cut in the middle. Names
    that would read the same get a number, so that no two boxes look like one state.
    """
    labels: dict[str, tuple[str, ...]] = {}
    used: set[tuple[str, ...]] = set()
    for name in names:
        shown = escape(name) or "(empty)"
        lines, number = _lines(shown), 1
        while lines in used:
            number += 1
            lines = (*_lines(shown)[: MOST_LINES - 1], f"#{number}")
        used.add(lines)
        labels[name] = lines
    return labels


def columns_of(text: str) -> int:
    """How many columns a text takes in a monospaced font."""
    return sum(0 if unicodedata.combining(char) else 2 if _is_wide(char) else 1 for char in text)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _lines(text: str) -> tuple[str, ...]:
    fits = LINE_COLUMNS * MOST_LINES - 1
    if columns_of(text) > fits:
        half = fits // 4
        text = f"{text[:half]}…{text[-half:]}"
    lines = []
    while columns_of(text) > LINE_COLUMNS:
        end = _break_at(text)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return (*lines, text)


def _break_at(text: str) -> int:
    """Where to break: behind the last separator that fits, else where the line is full."""
    taken = end = 0
    for index, char in enumerate(text):
        taken += columns_of(char)
        if taken > LINE_COLUMNS:
            break
        if char in _BREAK_BEHIND and index >= LINE_COLUMNS // 3:
            end = index + 1
    return end or max(index, 1)
