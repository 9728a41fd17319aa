"""A progress bar on stderr, where a person is looking."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from replayt_cli.render.text import is_terminal

_BAR = 24
_STEPS = 200


class Progress:
    """Counts steps; on a terminal a line says how far it is, and goes when it is done."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._every = max(total // _STEPS, 1)
        self._shown = is_terminal(sys.stderr) and total > 1

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._shown and self._done % self._every == 0:
            self._draw()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Room for a line of output where the bar stands."""
        self.clear()
        yield
        if self._shown:
            self._draw()

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._write("\r\x1b[K")

    def _draw(self) -> None:
        filled = _BAR * self._done // self._total
        bar = "#" * filled + "." * (_BAR - filled)
        line = f"{self._label} [{bar}] {self._done}/{self._total}"
        columns = max(shutil.get_terminal_size((80, 24)).columns - 1, 1)
        self._write(f"\r{line[:columns]}")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
