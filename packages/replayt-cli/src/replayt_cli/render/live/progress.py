"""A progress bar on stderr, where a person is looking."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from replayt_cli.render.live.line import TerminalLine
from replayt_cli.render.text import is_terminal

_BAR = 24
_STEPS = 200


class Progress:
    """How far something is; on a terminal a line says it, and goes when it is done."""

    def __init__(self, label: str, total: int = 0) -> None:
        self._label = label
        self._total = total
        self.done = 0
        self._drawn = 0
        self._shown = is_terminal(sys.stderr)
        self._line = TerminalLine(sys.stderr)

    @classmethod
    @contextmanager
    def of(cls, label: str) -> Iterator[Progress]:
        """A bar that is taken away at the end, whatever the end is."""
        progress = cls(label)
        try:
            yield progress
        finally:
            progress.clear()

    def step(self) -> None:
        """One more is done."""
        self.show(self.done + 1, self._total)

    def show(self, done: int, total: int) -> None:
        """So many are done, of so many."""
        self.done, self._total = done, total
        if self._shown and total > 1 and done - self._drawn >= max(total // _STEPS, 1):
            self._draw()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Room for a line of output where the bar stands."""
        self.clear()
        yield
        if self._drawn:
            self._draw()

    def clear(self) -> None:
        """Take the bar away."""
        self._line.clear()

    def _draw(self) -> None:
        self._drawn = self.done
        filled = _BAR * self.done // max(self._total, self.done, 1)
        bar = "#" * filled + "." * (_BAR - filled)
        self._line.draw(f"{self._label} [{bar}] {self.done}/{self._total}")
