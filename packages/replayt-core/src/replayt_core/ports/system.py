"""Time and ids as ports, with the real ones as defaults."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timezone
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """Where a runner gets time from, and how it waits."""

    def now(self) -> datetime:
        """The time of day, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@runtime_checkable
class AsyncClock(Protocol):
    """A clock whose waits can be awaited; without it, `AsyncRunner` sleeps in a thread."""

    async def sleep_async(self, seconds: float) -> None:
        """Wait, and let other tasks run."""
        ...


class IdSource(Protocol):
    """Where run ids come from."""

    def new_run_id(self) -> str:
        """An id that no other run has."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """`time.sleep`."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """`asyncio.sleep`."""
        import asyncio  # here alone: it would double the time to import the core

        await asyncio.sleep(seconds)


class UUIDv7Source:
    """Run ids as UUIDv7 (RFC 9562, section 5.7) with a counter within the millisecond.

    The 12 bits of `rand_a` count (section 6.2, method 1), so that ids of one process sort in the
    order they were made, whatever the clock does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)

    def new_run_id(self) -> str:
        """The next id, in the usual 8-4-4-4-12 form."""
        with self._lock:
            millis, count = max((time.time_ns() // 1_000_000, 0), self._last)
            if (millis, count) == self._last:
                count += 1
            if count > 0xFFF:
                millis, count = millis + 1, 0
            self._last = (millis, count)
        value = (millis & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | count << 64
        # As `secrets.randbits(62)`, which would bring hmac, base64 and random.
        value |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
        digits = f"{value:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
