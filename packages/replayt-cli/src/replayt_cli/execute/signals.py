"""Signals that ask the process to end: the run unwinds and its log says so.

A signal may arrive at any instruction. In the middle of an append it would leave a log of which
nobody knows the end. There it waits: until the append has returned and its caller has taken the
events into its state. Then it is sent again, and raises like any other; at the latest where the
next append begins, which is where its caller asks what time it is.

A handler may swallow what was raised (`except:`). Then it is raised again where the next append
begins, until it gets out of the handler: no run goes on after a signal.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import NoReturn

from replayt_cli.errors import Terminated
from replayt_core import Event
from replayt_core.ports import Clock, EventStore, SystemClock

Seen = Callable[[Sequence[Event]], None]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_AGAIN_SECONDS = 0.05
_ABILITIES = ("lock", "locked", "repair", "runs", "delete")


class OrderlyEnd:
    """Makes signals raise where the run can be unwound, and wait where it cannot."""

    def __init__(self) -> None:
        self._appender: FrameType | None = None
        self._appending = False
        self._waiting: int | None = None
        self._sending = False
        self._sent_again = False
        self._raised: tuple[int, BaseException] | None = None
        self._cancel: Callable[[int], bool] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While a run is executed, SIGINT, SIGTERM and SIGHUP end it.

        A signal that the caller ignores (`nohup`), or handles himself, stays as it is.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._raised = None
        ours = (signal.SIG_DFL, signal.default_int_handler)
        before = {}
        for name in _NAMES:
            signum = getattr(signal, name, None)
            if signum is not None and signal.getsignal(signum) in ours:
                before[signum] = signal.signal(signum, self._arrived)
        try:
            yield
        finally:
            # One that still waits came during the last append: the run has ended without it.
            self._appender = self._waiting = None
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def guard(self, store: EventStore, seen: Seen | None = None) -> EventStore:
        """The store with appends that no signal cuts short; it can do all that it could.

        `seen` is told of every batch once it is in the log. It must be quick and raise nothing.
        """
        return _GuardedStore(store, self, seen)

    def clock(self) -> Clock:
        """The clock for whoever appends to a guarded store: asked the time, it ends the wait."""
        return _EndingClock(self)

    def raise_due(self) -> None:
        """Raise the signal that waits, or that a handler has swallowed. Called before appends."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._waiting is not None:
            self._raise(self._waiting)
        if self._raised is not None and not _is_out(self._raised[1]):
            self._raise(self._raised[0])

    @contextmanager
    def inside_a_loop(self, cancel: Callable[[int], bool]) -> Iterator[None]:
        """While an event loop runs: `cancel` ends the run, or says that it cannot.

        Then the signal raises where it arrives, and never as KeyboardInterrupt, which would end
        the loop in place of the task.
        """
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None

    def was_raised(self, signum: int, error: BaseException) -> None:
        """`error` has been raised because of the signal, in whatever place."""
        self._raised = signum, error

    @contextmanager
    def appending(self, appender: FrameType) -> Iterator[None]:
        """An append that the frame `appender` called: signals wait until that frame is left."""
        self._appender, self._appending = appender, True
        try:
            yield
        finally:
            self._appending = False
            if self._waiting is not None:
                self._send_again()

    def _arrived(self, signum: int, frame: FrameType | None) -> None:
        ours, self._sent_again = self._sent_again, False
        impatient = signum == signal.SIGINT == self._waiting and not ours
        if self._inside(frame) and not impatient:
            self._waiting = self._waiting or signum
            if not self._appending:
                self._send_again()
            return
        if self._cancel is not None and self._cancel(signum):
            self._appender = self._waiting = None
            return
        self._raise(signum)

    def _raise(self, signum: int) -> NoReturn:
        self._appender = self._waiting = None
        interrupt = signum == signal.SIGINT and self._cancel is None
        error = KeyboardInterrupt() if interrupt else Terminated(signum)
        self.was_raised(signum, error)
        raise error

    def _inside(self, frame: FrameType | None) -> bool:
        """Whether an append, or what its caller does with the events, is on the stack."""
        while frame is not None:
            if frame is self._appender:
                return True
            frame = frame.f_back
        return False

    def _send_again(self) -> None:
        # From a thread, so that this one gets on; `threading.Thread` would wait for its start.
        if not self._sending:
            self._sending = True
            _thread.start_new_thread(self._send, ())

    def _send(self) -> None:
        # Until it is heard: what comes just before the main thread waits for a lock wakes nobody.
        while (signum := self._waiting) is not None:
            self._sent_again = True
            if hasattr(signal, "pthread_kill"):
                # Unlike `interrupt_main` it wakes a thread that sleeps.
                signal.pthread_kill(threading.main_thread().ident or 0, signum)
            else:
                _thread.interrupt_main(signal.Signals(signum))
            time.sleep(_AGAIN_SECONDS)
        self._sending = False


class _GuardedStore:
    """A store whose `append` is not cut short. Its other methods are those of the store itself."""

    def __init__(self, store: EventStore, end: OrderlyEnd, seen: Seen | None) -> None:
        self._store = store
        self._end = end
        self._seen = seen
        for name in _ABILITIES:
            if hasattr(store, name):
                setattr(self, name, getattr(store, name))

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        with self._end.appending(sys._getframe(1)):
            self._store.append(run_id, events, after=after)
            if self._seen is not None:
                self._seen(events)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return self._store.read(run_id, after=after)

    def run_ids(self) -> Iterator[str]:
        return self._store.run_ids()


class _EndingClock(SystemClock):
    """The system's clock, which no append gets the time from while a signal waits."""

    def __init__(self, end: OrderlyEnd) -> None:
        self._end = end

    def now(self) -> datetime:
        self._end.raise_due()
        return super().now()


def _is_out(error: BaseException) -> bool:
    """Whether it has got past the handler, into the hands of the core, which writes it down."""
    traceback = error.__traceback__
    module = "" if traceback is None else traceback.tb_frame.f_globals.get("__name__", "")
    return str(module).startswith("replayt_core.")
