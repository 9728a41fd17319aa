"""Stores on files with one fault each, for the clauses on processes, torn tails and damage."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from replayt_core.chain import decode
from replayt_core.errors import DamagedLogError, RunLockedError
from replayt_core.events import Event
from replayt_core.ports.store import TornTail
from tests.core.faults import breaks
from tests.core.plain_store import PlainStore


@breaks(
    "run_ids_lists_each_run_once",
    "one_writer_wins_each_seq",
    "reopening_shows_everything",
    "one_process_wins_each_seq",
    "a_killed_writer_loses_nothing",
    "a_lock_keeps_other_writers_out",
    "a_torn_tail_is_not_read",
    "a_torn_log_is_not_appended_to",
    "repair_puts_the_tail_aside",
    "reading_stops_at_damage",
)
class LosesWhatItHasNotWrittenYet(PlainStore):
    """It acknowledges a batch when the next one comes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.waiting: dict[str, list[Event]] = {}

    def write(self, run_id: str, events: Sequence[Event]) -> None:
        super().write(run_id, self.waiting.pop(run_id, []))
        self.waiting[run_id] = list(events)

    def lines(self, run_id: str) -> list[bytes]:
        return super().lines(run_id) + [event.line for event in self.waiting.get(run_id, [])]


@breaks(
    "a_killed_writer_loses_nothing",
    "a_torn_tail_is_not_read",
    "a_torn_log_is_not_appended_to",
    "repair_puts_the_tail_aside",
    "reading_stops_at_damage",
    "a_damaged_log_is_not_appended_to",
)
class WritesABatchInPieces(PlainStore):
    """And reads every piece; slow enough for a kill to find it between two."""

    def write(self, run_id: str, events: Sequence[Event]) -> None:
        for event in events:
            super().write(run_id, [event])
            time.sleep(0.005)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return (event for event in map(decode, self.lines(run_id)) if event.seq > after)

    def torn(self, run_id: str) -> bytes:
        return self.data(run_id).rpartition(b"\n")[2]


@breaks("one_writer_wins_each_seq", "one_process_wins_each_seq")
class ComparesOutsideTheLock(PlainStore):
    """Two writers may both find that nobody wrote."""

    @contextmanager
    def _exclusive(self, run_id: str) -> Iterator[None]:
        yield

    def write(self, run_id: str, events: Sequence[Event]) -> None:
        if "by" in events[0].payload:  # in the clauses on two writers an event says whose it is
            time.sleep(0.02)
        super().write(run_id, events)


@breaks("a_lock_keeps_other_writers_out")
class LocksOutExecutorsOnly(PlainStore):
    """Whoever holds no lock may write all the same."""

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        held, self.held = self.held, {run_id}
        try:
            super().append(run_id, events, after=after)
        finally:
            self.held = held


@breaks("a_lock_dies_with_its_holder")
class OneWriterAProcess(PlainStore):
    """Locks of its own keep threads apart, and nobody else."""

    everywhere: set[str] = set()  # noqa: RUF012 - shared by every object of this process

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        if run_id in self.everywhere:
            raise RunLockedError("held")
        self.everywhere.add(run_id)
        self.held.add(run_id)
        try:
            yield
        finally:
            self.everywhere.discard(run_id)
            self.held.discard(run_id)

    def locked(self, run_id: str) -> bool:
        return run_id in self.everywhere


@breaks("a_lock_dies_with_its_holder")
class LeavesItsLockBehind(PlainStore):
    """A lock that is a file outlives its holder."""

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        mark = self.path(run_id).with_suffix(".held")
        if mark.exists():
            raise RunLockedError("held")
        mark.touch()
        self.held.add(run_id)
        try:
            yield
        finally:
            self.held.discard(run_id)
            mark.unlink()

    def locked(self, run_id: str) -> bool:
        return self.path(run_id).with_suffix(".held").exists()


@breaks("a_torn_log_is_not_appended_to", "a_damaged_log_is_not_appended_to")
class GluesToATornTail(PlainStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        with suppress(DamagedLogError):
            return super().append(run_id, events, after=after)
        self.write(run_id, events)


@breaks("a_torn_tail_is_not_read", "a_torn_log_is_not_appended_to")
class ReadsATornTail(PlainStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        events = super().read(run_id, after=after)
        if self.torn(run_id):
            raise DamagedLogError("torn")
        return events


@breaks("repair_puts_the_tail_aside")
class CutsWithoutTelling(PlainStore):
    def repair(self, run_id: str) -> TornTail | None:
        super().repair(run_id)
        return None


@breaks("repair_puts_the_tail_aside")
class TellsAnotherHash(PlainStore):
    def repair(self, run_id: str) -> TornTail | None:
        tail = super().repair(run_id)
        return tail and TornTail(bytes=tail.bytes, sha256="0" * 64, saved_as=tail.saved_as)


@breaks("reading_stops_at_damage", "a_damaged_log_is_not_appended_to")
class ReadsPastDamage(PlainStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        lines = self.lines(run_id)
        if self.torn(run_id):
            return super().read(run_id, after=after)
        return (event for event in map(decode, lines) if event.seq > after)


@breaks("reading_stops_at_damage", "a_damaged_log_is_not_appended_to")
class RefusesEverythingWhenOneIsDamaged(PlainStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for other in self.run_ids():
            list(super().read(other))
        return super().read(run_id, after=after)


@breaks("a_damaged_log_is_not_appended_to")
class OverwritesDamage(PlainStore):
    """What cannot be read is cut, as if it were a torn tail."""

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        try:
            super().append(run_id, events, after=after)
        except DamagedLogError:
            if self.torn(run_id):
                raise
            self.path(run_id).write_bytes(b"".join(x + b"\n" for x in self.lines(run_id)[:after]))
            self.write(run_id, events)


@breaks(
    "a_whole_log_needs_no_repair",
    "repair_puts_the_tail_aside",
    "a_damaged_log_is_not_appended_to",
)
class RepairsWhatIsWhole(PlainStore):
    """It says that an empty tail was torn."""

    def repair(self, run_id: str) -> TornTail | None:
        nothing = TornTail(bytes=0, sha256=hashlib.sha256().hexdigest(), saved_as=None)
        return super().repair(run_id) or nothing
