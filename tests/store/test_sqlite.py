"""`SQLiteStore`: the kit, the files it makes, what it reads, and what it leaves alone."""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import replayt_store
from replayt_core.chain import decode
from replayt_core.errors import (
    ConflictError,
    DamagedLogError,
    InvalidRunIdError,
    RunLockedError,
    StoreError,
    StoreURLError,
    StoreWriteError,
)
from replayt_core.ports.store import DeletesRuns, EventStore, ListsRuns, LocksRuns, RepairsRuns
from replayt_core.testing.store_contract import StoreContract
from replayt_store import SQLiteStore, _sqlite_database, open_store
from replayt_store._migrations import APPLICATION_ID, MIGRATIONS
from replayt_store._os import System
from tests.store.helpers import TS, FakeClock, HurriedClock, batch, seqs, write


def query(file: Path, sql: str, *values: object) -> list[tuple]:
    """What any SQL tool sees, or does."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def change_line(file: Path, seq: int, line: object, *, run_id: str = "r1") -> None:
    """Damage one line of a run."""
    (number,) = query(file, "SELECT number FROM runs WHERE run_id = ?", run_id)[0]
    query(file, "UPDATE lines SET line = ? WHERE id = ?", line, (number << 32) + seq)


class TestSQLiteStore(StoreContract):
    def make_store(self, directory: Path) -> EventStore:
        return SQLiteStore(directory / "runs.db", clock=HurriedClock())

    def damage(self, directory: Path, run_id: str, seq: int) -> None:
        change_line(directory / "runs.db", seq, b'{"seq": 1}', run_id=run_id)


class Later(System):
    """Where files that were just written are old, so that a connection to one may be kept."""

    def now_ns(self) -> int:
        return time.time_ns() + 3_600_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "data" / "runs.db", clock=FakeClock())


def test_it_offers_what_a_database_can(store: SQLiteStore) -> None:
    for ability in (EventStore, LocksRuns, ListsRuns, DeletesRuns):
        assert isinstance(store, ability)
    assert not isinstance(store, RepairsRuns), "a transaction is never torn"


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_files_are_0600_in_0700_directories_under_an_ordinary_umask(tmp_path: Path) -> None:
    """R26: private from the first byte, the write-ahead log and its index too."""
    before = os.umask(0o022)
    try:
        store = SQLiteStore(tmp_path / "a" / "b" / "runs.db")
        with store.lock("r1"):
            write(store, 1)
            found = {
                path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
                for path in (tmp_path / "a").rglob("*")
            }
    finally:
        os.umask(before)
    assert found == {
        "a/b": 0o700,
        "a/b/runs.db": 0o600,
        "a/b/runs.db-wal": 0o600,
        "a/b/runs.db-shm": 0o600,
        "a/b/runs.db.locks": 0o700,
        "a/b/runs.db.locks/r1": 0o600,
    }
    store.close()


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "data" / "runs.db")
    assert list(store.read("r1")) == []
    assert list(store.run_ids()) == []
    assert list(store.runs()) == []
    assert not store.locked("r1")
    assert store.delete("r1", after=0) == 0
    with pytest.raises(ConflictError):
        store.delete("r1", after=3)
    with pytest.raises(ConflictError):
        store.append("r1", batch("note", after=batch("run_started")), after=1)
    assert list(tmp_path.iterdir()) == []


def test_reading_a_closed_database_leaves_one_file(store: SQLiteStore) -> None:
    """SQLite's own `mode=ro` leaves a `-wal` and a `-shm` there."""
    write(store, 3)
    store.close()
    files = [path.name for path in store.file.parent.iterdir() if path.is_file()]
    assert files == ["runs.db"], "closing made it whole"
    other = SQLiteStore(store.file)
    assert seqs(other) == [1, 2, 3]
    assert [entry.last_seq for entry in other.runs()] == [3]
    assert [path.name for path in store.file.parent.iterdir() if path.is_file()] == files


