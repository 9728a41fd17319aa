"""Reading a run while others write it: each event once, at the cost of what is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replayt_core import (
    ConflictError,
    DamagedLogError,
    MemoryStore,
    RunNotFoundError,
    StoreError,
)
from replayt_core.events import Event
from replayt_core.ports import EventStore, FollowsRuns, RunFollower
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from replayt_store._sqlite_database import Database
from tests.store.helpers import batch, write

Opened = Callable[[Path], EventStore]
STORES: dict[str, Opened] = {
    "jsonl": lambda directory: JSONLStore(directory / "runs", sync="os"),
    "sqlite": lambda directory: SQLiteStore(directory / "runs.db"),
    "mirror": lambda directory: MirrorStore(
        JSONLStore(directory / "runs", sync="os"), SQLiteStore(directory / "copy.db")
    ),
}


def following(store: EventStore, run_id: str = "r1") -> RunFollower:
    assert isinstance(store, FollowsRuns)
    return store.follow(run_id)


def new(follower: RunFollower) -> list[int]:
    return [event.seq for event in follower.new_events()]


@pytest.fixture(params=sorted(STORES))
def opened(request: pytest.FixtureRequest) -> Opened:
    return STORES[request.param]


def test_each_event_is_read_once_and_what_is_added_next(opened: Opened, tmp_path: Path) -> None:
    store = opened(tmp_path)
    events = write(store, 1, 2)
    follower = following(opened(tmp_path))
    assert new(follower) == [1, 2, 3]
    assert new(follower) == []
    more = batch("note", "note", after=events)
    store.append("r1", more, after=3)
    found = list(follower.new_events())
    assert [event.line for event in found] == [event.line for event in more]
    assert new(follower) == []


def test_a_run_that_is_gone_is_not_one_that_is_silent(opened: Opened, tmp_path: Path) -> None:
    store = opened(tmp_path)
    write(store, 2)
    follower = following(opened(tmp_path))
    assert new(follower) == [1, 2]
    store.delete("r1", after=2)  # type: ignore[attr-defined]
    with pytest.raises(RunNotFoundError, match=r"run r1 .* is not there, or not any more"):
        new(follower)
    with pytest.raises(RunNotFoundError):
        new(following(opened(tmp_path), "nosuch"))


def test_another_run_in_its_place_is_not_the_same_run(opened: Opened, tmp_path: Path) -> None:
    store = opened(tmp_path)
    write(store, 1)
    follower = following(opened(tmp_path))
    assert new(follower) == [1]
    store.delete("r1", after=1)  # type: ignore[attr-defined]
    write(opened(tmp_path), 1, 1, 1, text="another")
    # A file may get the number of the one that was deleted: then its bytes tell.
    with pytest.raises((RunNotFoundError, ConflictError)):
        new(follower)


def test_a_batch_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path, sync="os")
    events = write(store, 1)
    follower = following(store)
    assert new(follower) == [1]
    lines = [event.line + b"\n" for event in batch("note", "note", "note", after=events)]
    whole = b"".join(lines)
    for end in (len(lines[0]) // 2, len(lines[0]), len(lines[0]) + len(lines[1]), len(whole) - 1):
        start = store.path("r1").stat().st_size - len(events[0].line) - 1
        with store.path("r1").open("ab") as file:
            file.write(whole[start:end])
        assert new(follower) == []
    with store.path("r1").open("ab") as file:
        file.write(whole[-1:])
    assert new(follower) == [2, 3, 4]


def test_an_append_that_is_taken_back_is_no_damage(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path, sync="os")
    events = write(store, 1, 1)
    for put in (b"", batch("another", "end", after=events[:1])):
        follower = following(store)
        assert new(follower) == [1, 2]
        kept = store.path("r1").read_bytes()
        lines = b"".join(event.line + b"\n" for event in put if isinstance(event, Event))
        store.path("r1").write_bytes(events[0].line + b"\n" + lines)
        with pytest.raises(ConflictError, match="holds no longer what was read of it"):
            new(follower)
        store.path("r1").write_bytes(kept)


def test_a_longer_log_in_its_place_is_another_run_and_no_damage(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path, sync="os")
    write(store, 1, 1)
    follower = following(store)
    assert new(follower) == [1, 2]
    store.path("r1").rename(tmp_path / "aside")  # its inode is not given to the next file
    write(store, 1, 2, 3)
    with pytest.raises(RunNotFoundError, match="not there, or not any more"):
        new(follower)


def test_a_database_that_was_put_back_is_no_damage(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db")
    write(store, 1, 2)
    follower = following(store)
    assert new(follower) == [1, 2, 3]
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database, database:
        database.execute("DELETE FROM lines WHERE id = (SELECT max(id) FROM lines)")
    with pytest.raises(ConflictError, match="holds no longer what was read of it"):
        new(follower)


def test_an_iterator_that_was_left_in_the_middle_takes_nothing_away(
    opened: Opened, tmp_path: Path
) -> None:
    """More than a reader takes at once: one that is still held, and closed when others went on."""
    store = opened(tmp_path)
    events = write(store, 1, *[3] * 700, text="x" * 40)
    follower = following(opened(tmp_path))
    left = follower.new_events()
    assert [next(left).seq for _ in range(1000)] == list(range(1, 1001))
    assert new(follower) == list(range(1001, len(events) + 1))
    del left
    assert new(follower) == []
    store.append("r1", batch("note", after=events), after=len(events))
    assert new(follower) == [len(events) + 1]


def test_a_part_that_could_not_be_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a batch, where a database gives so many rows at a time and then fails."""
    store = SQLiteStore(tmp_path / "runs.db")
    events = write(store, *[3] * 400)
    follower = following(store)
    tried = []

    def fails_once(self: Database, work: Any, **options: Any) -> Any:
        tried.append(work)
        if len(tried) == 3:
            raise StoreError("the disk is slow today")
        return read(self, work, **options)

    read = Database.read
    monkeypatch.setattr(Database, "read", fails_once)
    found: list[int] = []
    with pytest.raises(StoreError, match="slow"):
        found.extend(event.seq for event in follower.new_events())
    assert 0 < len(found) < len(events)
    assert len(found) % 3 == 0
    assert found + new(follower) == list(range(1, len(events) + 1))


