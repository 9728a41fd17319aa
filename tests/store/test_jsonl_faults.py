"""What fails on the way to the disk loses nothing acknowledged and leaves nothing half (R11)."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_core.errors import ConflictError, DamagedLogError, StoreWriteError
from replayt_store import JSONLStore
from tests.store.helpers import FakeClock, FaultySystem, add_bytes, batch, seqs, write


@pytest.fixture
def system() -> FaultySystem:
    return FaultySystem()


@pytest.fixture
def store(tmp_path: Path, system: FaultySystem) -> JSONLStore:
    return JSONLStore(tmp_path / "runs", clock=FakeClock(), system=system)


@pytest.mark.parametrize("call", ["write", "sync_data"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full: free some space, then resume"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "I/O error"),
        (errno.EFBIG, "size limit"),
        (errno.EROFS, "read-only"),
        (errno.ENXIO, "no such device"),
    ],
)
def test_a_failed_append_is_taken_back_and_its_handle_is_dead(
    store: JSONLStore, system: FaultySystem, call: str, code: int, words: str
) -> None:
    with store.lock("r1"):
        events = write(store, 2)
        before = store.path("r1").read_bytes()
        system.fail_with(call, code)
        with pytest.raises(StoreWriteError, match=words) as caught:
            store.append("r1", batch("state_entered", after=events), after=2)
        assert isinstance(caught.value.__cause__, OSError)
        assert "run r1" in str(caught.value)
        system.fail.clear()
        assert store.path("r1").read_bytes() == before
        with pytest.raises(StoreWriteError, match="not written through this handle any more"):
            store.append("r1", batch("state_entered", after=events), after=2)
        with pytest.raises(StoreWriteError, match="not written through this handle"):
            store.repair("r1")
        assert store.locked("r1"), "the lock stays until its holder leaves"
    with store.lock("r1"):
        assert store.repair("r1") is None
        write(store, 1)
    assert seqs(store) == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 7, 100, 150, 10_000])
def test_a_short_write_is_completed(store: JSONLStore, system: FaultySystem, size: int) -> None:
    system.write_at_most = size
    events = write(store, 3, 1)
    system.write_at_most = None
    assert list(store.read("r1")) == events


@pytest.mark.parametrize("size", [1, 7, 100, 150])
def test_a_short_write_that_then_fails_leaves_nothing(
    store: JSONLStore, system: FaultySystem, size: int
) -> None:
    events = write(store, 2)
    before = store.path("r1").read_bytes()
    system.write_at_most = size
    system.fail_with("write", errno.ENOSPC)
    with pytest.raises(StoreWriteError, match="disk is full"):
        store.append("r1", batch("note", "note", after=events), after=2)
    assert store.path("r1").read_bytes() == before


def test_what_cannot_be_taken_back_is_a_torn_tail(store: JSONLStore, system: FaultySystem) -> None:
    events = write(store, 2)
    system.write_at_most = 20
    system.fail_with("write", errno.EIO)
    system.fail_with("truncate", errno.EIO)
    with pytest.raises(StoreWriteError):
        store.append("r1", batch("note", after=events), after=2)
    system.fail.clear()
    system.write_at_most = None
    assert seqs(store) == [1, 2]
    with pytest.raises(DamagedLogError, match="repair"):
        store.append("r1", batch("note", after=events), after=2)
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 20
    write(store, 1)


def test_a_first_append_that_fails_leaves_no_run(store: JSONLStore, system: FaultySystem) -> None:
    """R11: no handler runs before `run_started` is acknowledged, and no empty file is left."""
    system.fail_with("write", errno.ENOSPC)
    with pytest.raises(StoreWriteError), store.lock("r1"):
        store.append("r1", batch("run_started"), after=0)
    assert list(store.directory.iterdir()) == []


def test_an_interrupt_inside_an_append_takes_it_back(
    store: JSONLStore, system: FaultySystem
) -> None:
    with store.lock("r1"):
        events = write(store, 2)
        before = store.path("r1").read_bytes()
        system.fail["sync_data"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            store.append("r1", batch("state_entered", after=events), after=2)
        system.fail.clear()
        assert store.path("r1").read_bytes() == before
        with pytest.raises(StoreWriteError):
            store.append("r1", batch("state_entered", after=events), after=2)
    write(store, 1)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_log_taken_away_under_its_writer_is_noticed(store: JSONLStore, how: str) -> None:
    with store.lock("r1"):
        events = write(store, 2)
        if how == "replaced":
            shutil.copy(store.path("r1"), store.directory / "copy")
            os.replace(store.directory / "copy", store.path("r1"))
        else:
            store.path("r1").unlink()
        with pytest.raises(StoreWriteError, match="deleted, moved or replaced"):
            store.append("r1", batch("note", after=events), after=2)
        with pytest.raises(StoreWriteError, match="taken away"):
            store.append("r1", batch("note", after=events), after=2)
    assert seqs(store) == ([1, 2] if how == "replaced" else [])


def test_a_log_cut_under_its_writer_is_noticed(store: JSONLStore) -> None:
    with store.lock("r1"):
        events = write(store, 2)
        os.truncate(store.path("r1"), 10)
        with pytest.raises(DamagedLogError, match="was cut from"):
            store.append("r1", batch("note", after=events), after=2)


def test_a_bridge_line_behind_a_failed_append_is_not_cut(
    store: JSONLStore, system: FaultySystem
) -> None:
    with store.lock("r1"):
        events = write(store, 1)
        bridge = b'{"a bridge wrote between the look at the size and the write": 1}\n' * 9

        def write_and_fail(fd: int, data: bytes | memoryview) -> int:
            add_bytes(store, bridge)
            raise OSError(errno.EIO, "")

        system.write = write_and_fail  # type: ignore[method-assign]
        with pytest.raises(StoreWriteError):
            store.append("r1", batch("note", after=events), after=1)
    assert store.path("r1").read_bytes().endswith(bridge)


def test_appends_without_a_lock_do_not_read_the_log_again(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13: the cost of an append does not grow with the run."""
    import replayt_store._log as module

    looked: list[int] = []

    class Counting(module.Scan):
        def batches(self):  # type: ignore[no-untyped-def]
            looked.append(self.end)
            return super().batches()

    monkeypatch.setattr(module, "Scan", Counting)
    events: list = []
    for _ in range(30):
        more = batch("state_entered", after=events)
        store.append("r1", more, after=len(events))
        events += more
    assert looked == [0], "once, when the file was empty"
    write(JSONLStore(store.directory), 1)
    with pytest.raises(ConflictError):
        store.append("r1", batch("note", after=events), after=30)
    assert looked[-1] == 0, "after somebody else wrote, everything is read again"


