"""Executing handlers again from the command line: a signal ends it, a time limit ends each check.

The core stops a handler at its next use of `ctx`, and awaited ones at their next turn. One that
never comes there is struck by an alarm a moment later, where the system has one. What swallows
that too is ended with the process, and so is, yet a second later, what holds the interpreter
itself: then Python says where every thread stands. A signal is never taken for something that the
handler raised.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from replayt_cli import exit_codes
from replayt_cli.errors import Terminated
from replayt_cli.render.text import complain
from replayt_core import Event, StepTimeout, fold
from replayt_core.ports import EventStore

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_ALARM_AFTER = 0.25
_STRIKES_AFTER = 1.0
_EXITS_AFTER = 2.0
_LOOKS_EVERY = 0.1


class Guard:
    """Watches the runs of `store` that are checked one after the other, `seconds` for each."""

    def __init__(self, store: EventStore, seconds: float) -> None:
        self.seconds = seconds
        self._store = store
        self._run_id: str | None = None
        self._limit = 0.0
        self._batch = 1
        self._armed = 0.0
        self._arrived: int | None = None
        self._alarming = False
        self._over = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While runs are checked: signals raise `Terminated`, and a thread looks at the time."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            ours = (signal.SIG_DFL, signal.default_int_handler)
            handlers = dict.fromkeys(_SIGNALS, self._asked_to_end) | {"SIGALRM": self._alarm}
            for name, handler in handlers.items():
                signum = getattr(signal, name, None)
                if signum is not None and signal.getsignal(signum) in ours:
                    before[signum] = signal.signal(signum, handler)
        self._alarming = getattr(signal, "SIGALRM", None) in before
        threading.Thread(target=self._look, daemon=True).start()
        try:
            yield
        finally:
            self._over.set()
            faulthandler.cancel_dump_traceback_later()
            for signum, previous in before.items():
                signal.signal(signum, previous)

    @contextmanager
    def checking(self, run_id: str) -> Iterator[None]:
        """While one run is checked. Raises `Terminated` behind it, if a signal was swallowed."""
        now = time.monotonic()
        self._batch, self._limit, self._run_id = 1, now + self.seconds, run_id
        if now - self._armed > _LOOKS_EVERY:  # arming starts a thread: not for each of many runs
            self._armed = now
            faulthandler.dump_traceback_later(
                self.seconds + _EXITS_AFTER + _LOOKS_EVERY, exit=True, file=2
            )
        if sys.platform != "win32" and self._alarming:
            signal.setitimer(signal.ITIMER_REAL, self.seconds + _ALARM_AFTER, _ALARM_AFTER)
        try:
            yield
        finally:
            self._run_id = None
            if sys.platform != "win32" and self._alarming:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if self._arrived is not None:
            raise Terminated(self._arrived)

    def reading(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events of the run that is checked; who is struck is known by how far it was read."""
        more = False
        for event in events:
            if not more:
                self._batch = event.seq
            more = event.more
            yield event
        self._batch = sys.maxsize

    def _asked_to_end(self, signum: int, _frame: FrameType | None) -> NoReturn:
        if self._arrived is None:
            self._limit = min(self._limit, time.monotonic())
        self._arrived = signum
        raise Terminated(signum)

    def _alarm(self, _signum: int, _frame: FrameType | None) -> None:
        if self._run_id is not None:
            raise StepTimeout(f"the check of run {self._run_id} has used up its time")

    def _look(self) -> None:
        while not self._over.wait(_LOOKS_EVERY):
            run_id, limit = self._run_id, self._limit
            if run_id is not None and time.monotonic() > limit + _STRIKES_AFTER:
                self._strike(run_id)

    def _strike(self, run_id: str) -> None:
        # Whatever goes wrong here, the hard end comes a second later.
        with suppress(Exception):
            if self._arrived is None:
                complain(
                    f"run {run_id}, {self._where(run_id)}: the handler has not ended after "
                    f"{self.seconds:g} s, and swallows what would stop it; --timeout gives it more"
                )
            os._exit(
                exit_codes.FAILED if self._arrived is None else exit_codes.SIGNAL + self._arrived
            )

    def _where(self, run_id: str) -> str:
        before = (event for event in self._store.read(run_id) if event.seq < self._batch)
        return f"state {fold(run_id, before).state!r}"
