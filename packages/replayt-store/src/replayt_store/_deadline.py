"""The time limit of a query."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol

from replayt_store._answers import QueryTimeoutError


class Interruptible(Protocol):
    """A connection whose query another thread can interrupt."""

    def interrupt(self) -> None:
        """Interrupt what it does now, if anything."""
        ...


class Deadline:
    """Interrupts a connection when its time is over, again and again until it is left alone.

    Once would not do: an interrupt between two statements, or before a fetch, is lost.
    """

    def __init__(self, connection: Interruptible, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._connection = connection
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def check(self) -> None:
        """Raise `QueryTimeoutError` when the time is over."""
        if self.over:
            raise self.error()

    def error(self) -> QueryTimeoutError:
        """What to raise when the time is over."""
        return QueryTimeoutError(
            f"the query was stopped after {self.seconds:g} s: select fewer runs, or give it more "
            "time"
        )

    def __enter__(self) -> Deadline:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        wait = max(self.seconds, 0.0)
        while not self._left.wait(wait):
            self._connection.interrupt()
            wait = 0.05
