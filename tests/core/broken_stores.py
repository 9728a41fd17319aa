"""Stores with one fault each: in memory, so that each is a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from replayt_core.chain import decode
from replayt_core.errors import ConflictError, RunLockedError, RunNotFoundError
from replayt_core.events import Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import RunEntry
from tests.core.faults import breaks


@breaks(
    "any_text_comes_back",
    "batches_are_whole",
    "read_after",
    "runs_are_apart",
    "runs_tells_where_each_ends",
)
class LosesHalfABatch(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        if len(events) > 2:
            del self._runs[run_id][-1]


@breaks("order_is_kept")
class LosesABatch(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        if after == 100:
            del self._runs[run_id][-1]


@breaks(
    "appending_to_an_end_that_moved_is_refused",
    "starting_an_existing_run_is_refused",
    "appending_behind_a_gap_is_refused",
    "a_refused_run_goes_on",
    "wrong_numbers_are_refused",
    "bad_run_ids_are_refused",
    "one_writer_wins_each_seq",
    "the_holder_writes",
)
class WritesTheSameSeqTwice(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        lines = self._runs.setdefault(run_id, [])
        if after > len(lines):
            raise ConflictError("too high")
        lines[after:after] = [event.line for event in events]


@breaks("order_is_kept", "batches_are_whole", "one_writer_wins_each_seq")
class ReadsByTextOrder(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        found = sorted(super().read(run_id), key=lambda event: str(event.seq))
        return (event for event in found if event.seq > after)


@breaks(
    "bytes_come_back",
    "any_text_comes_back",
    "order_is_kept",
    "batches_are_whole",
    "read_after",
    "runs_are_apart",
    "a_bridge_line_is_kept",
    "the_log_cannot_be_changed_from_outside",
    "a_refused_run_goes_on",
    "one_writer_wins_each_seq",
    "the_holder_writes",
    "a_deleted_run_is_gone",
    "deletion_is_conditional",
)
class EncodesAgain(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for event in super().read(run_id, after=after):
            yield event._replace(line=event.line.replace(b'":', b'": '))


@breaks("any_text_comes_back")
class SplitsAtEveryLineBreak(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for event in super().read(run_id, after=after):
            line = event.line.decode().splitlines()[0].encode()
            yield decode(line)


@breaks(
    "appending_to_an_end_that_moved_is_refused",
    "starting_an_existing_run_is_refused",
    "appending_behind_a_gap_is_refused",
    "a_refused_run_goes_on",
    "wrong_numbers_are_refused",
    "one_writer_wins_each_seq",
    "the_holder_writes",
)
class ChecksNoConflict(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after) if not self._runs.get(run_id) else self._runs[
            run_id
        ].extend(event.line for event in events)


@breaks("appending_behind_a_gap_is_refused")
class AllowsAGap(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        last = len(self._runs.get(run_id, []))
        if after > last:
            self._runs.setdefault(run_id, []).extend(event.line for event in events)
        else:
            super().append(run_id, events, after=after)


@breaks("starting_an_existing_run_is_refused")
class RestartsAnExistingRun(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if after == 0:
            self._runs.pop(run_id, None)
        super().append(run_id, events, after=after)


@breaks("appending_behind_a_gap_is_refused", "wrong_numbers_are_refused", "bad_run_ids_are_refused")
class WritesBeforeItChecks(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        lines = self._runs.setdefault(run_id, [])
        for offset, event in enumerate(events, 1):
            if event.seq != after + offset:
                raise ValueError("not numbered")
            lines.append(event.line)
        if len(lines) - len(events) != after:
            del lines[-len(events) :]
            raise ConflictError("someone else wrote")


@breaks("read_after")
class IgnoresAfterWhenReading(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return super().read(run_id)


@breaks("runs_are_apart", "bad_run_ids_are_refused")
class MixesRuns(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for found in sorted(self._runs):
            if found.startswith(run_id):
                yield from super().read(found, after=after)


@breaks("run_ids_lists_each_run_once")
class ListsARunPerEvent(MemoryStore):
    def run_ids(self) -> Iterator[str]:
        return (run_id for run_id, lines in self._runs.items() for _ in lines)


@breaks("run_ids_lists_each_run_once")
class ListsWhatIsNoRun(MemoryStore):
    def run_ids(self) -> Iterator[str]:
        yield from self._runs
        yield "notes"


@breaks("a_bridge_line_is_kept")
class RefusesBridgeLines(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if any(event.prev is None for event in events):
            raise ValueError("no prev")
        super().append(run_id, events, after=after)


@breaks("bad_run_ids_are_refused")
class TakesAnyRunId(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return super().read(run_id, after=after) if run_id in self._runs else iter(())


@breaks("the_log_cannot_be_changed_from_outside", "a_deleted_run_is_gone")
class KeepsTheObjects(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[Event]] = {}

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        self.kept.setdefault(run_id, []).extend(events)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        list(super().read(run_id))
        return (event for event in self.kept.get(run_id, []) if event.seq > after)


@breaks("a_lock_excludes_a_second_holder")
class LocksNobodyOut(MemoryStore):
    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        self._held.add(run_id)
        yield
        self._held.discard(run_id)


@breaks("a_lock_is_freed")
class KeepsALockAfterAnError(MemoryStore):
    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        if run_id in self._held:
            raise RunLockedError("held")
        self._held.add(run_id)
        yield
        self._held.discard(run_id)


@breaks("locked_tells")
class SaysNothingIsLocked(MemoryStore):
    def locked(self, run_id: str) -> bool:
        return False


@breaks("runs_tells_where_each_ends")
class ListsWrongEnds(MemoryStore):
    def runs(self) -> Iterator[RunEntry]:
        for run_id in self.run_ids():
            yield RunEntry(run_id=run_id, last_seq=1, last_ts=None, size=None)


@breaks("deletion_is_conditional")
class DeletesWithoutAsking(MemoryStore):
    def delete(self, run_id: str, *, after: int) -> int:
        return super().delete(run_id, after=len(self._runs.get(run_id, [])))


@breaks("a_deleted_run_is_gone")
class DeletesNothing(MemoryStore):
    def delete(self, run_id: str, *, after: int) -> int:
        if len(self._runs.get(run_id, [])) != after:
            raise ConflictError("someone else wrote")
        return 1_000_000


@breaks(
    "appending_to_an_end_that_moved_is_refused",
    "starting_an_existing_run_is_refused",
    "appending_behind_a_gap_is_refused",
    "a_refused_run_goes_on",
    "one_writer_wins_each_seq",
    "the_holder_writes",
)
class AppendsHalfABatchAtAConflict(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        try:
            super().append(run_id, events, after=after)
        except ConflictError:
            if self._runs.get(run_id):
                self._runs[run_id].append(events[0].line)
            raise


@breaks(
    "unknown_run_reads_as_nothing", "appending_behind_a_gap_is_refused", "a_deleted_run_is_gone"
)
class CreatesByReading(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        found = super().read(run_id, after=after)
        self._runs.setdefault(run_id, [])
        return found


@breaks("appending_behind_a_gap_is_refused", "a_refused_run_goes_on", "one_writer_wins_each_seq")
class StopsAfterARefusal(MemoryStore):
    refused = False

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if self.refused:
            raise ConflictError("not any more")
        try:
            super().append(run_id, events, after=after)
        except ConflictError:
            self.refused = True
            raise


@breaks("a_lock_excludes_a_second_holder")
class LocksEverything(MemoryStore):
    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        with super()._lock("everything"):
            yield

    def locked(self, run_id: str) -> bool:
        return "everything" in self._held


@breaks("the_holder_writes")
class RefusesItsHolder(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if run_id in self._held:
            raise RunLockedError("held")
        super().append(run_id, events, after=after)


@breaks("runs_tells_where_each_ends")
class ListsNothing(MemoryStore):
    def runs(self) -> Iterator[RunEntry]:
        return iter(())


@breaks("a_deleted_run_is_gone")
class DeletesTheNeighbours(MemoryStore):
    def delete(self, run_id: str, *, after: int) -> int:
        freed = super().delete(run_id, after=after)
        self._runs.clear()
        return freed


@breaks("a_large_event_comes_back")
class CutsLargeEvents(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        self._runs[run_id][after:] = [line[:1_000_000] for line in self._runs[run_id][after:]]


@breaks("a_long_run_comes_back")
class ForgetsTheStartOfALongRun(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        events = super().read(run_id, after=after)
        return (event for event in events if event.seq > after) if after else self._recent(run_id)

    def _recent(self, run_id: str) -> Iterator[Event]:
        lines = self._runs.get(run_id, [])
        return map(decode, lines[-65_536:])


@breaks("an_append_costs_the_same_in_a_long_run")
class LooksThroughTheRunAtEveryAppend(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        for line in self._runs.get(run_id, [])[::100]:  # enough to be seen, and soon done
            line.startswith(b"{")
        super().append(run_id, events, after=after)


@breaks("an_append_costs_the_same_in_a_long_run")
class WritesTheWholeRunAtEveryAppend(MemoryStore):
    """To a file beside it, as a store that keeps a document a run would."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        (self.folder / run_id).write_bytes(b"".join(self._runs[run_id]))


