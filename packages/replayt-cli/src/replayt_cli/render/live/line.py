"""The one line of a terminal that is drawn again and again, and taken away at the end.

It is drawn with carriage returns and spaces alone: no escape sequence, so it is the same where
`NO_COLOR` is set, in an old console, and when the process is killed, for nothing was switched off.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from replayt_cli.render.columns import columns_of
from replayt_cli.render.text import cut

_ECHO = len("^C")
"""What a terminal writes behind the line by itself."""


class TerminalLine:
    """A line on `stream`. `write` is how text gets there."""

    def __init__(self, stream: TextIO, write: Callable[[str], object] | None = None) -> None:
        self._stream = stream
        self._write = write or stream.write
        self._drawn = 0

    @property
    def drawn(self) -> bool:
        """Whether it stands there."""
        return self._drawn > 0

    def draw(self, text: str) -> None:
        """Show the text in the place of what was drawn before, cut to the width."""
        room = columns_on(self._stream) - 1  # in the last column the cursor would wrap
        shown = cut(text, room)
        size = columns_of(shown)
        rest = " " * max(min(self._drawn, room) - size, 0)
        self._send(f"\r{shown}{rest}")
        self._drawn = max(size, 1)

    def clear(self) -> None:
        """Take the line away; the cursor stands where it began."""
        if self._drawn:
            blank = " " * min(self._drawn + _ECHO, columns_on(self._stream) - 1)
            self._send(f"\r{blank}\r")
            self._drawn = 0

    def _send(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._write(text)
            self._stream.flush()


def columns_on(stream: TextIO) -> int:
    """How wide the terminal behind the stream is now; 80 where it does not say."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    return max(columns or shutil.get_terminal_size((80, 24)).columns, 2)
