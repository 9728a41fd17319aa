"""Who else writes on the terminal: what the user's code prints, and what it starts or asks.

What goes through a stream of Python is overheard where it is written or read. A process that is
started, and a question that is asked, announce themselves by audit events. Audit hooks stay as long
as the process, so there is one, for the listener of the moment; so are the hooks around a fork,
which keep a child from inheriting a lock that nobody in it would ever release.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

Write = Callable[[str], int]

_TAKES = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "subprocess.Popen",
}
_ASKS = {"builtins.breakpoint", "builtins.input"}
_TERMINAL = "/dev/tty"
"""What is opened by who asks for a password."""
_READS = ("read", "readline", "readlines")
_PATIENCE = 0.5
"""How long a fork waits for the lock."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What is called, and the lock that is held while anything is written.

    `written` gets the text and does the writing, `taken` is called before another process may
    write, `asked` before a person is asked and before his answer is read.
    """

    written: Callable[[Write, str], int]
    taken: Callable[[], None]
    asked: Callable[[], None]
    lock: threading.RLock


class _Process:
    """The hooks of this process. `listener` is who listens now, `forking` whose lock is held."""

    def __init__(self) -> None:
        self.hooked = False
        self.listener: Listener | None = None
        self.forking: Listener | None = None

    def hook(self) -> None:
        """Once, and for good."""
        if self.hooked:
            return
        self.hooked = True
        sys.addaudithook(self._audited)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork,
                after_in_parent=self._after_fork,
                after_in_child=self._in_child,
            )

    def _audited(self, event: str, args: tuple[object, ...]) -> None:
        listener = self.listener
        if listener is None:
            return
        # Whatever goes wrong here must not become an error of what the user's code does.
        with suppress(Exception):
            if event in _TAKES:
                listener.taken()
            elif event in _ASKS or (event == "open" and args[0] == _TERMINAL):
                listener.asked()

    def _before_fork(self) -> None:
        # Whoever holds it longer writes on a terminal that takes nothing. The child has no use for
        # it then either.
        held = self.listener is not None and self.listener.lock.acquire(timeout=_PATIENCE)
        self.forking = self.listener if held else None

    def _after_fork(self) -> None:
        if self.forking is not None:
            self.forking.lock.release()

    def _in_child(self) -> None:
        self._after_fork()
        self.listener = None


_PROCESS = _Process()


@contextmanager
def overhearing(listener: Listener, streams: Iterable[TextIO | None]) -> Iterator[None]:
    """While the user's code runs in this process and writes to these streams."""
    heard: list[tuple[TextIO, str, Callable[..., Any]]] = []

    def hear(stream: TextIO, name: str, instead: Callable[..., Any]) -> None:
        with suppress(AttributeError, TypeError):
            setattr(stream, name, instead)
            heard.append((stream, name, instead))

    _PROCESS.hook()
    _PROCESS.listener = listener
    for stream in {id(stream): stream for stream in streams if stream is not None}.values():
        hear(stream, "write", _overheard(listener, stream.write))
    for name in _READS if sys.stdin is not None else ():
        hear(sys.stdin, name, _asking(listener, getattr(sys.stdin, name)))
    try:
        yield
    finally:
        _PROCESS.listener = None
        for stream, name, instead in heard:
            if vars(stream).get(name) is instead:  # nobody has put another in its place
                delattr(stream, name)


def _overheard(listener: Listener, write: Write) -> Write:
    def written(text: str) -> int:
        if _PROCESS.listener is listener:
            return listener.written(write, text)
        return write(text)

    return written


def _asking(listener: Listener, read: Callable[..., Any]) -> Callable[..., Any]:
    def reading(*args: Any) -> Any:
        if _PROCESS.listener is listener:
            listener.asked()
        return read(*args)

    return reading