class _Follows(MemoryStore):
    """A store in memory that follows runs as it should; the ones below break that."""

    def follow(self, run_id: str) -> _Follower:
        return _Follower(self, run_id)


class _Follower:
    def __init__(self, store: MemoryStore, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.seen: list[bytes] = []

    def new_events(self) -> Iterator[Event]:
        kept = list(self.store.read(self.run_id))
        if not kept or [event.line for event in kept][: len(self.seen)] != self.seen:
            raise RunNotFoundError("gone")
        for event in kept[len(self.seen) :]:
            self.seen.append(event.line)
            yield event


@breaks("a_follower_reads_each_event_once", "a_followed_run_that_is_deleted_is_gone")
class FollowsFromTheStartEachTime(_Follows):
    def follow(self, run_id: str) -> _Follower:
        class Forgetful(_Follower):
            def new_events(self) -> Iterator[Event]:
                self.seen = []
                return super().new_events()

        return Forgetful(self, run_id)


@breaks("a_followed_run_that_is_deleted_is_gone")
class FollowsADeletedRun(_Follows):
    def follow(self, run_id: str) -> _Follower:
        class Patient(_Follower):
            def new_events(self) -> Iterator[Event]:
                with suppress(RunNotFoundError):
                    yield from super().new_events()

        return Patient(self, run_id)