def test_damage_is_told_after_what_stands_before_it(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path, sync="os")
    events = write(store, 1)
    follower = following(store)
    assert new(follower) == [1]
    good = batch("note", after=events)
    with store.path("r1").open("ab") as file:
        file.write(good[0].line + b"\nno line\n")
    found = follower.new_events()
    assert next(found).seq == 2
    with pytest.raises(DamagedLogError, match=r"r1\.jsonl, line 3, byte"):
        next(found)


def test_reading_on_costs_what_was_added(opened: Opened, tmp_path: Path) -> None:
    """Bytes, by what the system says this process has read: the run's length does not matter."""
    counted = Path("/proc/self/io")
    if not counted.exists():
        pytest.skip("this system does not say how many bytes a process has read")

    def bytes_read() -> int:
        return int(counted.read_text().split("rchar:")[1].split()[0])

    store = opened(tmp_path)
    events = write(store, 1, *[100] * 40)
    size = sum(len(event.line) for event in events)
    follower = following(opened(tmp_path))
    before = bytes_read()
    assert len(new(follower)) == 4_001
    assert bytes_read() - before >= size // 2  # so the counter counts
    store.append("r1", batch("note", after=events), after=4_001)
    assert new(follower) == [4_002]
    before = bytes_read()
    for _ in range(10):
        assert new(follower) == []
    assert bytes_read() - before < size // 10


def test_a_mirror_follows_runs_where_its_primary_does(tmp_path: Path) -> None:
    mirror = MirrorStore(MemoryStore(), JSONLStore(tmp_path / "runs"))
    assert not isinstance(mirror, FollowsRuns)
