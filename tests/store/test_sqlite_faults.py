"""The disk fails under a SQLite store, or the process dies at the n-th call of a kind (C2, C3)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from replayt_core.errors import StoreError, StoreWriteError
from replayt_store import SQLiteStore, _sqlite_database
from tests.store.helpers import FakeClock, batch, seqs, write

PROGRAM = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch
from replayt_core.errors import StoreError
from replayt_store import SQLiteStore
store = SQLiteStore(sys.argv[1])
try:
    with store.lock("r1"):
        events = list(store.read("r1"))
        for _ in range(4):
            more = batch("state_exited", "transition", "state_entered", after=events)
            store.append("r1", more, after=len(events))
            events += more
            sys.stdout.write(str(len(events)) + "\\n")
            sys.stdout.flush()
except StoreError as error:
    sys.stdout.write(type(error).__name__ + "\\n")
    try:
        with store.lock("r1"):
            pass
        list(store.read("r1"))
    except StoreError:
        pass
"""
FAULTS = [
    *(("pwrite64", f, n) for f in ("signal=KILL", "error=EIO", "error=ENOSPC") for n in (1, 2, 6)),
    *(("pwrite64", "signal=KILL", n) for n in (3, 4, 9, 14)),
    *(("fdatasync", f, n) for f in ("signal=KILL", "error=EIO") for n in (1, 2, 4)),
    *(("fsync", f, 1) for f in ("signal=KILL", "error=EIO")),
    *(("openat", "signal=KILL", n) for n in (1, 2)),
    *(("unlink", f, 1) for f in ("signal=KILL", "error=EIO")),
]


def run(file: Path, inject: str) -> list[str]:
    """Each acknowledgement, then the name of the error that ended the writer."""
    # SQLite passes over a failed sync of a directory; what is made sure of there is our own fsync.
    places = [file, Path(f"{file}-wal"), Path(f"{file}-journal")]
    if not inject.startswith("fdatasync"):
        places.append(file.parent)
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null"),
            *(word for place in places for word in ("-P", str(place))),
            *("-e", f"inject={inject}", sys.executable, "-c", PROGRAM, str(file)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(("call", "fault", "at"), FAULTS)
def test_a_fault_at_any_call_loses_nothing_acknowledged(
    tmp_path: Path, call: str, fault: str, at: int, fresh: bool
) -> None:
    file = tmp_path / "data" / "runs.db"
    file.parent.mkdir()
    before = 0
    if not fresh:
        with SQLiteStore(file) as store:
            before = len(write(store, 1, 2))
    said = run(file, f"{call}:{fault}:when={at}")
    acknowledged = max([before, *(int(word) for word in said if word.isdigit())])
    if "error" in fault and call != "unlink":
        # Which may be met only when the database is folded back, after the last append.
        assert said[-1] in ("StoreWriteError", str(before + 12)), said
        if at <= 2:
            assert said[-1] == "StoreWriteError", said
    with SQLiteStore(file) as store:
        found = seqs(store)
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 3 == 0, "batches are whole"
        assert acknowledged <= len(found) <= acknowledged + 3
        with store.lock("r1"):
            write(store, 1)
            assert seqs(store) == [*found, len(found) + 1]
        assert not store.locked("r1")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@contextmanager
def mounted(disk: Path, size: str) -> Iterator[None]:
    """A small file system of its own."""
    disk.mkdir()
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if not is_root or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_half_transaction_of_a_killed_process_is_undone_before_reading(tmp_path: Path) -> None:
    """A database in rollback mode, as replayt 0.2 wrote it, with the journal that a kill left."""
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('CREATE TABLE events (run_id TEXT, seq INTEGER, type TEXT, ts TEXT, "
        "payload_json TEXT, PRIMARY KEY (run_id, seq))')\n"
        "row = 'INSERT INTO events VALUES (?, ?, ?, ?, ?)'\n"
        "db.execute(row, ('r1', 1, 'run_started', 't', '{}'))\n"
        "db.execute('PRAGMA cache_size = 1')\n"
        "db.execute('BEGIN')\n"
        "db.executemany(row, [('r1', n, 'note', 't', '{}' * 99) for n in range(2, 5000)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    file = tmp_path / "old.db"
    subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert Path(f"{file}-journal").stat().st_size > 0
    assert seqs(SQLiteStore(file)) == [1]
    assert not Path(f"{file}-journal").exists()


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """R11, on a real file system."""
    disk = tmp_path / "disk"
    with mounted(disk, "400k"):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(100_000))
        store = SQLiteStore(disk / "runs.db")
        events: list = []

        def fill() -> None:
            while True:
                more = batch("state_exited", "state_entered", after=events, text="x" * 700)
                store.append("r1", more, after=len(events))
                events.extend(more)

        with store.lock("r1"):
            with pytest.raises(StoreWriteError, match="the disk is full: free some space"):
                fill()
            with pytest.raises(StoreWriteError, match="not written through this handle any more"):
                store.append("r1", batch("note", after=events), after=len(events))
        assert len(events) > 4
        assert seqs(store) == list(range(1, len(events) + 1))
        ballast.unlink()
        with store.lock("r1"):
            write(store, 1)
        assert len(seqs(store)) == len(events) + 1
        store.close()


@pytest.mark.parametrize("left", ["closed", "killed"])
def test_a_read_only_file_system_can_be_read_and_says_that_it_cannot_be_written(
    tmp_path: Path, left: str
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "4m"):
        if left == "closed":
            with SQLiteStore(disk / "runs.db") as store:
                write(store, 2)
        else:  # with a write-ahead log, and no index of it, as a copy may look
            with SQLiteStore(tmp_path / "runs.db") as store:
                write(store, 2)
                for end in ("", "-wal", "-shm"):
                    shutil.copy(f"{store.file}{end}", f"{disk}/runs.db{end}")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        store = SQLiteStore(disk / "runs.db", clock=FakeClock())
        assert seqs(store) == [1, 2]
        assert [entry.last_seq for entry in store.runs()] == [2]
        assert not store.locked("r1")
        with pytest.raises(StoreWriteError, match="read-only"):
            store.append("r1", batch("note", after=list(store.read("r1"))), after=2)
        assert seqs(store) == [1, 2]
        store.close()


def test_a_log_without_its_index_on_a_read_only_file_system_is_one_clear_error(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "4m"):
        with SQLiteStore(tmp_path / "runs.db") as store:
            write(store, 2)
            for end in ("", "-wal"):
                shutil.copy(f"{store.file}{end}", f"{disk}/runs.db{end}")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StoreError, match=r"cannot read .*runs\.db"):
            seqs(SQLiteStore(disk / "runs.db"))


