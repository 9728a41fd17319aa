"""The index: one row a run, right whatever happens to the logs or to the index itself."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from replayt_core import DamagedLogError, MemoryStore
from replayt_core.records import LLMCallRow
from replayt_store import JSONLStore
from replayt_store._index_rows import CALL_COLUMNS
from replayt_store._when import UNKNOWN, micros
from replayt_store.index import RunIndex
from replayt_store.mirror import MirrorStore
from replayt_store.selection import Selection
from replayt_store.sqlite import SQLiteStore
from tests.core.helpers import BareStore
from tests.store.runs import (
    END,
    CountingSource,
    append,
    asked,
    completed,
    entered,
    failed,
    ids,
    listed,
    replied,
    settled_index,
    started,
    summaries,
)


@pytest.fixture
def store(tmp_path: Path) -> JSONLStore:
    return JSONLStore(tmp_path / "runs", sync="os")


def database(store: JSONLStore) -> Path:
    return store.directory / ".index" / "runs.sqlite3"


def some_runs(store: Any) -> None:
    """One run of every status."""
    completed(store, "done", day=1, tags={"team": "a", "x": "1"})
    append(store, "broken", started(tags={"team": "b"}), entered(), day=3)
    append(store, "broken", *failed(), day=3)
    append(store, "waits", started(workflow_name="other"), entered(), day=4)
    append(store, "waits", ("run_paused", {"reason": "approval"}), day=5)
    append(store, "cut", started(), entered(), asked(), day=2)


def stores(tmp_path: Path) -> dict[str, Any]:
    return {
        "jsonl": JSONLStore(tmp_path / "runs"),
        "sqlite": SQLiteStore(tmp_path / "runs.db"),
        "memory": MemoryStore(),
        "bare": BareStore(),
        "mirror": MirrorStore(JSONLStore(tmp_path / "first"), MemoryStore()),
    }


@pytest.mark.parametrize("kind", ["jsonl", "sqlite", "memory", "bare", "mirror"])
def test_every_kind_of_store_is_indexed_and_followed(kind: str, tmp_path: Path) -> None:
    """Issue 4, item 8: works for any `EventStore`."""
    store = stores(tmp_path)[kind]
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)
        append(store, "cut", replied(), END, day=6)
        completed(store, "new", day=7)
        index.refresh()
        assert listed(index) == summaries(store)
        assert ids(list(index.runs(limit=2))) == ["new", "waits"]
        index.check()
        assert listed(index) == summaries(store)


def test_runs_come_newest_first_by_their_start_then_by_id(store: JSONLStore) -> None:
    """SC-167, P9: also across pages, and whatever form the time has."""
    for number in range(1203):
        append(store, f"r{number:04}", started(), day=1 + number % 3)
    with RunIndex.of(store) as index:
        index.refresh()
        found = ids(list(index.runs()))
        keyed = sorted(((1 + number % 3, f"r{number:04}") for number in range(1203)), reverse=True)
        assert found == [run_id for _, run_id in keyed]
        assert ids(list(index.runs(limit=7))) == found[:7]
        assert list(index.runs(limit=0)) == []


def test_older_forms_of_time_sort_among_the_others(tmp_path: Path) -> None:
    """R-5: logs of 0.1 to 0.4 write `+00:00`."""
    store = JSONLStore(tmp_path / "runs")
    fixtures = Path(__file__).parents[1] / "fixtures/unchained"
    completed(store, "new", day=1)
    for path in fixtures.glob("*.jsonl"):
        (store.directory / path.name).write_bytes(path.read_bytes())
    with RunIndex.of(store) as index:
        index.refresh()
        of_april = ["old-cut-short", "old-routed", "old-empty-first-line"]
        of_march = ["old-paused", "old-failed", "old-completed"]
        assert ids(list(index.runs())) == ["new", *of_april, *of_march]
        assert listed(index) == summaries(store)
        since = Selection(since="2025-03-02T11:00:00+01:00")
        assert ids(list(index.runs(since))) == ["new", *of_april, *of_march[:2]]


def test_a_run_without_a_start_is_listed_where_it_was_written(store: JSONLStore) -> None:
    """And nobody is told that it started then."""
    completed(store, "old", day=1)
    completed(store, "new", day=3)
    store.path("broken").write_bytes(b"no event\n")
    os.utime(store.path("broken"), (0, datetime(2026, 1, 2, tzinfo=timezone.utc).timestamp()))
    with RunIndex.of(store) as index:
        index.refresh()
        assert ids(list(index.runs())) == ["new", "broken", "old"]
        ((starts,),) = index.columns(Selection(), {"runs": ["started_at"]})["runs"]
    unknown, *known = json.loads(starts)
    assert unknown == UNKNOWN
    assert known == [micros(f"2026-01-0{day}T00:00:00Z") for day in (3, 1)]


def test_a_selection_may_begin_before_1970(store: JSONLStore) -> None:
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
        assert index.count(Selection(since="0001-01-01T00:00:00Z")) == index.count()


def test_a_selection_matches_everything_that_is_set(store: JSONLStore) -> None:
    """SC-168: all tags must match, exactly."""
    some_runs(store)
    completed(store, "quoted", tags={'x"team': "a", "k": '","team":"a'})
    with RunIndex.of(store) as index:
        index.refresh()

        def chosen(**selection: Any) -> set[str]:
            return {run.run_id for run in index.runs(Selection(**selection))}

        assert chosen(tags={"team": "a"}) == {"done"}
        assert chosen(tags={"team": "a", "x": "1"}) == {"done"}
        assert chosen(tags={"team": "a", "x": "2"}) == set()
        assert chosen(tags={'x"team': "a"}) == {"quoted"}
        assert chosen(workflow="other") == {"waits"}
        assert chosen(statuses=frozenset({"failed", "paused"})) == {"broken", "waits"}
        assert chosen(since="2026-01-03T00:00:00Z") == {"broken", "waits"}
        assert chosen(since="2026-01-03T00:00:00Z", statuses=frozenset({"paused"})) == {"waits"}
        for text in ("yesterday", "2026-01-03T00:00:00", ""):
            with pytest.raises(ValueError, match="no timestamp"):
                list(index.runs(Selection(since=text)))


def test_a_row_tells_path_size_and_time_of_the_file(store: JSONLStore) -> None:
    some_runs(store)
    os.utime(store.path("done"), ns=(10**18, 1_700_000_000_123_456_000))
    with RunIndex.of(store) as index:
        index.refresh()
        run = index.get("done")
        assert run is not None
        assert (run.path, run.status, run.problem) == ("a", "completed", None)
        assert run.size == store.path("done").stat().st_size
        assert run.written_ts == "2023-11-14T22:13:20.123456Z"
        assert index.get("nobody") is None
        assert index.count() == 4


# --- what is looked at ----------------------------------------------------------------------------


def test_a_second_refresh_reads_nothing_and_looks_at_runs_without_an_end_alone(
    store: JSONLStore, tmp_path: Path
) -> None:
    """P9: a warm listing costs one `stat` of the directory and one for each run that may go on."""
    some_runs(store)
    index, source = settled_index(store, tmp_path / "i.sqlite3")
    with index:
        assert index.refresh().read == 4
        source.read_ids.clear()
        source.looked.clear()
        assert index.refresh().read == 0
        assert source.read_ids == []
        assert sorted(source.looked) == ["broken", "cut", "waits"]
        source.looked.clear()
        index.check()
        assert sorted(source.looked) == ["broken", "cut", "done", "waits"]
    again = CountingSource(store)
    with RunIndex(again, str(tmp_path / "i.sqlite3")) as index:
        assert index.refresh().read == 0
        assert sorted(again.looked) == ["broken", "cut", "waits"]


def test_what_may_have_changed_is_found_in_its_own_index(store: JSONLStore) -> None:
    """PERFORMANCE.md P9, held by the plan of SQLite: no row of a run is looked up."""
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
        asked: list[str] = []

        def note(db: sqlite3.Connection) -> sqlite3.Connection:
            db.set_trace_callback(asked.append)
            return db

        db = index._database.read(note)
        index.refresh()
        damaged = index.count(Selection(statuses=frozenset({"damaged"})))
        unfinished = index.count(Selection(statuses=frozenset({"failed", "paused"})))
        db.set_trace_callback(None)
        assert (damaged, unfinished) == (0, 2)
        assert index.count(Selection(statuses=frozenset({"failed", "completed"}))) == 2
        about = [sql for sql in asked if "watched" in sql]
        assert len(about) == 3
        for sql in about:
            plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"))
            assert "runs USING COVERING INDEX watched" in plan


def test_the_columns_of_calls_are_those_of_their_rows() -> None:
    assert ("run_id", *LLMCallRow._fields) == CALL_COLUMNS


def test_only_what_has_changed_is_read(store: JSONLStore) -> None:
    some_runs(store)
    index, source = settled_index(store)
    with index:
        index.refresh()
        source.read_ids.clear()
        append(store, "cut", replied(), END, day=6)
        completed(store, "new", day=7)
        assert index.refresh().read == 2
        assert sorted(source.read_ids) == ["cut", "new"]
        assert listed(index) == summaries(store)


def test_what_was_just_written_is_read_again(store: JSONLStore) -> None:
    """A change within the granularity of timestamps shows in none of them, as git knows."""
    completed(store, "r", tags={"k": "1"})
    path = store.path("r")
    source = CountingSource(store, ahead=0.0)
    with RunIndex(source) as index:
        index.refresh()
        before = path.stat()
        changed = path.read_bytes().replace(b'"k":"1"', b'"k":"2"')
        path.write_bytes(changed)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert index.refresh().read == 1
        found = index.get("r")
        assert found is not None
        assert found.summary.tags == {"k": "2"}


def test_an_edit_of_a_completed_log_is_seen_by_check_even_with_its_time_restored(
    store: JSONLStore,
) -> None:
    completed(store, "r", tags={"k": "1"})
    path = store.path("r")
    index, _ = settled_index(store)
    with index:
        index.refresh()
        before = path.stat()
        with path.open("r+b") as file:
            file.seek(path.read_bytes().index(b'"k":"1"'))
            file.write(b'"k":"2"')
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        assert index.refresh().read == 0, "documented: refresh trusts a completed log"
        assert index.check().read == 1
        found = index.get("r")
        assert found is not None
        assert found.summary.tags == {"k": "2"}


def test_a_file_that_was_replaced_is_another_file(store: JSONLStore) -> None:
    completed(store, "r", tags={"k": "1"})
    path = store.path("r")
    index, _ = settled_index(store)
    with index:
        index.refresh()
        other = path.with_name("other")
        other.write_bytes(path.read_bytes().replace(b'"k":"1"', b'"k":"2"'))
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)
        assert index.refresh().read == 1


def test_runs_that_were_deleted_are_gone(store: JSONLStore) -> None:
    some_runs(store)
    index, _ = settled_index(store)
    with index:
        index.refresh()
        store.delete("done", after=5)
        store.delete("cut", after=3)
        assert index.refresh().removed == 2
        assert listed(index) == summaries(store)
        assert index.columns(Selection(), {"llm_calls": ["seq"]}) == {"llm_calls": [["[]"]]}


def test_a_log_without_a_byte_is_no_run_until_it_has_one(store: JSONLStore) -> None:
    """DESIGN 4: an empty file is a run that does not exist; the directory does not change then."""
    completed(store, "r")
    path = store.directory / "late.jsonl"
    path.touch()
    index, _ = settled_index(store)
    with index:
        index.refresh()
        assert set(listed(index)) == {"r"}
        append(store, "late", started())
        index.refresh()
        assert set(listed(index)) == {"late", "r"}
        path.write_bytes(b"")
        index.check()
        assert set(listed(index)) == {"r"}


def test_foreign_files_links_and_fifos_are_passed_over(store: JSONLStore) -> None:
    """R7, R-7: one bad file never breaks a command for the others."""
    completed(store, "r")
    (store.directory / "my notes.jsonl").write_text("hello")
    (store.directory / "link.jsonl").symlink_to(store.path("r"))
    os.mkfifo(store.directory / "fifo.jsonl")
    (store.directory / "folder.jsonl").mkdir()
    with RunIndex.of(store) as index:
        index.refresh()
        assert set(listed(index)) == {"r"}


# --- torn and damaged logs ------------------------------------------------------------------------


def test_a_torn_tail_is_left_out_as_in_reading(store: JSONLStore) -> None:
    """RELIABILITY R6: someone may be writing it."""
    append(store, "r", started(), entered())
    whole = summaries(store)
    with store.path("r").open("ab") as file:
        file.write(b'{"ts":"x')
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == whole == summaries(store)
        found = index.get("r")
        assert found is not None
        assert found.problem is None


@pytest.mark.parametrize("bad", [b"garbage\n", b"\n", b'{"seq":9}\n', b"\xff\n"])
def test_a_damaged_log_has_a_row_with_its_problem_and_what_stands_before(
    store: JSONLStore, bad: bytes
) -> None:
    """R6: `damaged`, exit 0, the other runs unaffected."""
    some_runs(store)
    data = store.path("done").read_bytes()
    append(store, "hurt", started(), entered())
    good = summaries(store)["hurt"]
    with store.path("hurt").open("ab") as file:
        file.write(bad + data.splitlines(keepends=True)[-1])
    with RunIndex.of(store) as index:
        index.refresh()
        found = index.get("hurt")
        assert found is not None
        assert found.status == "damaged"
        assert "hurt.jsonl, line 3" in (found.problem or "")
        assert "\n" not in (found.problem or "")
        assert found.summary == good
        assert index.count() == 5
        assert ids(list(index.runs(Selection(statuses=frozenset({"damaged"}))))) == ["hurt"]


def test_the_chain_is_for_verify_to_check(store: JSONLStore) -> None:
    """Documented: an edited line that still parses is counted; `verify` names it."""
    completed(store, "r", tags={"k": "1"})
    path = store.path("r")
    path.write_bytes(path.read_bytes().replace(b'"k":"1"', b'"k":"2"'))
    with RunIndex.of(store) as index:
        index.refresh()
        found = index.get("r")
        assert found is not None
        assert (found.status, found.summary.events) == ("completed", 5)
    with pytest.raises(DamagedLogError):
        list(store.read("r"))


def test_a_large_log_is_read_in_pieces(store: JSONLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a line is longer than a piece; memory does not grow with the log."""
    from replayt_store import _index_sources

    append(store, "r", started(), entered(), ("step_note", {"data": "x" * 300}))
    for number in range(40):
        append(store, "r", asked(number + 1), replied(number + 1))
    whole = summaries(store)
    sizes: list[int] = []
    read = os.read

    def counted(fd: int, size: int) -> bytes:
        sizes.append(size)
        return read(fd, size)

    monkeypatch.setattr(_index_sources, "_PIECE", 100)
    monkeypatch.setattr(_index_sources.os, "read", counted)
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == whole
    assert max(sizes) == 100


