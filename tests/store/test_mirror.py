"""A primary, and mirrors that follow it (SC-101, R14)."""

from __future__ import annotations

import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from replayt_core import Runner, Workflow, fold
from replayt_core.chain import decode
from replayt_core.errors import (
    ConflictError,
    DamagedLogError,
    MirrorError,
    RunLockedError,
    StoreWriteError,
)
from replayt_core.events import Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import (
    DeletesRuns,
    EventStore,
    ListsRuns,
    LocksRuns,
    RepairsRuns,
)
from replayt_core.testing import StoreContract
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.mirror import MirrorStore, MirrorWarning, MultiStore
from tests.store.helpers import (
    TS,
    HurriedClock,
    add_bytes,
    batch,
    damage_file,
    seqs,
    tear_file,
    write,
)
from tests.store.test_sqlite_legacy import make as make_old

ABILITIES = (LocksRuns, RepairsRuns, ListsRuns, DeletesRuns)


class OnlyTheBase:
    """A store without any ability."""

    def __init__(self) -> None:
        inner = MemoryStore()
        self.append, self.read, self.run_ids = inner.append, inner.read, inner.run_ids


class Watched(MemoryStore):
    """Counts what is asked of it, and fails on command."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.failing: Exception | None = None

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        self.calls.append(f"append {after}")
        if self.failing:
            raise self.failing
        super().append(run_id, events, after=after)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        self.calls.append(f"read {after}")
        return super().read(run_id, after=after)

    def delete(self, run_id: str, *, after: int) -> int:
        self.calls.append(f"delete {after}")
        if self.failing:
            raise self.failing
        return super().delete(run_id, after=after)


def lines(store: EventStore, run_id: str = "r1") -> list[bytes]:
    return [event.line for event in store.read(run_id)]


def jsonl_pair(folder: Path) -> tuple[EventStore, EventStore]:
    return JSONLStore(folder / "primary"), JSONLStore(folder / "mirror")


def memory_pair(folder: Path) -> tuple[EventStore, EventStore]:
    return MemoryStore(), MemoryStore()


def memory_behind_jsonl(folder: Path) -> tuple[EventStore, EventStore]:
    return JSONLStore(folder / "primary"), MemoryStore()


def sqlite_behind_jsonl(folder: Path) -> tuple[EventStore, EventStore]:
    return JSONLStore(folder / "primary"), SQLiteStore(folder / "mirror.db")


def jsonl_behind_sqlite(folder: Path) -> tuple[EventStore, EventStore]:
    return SQLiteStore(folder / "primary.db"), JSONLStore(folder / "mirror")


Pair = Callable[[Path], tuple[EventStore, EventStore]]
each_pair = pytest.mark.parametrize(
    "pair", [jsonl_pair, memory_pair, memory_behind_jsonl, sqlite_behind_jsonl, jsonl_behind_sqlite]
)


class TestContractOfJSONLAndSQLite(StoreContract):
    """What `--sqlite FILE` makes of the default store."""

    def make_store(self, directory: Path) -> EventStore:
        primary = JSONLStore(directory / "primary", clock=HurriedClock())
        return MirrorStore(primary, SQLiteStore(directory / "mirror.db"))

    def tear(self, directory: Path, run_id: str) -> bytes:
        return tear_file(directory / "primary" / f"{run_id}.jsonl")

    def damage(self, directory: Path, run_id: str, seq: int) -> None:
        damage_file(directory / "primary" / f"{run_id}.jsonl", seq)


class TestContractOfSQLiteAndTwoMirrors(StoreContract):
    def make_store(self, directory: Path) -> EventStore:
        primary = SQLiteStore(directory / "primary.db", clock=HurriedClock())
        return MirrorStore(
            primary, JSONLStore(directory / "mirror"), JSONLStore(directory / "second")
        )


class TestContractOfMemory(StoreContract):
    persistent = False

    def make_store(self, directory: Path) -> EventStore:
        return MirrorStore(*memory_pair(directory))


# --- what it offers ------------------------------------------------------------------------------


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize("mirror", [MemoryStore, OnlyTheBase])
def test_it_has_the_abilities_of_its_primary(
    ability: type, mirror: Callable[[], EventStore], tmp_path: Path
) -> None:
    for primary in (JSONLStore(tmp_path), MemoryStore(), OnlyTheBase()):
        store = MirrorStore(primary, mirror())
        assert isinstance(store, ability) == isinstance(primary, ability), primary
        assert isinstance(store, MirrorStore)
        assert isinstance(store, EventStore)


def test_the_name_of_0_2_is_the_same_class() -> None:
    assert MultiStore is MirrorStore
    assert type(MirrorStore(MemoryStore())) is type(MultiStore(MemoryStore(), MemoryStore()))


def test_a_class_of_ones_own_keeps_its_methods() -> None:
    class Mine(MirrorStore):
        def run_ids(self) -> Iterator[str]:
            return iter(["mine"])

    store = Mine(MemoryStore(), MemoryStore())
    assert isinstance(store, LocksRuns)
    assert list(store.run_ids()) == ["mine"]


def test_closing_it_closes_its_stores(tmp_path: Path) -> None:
    closed: list[str] = []

    class Closes(MemoryStore):
        def close(self) -> None:
            closed.append("closed")

    with MirrorStore(MemoryStore(), Closes(), Closes()) as store:
        write(store, 1)
    assert closed == ["closed", "closed"]


# --- following -----------------------------------------------------------------------------------


@each_pair
def test_the_mirror_holds_the_same_bytes(pair: Pair, tmp_path: Path) -> None:
    primary, mirror = pair(tmp_path)
    write(MirrorStore(primary, mirror), 1, 3, 2)
    assert lines(mirror) == lines(primary)
    assert len(lines(primary)) == 6


@each_pair
def test_a_mirror_that_is_behind_is_given_what_it_lacks(pair: Pair, tmp_path: Path) -> None:
    primary, mirror = pair(tmp_path)
    write(MirrorStore(primary, mirror), 2, 1)
    write(primary, 3, 1)
    assert seqs(mirror) == [1, 2, 3]
    write(MirrorStore(primary, mirror), 2)
    assert lines(mirror) == lines(primary)
    assert len(lines(primary)) == 9


@each_pair
def test_a_mirror_that_is_new_is_given_the_whole_run(pair: Pair, tmp_path: Path) -> None:
    primary, mirror = pair(tmp_path)
    write(primary, *[3] * 700)
    write(MirrorStore(primary, mirror), 1)
    assert lines(mirror) == lines(primary)
    assert len(lines(primary)) == 2101


def test_each_of_two_mirrors_is_healed_from_where_it_stands() -> None:
    primary, first, second = MemoryStore(), MemoryStore(), MemoryStore()
    write(MirrorStore(primary, first), 2)
    write(MirrorStore(primary, second), 1, 1)
    write(MirrorStore(primary, first, second), 1)
    assert lines(first) == lines(second) == lines(primary)


def test_a_line_of_a_bridge_reaches_the_mirror(tmp_path: Path) -> None:
    primary, mirror = JSONLStore(tmp_path / "p"), JSONLStore(tmp_path / "m")
    store = MirrorStore(primary, mirror)
    events = write(store, 2)
    line = (
        f'{{"seq": 3, "run_id": "r1", "ts": "{TS}", "type": "approval_resolved", '
        '"payload": {"approval_id": "publish", "approved": true}}'
    ).encode()
    add_bytes(primary, line + b"\n")
    events.append(decode(line))
    store.append("r1", batch("note", after=events), after=3)
    assert lines(mirror) == lines(primary)
    assert line in lines(mirror)


@pytest.mark.parametrize("database", [False, True])
def test_a_log_of_0_4_is_mirrored_line_by_line(database: bool, tmp_path: Path) -> None:
    primary = JSONLStore(tmp_path / "p")
    mirror = SQLiteStore(tmp_path / "m.db") if database else MemoryStore()
    tmp_path.joinpath("p").mkdir()
    old = [
        f'{{"ts": "{TS}", "run_id": "r1", "seq": {seq}, "type": "note", "payload": {{}}}}'.encode()
        for seq in (1, 2, 3)
    ]
    add_bytes(primary, b"\n".join(old) + b"\n")
    new = decode(old[0].replace(b'"seq": 1', b'"seq": 4'))
    MirrorStore(primary, mirror).append("r1", [new], after=3)
    assert lines(mirror) == [*old, new.line]


def test_a_steady_append_reads_nothing_back() -> None:
    primary, mirror = Watched(), Watched()
    store = MirrorStore(primary, mirror)
    with store.lock("r1"):
        events: list[Event] = []
        for _ in range(20):
            more = batch("note", after=events)
            store.append("r1", more, after=len(events))
            events += more
    wanted = [f"append {after}" for after in range(20)]
    assert (primary.calls, mirror.calls) == (wanted, wanted)


def test_a_run_that_is_taken_up_is_compared_once() -> None:
    primary, mirror = Watched(), Watched()
    events = write(MirrorStore(primary, mirror), 5)
    store = MirrorStore(primary, mirror)
    mirror.calls.clear()
    with store.lock("r1"):
        for _ in range(3):
            more = batch("note", after=events)
            store.append("r1", more, after=len(events))
            events += more
    assert mirror.calls == ["read 0", "append 5", "append 6", "append 7"]


def test_two_objects_that_write_in_turn_keep_the_mirror_right() -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    first, second = MirrorStore(primary, mirror), MirrorStore(primary, mirror)
    for turn in range(6):
        write(first if turn % 2 else second, 1)
    assert lines(mirror) == lines(primary)
    assert len(lines(mirror)) == 6


# --- what the primary decides --------------------------------------------------------------------


def test_a_conflict_in_the_primary_reaches_no_mirror() -> None:
    primary, mirror = MemoryStore(), Watched()
    store = MirrorStore(primary, mirror)
    events = write(store, 1)
    mirror.calls.clear()
    with pytest.raises(ConflictError):
        store.append("r1", batch("note"), after=0)
    with pytest.raises(ValueError, match="numbered"):
        store.append("r1", batch("note", "note", after=events)[1:], after=1)
    assert mirror.calls == []


def test_a_conflict_in_a_mirror_is_never_the_answer() -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    store = MirrorStore(primary, mirror)
    events = write(store, 1)
    more = batch("note", after=events)
    mirror.append("r1", more, after=1)  # by another process, between its primary and ours
    store.append("r1", more, after=1)
    assert lines(mirror) == lines(primary)


def test_reads_and_listings_come_from_the_primary_alone() -> None:
    primary, mirror = MemoryStore(), Watched()
    store = MirrorStore(primary, mirror)
    write(store, 2)
    mirror.calls.clear()
    write(primary, 1, run_id="r2")
    assert seqs(store) == [1, 2]
    assert set(store.run_ids()) == {"r1", "r2"}
    assert {entry.run_id for entry in store.runs()} == {"r1", "r2"}
    assert mirror.calls == []


# --- a mirror that cannot follow -----------------------------------------------------------------


def test_a_mirror_that_fails_is_an_error_after_the_primary_has_committed() -> None:
    primary, mirror = MemoryStore(), Watched()
    store = MirrorStore(primary, mirror)
    events = write(store, 1)
    mirror.failing = OSError("no route to host")
    with pytest.raises(MirrorError, match=r"up to seq 2.*mirror 1.*no route to host") as caught:
        store.append("r1", batch("note", after=events), after=1)
    assert isinstance(caught.value, StoreWriteError)
    assert seqs(primary) == [1, 2]
    mirror.failing = None
    write(store, 1)
    assert lines(mirror) == lines(primary)


def test_the_other_mirrors_follow_although_one_fails() -> None:
    primary, broken, sound = MemoryStore(), Watched(), MemoryStore()
    broken.failing = StoreWriteError("disk full")
    with pytest.raises(MirrorError, match="mirror 1"):
        write(MirrorStore(primary, broken, sound), 1)
    assert lines(sound) == lines(primary)


def test_without_strictness_a_failing_mirror_is_said_once() -> None:
    primary, mirror = MemoryStore(), Watched()
    store = MirrorStore(primary, mirror, strict=False)
    mirror.failing = StoreWriteError("disk full")
    with pytest.warns(MirrorWarning, match="disk full") as said:
        events = write(store, 1, 1, 1)
    assert len(said) == 1
    mirror.failing = None
    store.append("r1", batch("note", after=events), after=3)
    assert lines(mirror) == lines(primary)


def test_healing_starts_where_the_mirror_was_left() -> None:
    """A mirror that was away for a while does not cost a comparison of the whole run."""
    primary, mirror = Watched(), Watched()
    store = MirrorStore(primary, mirror, strict=False)
    write(store, 50, 50)
    mirror.failing = StoreWriteError("away")
    with pytest.warns(MirrorWarning):
        write(store, 1)
    mirror.failing = None
    mirror.calls.clear()
    write(store, 1)
    assert mirror.calls == ["read 100", "append 100"]


def test_the_run_stops_as_interrupted_and_can_be_resumed() -> None:
    primary, mirror = MemoryStore(), Watched()
    executed: list[str] = []
    workflow = Workflow("two")
    workflow.set_initial("a")

    @workflow.step("a", to=["b"])
    def a(ctx: object) -> str:
        executed.append("a")
        mirror.failing = None if len(executed) > 1 else StoreWriteError("disk full")
        return "b"

    @workflow.step("b")
    def b(ctx: object) -> None:
        executed.append("b")

    store = MirrorStore(primary, mirror)
    with pytest.raises(MirrorError, match="disk full"):
        Runner(workflow, store).run(run_id="r1")
    assert executed == ["a"]
    assert fold("r1", primary.read("r1")).summary.status == "interrupted"
    assert next(iter(primary.read("r1", after=2))).type == "state_exited"
    mirror.failing = None
    assert Runner(workflow, store).run(run_id="r1", resume=True).status == "completed"
    assert executed == ["a", "b"]
    assert lines(mirror) == lines(primary)


# --- a mirror that holds something else ----------------------------------------------------------


@each_pair
def test_other_bytes_are_damage_that_names_mirror_and_seq(pair: Pair, tmp_path: Path) -> None:
    primary, mirror = pair(tmp_path)
    write(primary, 1, 2)
    events = write(mirror, 1)
    mirror.append("r1", batch("note", after=events, text="other"), after=1)
    before = lines(mirror)
    with pytest.raises(DamagedLogError, match=r"mirror 1.*event 2 with other bytes") as caught:
        write(MirrorStore(primary, mirror), 1)
    assert (caught.value.run_id, caught.value.where) == ("r1", "event 2")
    assert lines(mirror) == before
    assert seqs(primary) == [1, 2, 3, 4]


@each_pair
def test_a_mirror_that_is_ahead_is_damage(pair: Pair, tmp_path: Path) -> None:
    primary, mirror = pair(tmp_path)
    write(primary, 1)
    write(mirror, 1, 1, 1)
    with pytest.raises(DamagedLogError, match=r"event 3 that the primary lacks"):
        write(MirrorStore(primary, mirror), 1)
    assert seqs(mirror) == [1, 2, 3]


def test_without_strictness_a_wrong_copy_is_said_and_left_alone() -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    write(mirror, 1, text="other")
    with pytest.warns(MirrorWarning, match="is no copy of it"):
        write(MirrorStore(primary, mirror, strict=False), 1, 1)
    assert (len(lines(primary)), len(lines(mirror))) == (2, 1)


def test_a_damaged_mirror_is_named(tmp_path: Path) -> None:
    primary, mirror = JSONLStore(tmp_path / "p"), JSONLStore(tmp_path / "m")
    write(MirrorStore(primary, mirror), 1)
    add_bytes(mirror, b"nonsense\n")
    with pytest.raises(DamagedLogError, match=r"mirror 1.*line 2"):
        write(MirrorStore(primary, mirror), 1)
    assert seqs(primary) == [1, 2]


def test_a_torn_mirror_is_repaired_and_healed(tmp_path: Path) -> None:
    primary, mirror = JSONLStore(tmp_path / "p"), JSONLStore(tmp_path / "m")
    store = MirrorStore(primary, mirror)
    events = write(store, 1, 2)
    more = batch("note", "note", after=events)
    primary.append("r1", more, after=3)
    add_bytes(mirror, more[0].line + b"\n" + more[1].line[:20])
    write(store, 1)
    assert lines(mirror) == lines(primary)
    assert len(list((tmp_path / "m").glob("r1.jsonl.torn-*"))) == 1


def test_a_torn_primary_stays_refused_until_it_is_repaired(tmp_path: Path) -> None:
    primary, mirror = JSONLStore(tmp_path / "p"), JSONLStore(tmp_path / "m")
    store = MirrorStore(primary, mirror)
    events = write(store, 2)
    add_bytes(primary, b'{"cut')
    with pytest.raises(DamagedLogError, match="repair"):
        store.append("r1", batch("note", after=events), after=2)
    assert len(lines(mirror)) == 2
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 5
    write(store, 1)
    assert lines(mirror) == lines(primary)


# --- locks ---------------------------------------------------------------------------------------


def test_a_lock_holds_the_primary_and_the_mirrors_that_can_be_locked(tmp_path: Path) -> None:
    primary, mirror, base = JSONLStore(tmp_path / "p"), MemoryStore(), OnlyTheBase()
    store = MirrorStore(primary, mirror, base)
    with store.lock("r1"):
        assert primary.locked("r1")
        assert mirror.locked("r1")
        assert store.locked("r1")
        write(store, 1)
    assert not primary.locked("r1")
    assert not mirror.locked("r1")


def test_a_mirror_that_is_held_refuses_the_lock_and_frees_the_primary() -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    store = MirrorStore(primary, mirror)
    with (
        mirror.lock("r1"),
        pytest.raises(RunLockedError, match="mirror 1"),
        store.lock("r1"),
    ):
        pass
    assert not primary.locked("r1")
    lax = MirrorStore(primary, mirror, strict=False)
    with (
        mirror.lock("r1"),
        pytest.warns(MirrorWarning, match="held in mirror 1"),
        lax.lock("r1"),
    ):
        assert primary.locked("r1")


def test_a_mirror_that_cannot_be_locked_stops_before_anything_is_executed(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("no directory")
    primary, mirror = MemoryStore(), JSONLStore(tmp_path / "file" / "logs")
    store = MirrorStore(primary, mirror)
    with pytest.raises(MirrorError, match="not taken up"), store.lock("r1"):
        pass
    assert not primary.locked("r1")


def test_a_mirror_that_nobody_writes_to_stops_before_anything_is_executed(tmp_path: Path) -> None:
    """A database of 0.1 to 0.4 is only read; nothing of the run is in the primary then."""
    make_old(tmp_path / "old.db")
    primary = MemoryStore()
    with SQLiteStore(tmp_path / "old.db") as old:
        store = MirrorStore(primary, old)
        refused = r"r1 was not taken up, for mirror 1 .*0\.1 to 0\.4 .*replayt store copy"
        with pytest.raises(MirrorError, match=refused), store.lock("r1"):
            pass
        assert not primary.locked("r1")
        workflow = Workflow("w")
        workflow.set_initial("a")
        workflow.step("a")(lambda ctx: None)
        with pytest.raises(MirrorError, match="only read"):
            Runner(workflow, store).run(run_id="r1")
        assert list(primary.run_ids()) == []
        lax = MirrorStore(primary, old, strict=False)
        with pytest.warns(MirrorWarning, match="only read"):
            assert Runner(workflow, lax).run(run_id="r1").status == "completed"


def test_asking_whether_a_mirror_can_follow_makes_no_file(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "new.db") as mirror:
        with MirrorStore(MemoryStore(), mirror).lock("r1"):
            assert not (tmp_path / "new.db").exists()
        tmp_path.joinpath("new.db").write_text("a text of mine, longer than the smallest database")
        with pytest.raises(MirrorError, match="no SQLite database"):
            MirrorStore(MemoryStore(), mirror).lock("r1").__enter__()


# --- deletion ------------------------------------------------------------------------------------


def test_a_run_is_deleted_in_the_mirrors_first() -> None:
    primary, mirror = Watched(), Watched()
    store = MirrorStore(primary, mirror)
    write(store, 2)
    primary.failing = StoreWriteError("read-only")
    with pytest.raises(StoreWriteError, match="read-only"):
        store.delete("r1", after=2)
    assert (len(lines(mirror)), len(lines(primary))) == (0, 2)
    primary.failing = None
    freed = store.delete("r1", after=2)
    assert freed > 0
    assert lines(primary) == []
    assert store.delete("r1", after=0) == 0


def test_a_refused_deletion_touches_no_mirror() -> None:
    primary, mirror = MemoryStore(), Watched()
    store = MirrorStore(primary, mirror)
    write(store, 2)
    for after in (0, 1, 3):
        with pytest.raises(ConflictError):
            store.delete("r1", after=after)
    assert lines(mirror) == lines(primary)
    assert not [call for call in mirror.calls if call.startswith("delete")]


def test_a_mirror_that_is_behind_loses_the_run_too() -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    write(MirrorStore(primary, mirror), 1)
    write(primary, 2)
    MirrorStore(primary, mirror).delete("r1", after=3)
    assert lines(primary) == lines(mirror) == []


@pytest.mark.parametrize("more", [1, 0])
def test_what_only_the_mirror_holds_is_not_deleted(more: int) -> None:
    primary, mirror = MemoryStore(), MemoryStore()
    write(primary, 1)
    write(mirror, 1 + more, text="x" if more else "other")
    with pytest.raises(DamagedLogError, match="stays in mirror 1"):
        MirrorStore(primary, mirror).delete("r1", after=1)
    assert lines(primary)
    assert lines(mirror)


def test_a_mirror_that_cannot_delete_keeps_the_run_in_both() -> None:
    primary, mirror = MemoryStore(), OnlyTheBase()
    store = MirrorStore(primary, mirror)
    write(store, 1)
    with pytest.raises(MirrorError, match="OnlyTheBase cannot delete"):
        store.delete("r1", after=1)
    assert lines(primary) == lines(mirror)
    lax = MirrorStore(primary, mirror, strict=False)
    with pytest.warns(MirrorWarning, match="cannot delete"):
        lax.delete("r1", after=1)
    assert lines(primary) == []


# --- a real death between primary and mirror -----------------------------------------------------

DIES_BETWEEN = """
import os, signal, sys
sys.path[:0] = {path!r}
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.mirror import MirrorStore
from tests.store.helpers import write

