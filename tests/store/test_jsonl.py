"""`JSONLStore`: the kit, the files it makes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_core.errors import (
    ConflictError,
    DamagedLogError,
    InvalidRunIdError,
    RunLockedError,
    StoreError,
    StoreWriteError,
)
from replayt_core.ports.store import DeletesRuns, EventStore, ListsRuns, LocksRuns, RepairsRuns
from replayt_core.testing.store_contract import StoreContract
from replayt_store import JSONLStore
from tests.store.helpers import (
    TS,
    FakeClock,
    FaultySystem,
    HurriedClock,
    add_bytes,
    batch,
    damage_file,
    seqs,
    tear_file,
    write,
)


class TestJSONLStore(StoreContract):
    def make_store(self, directory: Path) -> EventStore:
        return JSONLStore(directory / "runs", clock=HurriedClock())

    def tear(self, directory: Path, run_id: str) -> bytes:
        return tear_file(directory / "runs" / f"{run_id}.jsonl")

    def damage(self, directory: Path, run_id: str, seq: int) -> None:
        damage_file(directory / "runs" / f"{run_id}.jsonl", seq)


class TestJSONLStoreThatAlwaysSyncs(StoreContract):
    def make_store(self, directory: Path) -> EventStore:
        return JSONLStore(directory / "runs", sync="always", clock=HurriedClock())


@pytest.fixture
def store(tmp_path: Path) -> JSONLStore:
    return JSONLStore(tmp_path / "runs", clock=FakeClock())


def test_it_offers_every_ability(store: JSONLStore) -> None:
    for ability in (EventStore, LocksRuns, RepairsRuns, ListsRuns, DeletesRuns):
        assert isinstance(store, ability)


def test_a_run_is_one_file_of_json_lines(store: JSONLStore) -> None:
    """SC-93, SC-94, SC-96."""
    write(store, 1, 2, text="Grüße, 東京 \u2028")
    data = (store.directory / "r1.jsonl").read_bytes()
    assert data.endswith(b"\n")
    records = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert all({"ts", "run_id", "seq", "type", "payload"} <= record.keys() for record in records)
    assert "Grüße, 東京 \u2028".encode() in data


def test_an_append_keeps_every_byte_before_it(store: JSONLStore) -> None:
    """SC-95."""
    before = b""
    for size in (1, 3, 1, 2):
        write(store, size)
        now = store.path("r1").read_bytes()
        assert now.startswith(before)
        before = now


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_files_are_0600_in_0700_directories_under_an_ordinary_umask(tmp_path: Path) -> None:
    """R26 of the reliability bar: private from the first byte."""
    before = os.umask(0o022)
    try:
        store = JSONLStore(tmp_path / "a" / "b" / "runs")
        write(store, 1)
        add_bytes(store, b"torn")
        store.repair("r1")
    finally:
        os.umask(before)
    for directory in ("a", "a/b", "a/b/runs"):
        assert stat.S_IMODE((tmp_path / directory).stat().st_mode) == 0o700
    for name in ("r1.jsonl", "r1.jsonl.torn-1"):
        assert stat.S_IMODE((store.directory / name).stat().st_mode) == 0o600


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs")
    assert list(store.read("r1")) == []
    assert list(store.run_ids()) == []
    assert list(store.runs()) == []
    assert not store.locked("r1")
    assert store.repair("r1") is None
    assert store.delete("r1", after=0) == 0
    with pytest.raises(ConflictError):
        store.delete("r1", after=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [False, True])
def test_a_lock_that_wrote_nothing_leaves_no_run_and_no_file(store: JSONLStore, left: bool) -> None:
    if left:  # what a process leaves that was killed between the creation and the first append
        store.directory.mkdir()
        store.path("r1").touch()
        assert list(store.run_ids()) == []
    with store.lock("r1"):
        assert store.path("r1").exists()
        assert list(store.run_ids()) == []
        assert list(store.runs()) == []
    assert list(store.directory.iterdir()) == []


def test_a_refused_first_append_leaves_no_file(store: JSONLStore) -> None:
    first = batch("run_started", "note")
    with pytest.raises(ConflictError):
        store.append("r1", batch("note", after=first), after=2)
    assert list(store.directory.iterdir()) == []


def test_foreign_files_are_passed_over(store: JSONLStore, tmp_path: Path) -> None:
    """R7: one bad file never breaks a command for the others."""
    write(store, 1)
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(store.path("r1").read_bytes())
    (store.directory / "my notes.jsonl").write_text("buy milk")
    (store.directory / "CON.jsonl").write_text("x")
    (store.directory / "r1.jsonl.torn-1").write_text("x")
    (store.directory / ".hidden.jsonl").write_text("x")
    (store.directory / "readme.txt").write_text("x")
    (store.directory / "directory.jsonl").mkdir()
    (store.directory / "link.jsonl").symlink_to(outside)
    (store.directory / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(store.directory / "fifo.jsonl")
    assert list(store.run_ids()) == ["r1"]
    assert [entry.run_id for entry in store.runs()] == ["r1"]


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_what_is_no_regular_file_is_neither_read_nor_written(
    store: JSONLStore, tmp_path: Path, kind: str
) -> None:
    """R26: no link is followed, no FIFO waited for, nothing outside is touched."""
    store.directory.mkdir()
    outside = tmp_path / "outside"
    if kind == "link":
        outside.write_bytes(b"")
        store.path("r1").symlink_to(outside)
    elif kind == "dangling":
        store.path("r1").symlink_to(outside)
    elif kind == "directory":
        store.path("r1").mkdir()
    else:
        os.mkfifo(store.path("r1"))
    with pytest.raises((DamagedLogError, StoreError), match=r"r1\.jsonl"):
        list(store.read("r1"))
    with pytest.raises(DamagedLogError, match="no regular file"):
        store.append("r1", batch("run_started"), after=0)
    with pytest.raises(DamagedLogError, match="no regular file"), store.lock("r1"):
        pass
    assert not store.locked("r1")
    assert outside.read_bytes() == b"" if kind == "link" else not outside.exists()


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "real")
    write(JSONLStore(tmp_path / "runs"), 2)
    assert seqs(JSONLStore(tmp_path / "real")) == [1, 2]


def test_a_later_chdir_does_not_move_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = JSONLStore("runs")
    write(store, 1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert seqs(store) == [1]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Run-1", "run-1"),
        ("abc", "ABC"),
        ("0198A6E2-0000-7000-8000-0000000000AB", "0198a6e2-0000-7000-8000-0000000000ab"),
    ],
)
def test_a_new_id_that_differs_in_case_only_is_refused(
    store: JSONLStore, first: str, second: str
) -> None:
    """R25: on another file system both would be one file."""
    write(store, 1, run_id=first)
    with pytest.raises(InvalidRunIdError, match=f"existing run '{first}' in case only"):
        store.append(second, batch("run_started", run_id=second), after=0)
    with pytest.raises(InvalidRunIdError), store.lock(second):
        pass
    assert list(store.run_ids()) == [first]
    assert [path.name for path in store.directory.iterdir()] == [f"{first}.jsonl"]
    write(store, 1, run_id=first)


@pytest.mark.parametrize("bad", ["", "../x", "/etc/passwd", "a/b", "a\n", "CON", "a.", "x" * 129])
def test_every_method_refuses_a_bad_run_id_before_any_file_is_touched(
    tmp_path: Path, bad: str
) -> None:
    """SC-32, R25."""
    store = JSONLStore(tmp_path / "runs")
    for call in (store.read, store.lock, store.locked, store.repair, store.path):
        with pytest.raises(InvalidRunIdError):
            call(bad)
    with pytest.raises(InvalidRunIdError):
        store.append(bad, batch("run_started", run_id=bad), after=0)
    with pytest.raises(InvalidRunIdError):
        store.delete(bad, after=0)
    assert list(tmp_path.iterdir()) == []


def test_logs_of_replayt_0_1_to_0_4_are_read_and_continued(store: JSONLStore) -> None:
    record = {"ts": TS, "run_id": "r1", "type": "run_started", "payload": {"workflow_name": "w"}}
    lines = [json.dumps({**record, "seq": seq}) for seq in (1, 2, 3)]
    store.directory.mkdir()
    store.path("r1").write_text("\n".join(lines) + "\n")
    assert seqs(store) == [1, 2, 3]
    write(store, 2)
    assert seqs(store) == [1, 2, 3, 4, 5]


def test_a_bridge_may_append_its_line_while_the_run_is_held(store: JSONLStore) -> None:
    """An app appends `approval_resolved` itself: without `prev`, and without the lock."""
    record = {"ts": TS, "run_id": "r1", "seq": 3, "type": "approval_resolved", "payload": {}}
    with store.lock("r1"):
        events = write(store, 2)
        with store.path("r1").open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
        with pytest.raises(ConflictError, match="at seq 3, not 2"):
            store.append("r1", batch("note", after=events), after=2)
        assert len(write(store, 2)) == 5
    assert seqs(JSONLStore(store.directory)) == [1, 2, 3, 4, 5]


def test_a_listing_reads_only_the_ends_of_files(store: JSONLStore) -> None:
    write(store, *[3] * 400, text="y" * 200)
    write(store, 1, run_id="huge", text="z" * 300_000)
    store.path("torn").write_bytes(batch("run_started", run_id="torn")[0].line + b'\n{"half": ')
    store.path("rubbish").write_bytes(b"x\n" * 50)
    found = {entry.run_id: entry for entry in store.runs()}
    assert (found["r1"].last_seq, found["r1"].last_ts) == (1200, TS)
    assert found["r1"].size == store.path("r1").stat().st_size
    assert found["huge"].last_seq == 1
    assert found["torn"].last_seq == 1
    assert (found["rubbish"].last_seq, found["rubbish"].last_ts) == (0, None)


def test_deleting_takes_the_torn_tails_along(store: JSONLStore) -> None:
    write(store, 2)
    for _ in range(2):
        add_bytes(store, b"torn")
        store.repair("r1")
    size = store.path("r1").stat().st_size
    with pytest.raises(ConflictError):
        store.delete("r1", after=1)
    assert len(list(store.directory.iterdir())) == 3
    assert store.delete("r1", after=2) == size + 8
    assert list(store.directory.iterdir()) == []


def test_a_run_that_is_executed_is_not_deleted_by_others(store: JSONLStore) -> None:
    write(store, 1)
    with store.lock("r1"), pytest.raises(RunLockedError):
        JSONLStore(store.directory, clock=FakeClock()).delete("r1", after=1)
    assert seqs(store) == [1]


def test_a_damaged_log_can_be_deleted_at_its_last_readable_event(store: JSONLStore) -> None:
    write(store, 2)
    add_bytes(store, b"rubbish\n")
    with pytest.raises(ConflictError):
        store.delete("r1", after=3)
    assert store.delete("r1", after=2) > 0
    assert seqs(store) == []


def test_the_holder_may_delete_its_run_and_then_writes_no_more(store: JSONLStore) -> None:
    with store.lock("r1"):
        write(store, 2)
        assert store.delete("r1", after=2) > 0
        with pytest.raises(StoreWriteError, match="was deleted"):
            store.append("r1", batch("run_started"), after=0)
    assert list(store.directory.iterdir()) == []
    write(store, 1)


def test_a_lock_is_waited_for_a_second_and_no_longer(store: JSONLStore) -> None:
    write(store, 1)
    clock = FakeClock()
    other = JSONLStore(store.directory, clock=clock)
    with store.lock("r1"):
        with pytest.raises(RunLockedError, match=r"r1\.jsonl is locked"), other.lock("r1"):
            pass
        assert 1.0 <= clock.seconds < 1.1
        assert max(clock.sleeps) <= 0.03
        with pytest.raises(RunLockedError):
            other.append("r1", batch("note"), after=0)


def test_a_probe_does_not_keep_an_executor_out(store: JSONLStore) -> None:
    write(store, 1)
    probe = os.open(store.path("r1"), os.O_RDONLY)
    import fcntl

    fcntl.flock(probe, fcntl.LOCK_SH)
    assert not JSONLStore(store.directory).locked("r1"), "two probes do not see each other"
    clock = FakeClock(then=lambda: fcntl.flock(probe, fcntl.LOCK_UN))
    with JSONLStore(store.directory, clock=clock).lock("r1"):
        assert len(clock.sleeps) == 1
    os.close(probe)


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_again(store: JSONLStore) -> None:
    class RemovedBeforeTheLock(FaultySystem):
        def try_lock(self, fd: int, *, shared: bool = False) -> bool:
            if "removed" not in self.calls:
                self.calls.append("removed")
                store.path("r1").unlink()
            return super().try_lock(fd, shared=shared)

    other = JSONLStore(store.directory, clock=FakeClock(), system=RemovedBeforeTheLock())
    with other.lock("r1"):
        write(other, 2)
    assert seqs(store) == [1, 2]


def test_an_unusable_directory_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = JSONLStore(tmp_path / "file")
    with pytest.raises(StoreError, match="no directory"):
        list(store.run_ids())
    with pytest.raises(StoreError, match="no directory"):
        list(store.read("r1"))
    with pytest.raises(StoreWriteError, match=r"r1 .*r1\.jsonl"), store.lock("r1"):
        pass


def test_an_unknown_sync_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="durable, always, os"):
        JSONLStore(tmp_path, sync="fast")  # type: ignore[arg-type]


def test_what_cannot_be_one_batch_of_lines_is_refused(store: JSONLStore) -> None:
    events = batch("run_started", "note")
    for wrong, problem in (
        (events[:1], "says `more`"),
        ([], "empty"),
        ([events[1]._replace(seq=1, line=b'{"a":\n1}')], "line break"),
        (batch("run_started", run_id="r2"), "of run r2 stands where"),
    ):
        with pytest.raises(ValueError, match=problem):
            store.append("r1", wrong, after=0)
    assert list(store.run_ids()) == []


def test_importing_the_store_loads_no_database_and_no_network(tmp_path: Path) -> None:
    code = (
        "import sys, replayt_store\n"
        "print([name for name in ('duckdb', 'sqlite3', 'httpx', 'importlib.metadata', 'asyncio')"
        " if name in sys.modules and name not in before])"
    )
    code = "import sys, pydantic, pydantic_core\nbefore = set(sys.modules)\n" + code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "[]"