FILL_PROGRAM = f"""
import sys, resource
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch
from replayt_store import SQLiteStore
from replayt_core.errors import StoreWriteError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
store = SQLiteStore(sys.argv[1])
events = []
try:
    with store.lock("r1"):
        while True:
            more = batch("state_exited", "state_entered", after=events, text="x" * 700)
            store.append("r1", more, after=len(events))
            events += more
except StoreWriteError as error:
    print(len(events), error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit")
@pytest.mark.parametrize("limit", ["90000", "90001", "300007"])
def test_a_file_size_limit_loses_nothing(tmp_path: Path, limit: str) -> None:
    """C3: the write that meets the limit is short, and the next one fails."""
    file = tmp_path / "runs.db"
    done = subprocess.run(
        [sys.executable, "-c", FILL_PROGRAM, str(file), limit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, _, message = done.stdout.partition(" ")
    assert "cannot write" in message
    store = SQLiteStore(file)
    assert len(seqs(store)) == int(count) > 2
    write(store, 1)
    store.close()


def test_a_database_that_someone_keeps_locked_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_database, "BUSY_SECONDS", 0.01)
    store = SQLiteStore(tmp_path / "runs.db")
    events = write(store, 2)
    store.close()
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with store.lock("r1"):
            with pytest.raises(StoreWriteError, match="another process keeps the database locked"):
                store.append("r1", batch("note", after=events), after=2)
            with pytest.raises(StoreWriteError, match="not written through this handle any more"):
                store.append("r1", batch("note", after=events), after=2)
        assert seqs(store) == [1, 2], "readers do not wait"
        other.execute("ROLLBACK")
    write(store, 1)
    assert seqs(store) == [1, 2, 3]
    store.close()


def test_an_interrupt_inside_an_append_takes_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replayt_store import _sqlite_rows

    store = SQLiteStore(tmp_path / "runs.db")
    append = _sqlite_rows.append

    def interrupted(*arguments: object, **options: object) -> int:
        append(*arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with store.lock("r1"):
        events = write(store, 2)
        monkeypatch.setattr(_sqlite_rows, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.append("r1", batch("state_entered", after=events), after=2)
        monkeypatch.undo()
        assert seqs(store) == [1, 2]
        with pytest.raises(StoreWriteError, match="an earlier call failed"):
            store.append("r1", batch("state_entered", after=events), after=2)
    write(store, 1)
    assert seqs(store) == [1, 2, 3]
    store.close()
