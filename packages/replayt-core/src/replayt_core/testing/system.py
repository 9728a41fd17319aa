"""Time and ids that a test decides."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class FrozenClock:
    """Time stands still but for `sleep` and `tick`; `slept` lists the waits that were asked for."""

    def __init__(self, at: datetime | None = None) -> None:
        self._now = at or datetime(2026, 1, 1, tzinfo=timezone.utc)
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The time of day."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.slept.append(seconds)
        self.tick(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.sleep(seconds)

    def tick(self, seconds: float) -> None:
        """Let time pass; a negative number sets the time of day back."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += max(seconds, 0.0)


class CountingIds:
    """Run ids `run-1`, `run-2`, …"""

    def __init__(self, prefix: str = "run") -> None:
        self._prefix = prefix
        self._count = 0

    def new_run_id(self) -> str:
        """The next id."""
        self._count += 1
        return f"{self._prefix}-{self._count}"
