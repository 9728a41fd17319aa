"""`replayt` in a fork that a test asks for itself, without a program on PATH.

So it has its process id, can close streams, and can give it a terminal. It differs from a fresh
interpreter in that everything is imported already, and each parser made: what is said about
imports, or about what Python itself makes of closed streams, needs a real start.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from socket import socket

from tests.forked.client import START_IT_YOURSELF, answer, ask
from tests.forked.programs import served


class Forked:
    """A process whose parent the server is. It ends with this, unless it did before."""

    def __init__(self, server: socket) -> None:
        self._server = server
        self.close = weakref.finalize(self, server.close)
        self.pid = answer(server)
        assert self.pid != START_IT_YOURSELF, "a server with other variables was asked"
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(BlockingIOError):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None) -> int:
        """Its exit code, or the number of the signal that ended it, below 0."""
        if self.returncode is None:
            self._server.settimeout(timeout)
            self.returncode = answer(self._server)
            self.close()
        return self.returncode


def fork(
    *words: str,
    directory: Path,
    env: Mapping[str, str],
    streams: tuple[int | None, int | None, int | None],
    terminal: bool = False,
) -> Forked:
    """`replayt` with these words; `streams` are its first three descriptors, which stay ours too.

    One that is None is closed. With `terminal`, the first becomes the terminal that controls it.
    """
    server = ask(
        str(served(env)),
        ["python", "-m", "replayt_cli", *words],
        directory=str(directory),
        environment=env,
        streams={number: given for number, given in enumerate(streams) if given is not None},
        terminal=terminal,
    )
    return Forked(server)
