"""How many columns of a terminal a text takes: wide characters take two, combining ones none."""

from __future__ import annotations

import re
import unicodedata

_COLOUR = re.compile(r"\x1b\[[0-9]*m")
_WIDENS = "\N{VARIATION SELECTOR-16}"


def columns_of(text: str) -> int:
    """The columns that the text takes; colour takes none.

    What terminals do not agree on counts as the more, so that no line is longer than expected.
    """
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    return len(text) if text.isascii() else sum(map(_columns, text))


def fill(text: str, columns: int) -> str:
    """The text with spaces behind it, so that it takes so many columns."""
    return text + " " * (columns - columns_of(text))


def fill_left(text: str, columns: int) -> str:
    """The text with spaces before it, so that it takes so many columns."""
    return " " * (columns - columns_of(text)) + text


def fitting(text: str, columns: int) -> int:
    """How many of the first characters fit into so many columns."""
    if text.isascii():
        return min(len(text), columns)
    for end, char in enumerate(text):
        columns -= _columns(char)
        if columns < 0:
            return end
    return len(text)


def _columns(char: str) -> int:
    if char.isascii():
        return 1
    if char == _WIDENS:  # asks for the picture in place of the narrow letter before it
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
