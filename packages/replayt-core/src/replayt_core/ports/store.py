"""What a store must do, and what it may do besides. `replayt_core.testing` checks both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from replayt_core.events import Event


@dataclass(frozen=True, kw_only=True)
class TornTail:
    """A batch cut short at the end of a log, put aside by `repair`."""

    bytes: int
    sha256: str
    saved_as: str | None


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """What a listing knows of a run without reading it whole; None is what it does not know."""

    run_id: str
    last_seq: int
    last_ts: str | None
    size: int | None


@runtime_checkable
class EventStore(Protocol):
    """Keeps the lines of runs. Core encodes, stores keep.

    A store persists `event.line` byte for byte and checks only `after` and the numbering.
    """

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Add a whole batch to a run whose last seq is `after`; 0 means that it does not exist.

        Atomic: all of the batch or nothing. When it returns, the batch survives the death of the
        process. Raises `ConflictError` when the last seq is another (nothing was written),
        `ValueError` when the batch is not numbered `after` + 1, `after` + 2, …,
        `DamagedLogError` on a log that is torn or damaged, `StoreWriteError` when the outcome is
        unknown.
        """
        ...

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after`, in whole batches. An unknown run reads as nothing.

        Raises `DamagedLogError` after the events that stand before the damage.
        """
        ...

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs, in no particular order."""
        ...


@runtime_checkable
class LocksRuns(Protocol):
    """A store that can keep a second executor out, in this process and in others."""

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run while it is executed. Raises `RunLockedError` when someone else does.

        An `append` by a caller that holds no lock takes it for its own duration.
        """
        ...

    def locked(self, run_id: str) -> bool:
        """Whether someone executes the run right now."""
        ...


@runtime_checkable
class RepairsRuns(Protocol):
    """A store whose logs can have a torn tail."""

    def repair(self, run_id: str) -> TornTail | None:
        """Put a torn tail aside, written and synced before the cut; None when there is none."""
        ...


@runtime_checkable
class ListsRuns(Protocol):
    """A store that lists its runs without reading them whole."""

    def runs(self) -> Iterator[RunEntry]:
        """One entry a run, in no particular order."""
        ...


@runtime_checkable
class DeletesRuns(Protocol):
    """A store that can delete a run."""

    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run if its last seq is `after`, else raise `ConflictError`; bytes freed."""
        ...


class RunFollower(Protocol):
    """Reads one run while others write it."""

    def new_events(self) -> Iterator[Event]:
        """What was appended since the last call, in whole batches; at first the whole run.

        A batch of which one event was taken counts as read. Raises `RunNotFoundError` when the run
        is gone, `ConflictError` when an append that was read was taken back, `DamagedLogError`
        after the events that stand before the damage.
        """
        ...


@runtime_checkable
class FollowsRuns(Protocol):
    """A store that reads on where it stopped, at a cost that does not grow with the run."""

    def follow(self, run_id: str) -> RunFollower:
        """Read a run as it is written. Takes no lock."""
        ...
