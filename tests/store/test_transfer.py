"""Copying runs, making a mirror anew, saving what a damaged log still holds (R7)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from replayt_core.chain import decode
from replayt_core.errors import (
    DamagedLogError,
    RunLockedError,
    RunNotFoundError,
    StoreError,
    StoreWriteError,
)
from replayt_core.events import Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import EventStore
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.transfer import copy_run, copy_runs, rebuild_mirror, save_readable_part
from tests.store.helpers import TS, add_bytes, seqs, write
from tests.store.test_sqlite import change_line
from tests.store.test_sqlite_legacy import RUNS as OLD_RUNS
from tests.store.test_sqlite_legacy import make as make_old_database


def lines(store: EventStore, run_id: str = "r1") -> list[bytes]:
    return [event.line for event in store.read(run_id)]


class Watched(MemoryStore):
    """Keeps the sizes of the appends, and fails at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[int] = []
        self.fail_at: int | None = None

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if self.fail_at == len(self.appended):
            raise StoreWriteError("disk full")
        self.appended.append(len(events))
        super().append(run_id, events, after=after)


class OnlyTheBase:
    def __init__(self) -> None:
        inner = MemoryStore()
        self.append, self.read, self.run_ids = inner.append, inner.read, inner.run_ids


# --- one run -------------------------------------------------------------------------------------


def test_a_copy_has_the_same_bytes(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path / "a"), MemoryStore()
    write(source, 1, 3, 2)
    copied = copy_run(source, target, "r1")
    assert (copied.run_id, copied.last_seq, copied.added) == ("r1", 6, 6)
    back = JSONLStore(tmp_path / "b")
    copy_run(target, back, "r1")
    assert back.path("r1").read_bytes() == source.path("r1").read_bytes()


def test_a_copy_that_is_there_is_not_written_again() -> None:
    source, target = MemoryStore(), Watched()
    write(source, 2, 2)
    copy_run(source, target, "r1")
    assert copy_run(source, target, "r1").added == 0
    assert target.appended == [4]


def test_a_copy_that_is_behind_is_continued() -> None:
    source, target = MemoryStore(), Watched()
    write(source, 2)
    copy_run(source, target, "r1")
    write(source, 1, 1)
    copied = copy_run(source, target, "r1")
    assert (copied.last_seq, copied.added) == (4, 2)
    assert lines(target) == lines(source)


def test_a_target_that_went_on_is_left_as_it_is() -> None:
    source, target = MemoryStore(), MemoryStore()
    write(source, 2)
    copy_run(source, target, "r1")
    write(target, 1)
    assert copy_run(source, target, "r1").added == 0
    assert len(lines(target)) == 3


def test_another_run_under_that_id_is_an_error_that_names_it() -> None:
    source, target = MemoryStore(), MemoryStore()
    write(source, 1, 1)
    write(target, 1, text="other")
    with pytest.raises(DamagedLogError, match=r"another run r1: event 1 has other bytes"):
        copy_run(source, target, "r1")
    assert len(lines(target)) == 1


def test_appends_are_whole_batches_of_bounded_size() -> None:
    source, target = MemoryStore(), Watched()
    write(source, *[7] * 300)
    copy_run(source, target, "r1")
    assert sum(target.appended) == 2100
    assert all(size % 7 == 0 and size <= 1006 for size in target.appended)
    target.appended.clear()
    write(source, *[1] * 8, run_id="r2", text="x" * 400_000)
    copy_run(source, target, "r2")
    assert target.appended == [3, 3, 2]


def test_a_batch_larger_than_an_append_stays_whole() -> None:
    source, target = MemoryStore(), Watched()
    write(source, 2500)
    copy_run(source, target, "r1")
    assert target.appended == [2500]


def test_a_log_of_0_4_keeps_its_lines(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path / "a"), JSONLStore(tmp_path / "b")
    (tmp_path / "a").mkdir()
    old = b"".join(
        f'{{"ts": "{TS}", "run_id": "r1", "seq": {n}, "type": "note", "payload": {{}}}}\n'.encode()
        for n in (1, 2, 3)
    )
    add_bytes(source, old)
    copy_run(source, target, "r1")
    assert target.path("r1").read_bytes() == old


def test_a_line_of_a_bridge_keeps_its_bytes(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path / "a"), MemoryStore()
    write(source, 1)
    line = (
        f'{{"seq": 2, "run_id": "r1", "ts": "{TS}", "type": "approval_resolved", '
        '"payload": {"approval_id": "publish", "approved": true}}'
    ).encode()
    add_bytes(source, line + b"\n")
    copy_run(source, target, "r1")
    assert lines(target)[1] == line


