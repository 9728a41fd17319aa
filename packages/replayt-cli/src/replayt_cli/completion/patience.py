"""How long a completion may take: a person waits for it in the middle of a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_SECONDS = 0.6
"""With the start of the program and a list of names, about a second."""
_T = TypeVar("_T")


class TimeUp(Exception):
    """Nobody waits longer for a completion."""


class Patience:
    """Begins when it is made. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + _SECONDS

    def progress(self, done: int, of: int) -> None:
        """To be told how far something is. Raises `TimeUp` while there is more to do."""
        if done < of:
            self._look()

    def over(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items. Raises `TimeUp` between two of them."""
        for item in items:
            self._look()
            yield item

    def _look(self) -> None:
        if self._clock() > self._end:
            raise TimeUp
