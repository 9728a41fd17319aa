"""A store is no mirror of itself, by whatever path it is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replayt_core import MemoryStore
from replayt_core.ports import EventStore
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from replayt_store._index_sources import lines_of
from replayt_store.index import RunIndex
from replayt_store.mirror import same_place
from tests.store.runs import completed

links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore])
def test_the_same_path_is_the_same_place_before_anything_is_there(
    kind: type[JSONLStore] | type[SQLiteStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert same_place(kind("runs"), kind(tmp_path / "runs"))
    assert same_place(kind("runs"), kind("below/../runs"))
    assert not same_place(kind("runs"), kind("others"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore])
def test_a_later_chdir_does_not_move_a_place(
    kind: type[JSONLStore] | type[SQLiteStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a store reads and writes counts, not what its path would be now."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    here = kind("runs")
    monkeypatch.chdir(tmp_path / "there")
    there = kind("runs")
    assert (here.place, there.place) == (
        str(tmp_path / "here" / "runs"),
        str(tmp_path / "there" / "runs"),
    )
    assert not same_place(here, there)
    assert same_place(here, kind(tmp_path / "here" / "runs"))
    MirrorStore(here, there)
    with pytest.raises(ValueError, match="is the primary itself"):
        MirrorStore(here, kind(tmp_path / "here" / "runs"))


@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore])
def test_an_index_reads_where_its_store_reads(
    kind: type[JSONLStore] | type[SQLiteStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store = kind("runs")
    monkeypatch.chdir(tmp_path / "there")
    completed(store, "r")
    with RunIndex.of(store) as index:
        index.refresh()
        assert [run.run_id for run in index.runs()] == ["r"]
    lines = b"".join(event.line + b"\n" for event in store.read("r"))
    assert b"".join(lines_of(store, "r", 1_000)) == lines
    assert [path.name for path in tmp_path.rglob("*.sqlite3*")] or kind is SQLiteStore
    assert list((tmp_path / "there").iterdir()) == []


def test_a_store_of_somebody_else_is_taken_by_its_path(tmp_path: Path) -> None:
    """Also where it means something of its own by `place`."""

    class Theirs(MemoryStore):
        def __init__(self, directory: object, place: object) -> None:
            super().__init__()
            self.directory, self.place = directory, place

    runs = JSONLStore(tmp_path / "runs")
    assert same_place(runs, Theirs(tmp_path / "runs", None))
    assert not same_place(runs, Theirs(tmp_path / "others", None))
    assert not same_place(runs, Theirs(None, str(tmp_path / "runs")))


@links
def test_links_are_followed_and_a_second_name_of_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "runs.db").touch()
    (tmp_path / "others.db").touch()
    os.symlink("runs.db", tmp_path / "soft.db")
    os.link(tmp_path / "runs.db", tmp_path / "hard.db")
    runs = SQLiteStore(tmp_path / "runs.db")
    assert same_place(runs, SQLiteStore(tmp_path / "soft.db"))
    assert same_place(SQLiteStore(tmp_path / "hard.db"), runs)
    assert not same_place(runs, SQLiteStore(tmp_path / "others.db"))
    (tmp_path / "logs").mkdir()
    os.symlink("logs", tmp_path / "also", target_is_directory=True)
    assert same_place(JSONLStore(tmp_path / "logs"), JSONLStore(tmp_path / "also"))


def test_of_stores_without_a_path_only_the_same_one_is_the_same(tmp_path: Path) -> None:
    memory = MemoryStore()
    assert same_place(memory, memory)
    assert not same_place(memory, MemoryStore())
    assert not same_place(memory, JSONLStore(tmp_path))
    assert not same_place(SQLiteStore(tmp_path / "runs"), JSONLStore(tmp_path / "runs"))


@pytest.mark.parametrize("strict", [True, False])
def test_a_mirror_of_itself_is_refused(tmp_path: Path, strict: bool) -> None:
    memory = MemoryStore()
    pairs: list[tuple[EventStore, EventStore]] = [
        (memory, memory),
        (JSONLStore(tmp_path), JSONLStore(tmp_path)),
        (SQLiteStore(tmp_path / "runs.db"), SQLiteStore(tmp_path / "runs.db")),
    ]
    for primary, mirror in pairs:
        with pytest.raises(ValueError, match="is the primary itself"):
            MirrorStore(primary, MemoryStore(), mirror, strict=strict)


def test_one_place_is_named_once_among_mirrors_also_inside_of_them(tmp_path: Path) -> None:
    def runs() -> JSONLStore:
        return JSONLStore(tmp_path / "runs")

    def copy() -> SQLiteStore:
        return SQLiteStore(tmp_path / "copy.db")

    twice: list[tuple[str, Callable[[], MirrorStore]]] = [
        ("copy.db.* is there twice", lambda: MirrorStore(runs(), copy(), copy())),
        ("runs.* is the primary itself", lambda: MirrorStore(runs(), MirrorStore(copy(), runs()))),
        ("runs.* is the primary itself", lambda: MirrorStore(MirrorStore(runs(), copy()), runs())),
        ("copy.db.* is there twice", lambda: MirrorStore(MirrorStore(runs(), copy()), copy())),
        (
            "copy.db.* is there twice",
            lambda: MirrorStore(runs(), MirrorStore(MemoryStore(), MirrorStore(copy())), copy()),
        ),
    ]
    for said, make in twice:
        with pytest.raises(ValueError, match=said):
            make()
    MirrorStore(MirrorStore(runs(), copy()), MirrorStore(MemoryStore(), MemoryStore()))
    assert list(tmp_path.iterdir()) == []