class Dies({mirror}):
    def append(self, run_id, events, *, after):
        if after == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(run_id, events, after=after)

store = MirrorStore(JSONLStore(sys.argv[1]), Dies(sys.argv[2]))
with store.lock("r1"):
    write(store, 1, 1, 3, 1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore])
def test_a_kill_between_primary_and_mirror_is_healed_by_the_next_append(
    kind: type[JSONLStore] | type[SQLiteStore], tmp_path: Path
) -> None:
    program = DIES_BETWEEN.format(path=sys.path, mirror=kind.__name__)
    where = [str(tmp_path / "p"), str(tmp_path / "m")]
    died = subprocess.run([sys.executable, "-c", program, *where], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    primary, mirror = JSONLStore(where[0]), kind(where[1])
    assert (seqs(primary), seqs(mirror)) == ([1, 2, 3, 4, 5], [1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(MirrorStore(primary, mirror), 1)
    assert lines(mirror) == lines(primary)
    assert len(lines(primary)) == 6


KILLED_ANYWHERE = """
import sys
sys.path[:0] = {path!r}
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.mirror import MirrorStore
from tests.store.helpers import write

store = MirrorStore(JSONLStore(sys.argv[1]), SQLiteStore(sys.argv[2]), JSONLStore(sys.argv[3]))
with store.lock("r1"):
    while True:
        events = len(write(store, 1, 3))
        print(events, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_kills_at_any_moment_leave_mirrors_that_heal(tmp_path: Path) -> None:
    program = KILLED_ANYWHERE.format(path=sys.path)
    where = [str(tmp_path / "p"), str(tmp_path / "m.db"), str(tmp_path / "m")]
    primary, mirrors = JSONLStore(where[0]), [SQLiteStore(where[1]), JSONLStore(where[2])]
    acknowledged = 0
    for number in range(6):
        # The next writer takes up what the killed one left, as every writer does.
        primary.repair("r1")
        writer = subprocess.Popen(
            [sys.executable, "-c", program, *where], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(number + 1):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        writer.communicate()
    primary.repair("r1")
    with MirrorStore(primary, *mirrors) as store:
        assert len(write(store, 1)) > acknowledged
        assert lines(mirrors[0]) == lines(mirrors[1]) == lines(primary)
