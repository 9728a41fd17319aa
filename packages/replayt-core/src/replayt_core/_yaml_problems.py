"""What is wrong with a workflow file: collected with its places, told all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import NoReturn, Protocol

from replayt_core.errors import WorkflowFileError

MAX_PROBLEMS = 20
_LONGEST_WORD = 64
_MOST_WORDS = 500
_MOST_LISTED = 12


class Placed(Protocol):
    """Something that stands in the file."""

    @property
    def line(self) -> int:
        """The line, from 1."""

    @property
    def column(self) -> int:
        """The column, from 1."""


class Problems:
    """The problems of one file so far. After `MAX_PROBLEMS` the rest is only counted."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[tuple[int, int, str]] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether another problem would not be told in full."""
        return len(self._found) >= MAX_PROBLEMS

    def add(self, place: Placed, text: str) -> None:
        """Note what is wrong there and what to do."""
        if self.full:
            self.count()
        else:
            self._found.append((place.line, place.column, text))

    def count(self) -> None:
        """Note one problem more, which is not told: there is no need to say what it is."""
        self._more += 1

    def add_unknown(
        self, place: Placed, word: str, known: Iterable[str], what: str, remedy: str
    ) -> None:
        """Note a word that is none of the known ones, with the nearest of them."""
        meant = None if self.full else nearest(word, known)
        self.add(place, f"{what}; did you mean {meant!r}?" if meant else f"{what}; {remedy}")

    def stop(self, line: int, column: int, text: str) -> NoReturn:
        """Raise at once: what follows could not be read."""
        self._found.append((line, column, text))
        self._raise()

    def check(self) -> None:
        """Raises `WorkflowFileError` with all problems, where there are any."""
        if self._found:
            self._raise()

    def _raise(self) -> NoReturn:
        lines = [
            f"{self.source}:{line}:{column}: {text}"
            for line, column, text in sorted(self._found, key=_place)
        ]
        if self._more:
            lines.append(f"{self.source}: and {self._more} more problems; mend these first")
        raise WorkflowFileError(*lines) from None


def listed(words: Iterable[str]) -> str:
    """Words of the file in a line, the first of them where they are many."""
    first = [*islice(words, _MOST_LISTED + 1)]
    shown = [word if word.isprintable() else ascii(word) for word in first[:_MOST_LISTED]]
    more = ", …" if len(first) > _MOST_LISTED else ""
    return ", ".join(word[:_LONGEST_WORD] for word in shown) + more


def _place(problem: tuple[int, int, str]) -> tuple[int, int]:
    return problem[:2]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    if len(word) > _LONGEST_WORD:
        return None
    words = [item for item in islice(known, _MOST_WORDS) if len(item) <= _LONGEST_WORD]
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return found[0] if found else None