def test_a_log_that_cannot_be_opened_is_a_row_with_a_problem(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replayt_store._os import System

    some_runs(store)

    def refuse(self: System, path: str) -> int:
        if path.endswith("done.jsonl"):
            raise PermissionError(13, "permission denied", path)
        return original(self, path)

    original = System.open_read
    monkeypatch.setattr(System, "open_read", refuse)
    with RunIndex.of(store) as index:
        index.refresh()
        found = index.get("done")
        assert found is not None
        assert "permission denied" in (found.problem or "")
        assert index.count() == 4


# --- the index itself may be lost -----------------------------------------------------------------


def test_the_index_is_private_and_beside_the_logs(store: JSONLStore, tmp_path: Path) -> None:
    """Modes 0700 and 0600: it holds parts of the logs; its writes leave the directory's time."""
    some_runs(store)
    old = os.umask(0)
    try:
        with RunIndex.of(store) as index:
            index.refresh()
            files = list(database(store).parent.iterdir())
            assert {path.name for path in files} == {
                "runs.sqlite3",
                "runs.sqlite3-wal",
                "runs.sqlite3-shm",
            }
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            assert stat.S_IMODE(database(store).parent.stat().st_mode) == 0o700
            before = store.directory.stat().st_mtime_ns
            index.rebuild()
            assert store.directory.stat().st_mtime_ns == before
        sqlite = SQLiteStore(tmp_path / "runs.db")
        completed(sqlite, "r")
        with RunIndex.of(sqlite) as index:
            index.refresh()
        assert stat.S_IMODE((tmp_path / "runs.db.index").stat().st_mode) == 0o600
    finally:
        os.umask(old)
    assert set(store.run_ids()) == {"done", "broken", "waits", "cut"}


def test_looking_at_nothing_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        with RunIndex.of(JSONLStore(tmp_path / name)) as index:
            assert index.refresh().runs == 0
            assert list(index.runs()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def spoil_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("DROP TABLE llm_calls")
    connection.close()


def spoil_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE llm_calls")
    connection.close()


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        spoil_version,
        spoil_tables,
        spoil_middle,
    ],
)
def test_an_index_that_is_damaged_old_or_gone_is_made_anew(store: JSONLStore, spoil: Any) -> None:
    """It is a cache: never an error for the user."""
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
    spoil(database(store))
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)
    with RunIndex.of(store) as index:
        assert index.refresh().runs == 4
        assert listed(index) == summaries(store)


