"""The Windows half of `_os`: it imports where there is no `fcntl`, and keeps the same promises."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path

import pytest

from replayt_store import JSONLStore, SQLiteStore, _os
from tests.store.helpers import seqs, write

LOCK_AT = 0x7FFF_FFFE


class FakeMsvcrt(types.ModuleType):
    """Byte locks as Windows has them: by file and offset, for one holder."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: dict[int, int] = {}

    def locking(self, fd: int, mode: int, count: int) -> None:
        assert (os.lseek(fd, 0, os.SEEK_CUR), count) == (LOCK_AT, 1), "far behind the data"
        file = os.fstat(fd).st_ino
        if mode == self.LK_UNLCK:
            assert self.held.pop(file) == fd
        elif file in self.held:
            raise PermissionError(13, "Permission denied")
        else:
            self.held[file] = fd


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """`replayt_store._os` as it is on Windows, beside the real one."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", FakeMsvcrt())
    for name, value in (("O_BINARY", 0), ("O_NOINHERIT", 0)):
        monkeypatch.setattr(os, name, value, raising=False)
    spec = importlib.util.spec_from_file_location("windows_half", _os.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_windows_half_has_the_same_calls(windows: types.ModuleType) -> None:
    def public(half: types.ModuleType) -> set[str]:
        return {name for name in vars(half.System) if not name.startswith("__")}

    assert windows.System is not _os.System
    assert public(windows) == public(_os)


def test_a_store_works_over_the_windows_half(windows: types.ModuleType, tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs", system=windows.System())
    with store.lock("r1"):
        write(store, 2, 1)
        assert store.locked("r1")
        assert JSONLStore(store.directory, system=windows.System()).locked("r1")
    assert not store.locked("r1")
    assert seqs(store) == [1, 2, 3]
    with store.path("r1").open("ab") as file:
        file.write(b"torn")
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 4
    assert store.delete("r1", after=3) > 0
    with store.lock("r1"):
        pass
    assert list(store.directory.iterdir()) == []


def test_a_database_works_over_the_windows_half(windows: types.ModuleType, tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "runs.db", system=windows.System()) as store:
        with store.lock("r1"):
            write(store, 2, 1)
            assert SQLiteStore(store.file, system=windows.System()).locked("r1")
        assert not store.locked("r1")
        assert seqs(store) == [1, 2, 3]


def test_the_windows_half_refuses_a_link(windows: types.ModuleType, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic link"):
        windows.System().open_append(str(tmp_path / "link"))