def test_a_store_that_is_dropped_closes_its_file(store: SQLiteStore) -> None:
    write(store, 1)
    again = SQLiteStore(store.file)
    write(again, 1)
    store.close()
    del again
    gc.collect()
    assert [path.name for path in store.file.parent.iterdir() if path.is_file()] == ["runs.db"]


def test_a_with_block_closes_the_file(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "runs.db") as store:
        write(store, 1)
        assert (tmp_path / "runs.db-wal").exists()
    assert not (tmp_path / "runs.db-wal").exists()
    assert seqs(store) == [1], "and it can be used again"


def test_a_reader_at_rest_notices_a_writer(store: SQLiteStore) -> None:
    """The file at rest is read without locks: whoever writes meanwhile must be seen."""
    write(store, 2)
    store.close()
    reader = SQLiteStore(store.file, system=Later())
    assert seqs(reader) == [1, 2]
    write(store, 1)
    assert seqs(reader) == [1, 2, 3], "while it is open"
    write(store, 1)
    store.close()
    assert seqs(reader) == [1, 2, 3, 4], "and when it was closed"
    write(store, 1)
    store.close()
    assert seqs(reader) == [1, 2, 3, 4, 5]


def test_a_reader_at_rest_notices_a_writer_where_times_are_coarse(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writes within one tick of the file system leave the same time and size."""
    lstat, tick = os.lstat, time.time_ns()

    class Coarse:
        def __init__(self, path: str) -> None:
            self.found = lstat(path)

        def __getattr__(self, name: str) -> object:
            return tick if name in ("st_mtime_ns", "st_ctime_ns") else getattr(self.found, name)

    class SameTick(System):
        def now_ns(self) -> int:
            return tick

    write(store, 1)
    store.close()
    size = store.file.stat().st_size
    reader = SQLiteStore(store.file, system=SameTick())
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", Coarse)
        assert seqs(reader) == [1]
        write(store, 1)
        store.close()
        assert seqs(reader) == [1, 2]
        assert [entry.last_seq for entry in reader.runs()] == [2]
    assert store.file.stat().st_size == size, "else the size alone would have told"


def test_tables_made_while_a_reader_looks_are_not_taken_for_a_foreign_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "runs.db"
    writer, reader = SQLiteStore(file), SQLiteStore(file)
    connect = sqlite3.connect

    class Overtaken(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if "sqlite_master" in sql:
                monkeypatch.undo()
                write(writer, 1)
            return super().execute(sql, *values)

    with closing(connect(file)) as first:  # who has the file open, and made no table yet
        first.execute("PRAGMA journal_mode = WAL").fetchall()
        first.execute("SELECT * FROM sqlite_master").fetchall()
        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **how: connect(*args, **how, factory=Overtaken)
        )
        assert seqs(reader) == []
        assert sqlite3.connect is connect, "it was overtaken"
        assert seqs(reader) == [1]
    writer.close()
    reader.close()


def test_the_first_writer_waits_for_whoever_reads_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no write-ahead log yet, and SQLite itself has waited in vain."""
    monkeypatch.setattr(_sqlite_database, "BUSY_SECONDS", 0.05)
    file = tmp_path / "runs.db"
    query(file, "VACUUM")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_master").fetchall()
        clock = FakeClock(then=lambda: other.in_transaction and other.execute("ROLLBACK"))
        store = SQLiteStore(file, clock=clock)
        write(store, 1)
        assert len(clock.sleeps) == 1
    assert seqs(store) == [1]
    store.close()


def test_a_text_that_is_no_utf_8_keeps_nobody_from_the_other_runs(store: SQLiteStore) -> None:
    write(store, 1)
    write(store, 2, run_id="r2")
    store.close()
    query(store.file, "UPDATE lines SET ts = CAST(x'74ff' AS TEXT) WHERE id = (1 << 32) + 1")
    assert {entry.run_id: entry.last_seq for entry in store.runs()} == {"r1": 1, "r2": 2}
    query(store.file, "UPDATE runs SET run_id = CAST(x'72ff' AS TEXT) WHERE number = 1")
    assert sorted(store.run_ids()) == ["r2"]
    assert seqs(store, "r2") == [1, 2]


def test_a_read_goes_on_over_writes_and_closes_between_its_steps(store: SQLiteStore) -> None:
    events = write(store, *[1] * 5, text="x" * 700_000)  # more than is read at once
    store.close()
    reader = SQLiteStore(store.file, system=Later())
    reading = reader.read("r1")
    assert next(reading).seq == 1
    write(store, 2)
    store.close()
    assert [event.line for event in reading] == [event.line for event in events[1:]]


def test_a_run_deleted_while_it_is_read_is_an_error_not_an_end(store: SQLiteStore) -> None:
    write(store, *[1] * 5, text="x" * 700_000)
    reading = SQLiteStore(store.file).read("r1")
    assert next(reading).seq == 1
    store.delete("r1", after=5)
    write(store, 1)
    with pytest.raises(StoreError, match="deleted while it was read"):
        list(reading)


@pytest.mark.parametrize("name", ["a b.db", "a?b#c%20d.db", "Grüße 東京.db", "%41.db", "a&b=c"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    with SQLiteStore(tmp_path / name) as store:
        write(store, 2)
    assert seqs(SQLiteStore(tmp_path / name)) == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.locks"])


def test_a_later_chdir_does_not_move_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("runs.db")
    write(store, 1)
    store.close()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert seqs(store) == [1]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_what_is_no_regular_file_is_neither_read_nor_written(tmp_path: Path, kind: str) -> None:
    """R26: no link is followed, no FIFO waited for, nothing outside is touched."""
    outside, file = tmp_path / "outside", tmp_path / "runs.db"
    if kind == "link":
        outside.write_bytes(b"")
        file.symlink_to(outside)
    elif kind == "dangling":
        file.symlink_to(outside)
    elif kind == "directory":
        file.mkdir()
    else:
        os.mkfifo(file)
    store = SQLiteStore(file)
    for call in (
        lambda: list(store.read("r1")),
        lambda: list(store.run_ids()),
        lambda: store.append("r1", batch("run_started"), after=0),
    ):
        with pytest.raises(DamagedLogError, match=r"runs\.db is no regular file"):
            call()
    assert outside.read_bytes() == b"" if kind == "link" else not outside.exists()


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "real")
    with SQLiteStore(tmp_path / "data" / "runs.db") as store:
        write(store, 2)
    assert seqs(SQLiteStore(tmp_path / "real" / "runs.db")) == [1, 2]


def test_an_unusable_directory_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SQLiteStore(tmp_path / "file" / "runs.db")
    with pytest.raises(StoreError, match="no directory"):
        list(store.run_ids())
    with pytest.raises(StoreWriteError, match=r"runs\.db"):
        store.append("r1", batch("run_started"), after=0)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_database_taken_away_under_its_writer_is_noticed(store: SQLiteStore, how: str) -> None:
    with store.lock("r1"):
        events = write(store, 2)
        store.file.rename(store.file.with_name("moved.db"))
        if how == "replaced":
            store.file.touch()
        with pytest.raises(StoreWriteError, match="deleted, moved or replaced"):
            store.append("r1", batch("note", after=events), after=2)
        with pytest.raises(StoreWriteError, match="not written through this handle any more"):
            store.append("r1", batch("note", after=events), after=2)
    assert seqs(store) == []


def test_a_run_of_another_database_is_never_written(store: SQLiteStore, tmp_path: Path) -> None:
    """While it is closed (a fork closes it) another file may have taken its place."""
    with SQLiteStore(tmp_path / "other.db") as other, store.lock("r1"):
        events = write(store, 1, 1)
        write(other, 1, 1, run_id="r2")
        other.close()
        store.close()
        other.file.replace(store.file)
        with pytest.raises(ConflictError, match="run r1 is at seq 0, not 2"):
            store.append("r1", batch("note", after=events), after=2)
    assert seqs(store, "r2") == [1, 2]
    assert seqs(store) == []


# --- what is in the file -------------------------------------------------------------------------


def test_the_file_says_whose_it_is(store: SQLiteStore) -> None:
    write(store, 1)
    store.close()
    assert query(store.file, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(store.file, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert query(store.file, "PRAGMA journal_mode") == [("wal",)]
    assert query(store.file, "PRAGMA auto_vacuum") == [(2,)]


def test_lines_are_kept_byte_for_byte(store: SQLiteStore) -> None:
    """DESIGN section 4: as a BLOB."""
    events = write(store, 1, 2, text="Grüße, 東京 \u2028 \0")
    rows = query(store.file, "SELECT typeof(line), line FROM lines ORDER BY id")
    assert rows == [("blob", event.line) for event in events]


def test_the_table_of_0_2_is_a_view(store: SQLiteStore) -> None:
    """SC-99: events(run_id, seq, type, ts, payload_json), with json_extract."""
    text = 'Grüße, 東京 \u2028 \0 "quoted" \N{GRINNING FACE}'
    write(store, 1, 2, text=text)
    write(store, 1, run_id="r2")
    rows = query(store.file, "SELECT * FROM events WHERE run_id = 'r1' ORDER BY seq")
    assert [row[:4] for row in rows] == [("r1", seq, "state_entered", TS) for seq in (1, 2, 3)]
    assert all(json.loads(row[4]) == {"text": text} for row in rows)
    found = query(
        store.file,
        "SELECT run_id, seq FROM events WHERE json_extract(payload_json, '$.text') LIKE 'Grüße%'"
        " ORDER BY seq",
    )
    assert found == [("r1", 1), ("r1", 2), ("r1", 3)]
    columns = query(store.file, "SELECT name FROM pragma_table_info('events')")
    assert [name for (name,) in columns] == ["run_id", "seq", "type", "ts", "payload_json"]


def test_one_damaged_line_does_not_break_the_view_for_the_others(store: SQLiteStore) -> None:
    write(store, 3)
    change_line(store.file, 2, b"not JSON")
    rows = query(store.file, "SELECT seq, payload_json IS NULL FROM events ORDER BY seq")
    assert rows == [(1, 0), (2, 1), (3, 0)]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """What a process leaves that died between the creation and the first transaction."""
    (tmp_path / "runs.db").touch(0o600)
    with SQLiteStore(tmp_path / "runs.db") as store:
        assert list(store.runs()) == []
        write(store, 2)
        assert seqs(store) == [1, 2]


def test_a_database_without_tables_becomes_ours(tmp_path: Path) -> None:
    """The same, a moment later: its header is written, its tables are not."""
    query(tmp_path / "runs.db", "PRAGMA journal_mode = WAL")
    with SQLiteStore(tmp_path / "runs.db") as store:
        assert list(store.runs()) == []
        write(store, 2)
        assert seqs(store) == [1, 2]


def test_a_file_of_a_later_version_is_neither_read_nor_written(store: SQLiteStore) -> None:
    write(store, 1)
    store.close()
    query(store.file, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = store.file.read_bytes()
    with pytest.raises(StoreError, match=r"later replayt-store .*version 2, this one knows 1"):
        list(store.run_ids())
    with pytest.raises(StoreError, match="update replayt-store"):
        store.append("r2", batch("run_started", run_id="r2"), after=0)
    assert store.file.read_bytes() == before


@pytest.mark.parametrize("what", ["other application", "other table", "text", "short", "cut"])
def test_a_foreign_file_is_named_and_not_touched(tmp_path: Path, what: str) -> None:
    file = tmp_path / "runs.db"
    if what == "other application":
        query(file, "CREATE TABLE events (run_id, seq, type, ts, payload_json)")
        query(file, "PRAGMA application_id = 7")
    elif what == "other table":
        query(file, "CREATE TABLE songs (title)")
    elif what == "cut":
        query(file, "CREATE TABLE songs (title)")
        os.truncate(file, 3000)
    else:
        file.write_bytes(b"x" if what == "short" else b"these are my notes\n" * 500)
    before = file.read_bytes()
    store = SQLiteStore(file)
    for call in (
        lambda: list(store.read("r1")),
        lambda: list(store.run_ids()),
        lambda: store.append("r1", batch("run_started"), after=0),
    ):
        with pytest.raises(DamagedLogError, match=r"runs\.db") as caught:
            call()
        assert caught.value.where == str(file)
    assert file.read_bytes() == before


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", ["rubbish", "text", "other run", "other seq", "edited", "gone", "cut batch", "half"]
)
def test_what_stands_before_damage_is_read_and_nothing_is_appended(
    store: SQLiteStore, how: str
) -> None:
    """R7: the run is damaged from event 3 on; the others are not."""
    events = write(store, 1, 1, 2, 1)
    write(store, 2, run_id="r2")
    if how == "gone":
        query(store.file, "DELETE FROM lines WHERE id = (1 << 32) + 3")
    elif how == "cut batch":
        query(store.file, "DELETE FROM lines WHERE id >= (1 << 32) + 4 AND id < (2 << 32)")
    else:
        lines = {
            "rubbish": b"\xff\xfe",
            "text": events[2].line.decode(),
            "other run": batch("note", run_id="r2")[0].line,
            "other seq": events[1].line,
            "edited": events[2].line.replace(b'"x"', b'"y"'),
            "half": events[2].line[:-9],
        }
        # An edited line is seen at the next one, which no longer follows it.
        change_line(store.file, 2 if how == "edited" else 3, lines[how])
    if how == "edited":
        change_line(store.file, 2, events[1].line.replace(b'"x"', b'"y"'))
    other = SQLiteStore(store.file)
    reading = other.read("r1")
    assert [next(reading).seq for _ in range(2)] == [1, 2]
    with pytest.raises(DamagedLogError, match=r"runs\.db, run r1, event [34]") as caught:
        next(reading)
    assert caught.value.run_id == "r1"
    last = next(entry.last_seq for entry in other.runs() if entry.run_id == "r1")
    with pytest.raises(DamagedLogError):
        other.append("r1", [events[-1]._replace(seq=last + 1)], after=last)
    assert seqs(other, "r2") == [1, 2]
    assert sorted(other.run_ids()) == ["r1", "r2"]
    with pytest.raises(ConflictError):
        other.delete("r1", after=1)
    assert other.delete("r1", after=2) > 0
    assert list(other.run_ids()) == ["r2"]


def test_missing_tables_are_damage(store: SQLiteStore) -> None:
    write(store, 1)
    store.close()
    query(store.file, "DROP TABLE lines")
    with pytest.raises(DamagedLogError, match="no such table"):
        seqs(store)
    with pytest.raises(DamagedLogError, match="no such table"):
        store.append("r2", batch("note", run_id="r2"), after=0)


def test_a_damaged_page_is_damage_not_a_crash(store: SQLiteStore) -> None:
    write(store, *[1] * 200, text="x" * 1000)
    store.close()
    size = store.file.stat().st_size
    with store.file.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(size - 4096 * 3))
    with pytest.raises(DamagedLogError, match=r"runs\.db is damaged") as caught:
        list(store.read("r1"))
    assert caught.value.where == str(store.file)


# --- appends, listing, deletion, locks -----------------------------------------------------------


def test_an_event_of_10_mb_is_kept(store: SQLiteStore) -> None:
    events = write(store, 1, 1, text="ü" * 5_000_000)
    assert len(events[0].line) > 10_000_000
    store.close()
    assert [event.line for event in store.read("r1")] == [event.line for event in events]


def test_what_cannot_be_one_batch_of_lines_is_refused(store: SQLiteStore) -> None:
    events = batch("run_started", "note")
    for wrong, problem in (
        (events[:1], "says `more`"),
        ([], "empty"),
        ([events[1]._replace(seq=1, line=b'{"a":\n1}')], "line break"),
        (batch("run_started", run_id="r2"), "of run r2 stands where"),
    ):
        with pytest.raises(ValueError, match=problem):
            store.append("r1", wrong, after=0)
        with store.lock("r1"), pytest.raises(ValueError, match=problem):
            store.append("r1", wrong, after=0)
    assert list(store.run_ids()) == []


def test_appends_do_not_read_the_log_again(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13: the cost of an append does not grow with the run."""
    from replayt_store import _sqlite_rows

    read: list[int] = []
    lines = _sqlite_rows.lines

    def counting(*arguments: object) -> list:
        found = lines(*arguments)  # type: ignore[arg-type]
        read.append(len(found))
        return found

    monkeypatch.setattr(_sqlite_rows, "lines", counting)
    events: list = []
    for _ in range(30):
        more = batch("state_entered", after=events)
        store.append("r1", more, after=len(events))
        events += more
    assert read == []
    other = SQLiteStore(store.file)
    for _ in range(2):
        more = batch("note", after=events)
        other.append("r1", more, after=len(events))
        events += more
    assert sum(read) == 30, "who did not write it looks at it once"


@pytest.mark.parametrize(("first", "second"), [("Run-1", "run-1"), ("abc", "ABC")])
def test_a_new_id_that_differs_in_case_only_is_refused(
    store: SQLiteStore, first: str, second: str
) -> None:
    """R25: in a JSONL store both would be one file."""
    write(store, 1, run_id=first)
    with pytest.raises(InvalidRunIdError, match=f"existing run '{first}' in case only"):
        store.append(second, batch("run_started", run_id=second), after=0)
    assert list(store.run_ids()) == [first]
    assert seqs(store, second) == []
    write(store, 1, run_id=first)


@pytest.mark.parametrize("bad", ["", "../x", "/etc/passwd", "a/b", "a\n", "CON", "a.", "x" * 129])
def test_every_method_refuses_a_bad_run_id_before_any_file_is_touched(
    tmp_path: Path, bad: str
) -> None:
    """SC-32, R25."""
    store = SQLiteStore(tmp_path / "runs.db")
    for call in (store.read, store.lock, store.locked):
        with pytest.raises(InvalidRunIdError):
            call(bad)
    with pytest.raises(InvalidRunIdError):
        store.append(bad, batch("run_started", run_id=bad), after=0)
    with pytest.raises(InvalidRunIdError):
        store.delete(bad, after=0)
    assert list(tmp_path.iterdir()) == []


def test_a_listing_reads_no_lines(store: SQLiteStore) -> None:
    sizes = {}
    for number in range(2100):
        run_id = f"run-{number}"
        events = batch("run_started", "note", run_id=run_id)
        store.append(run_id, events, after=0)
        sizes[run_id] = sum(len(event.line) for event in events)
    query(store.file, "UPDATE lines SET line = x'00'")
    found = list(store.runs())
    assert {entry.run_id: entry.size for entry in found} == sizes
    assert {(entry.last_seq, entry.last_ts) for entry in found} == {(2, TS)}


def test_a_deleted_run_leaves_no_bytes_in_the_file(store: SQLiteStore) -> None:
    write(store, 1)
    store.close()
    empty = store.file.stat().st_size
    events = write(store, *[2] * 100, run_id="r2", text="the secret sentence " * 40)
    write(store, 1, run_id="r3")
    store.close()
    assert store.file.stat().st_size > 100_000
    assert store.delete("r2", after=200) == sum(len(event.line) for event in events)
    store.close()
    assert b"secret sentence" not in store.file.read_bytes()
    assert store.file.stat().st_size <= empty + 4096, "the space is given back"
    assert sorted(store.run_ids()) == ["r1", "r3"]


def test_a_run_that_is_executed_is_not_deleted_by_others(store: SQLiteStore) -> None:
    write(store, 1)
    with store.lock("r1"), pytest.raises(RunLockedError):
        SQLiteStore(store.file, clock=FakeClock()).delete("r1", after=1)
    with store.lock("r1"):
        assert store.delete("r1", after=1) > 0
    assert list(store.run_ids()) == []


def test_a_lock_is_a_file_that_goes_with_it(store: SQLiteStore) -> None:
    locks = Path(f"{store.file}.locks")
    with store.lock("r1"):
        assert [path.name for path in locks.iterdir()] == ["r1"]
        assert not store.file.exists(), "a lock makes no database"
        write(store, 1)
    assert list(locks.iterdir()) == []
    (locks / "r1").touch()  # what a killed process leaves
    assert not store.locked("r1")
    write(store, 1)
    assert list(locks.iterdir()) == []


def test_a_lock_is_waited_for_a_second_and_no_longer(store: SQLiteStore) -> None:
    write(store, 1)
    clock = FakeClock()
    other = SQLiteStore(store.file, clock=clock)
    with store.lock("r1"):
        with pytest.raises(RunLockedError, match=r"runs\.db\.locks/r1 is locked"), other.lock("r1"):
            pass
        assert 1.0 <= clock.seconds < 1.1
        with pytest.raises(RunLockedError):
            other.append("r1", batch("note"), after=0)
        assert other.locked("r1")


def test_a_lock_that_is_a_link_is_not_followed(store: SQLiteStore, tmp_path: Path) -> None:
    locks = Path(f"{store.file}.locks")
    locks.mkdir(parents=True)
    (locks / "r1").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DamagedLogError, match="no regular file"), store.lock("r1"):
        pass
    assert not store.locked("r1")
    assert not (tmp_path / "nowhere").exists()


# --- urls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///runs.db", "runs.db"),
        ("sqlite:///.replayt/runs.db", ".replayt/runs.db"),
        ("sqlite:////srv/runs.db", "/srv/runs.db"),
        ("SQLITE:///a b/ü", "a b/ü"),
        ("sqlite:///C:/runs.db", "C:/runs.db"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, file: str) -> None:
    store = open_store(url)
    assert isinstance(store, SQLiteStore)
    assert store.file == Path(file)


@pytest.mark.parametrize(
    "url",
    ["sqlite://runs.db", "sqlite://", "sqlite:///", "sqlite:///r.db?mode=ro", "sqlite:///:memory:"],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(StoreURLError, match="names no file"):
        open_store(url)


def test_memory_is_no_file() -> None:
    with pytest.raises(ValueError, match="MemoryStore"):
        SQLiteStore(":memory:")


def test_a_line_read_is_the_event_that_was_written(store: SQLiteStore) -> None:
    events = write(store, 2)
    assert [decode(event.line) for event in store.read("r1")] == events


def test_importing_the_package_does_not_load_what_is_not_asked_for() -> None:
    code = (
        "import sys, replayt_store\n"
        "names = ('sqlite3', 'replayt_store.sqlite', 'replayt_store.mirror')\n"
        "print([name for name in names if name in sys.modules])\n"
        "from replayt_store import *\n"
        "print([store.__module__ for store in (SQLiteStore, MirrorStore, MultiStore)])\n"
        "print('sqlite3' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = "['replayt_store.sqlite', 'replayt_store.mirror', 'replayt_store.mirror']"
    assert done.stdout.splitlines() == ["[]", modules, "False"]
    with pytest.raises(AttributeError, match="NoSuchStore"):
        replayt_store.NoSuchStore  # noqa: B018
