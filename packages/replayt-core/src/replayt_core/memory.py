"""`MemoryStore`: runs kept in this process, for tests and for runs that nobody needs afterwards.

It is the reference implementation of the store interface: the shortest text that passes every
clause of the conformance kit that makes sense without a disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice

from replayt_core.chain import decode, read_lines
from replayt_core.errors import ConflictError, RunLockedError
from replayt_core.events import Event
from replayt_core.ports.store import RunEntry
from replayt_core.run_ids import check_run_id


class MemoryStore:
    """Keeps the lines of runs in memory, and can lock, list and delete them.

    Safe to use from several threads. It keeps bytes, never objects: what `read` yields is decoded
    anew, so nobody can change a log by changing an event. An append costs the same however long
    the run is.
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[bytes]] = {}
        self._held: set[str] = set()
        self._mutex = threading.Lock()

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Add a whole batch to a run whose last seq is `after`; 0 means that it does not exist.

        Raises `ConflictError` when the last seq is another, `ValueError` when the batch is empty
        or not numbered `after` + 1, `after` + 2, …; nothing is kept then.
        """
        seq = after
        for event in events:
            seq += 1
            if event.seq != seq or event.run_id != run_id:
                raise ValueError(
                    f"event {event.seq} of run {event.run_id} stands where event {seq} of run "
                    f"{run_id} must: a batch is numbered from `after` + 1"
                )
        if seq == after:
            raise ValueError(f"an empty batch for run {run_id}")
        with self._mutex:
            lines = self._runs.get(run_id)
            if lines is None:
                check_run_id(run_id)
                lines = []
            if len(lines) != after:
                raise ConflictError(
                    f"run {run_id} is at seq {len(lines)}, not {after}: nothing was written, "
                    "read it again"
                )
            lines.extend([event.line for event in events])
            self._runs[run_id] = lines

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after` as they stand now. An unknown run reads as nothing."""
        check_run_id(run_id)
        with self._mutex:
            lines = self._runs.get(run_id, [])
            count = len(lines)
        # A list of lines only grows, so what is there now stays where it is.
        events = read_lines(run_id, islice(lines, count))
        return (event for event in events if event.seq > after)

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs."""
        with self._mutex:
            return iter(tuple(self._runs))

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run while it is executed. Raises `RunLockedError` when someone else does."""
        return self._lock(check_run_id(run_id))

    def locked(self, run_id: str) -> bool:
        """Whether someone executes the run right now."""
        return check_run_id(run_id) in self._held

    def runs(self) -> Iterator[RunEntry]:
        """One entry a run, in no particular order."""
        with self._mutex:
            kept = [(run_id, lines, len(lines)) for run_id, lines in self._runs.items()]
        for run_id, lines, count in kept:
            yield RunEntry(
                run_id=run_id,
                last_seq=count,
                last_ts=decode(lines[count - 1]).ts,
                size=sum(map(len, islice(lines, count))),
            )

    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run if its last seq is `after`, else raise `ConflictError`; bytes freed."""
        check_run_id(run_id)
        with self._mutex:
            lines = self._runs.get(run_id, [])
            if len(lines) != after:
                raise ConflictError(
                    f"run {run_id} is at seq {len(lines)}, not {after}: nothing was deleted"
                )
            self._runs.pop(run_id, None)
        return sum(map(len, lines))

    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        with self._mutex:
            if run_id in self._held:
                raise RunLockedError(
                    f"run {run_id} is being executed: wait until it has ended, then try again"
                )
            self._held.add(run_id)
        try:
            yield
        finally:
            with self._mutex:
                self._held.discard(run_id)
