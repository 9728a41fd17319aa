"""Databases of replayt 0.1 to 0.4 (DESIGN section 4): read, listed, never written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from replayt_core import verify
from replayt_core.errors import ConflictError, DamagedLogError, StoreWriteError
from replayt_core.events import Event
from replayt_store import JSONLStore, SQLiteStore
from tests.store.helpers import FakeClock, seqs

UNCHAINED = Path(__file__).parent.parent / "fixtures" / "unchained"
RUNS = ("old-completed", "old-failed", "old-paused")


def rows(run_id: str) -> list[tuple]:
    """A run of that time, as its rows."""
    lines = (UNCHAINED / f"{run_id}.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    names = ("run_id", "seq", "type", "ts")
    return [(*(each[name] for name in names), json.dumps(each["payload"])) for each in records]


def make(file: Path, journal: str = "delete") -> Path:
    """A database as replayt 0.1 to 0.4 made it: one table, and nothing in the header."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(
            "CREATE TABLE events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL,"
            " ts TEXT NOT NULL, payload_json TEXT NOT NULL, PRIMARY KEY (run_id, seq))"
        )
        for run_id in RUNS:
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows(run_id))
    return file


def change(file: Path, sql: str, *values: object) -> None:
    """What a stranger did to it."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(sql, values)


@pytest.fixture(params=["delete", "wal"])
def damaged(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SQLiteStore]:
    """For tests that change it: 0.1 to 0.3 used a rollback journal, 0.4 a write-ahead log."""
    store = SQLiteStore(make(tmp_path / "old.db", request.param), clock=FakeClock())
    yield store
    store.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"old.db", "old.db.locks"}


@pytest.fixture
def store(damaged: SQLiteStore) -> Iterator[SQLiteStore]:
    """For tests that do not: it is never written."""
    before = damaged.file.read_bytes()
    yield damaged
    assert damaged.file.read_bytes() == before


def test_its_runs_are_listed(store: SQLiteStore) -> None:
    assert sorted(store.run_ids()) == sorted(RUNS)
    for entry in store.runs():
        last = rows(entry.run_id)[-1]
        assert (entry.last_seq, entry.last_ts, entry.size) == (last[1], last[3], None)


@pytest.mark.parametrize("run_id", RUNS)
def test_its_runs_read_like_the_logs_of_that_time(store: SQLiteStore, run_id: str) -> None:
    def content(event: Event) -> tuple:
        return (event.run_id, event.seq, event.ts, event.type, event.payload, event.prev)

    logs = JSONLStore(UNCHAINED)
    assert list(map(content, store.read(run_id))) == list(map(content, logs.read(run_id)))
    assert seqs(store, run_id)[2:] == [event.seq for event in store.read(run_id, after=2)]


def test_a_line_has_the_same_bytes_each_time_and_is_one_line(store: SQLiteStore) -> None:
    first = [event.line for event in store.read("old-completed")]
    assert first == [event.line for event in SQLiteStore(store.file).read("old-completed")]
    for line in first:
        record = json.loads(line)
        assert list(record) == ["ts", "run_id", "seq", "type", "payload"]
        assert b"\n" not in line


def test_its_runs_are_verified_as_unchained(store: SQLiteStore) -> None:
    found = verify(None, store.read("old-completed"))
    assert found.ok, found
    assert not found.chained
    assert len(found.unchained) == found.events == len(rows("old-completed"))


def test_it_is_never_written_and_the_refusal_says_how_to_go_on(store: SQLiteStore) -> None:
    events = list(store.read("old-paused"))
    more = events[-1]._replace(seq=len(events) + 1)
    with store.lock("old-paused"):
        assert store.locked("old-paused")
        with pytest.raises(StoreWriteError, match=r"0\.1 to 0\.4 .*replayt store copy"):
            store.append("old-paused", [more], after=len(events))
    with pytest.raises(StoreWriteError, match="replayt store copy"):
        store.append("new", [more._replace(run_id="new", seq=1)], after=0)
    with pytest.raises(StoreWriteError, match="replayt store copy"):
        store.delete("old-paused", after=len(events))
    with pytest.raises(ConflictError):
        store.delete("unknown", after=3)
    assert list(store.read("old-paused")) == events


def test_its_runs_can_be_copied_and_go_on(
    store: SQLiteStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("new")
    events = list(store.read("old-paused"))
    with SQLiteStore(other / "runs.db") as new:
        for event in events:
            new.append("old-paused", [event], after=event.seq - 1)
        assert list(new.read("old-paused")) == events
        record = {"ts": events[-1].ts, "run_id": "old-paused", "type": "step_note", "payload": {}}
        line = json.dumps({**record, "seq": len(events) + 1}).encode()
        more = events[-1]._replace(seq=len(events) + 1, line=line)
        new.append("old-paused", [more], after=len(events))
        assert len(seqs(new, "old-paused")) == len(events) + 1


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE events SET payload_json = ? WHERE seq = 3", "{not json"),
        ("UPDATE events SET payload_json = ? WHERE seq = 3", "[1]"),
        ("UPDATE events SET payload_json = ? WHERE seq = 3", '{}, "prev": "x"'),
        ("UPDATE events SET payload_json = CAST(? AS TEXT) WHERE seq = 3", b'{"a": "\xff"}'),
        ("UPDATE events SET type = ? WHERE seq = 3", b"\xff\xfe"),
        ("UPDATE events SET seq = ? WHERE seq = 3", "three"),
        ("UPDATE events SET seq = ? WHERE seq = 3", 2.5),
        ("DELETE FROM events WHERE seq = ?", 3),
    ],
)
def test_what_stands_before_damage_is_read(damaged: SQLiteStore, sql: str, value: object) -> None:
    change(damaged.file, f"{sql} AND run_id = 'old-completed'", value)
    reading = damaged.read("old-completed")
    assert [next(reading).seq for _ in range(2)] == [1, 2]
    with pytest.raises(DamagedLogError, match=r"old\.db, run old-completed, event 3") as caught:
        next(reading)
    assert caught.value.run_id == "old-completed"
    assert seqs(damaged, "old-failed") == [row[1] for row in rows("old-failed")]
    assert sorted(damaged.run_ids()) == sorted(RUNS)


@pytest.mark.parametrize("seq", [0, -(2**63)])
def test_rows_before_the_first_event_are_damage(damaged: SQLiteStore, seq: int) -> None:
    change(damaged.file, "UPDATE events SET seq = ? WHERE seq = 2 AND run_id = 'old-failed'", seq)
    with pytest.raises(DamagedLogError, match="event 1"):
        list(damaged.read("old-failed"))


def test_a_run_whose_name_no_run_can_have_is_passed_over(damaged: SQLiteStore) -> None:
    change(damaged.file, "UPDATE events SET run_id = '../x' WHERE run_id = 'old-failed'")
    assert sorted(damaged.run_ids()) == ["old-completed", "old-paused"]


def test_a_row_without_a_seq_is_damage(tmp_path: Path) -> None:
    """In a table that somebody made anew, without what kept such rows out."""
    store = SQLiteStore(make(tmp_path / "old.db"))
    change(store.file, "ALTER TABLE events RENAME TO made")
    change(store.file, "CREATE TABLE events AS SELECT * FROM made")
    change(store.file, "INSERT INTO events VALUES ('old-failed', NULL, 'note', 't', '{}')")
    with pytest.raises(DamagedLogError, match="event 1"):
        list(store.read("old-failed"))
    assert seqs(store, "old-completed")
    store.close()


def test_a_text_that_is_no_utf_8_keeps_nobody_from_the_other_runs(damaged: SQLiteStore) -> None:
    change(damaged.file, "UPDATE events SET ts = CAST(x'74ff' AS TEXT) WHERE run_id = 'old-failed'")
    assert sorted(damaged.run_ids()) == sorted(RUNS)
    with pytest.raises(DamagedLogError, match="event 1"):
        list(damaged.read("old-failed"))
    change(
        damaged.file,
        "UPDATE events SET run_id = CAST(x'7aff' AS TEXT) WHERE run_id = 'old-failed'",
    )
    assert sorted(damaged.run_ids()) == ["old-completed", "old-paused"]


def test_line_breaks_between_the_values_of_a_payload_make_no_second_line(
    damaged: SQLiteStore,
) -> None:
    pretty = json.dumps({"a": "x\ny", "b": [1]}, indent=1)
    change(damaged.file, "UPDATE events SET payload_json = ? WHERE seq = 2", pretty)
    event = list(damaged.read("old-completed"))[1]
    assert event.payload == {"a": "x\ny", "b": [1]}
    assert b"\n" not in event.line
