"""A store is no mirror of itself, by whatever path it is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from replayt_core import MemoryStore
from replayt_core.ports import EventStore
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from replayt_store.mirror import same_place

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