def test_when_an_append_waits_for_the_disk(tmp_path: Path) -> None:
    def syncs(mode: str) -> list[str]:
        system = FaultySystem()
        store = JSONLStore(tmp_path / mode, sync=mode, system=system)  # type: ignore[arg-type]
        with store.lock("r1"):
            events: list = []
            for kinds in (("llm_request",), ("run_started", "step_note"), ("llm_response",)):
                more = batch(*kinds, after=events)
                store.append("r1", more, after=len(events))
                events += more
        calls = [call for call in system.calls if call in ("write", "sync_data", "sync_directory")]
        return calls[1:] if calls[0] == "sync_directory" else calls  # the new directory's own

    first = ["sync_data", "sync_directory"]
    assert syncs("durable") == ["write", "write", *first, "write"]
    assert syncs("always") == ["write", *first, "write", "sync_data", "write", "sync_data"]
    assert syncs("os") == ["write", "write", "write"]


STEPS = 10
STEP_PROGRAM = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch
from replayt_store import JSONLStore
store = JSONLStore(sys.argv[1])
with store.lock("r1"):
    events = []
    for _ in range({STEPS}):
        more = batch("state_exited", "transition", "state_entered", after=events)
        store.append("r1", more, after=len(events))
        events += more
"""


def test_a_decision_batch_is_one_write_and_one_fdatasync(tmp_path: Path) -> None:
    """P3, counted by the system."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    done = subprocess.run(
        [
            *("strace", "-f", "-o", str(trace), "-y"),
            *("-e", "trace=write,writev,pwrite64,fdatasync,fsync,sync_file_range"),
            *(sys.executable, "-c", STEP_PROGRAM, str(tmp_path / "runs")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    text = trace.read_text()
    calls = re.findall(r"(\w+)\(\d+<[^>]*(r1\.jsonl|/runs)>", text)
    assert calls.count(("write", "r1.jsonl")) == STEPS
    assert calls.count(("fdatasync", "r1.jsonl")) == STEPS
    assert calls.count(("fsync", "/runs")) == 1, "the name of the new file, once"
    assert len(calls) == 2 * STEPS + 1


FILL_PROGRAM = f"""
import sys, resource
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch
from replayt_store import JSONLStore
from replayt_core.errors import StoreWriteError
store = JSONLStore(sys.argv[1])
if len(sys.argv) > 2:
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
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


def fill(directory: Path, *limit: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", FILL_PROGRAM, str(directory), *limit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, _, message = done.stdout.partition(" ")
    return int(count), message


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """R11, on a real file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        hasattr(os, "geteuid")
        and os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root; the file size limit below stands in")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(16_384))
        acknowledged, message = fill(disk / "runs")
        assert "the disk is full" in message
        store = JSONLStore(disk / "runs")
        assert len(seqs(store)) == acknowledged > 4
        assert store.path("r1").read_bytes().endswith(b"\n")
        ballast.unlink()
        with store.lock("r1"):
            assert store.repair("r1") is None
            write(store, 1)
        assert len(seqs(store)) == acknowledged + 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit")
@pytest.mark.parametrize("limit", ["5000", "5001", "6533", "20000"])
def test_a_file_size_limit_loses_nothing(tmp_path: Path, limit: str) -> None:
    """C3: the write that meets the limit is short, and the next one fails."""
    acknowledged, message = fill(tmp_path / "runs", limit)
    assert "size limit" in message
    store = JSONLStore(tmp_path / "runs")
    assert len(seqs(store)) == acknowledged > 2
    for line in store.path("r1").read_bytes().split(b"\n")[:-1]:
        json.loads(line)
    write(store, 1)
