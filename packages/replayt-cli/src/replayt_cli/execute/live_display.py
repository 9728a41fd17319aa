"""Showing a run on a terminal while it is executed.

The runner's appends only put events aside (`Live.seen`); a thread looks ten times a second, turns
them into lines and draws what is going on now. So whatever a terminal does, the run goes on, and
an error in the display ends the display alone.

The line that is drawn shares the terminal with the user's code. It goes before anything is printed
and comes back behind a line break. Where the code starts a process or asks a question, the terminal
is theirs, and nothing is drawn until the run goes on.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import TextIO

from replayt_cli.execute.shared_terminal import Listener, Write, overhearing
from replayt_cli.render.live.line import TerminalLine, columns_on
from replayt_cli.render.live.run import Line, LiveView
from replayt_cli.render.text import cut, is_terminal, paint
from replayt_core import Event
from replayt_core.ports import EventStore
from replayt_store.prices import Prices

_LOOKS_EVERY = 0.1
_PATIENCE = 0.5
"""How long the start of a process waits, once, for a terminal that takes nothing."""
_INVISIBLE_END = re.compile(r"(?:\x1b\[[0-9;?]*[A-Za-z])+\Z")


def may_spin() -> bool:
    """Whether a line may be drawn again and again.

    Not where a carriage return is of no use: a dumb terminal, or the log of a CI job.
    """
    return os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


class Live:
    """Shows one run of `store` on a terminal: a line for each finished visit.

    Where it `spins`, a line at the bottom says what is going on. `prices` are what models cost.
    """

    def __init__(
        self,
        store: EventStore,
        run_id: str,
        stream: TextIO,
        *,
        spins: bool,
        prices: Prices | None = None,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._prices = prices
        self._view = LiveView(run_id, prices)
        self._stream = stream
        self._spins = spins
        self._write = stream.write
        self._line = TerminalLine(stream, stream.write)
        self._frames = cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if _is_unicode(stream) else "|/-\\")
        self._above_outcome = is_terminal(sys.stdout)
        self._seen: deque[tuple[float, Sequence[Event]]] = deque()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._wake = threading.Event()
        self._leaving: deque[threading.Event] = deque()
        self._stuck = False
        self._working = False
        self._shown = False
        self._line_open = False
        self._taken = False

    def seen(self, events: Sequence[Event]) -> None:
        """These events are in the log now; they are shown a moment later."""
        self._seen.append((time.monotonic(), events))

    @contextmanager
    def showing(self) -> Iterator[None]:
        """While the run is executed. Afterwards nothing is left below its lines."""
        listener = Listener(
            written=self._written,
            taken=self._taken_by_others,
            asked=self._asked,
            lock=self._lock,
        )
        thread = threading.Thread(target=self._look, name="replayt-live", daemon=True)
        with suppress(Exception):  # what is wrong with the log, the runner says
            self._view = LiveView(self._run_id, self._prices, self._store.read(self._run_id))
            self._working = True
        with overhearing(listener, (sys.__stdout__, sys.stdout, sys.stderr, self._stream)):
            thread.start()
            try:
                yield
            finally:
                self._over.set()
                self._wake.set()
                with self._lock:
                    self._end()
                thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self._wake.wait(_LOOKS_EVERY)
            self._wake.clear()
            with self._lock:
                self._show()
                self._leave()
                self._draw()
            self._stuck = False

    def _show(self) -> None:
        """Print what the events have led to that came meanwhile."""
        try:
            while self._seen and self._working:
                at, events = self._seen.popleft()
                self._taken = False
                for event in events:
                    line = self._view.take(event, at)
                    if line is not None:
                        self._print(line)
        except Exception:
            self._working = False

    def _print(self, line: Line) -> None:
        self._line.clear()
        name, style, rest = line
        shown = cut(name + rest, columns_on(self._stream))
        painted = paint(shown[: len(name)], style, to=self._stream)
        self._send(f"{painted}{shown[len(name) :]}\n")

    def _send(self, text: str) -> None:
        """Write whole lines, behind the end of one that the user's code has left open."""
        self._write(f"\n{text}" if self._line_open else text)
        self._stream.flush()
        self._line_open, self._shown = False, True

    def _draw(self) -> None:
        """Draw what is going on, if the line is free for it."""
        if not (self._spins and self._working) or self._line_open or self._taken:
            return
        try:
            text = self._view.now(time.monotonic())
            if text is None or self._over.is_set() or not _in_foreground(self._stream):
                self._line.clear()
            else:
                self._line.draw(f"{next(self._frames)} {text}")
        except Exception:
            self._working = False

    def _leave(self) -> None:
        """Leave the line to whoever is about to write there, and say what is going on."""
        if not self._leaving:
            return
        self._line.clear()
        if self._working and not self._taken:
            with suppress(OSError, ValueError):
                what = self._view.what() if self._spins else None
                if what is not None:
                    line = cut(f"{what} …", columns_on(self._stream))
                    self._send(f"{paint(line, 'dim', to=self._stream)}\n")
            self._taken = True
        while self._leaving:
            self._leaving.popleft().set()

    def _end(self) -> None:
        self._show()
        self._line.clear()
        self._working = False
        with suppress(OSError, ValueError):
            if self._line_open:
                self._send("")
            if self._shown and self._above_outcome:
                self._send("\n")

    # The user's code, in whatever thread. Its errors are its own.

    def _written(self, write: Write, text: str) -> int:
        with self._lock:
            self._show()
            self._line.clear()
            size = write(text)
            seen = _INVISIBLE_END.sub("", text)
            if seen:
                self._line_open = not seen.endswith("\n")
            return size

    def _taken_by_others(self) -> None:
        # The thread writes, not this one: a terminal that is stuck must not hold up the run.
        left = threading.Event()
        self._leaving.append(left)
        self._wake.set()
        if not left.wait(0 if self._stuck else _PATIENCE):
            self._stuck = True

    def _asked(self) -> None:
        with self._lock:
            self._show()
            self._line.clear()
            self._taken = True
            if sys.stdin is not None and is_terminal(sys.stdin):
                self._line_open = False  # who answers ends the line


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().startswith("utf")


def _in_foreground(stream: TextIO) -> bool:
    """Whether the terminal is ours: a job in the background does not draw over the shell."""
    if sys.platform != "win32":
        with suppress(OSError, ValueError):  # not the terminal of this session
            return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    return True