def test_a_run_that_is_not_there_is_said() -> None:
    with pytest.raises(RunNotFoundError, match="no run r1"):
        copy_run(MemoryStore(), MemoryStore(), "r1")


def test_a_run_that_is_being_executed_is_copied_as_far_as_it_is(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path), MemoryStore()
    with source.lock("r1"):
        write(source, 1, 2)
        add_bytes(source, b'{"half a line')
        assert copy_run(source, target, "r1").last_seq == 3


def test_a_run_that_is_executed_in_the_target_is_refused() -> None:
    source, target = MemoryStore(), MemoryStore()
    write(source, 1)
    with target.lock("r1"), pytest.raises(RunLockedError):
        copy_run(source, target, "r1")


def test_of_a_damaged_log_nothing_is_copied(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path), MemoryStore()
    write(source, 2)
    add_bytes(source, b"nonsense\n")
    with pytest.raises(DamagedLogError, match="line 3"):
        copy_run(source, target, "r1")
    assert list(target.run_ids()) == []


def test_a_torn_target_is_repaired_and_continued(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path / "a"), JSONLStore(tmp_path / "b")
    write(source, 1, 2)
    (tmp_path / "b").mkdir()
    add_bytes(target, source.path("r1").read_bytes()[:-10])
    copy_run(source, target, "r1")
    assert target.path("r1").read_bytes() == source.path("r1").read_bytes()


@pytest.mark.parametrize("chained", [True, False])
def test_a_run_comes_back_from_a_database_as_it_was(chained: bool, tmp_path: Path) -> None:
    source, back = JSONLStore(tmp_path / "a"), JSONLStore(tmp_path / "b")
    if chained:
        write(source, 1, 3, 2, text="ü\u2028\N{GRINNING FACE}")
    else:
        (tmp_path / "a").mkdir()
        text = f'{{"ts": "{TS}", "run_id": "r1", "seq": 1, "type": "note",  "payload": {{}}}}\n'
        add_bytes(source, text.encode())
    with SQLiteStore(tmp_path / "runs.db") as database:
        copy_run(source, database, "r1")
        copy_run(database, back, "r1")
    assert back.path("r1").read_bytes() == source.path("r1").read_bytes()


@pytest.mark.parametrize("run_id", OLD_RUNS)
def test_a_database_of_0_4_is_copied_as_its_rows_are_read(run_id: str, tmp_path: Path) -> None:
    target = JSONLStore(tmp_path / "logs")
    with SQLiteStore(make_old_database(tmp_path / "old.db")) as source:
        copied = copy_run(source, target, run_id)
        assert lines(target, run_id) == lines(source, run_id)
        assert copy_run(source, target, run_id).added == 0
    assert copied.added == len(lines(target, run_id)) > 0


# --- several runs --------------------------------------------------------------------------------


def test_all_runs_are_copied_with_progress() -> None:
    source, target = MemoryStore(), MemoryStore()
    for run_id in ("r1", "r2", "r3"):
        write(source, 2, run_id=run_id)
    copy_run(source, target, "r2")
    seen: list[tuple[int, int]] = []
    copied = copy_runs(source, target, progress=lambda done, of: seen.append((done, of)))
    assert (copied.runs, copied.events, copied.present, copied.problems) == (2, 4, 1, ())
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert all(lines(source, each) == lines(target, each) for each in ("r1", "r2", "r3"))


def test_only_the_chosen_runs_are_copied() -> None:
    source, target = MemoryStore(), MemoryStore()
    for run_id in ("r1", "r2"):
        write(source, 1, run_id=run_id)
    copy_runs(source, target, ["r2"])
    assert list(target.run_ids()) == ["r2"]


def test_a_run_that_cannot_be_copied_does_not_stop_the_others(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path), MemoryStore()
    for run_id in ("bad", "clash", "good", "held"):
        write(source, 1, run_id=run_id)
    add_bytes(source, b"nonsense\n", run_id="bad")
    write(target, 1, run_id="clash", text="other")
    with target.lock("held"):
        copied = copy_runs(source, target, ["bad", "clash", "gone", "../x", "held", "good"])
    assert (copied.runs, copied.events) == (1, 1)
    problems = {each.run_id: each.problem for each in copied.problems}
    assert problems.keys() == {"bad", "clash", "gone", "../x", "held"}
    assert "line 2" in problems["bad"]
    assert "other bytes" in problems["clash"]
    assert lines(target, "good") == lines(source, "good")