def test_an_index_that_is_damaged_while_it_is_open_tells_no_wrong_number(store: JSONLStore) -> None:
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
        index.close()
        spoil_middle(database(store))
        assert index.count() == 4
        assert listed(index) == summaries(store)


def test_an_index_that_is_deleted_while_it_is_open_goes_on(store: JSONLStore) -> None:
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
        for path in database(store).parent.iterdir():
            path.unlink()
        database(store).parent.rmdir()
        completed(store, "new")
        index.refresh()
        assert listed(index) == summaries(store)
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db")
    completed(store, "r")
    theirs = tmp_path / "runs.db.index"
    connection = sqlite3.connect(theirs)
    connection.execute("CREATE TABLE kept (a)")
    connection.close()
    before = theirs.read_bytes()
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)
    assert theirs.read_bytes() == before


def test_where_no_index_can_be_kept_it_lives_in_memory(store: JSONLStore) -> None:
    some_runs(store)
    (store.directory / ".index").write_text("a file is in the way")
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)
    assert (store.directory / ".index").read_text() == "a file is in the way"


def test_what_was_read_before_the_file_was_lost_is_told(store: JSONLStore) -> None:
    """The second look finds it in memory: each run is read once, and counted."""
    some_runs(store)
    (store.directory / ".index").write_text("a file is in the way")
    index, source = settled_index(store, database(store))
    with index:
        found = index.refresh()
        assert (found.runs, found.read, found.removed) == (4, 4, 0)
        assert sorted(source.read_ids) == ["broken", "cut", "done", "waits"]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_directory_whose_name_is_no_utf8_is_indexed_too(tmp_path: Path, damaged: bool) -> None:
    """SQLite tells names as text, and keeps no text with such bytes."""
    store = JSONLStore(not_utf8(tmp_path), sync="os")
    some_runs(store)
    before = summaries(store)
    if damaged:
        with store.path("hurt").open("wb") as file:
            file.write(b"\xff\n")
    for look in (RunIndex.refresh, RunIndex.check, RunIndex.rebuild):
        with RunIndex.of(store) as index:
            look(index)
            assert {key: value for key, value in listed(index).items() if key != "hurt"} == before
            hurt = index.get("hurt")
            assert ("\\udcff" in str(hurt and hurt.problem)) == damaged
    assert database(store).is_file()


