"""Processes for the store kit: forked, since a factory may be a closure that nothing can pickle."""

from __future__ import annotations

import os
import select
import signal
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from replayt_core.testing._store_case import ContractViolation

# By name, since not every system has them.
FORK: Callable[[], int] | None = getattr(os, "fork", None)
_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
PATIENCE = 60.0
"""Seconds after which a process that says nothing counts as hanging."""


def processes_are_missing() -> str:
    """Why the kit cannot start processes here; nothing when it can."""
    return "" if FORK else "this system has no fork, so the kit cannot kill a writer"


class Line:
    """One end of a conversation in lines between the kit and a process that it forked."""

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end = read_end
        self._write_end = write_end
        self._buffer = b""

    def say(self, text: str) -> None:
        """Send a line. It is out when this returns."""
        os.write(self._write_end, text.encode("ascii", "backslashreplace") + b"\n")

    def hear(self) -> str | None:
        """The next line; None when the other end has gone."""
        while b"\n" not in self._buffer:
            if not select.select([self._read_end], [], [], PATIENCE)[0]:
                raise ContractViolation(f"a writing process said nothing for {PATIENCE:g} s")
            chunk = os.read(self._read_end, 65_536)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.decode("ascii")
        if text.startswith("!"):
            raise ContractViolation(f"a writing process failed: {text[1:]}")
        return text

    def close(self) -> None:
        """End the conversation from this side."""
        os.close(self._read_end)
        os.close(self._write_end)


class Worker:
    """A process that does `work` with its end of a line. Leaving the block kills it."""

    def __init__(self, work: Callable[[Line], None]) -> None:
        if FORK is None:
            raise ContractViolation(processes_are_missing())
        to_child, from_child = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn of threads at a fork; the child only opens a store of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = FORK()
        if self._pid == 0:
            os.close(to_child[1])
            os.close(from_child[0])
            _work(work, Line(to_child[0], from_child[1]))
        os.close(to_child[0])
        os.close(from_child[1])
        self.line = Line(from_child[0], to_child[1])

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self.line.close()

    def kill(self) -> None:
        """End it as `kill -9` does; return when it is gone."""
        if self._pid:
            os.kill(self._pid, _KILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _work(work: Callable[[Line], None], line: Line) -> NoReturn:
    """In the child: nothing of the parent's may run, so neither exception nor exit handler."""
    code = 0
    try:
        work(line)
    except BaseException as error:
        code = 1
        line.say(f"!{type(error).__name__}: {error}".replace("\n", " "))
    finally:
        os._exit(code)
