"""The kit finds broken stores, by the clause that names the broken rule."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from replayt_core.chain import decode
from replayt_core.errors import ConflictError, RunLockedError
from replayt_core.events import Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import RunEntry
from replayt_core.testing.store_contract import CLAUSES, StoreContract, check_store


class LosesHalfABatch(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        if len(events) > 2:
            del self._runs[run_id][-1]


class LosesABatch(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        if after == 100:
            del self._runs[run_id][-1]


class WritesTheSameSeqTwice(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        lines = self._runs.setdefault(run_id, [])
        if after > len(lines):
            raise ConflictError("too high")
        lines[after:after] = [event.line for event in events]


class ReadsByTextOrder(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        found = sorted(super().read(run_id), key=lambda event: str(event.seq))
        return (event for event in found if event.seq > after)


class EncodesAgain(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for event in super().read(run_id, after=after):
            yield event._replace(line=event.line.replace(b'":', b'": '))


class SplitsAtEveryLineBreak(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for event in super().read(run_id, after=after):
            line = event.line.decode().splitlines()[0].encode()
            yield decode(line)


class ChecksNoConflict(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after) if not self._runs.get(run_id) else self._runs[
            run_id
        ].extend(event.line for event in events)


class AllowsAGap(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        last = len(self._runs.get(run_id, []))
        if after > last:
            self._runs.setdefault(run_id, []).extend(event.line for event in events)
        else:
            super().append(run_id, events, after=after)


class RestartsAnExistingRun(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if after == 0:
            self._runs.pop(run_id, None)
        super().append(run_id, events, after=after)


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


class IgnoresAfterWhenReading(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return super().read(run_id)


class MixesRuns(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for found in sorted(self._runs):
            if found.startswith(run_id):
                yield from super().read(found, after=after)


class ListsARunPerEvent(MemoryStore):
    def run_ids(self) -> Iterator[str]:
        return (run_id for run_id, lines in self._runs.items() for _ in lines)


class RefusesBridgeLines(MemoryStore):
    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if any(event.prev is None for event in events):
            raise ValueError("no prev")
        super().append(run_id, events, after=after)


class TakesAnyRunId(MemoryStore):
    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        return super().read(run_id, after=after) if run_id in self._runs else iter(())


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


class LocksNobodyOut(MemoryStore):
    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        self._held.add(run_id)
        yield
        self._held.discard(run_id)


class KeepsALockAfterAnError(MemoryStore):
    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        if run_id in self._held:
            raise RunLockedError("held")
        self._held.add(run_id)
        yield
        self._held.discard(run_id)


class SaysNothingIsLocked(MemoryStore):
    def locked(self, run_id: str) -> bool:
        return False


class ListsWrongEnds(MemoryStore):
    def runs(self) -> Iterator[RunEntry]:
        for run_id in self.run_ids():
            yield RunEntry(run_id=run_id, last_seq=1, last_ts=None, size=None)


class DeletesWithoutAsking(MemoryStore):
    def delete(self, run_id: str, *, after: int) -> int:
        return super().delete(run_id, after=len(self._runs.get(run_id, [])))


class DeletesNothing(MemoryStore):
    def delete(self, run_id: str, *, after: int) -> int:
        if len(self._runs.get(run_id, [])) != after:
            raise ConflictError("someone else wrote")
        return 1_000_000


@pytest.mark.parametrize(
    ("store", "clause"),
    [
        (LosesHalfABatch, "batches_are_whole"),
        (LosesABatch, "order_is_kept"),
        (WritesTheSameSeqTwice, "one_writer_wins_each_seq"),
        (ReadsByTextOrder, "order_is_kept"),
        (EncodesAgain, "bytes_come_back"),
        (SplitsAtEveryLineBreak, "any_text_comes_back"),
        (ChecksNoConflict, "appending_to_an_end_that_moved_is_refused"),
        (AllowsAGap, "appending_behind_a_gap_is_refused"),
        (RestartsAnExistingRun, "starting_an_existing_run_is_refused"),
        (WritesBeforeItChecks, "wrong_numbers_are_refused"),
        (IgnoresAfterWhenReading, "read_after"),
        (MixesRuns, "runs_are_apart"),
        (ListsARunPerEvent, "run_ids_lists_each_run_once"),
        (RefusesBridgeLines, "a_bridge_line_is_kept"),
        (TakesAnyRunId, "bad_run_ids_are_refused"),
        (KeepsTheObjects, "the_log_cannot_be_changed_from_outside"),
        (LocksNobodyOut, "a_lock_excludes_a_second_holder"),
        (KeepsALockAfterAnError, "a_lock_is_freed"),
        (SaysNothingIsLocked, "locked_tells"),
        (ListsWrongEnds, "runs_tells_where_each_ends"),
        (DeletesWithoutAsking, "deletion_is_conditional"),
        (DeletesNothing, "a_deleted_run_is_gone"),
    ],
)
def test_a_broken_store_fails_the_clause_that_names_its_fault(
    store: Callable[[], MemoryStore], clause: str
) -> None:
    report = check_store(store, persistent=False)
    assert clause in {result.clause.name for result in report.failed}, str(report)
    assert not report.ok
    reason = next(r.reason for r in report.failed if r.clause.name == clause)
    assert reason
    assert f"{clause}: {reason}" in str(report)


def test_a_store_that_forgets_fails_the_clause_on_reopening() -> None:
    report = check_store(MemoryStore, persistent=True)
    assert "reopening_shows_everything" in {result.clause.name for result in report.failed}


def test_a_fault_in_an_ability_leaves_the_base_passed() -> None:
    report = check_store(DeletesNothing, persistent=False)
    assert report.passed_base
    assert not check_store(MixesRuns, persistent=False).passed_base


class OnlyTheBase:
    """No optional ability (SC-103: any object with the three methods)."""

    def __init__(self) -> None:
        inner = MemoryStore()
        self.append, self.read, self.run_ids = inner.append, inner.read, inner.run_ids


def test_abilities_that_a_store_lacks_are_not_offered_and_not_failed() -> None:
    report = check_store(OnlyTheBase, persistent=False)
    assert report.ok
    lacking = {r.clause.ability for r in report.results if r.outcome == "not offered"}
    assert lacking == {"persistence", "locking", "repair", "listing", "deletion"}
    assert "OnlyTheBase is no LocksRuns" in str(report)


def test_a_factory_that_raises_is_reported_and_not_raised() -> None:
    def factory() -> MemoryStore:
        raise OSError("no disk")

    report = check_store(factory)
    assert {result.reason for result in report.failed} == {"OSError: no disk"}


def test_every_clause_states_its_rule_and_is_a_test_of_the_class() -> None:
    names = [clause.name for clause in CLAUSES]
    assert len(set(names)) == len(names)
    for clause in CLAUSES:
        assert len(clause.rule) > 20
        test = getattr(StoreContract, f"test_{clause.name}")
        assert test.__doc__ == clause.rule


def test_the_kit_works_where_pytest_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from replayt_core.testing.store_contract import check_store\n"
        "from replayt_core.memory import MemoryStore\n"
        "print(check_store(MemoryStore, persistent=False).ok)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")