def test_an_index_in_such_a_directory_is_copied_while_somebody_holds_it(tmp_path: Path) -> None:
    store = JSONLStore(not_utf8(tmp_path), sync="os")
    some_runs(store)
    database(store).parent.mkdir()
    with settled_index(store, database(store))[0] as index:
        index.refresh()
    holder = sqlite3.connect(database(store), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    completed(store, "new")
    index, source = settled_index(store, database(store))
    with index:
        assert index.refresh().read == 1
        assert set(source.read_ids) == {"new"}, "the others are in the copy"
        assert listed(index) == summaries(store)
    holder.close()


def not_utf8(tmp_path: Path) -> Path:
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xffb"))
    try:
        directory.mkdir()
    except OSError:
        pytest.skip("names are UTF-8 here")
    return directory


def test_an_index_that_somebody_holds_locked_is_copied_not_waited_for(store: JSONLStore) -> None:
    """What is there is used and what changed is read, without a long wait."""
    some_runs(store)
    with RunIndex.of(store) as index:
        index.refresh()
    holder = sqlite3.connect(database(store), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    completed(store, "new")
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)
        completed(store, "newer")
        index.refresh()
        assert listed(index) == summaries(store)
    holder.execute("ROLLBACK")
    assert holder.execute("SELECT count(*) FROM runs").fetchone() == (4,)
    holder.close()


def test_a_full_disk_under_the_index_fails_no_command(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replayt_store import _index_database

    some_runs(store)
    original = _index_database._open_file

    def tiny(path: str) -> sqlite3.Connection:
        connection = original(path)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(_index_database, "_open_file", tiny)
    for number in range(300):
        append(store, f"r{number}", started(tags={"k": "v" * 200}))
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == summaries(store)


def test_rebuild_reads_every_run_and_says_how_far_it_is(store: JSONLStore) -> None:
    some_runs(store)
    seen: list[tuple[int, int]] = []
    with RunIndex.of(store) as index:
        index.refresh()
        found = index.rebuild(lambda done, of: seen.append((done, of)))
        assert (found.runs, found.read) == (4, 4)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_reader_that_saw_less_does_not_undo_what_another_wrote(
    store: JSONLStore, tmp_path: Path
) -> None:
    """Two processes refresh: the row that was read later stays, and both end up right."""
    append(store, "r", started(), entered())
    slow_source = CountingSource(store, ahead=0.0)
    read = slow_source.read

    def read_and_wait(run_id: str) -> Any:
        found = read(run_id)
        append(store, "r", END)
        with RunIndex(CountingSource(store, ahead=0.0), str(tmp_path / "i")) as fast:
            fast.refresh()
            assert listed(fast) == summaries(store)
        return found

    with RunIndex(slow_source, str(tmp_path / "i")) as slow:
        slow_source.read = read_and_wait  # type: ignore[method-assign]
        slow.refresh()
        assert listed(slow) == summaries(store)


def test_a_run_deleted_while_another_process_reads_it_does_not_come_back(
    store: JSONLStore, tmp_path: Path
) -> None:
    completed(store, "r")
    completed(store, "kept")
    source = CountingSource(store)
    read = source.read

    def read_and_lose(run_id: str) -> Any:
        found = read(run_id)
        if run_id == "r":
            store.delete("r", after=5)
            with RunIndex(CountingSource(store), str(tmp_path / "i")) as other:
                other.refresh()
        return found

    with RunIndex(source, str(tmp_path / "i")) as index:
        source.read = read_and_lose  # type: ignore[method-assign]
        index.refresh()
        source.read = read  # type: ignore[method-assign]
        index.refresh()
        assert set(listed(index)) == {"kept"}


def test_a_kill_in_the_middle_of_building_leaves_an_index_that_is_finished_later(
    store: JSONLStore,
) -> None:
    for number in range(900):
        append(store, f"r{number:03}", started(), END)
    program = (
        "import os, sys\n"
        "from replayt_store import JSONLStore\n"
        "from replayt_store.index import RunIndex\n"
        "index = RunIndex.of(JSONLStore(sys.argv[1]))\n"
        "index.refresh(lambda done, of: done == 650 and os.kill(os.getpid(), 9))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(store.directory)], check=False)
    assert done.returncode == -9
    with RunIndex.of(store) as index:
        assert 0 < index.count() < 900
        index.refresh()
        assert listed(index) == summaries(store)


def test_no_lock_of_a_run_is_taken(store: JSONLStore) -> None:
    """Never in the way of a running workflow."""
    append(store, "r", started(), entered())
    taken: list[str] = []
    with store.lock("r"):
        thread = threading.Thread(
            target=lambda: [
                RunIndex.of(JSONLStore(store.directory)).refresh(),
                taken.append("done"),
            ]
        )
        thread.start()
        thread.join(30)
        append(store, "r", END)
    assert taken == ["done"]


def test_columns_may_be_read_before_they_are_asked_for(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path)
    for number in range(3):
        append(store, f"run-{number}", started(), entered())
    wanted = {"runs": ["run_id", "states"]}
    with RunIndex.of(store) as index:
        index.refresh()
        plain = index.columns(Selection(), wanted)
        index.prefetch(Selection(), wanted)
        index.prefetch(Selection(), wanted)  # it is on its way already
        assert index.columns(Selection(), wanted) == plain
        index.prefetch(Selection(workflow="another"), wanted)
        assert index.columns(Selection(), wanted) == plain
        assert index.columns(Selection(), wanted) == plain
        index.prefetch(Selection(since="no time"), wanted)
        with pytest.raises(ValueError, match="no time"):
            index.columns(Selection(since="no time"), wanted)
        index.prefetch(Selection(), wanted)  # and nobody asks


def test_what_was_read_ahead_is_not_older_than_the_last_refresh(store: JSONLStore) -> None:
    """Whoever read ahead may have failed before asking, and go on later."""
    wanted = {"runs": ("run_id",)}
    some_runs(store)
    with RunIndex.of(store) as index:
        for look in (index.refresh, index.check, index.rebuild):
            index.prefetch(Selection(), wanted)
            completed(store, f"later-{look.__name__}")
            look()
            assert f"later-{look.__name__}" in index.columns(Selection(), wanted)["runs"][0][0]


def test_an_index_is_not_closed_while_it_is_read_ahead(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while somebody waits for the columns: SQLite must not be closed under a reader."""
    from replayt_store._index_database import IndexDatabase

    some_runs(store)
    go_on, order = threading.Event(), []
    read, close, exception = IndexDatabase.read, IndexDatabase.close, Future.exception

    def slowly(self: IndexDatabase, use: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return read(self, use)
        assert go_on.wait(60)
        order.append("read")
        return read(self, use)

    def closed(self: IndexDatabase) -> None:
        order.append("closed")
        go_on.set()
        close(self)

    def interrupted(self: Future[Any], timeout: float | None = None) -> Any:
        raise KeyboardInterrupt

    def waited_for(self: Future[Any], timeout: float | None = None) -> Any:
        go_on.set()
        return exception(self, timeout)

    index = RunIndex.of(store)
    index.refresh()
    monkeypatch.setattr(IndexDatabase, "read", slowly)
    monkeypatch.setattr(IndexDatabase, "close", closed)
    monkeypatch.setattr(Future, "result", interrupted)
    monkeypatch.setattr(Future, "exception", waited_for)
    index.prefetch(Selection(), {"runs": ("run_id",)})
    with pytest.raises(KeyboardInterrupt), index:
        index.columns(Selection(), {"runs": ("run_id",)})
    monkeypatch.undo()  # before the index is forgotten, which closes it once more
    assert order == ["read", "closed"]