def test_a_log_without_an_event_is_named_and_is_no_problem(tmp_path: Path) -> None:
    """Its first batch was cut short: there is nothing to copy, now and at every later copy."""
    source, target = JSONLStore(tmp_path), MemoryStore()
    write(source, 1, run_id="good")
    source.path("torn").write_bytes(b'{"ts":"2026')
    for done in (copy_runs(source, target), rebuild_mirror(source, target)):
        assert (done.empty, done.problems) == (("torn",), ())
    assert set(target.run_ids()) == {"good"}
    asked_for = copy_runs(source, target, ["torn"])
    assert asked_for.empty == ()
    assert [each.run_id for each in asked_for.problems] == ["torn"]


def test_a_target_that_cannot_be_written_ends_the_copy_and_a_second_one_goes_on() -> None:
    source, target = MemoryStore(), Watched()
    for run_id in ("r1", "r2", "r3"):
        write(source, 2, run_id=run_id)
    target.fail_at = 1
    with pytest.raises(StoreWriteError, match="disk full"):
        copy_runs(source, target)
    assert len(list(target.run_ids())) == 1
    target.fail_at = None
    copied = copy_runs(source, target)
    assert (copied.runs, copied.present) == (2, 1)


DIES = """
import os, signal, sys
sys.path[:0] = {path!r}
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.transfer import copy_runs

class Dies(JSONLStore):
    left = 5
    def append(self, run_id, events, *, after):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(run_id, events, after=after)

copy_runs(JSONLStore(sys.argv[1]), Dies(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_a_copy_that_was_killed_is_completed_by_the_next(tmp_path: Path) -> None:
    source, target = JSONLStore(tmp_path / "a"), JSONLStore(tmp_path / "b")
    for number in range(3):
        write(source, *[5] * 500, run_id=f"r{number}")
    program = DIES.format(path=sys.path)
    command = [sys.executable, "-c", program, str(tmp_path / "a"), str(tmp_path / "b")]
    died = subprocess.run(command, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    (half,) = [each for each in target.run_ids() if len(lines(target, each)) < 2500]
    assert len(lines(target, half)) % 5 == 0
    assert copy_runs(source, target).problems == ()
    for number in range(3):
        names = target.path(f"r{number}"), source.path(f"r{number}")
        assert names[0].read_bytes() == names[1].read_bytes()


# --- a mirror made anew --------------------------------------------------------------------------


def spoil(mirror: JSONLStore | SQLiteStore, run_id: str) -> None:
    """Damage the copy of a run of two events."""
    if isinstance(mirror, JSONLStore):
        add_bytes(mirror, b"nonsense\n", run_id=run_id)
        return
    change_line(mirror.file, 2, b"{}", run_id=run_id)


@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore])
def test_a_mirror_gets_what_it_lacks_and_loses_what_is_wrong(
    kind: type[JSONLStore] | type[SQLiteStore], tmp_path: Path
) -> None:
    primary, mirror = MemoryStore(), kind(tmp_path / "mirror")
    for run_id in ("behind", "damaged", "lacking", "right", "wrong"):
        write(primary, 1, 1, run_id=run_id)
    write(mirror, 1, run_id="behind")
    write(mirror, 1, 1, run_id="damaged")
    spoil(mirror, "damaged")
    write(mirror, 1, 1, run_id="right")
    write(mirror, 1, 1, 1, run_id="wrong", text="other")
    seen: list[tuple[int, int]] = []
    rebuilt = rebuild_mirror(primary, mirror, lambda done, of: seen.append((done, of)))
    assert rebuilt.problems == ()
    assert set(rebuilt.replaced) == {"damaged", "wrong"}
    assert (rebuilt.runs, rebuilt.events, rebuilt.present) == (4, 7, 1)
    assert seen[-1] == (5, 5)
    for run_id in primary.run_ids():
        assert lines(mirror, run_id) == lines(primary, run_id)
    assert rebuild_mirror(primary, mirror).present == 5


def test_what_the_primary_cannot_give_back_stays_in_the_mirror(tmp_path: Path) -> None:
    primary, mirror = JSONLStore(tmp_path), MemoryStore()
    write(primary, 1, run_id="shorter")
    write(mirror, 1, 1, run_id="shorter")
    write(primary, 1, run_id="damaged")
    write(mirror, 1, run_id="damaged")
    add_bytes(primary, b"nonsense\n", run_id="damaged")
    write(mirror, 3, run_id="only-here")
    rebuilt = rebuild_mirror(primary, mirror)
    assert rebuilt.extra == ("only-here",)
    assert {each.run_id for each in rebuilt.problems} == {"shorter", "damaged"}
    assert [len(lines(mirror, each)) for each in ("shorter", "damaged", "only-here")] == [2, 1, 3]


def test_a_mirror_that_cannot_delete_keeps_its_wrong_copy() -> None:
    primary, mirror = MemoryStore(), OnlyTheBase()
    write(primary, 1)
    write(mirror, 1, text="other")
    (problem,) = rebuild_mirror(primary, mirror).problems
    assert "OnlyTheBase cannot delete" in problem.problem


# --- what a damaged log still holds --------------------------------------------------------------


def test_the_part_before_the_damage_is_saved_and_the_original_kept(tmp_path: Path) -> None:
    store, target = JSONLStore(tmp_path / "logs"), JSONLStore(tmp_path / "saved")
    write(store, 1, 2)
    good = store.path("r1").read_bytes()
    add_bytes(store, b"nonsense\n" + good)
    original = store.path("r1").read_bytes()
    saved = save_readable_part(store, "r1", target)
    assert (saved.run_id, saved.last_seq, saved.added) == ("r1", 3, 3)
    assert saved.problem is not None
    assert "line 4" in saved.problem
    assert target.path("r1").read_bytes() == good
    assert store.path("r1").read_bytes() == original
    again = save_readable_part(store, "r1", target)
    assert (again.last_seq, again.added, again.problem) == (3, 0, saved.problem)
    write(target, 1)
    assert seqs(target) == [1, 2, 3, 4]


def test_a_batch_that_ends_in_damage_is_left_out_whole(tmp_path: Path) -> None:
    store, target = JSONLStore(tmp_path), MemoryStore()
    events = write(store, 1, 3)
    data = store.path("r1").read_bytes()
    store.path("r1").write_bytes(data.replace(events[2].line, b"{}"))
    assert save_readable_part(store, "r1", target).last_seq == 1
    assert len(lines(target)) == 1


def test_a_whole_log_is_saved_whole() -> None:
    store, target = MemoryStore(), MemoryStore()
    write(store, 2)
    saved = save_readable_part(store, "r1", target)
    assert (saved.last_seq, saved.problem) == (2, None)


def test_a_log_of_which_nothing_can_be_read_is_said(tmp_path: Path) -> None:
    store, target = JSONLStore(tmp_path), MemoryStore()
    add_bytes(store, b"nonsense\n")
    with pytest.raises(DamagedLogError, match="line 1"):
        save_readable_part(store, "r1", target)
    with pytest.raises(RunNotFoundError):
        save_readable_part(store, "r2", target)
    with pytest.raises(StoreError, match="another store"):
        save_readable_part(store, "r1", store)
    assert list(target.run_ids()) == []


def test_another_run_in_the_target_is_not_touched() -> None:
    store, target = MemoryStore(), MemoryStore()
    write(store, 1)
    write(target, 1, text="other")
    before = lines(target)
    with pytest.raises(DamagedLogError, match="other bytes"):
        save_readable_part(store, "r1", target)
    assert lines(target) == before


def test_a_saved_part_that_was_resumed_is_left_as_it_is(tmp_path: Path) -> None:
    store, target = JSONLStore(tmp_path), MemoryStore()
    write(store, 2)
    add_bytes(store, b"nonsense\n")
    save_readable_part(store, "r1", target)
    write(target, 1)
    saved = save_readable_part(store, "r1", target)
    assert (saved.last_seq, saved.added, len(lines(target))) == (2, 0, 3)
    assert "line 3" in str(saved.problem)


# --- readings are closed -------------------------------------------------------------------------


def test_every_reading_that_was_begun_is_closed() -> None:
    opened: list[str] = []

    class Counts(MemoryStore):
        def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
            return self._counted(super().read(run_id, after=after))

        def _counted(self, events: Iterator[Event]) -> Iterator[Event]:
            opened.append("open")
            try:
                yield from events
            finally:
                opened.append("close")

    source, target = Counts(), Counts()
    write(source, 3)
    write(target, 1, text="other")
    opened.clear()
    with pytest.raises(DamagedLogError) as caught:
        copy_run(source, target, "r1")
    assert caught.value.__traceback__ is not None
    assert opened.count("open") == opened.count("close") > 0
    assert decode(lines(source)[0]).seq == 1
