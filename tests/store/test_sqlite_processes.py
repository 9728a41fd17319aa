"""Real processes on one database: killed, racing, contending, forking (R1, R10, SC-97)."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from replayt_core.errors import ConflictError, RunLockedError
from replayt_store import SQLiteStore
from tests.store.helpers import FakeClock, batch, seqs, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9 and fork")

PROGRAM_HEAD = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch, seqs
from replayt_core.errors import ConflictError, RunLockedError
from replayt_store import SQLiteStore
store = SQLiteStore(sys.argv[1])
def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()
"""

ENDLESS_WRITER = """
with store.lock("r1"):
    events = list(store.read("r1"))
    say("ready")
    while True:
        kinds = ["state_exited", "state_entered"] if len(events) % 3 else ["note"]
        text = "x" * (100_000 if len(events) % 7 == 0 else 50)
        more = batch(*kinds, after=events, text=text)
        store.append("r1", more, after=len(events))
        events += more
        say(str(len(events)))
"""

FIRST_APPEND = """
import os
first = batch("run_started", "state_entered", text=str(os.getpid()))
say("ready")
for line in sys.stdin:
    store = SQLiteStore(line.rstrip("\\n"))
    while True:
        try:
            store.append("r1", first, after=0)
            say("won")
        except RunLockedError:  # the other one is at it, and slow
            continue
        except ConflictError:
            say("lost")
        break
    store.close()
"""

COUNTING_WRITER = """
say("ready")
sys.stdin.readline()
done = 0
while done < 25:
    try:
        with store.lock("r1"):
            events = list(store.read("r1"))
            store.append("r1", batch("note", after=events), after=len(events))
            store.close()
    except RunLockedError:
        continue
    done += 1
say("done")
"""

OWN_RUN_WRITER = """
import os
name = f"run-{os.getpid()}"
say("ready")
sys.stdin.readline()
events = []
with store.lock(name):
    for _ in range(40):
        more = batch("state_exited", "state_entered", after=events, run_id=name)
        store.append(name, more, after=len(events))
        events += more
say("done")
"""

HOLDER = """
with store.lock("r1"):
    say("ready")
    sys.stdin.readline()
say("left")
"""


def start(program: str, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM_HEAD + program, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str], said: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{said}\n")
    process.stdin.flush()


def assert_whole(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    """R1, R6: the writer dies anywhere; the next one goes on."""
    chance = random.Random(20)
    file = tmp_path / "runs.db"
    for round_ in range(15):
        process = start(ENDLESS_WRITER, file)
        assert process.stdout is not None
        acknowledged = 0
        for _ in range(chance.randint(1, 40)):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        # What it had said before it died counts too; the last word may be cut short.
        rest = process.stdout.read().split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        process.communicate()
        files = {path.name for path in tmp_path.iterdir()}
        store = SQLiteStore(file)
        found = seqs(store)
        assert len(found) >= acknowledged
        assert found == list(range(1, len(found) + 1))
        assert [entry.last_seq for entry in store.runs()] == [len(found)]
        assert not store.locked("r1")
        assert {path.name for path in tmp_path.iterdir()} == files, "reading makes and removes none"
        if round_ % 5 == 4:
            store.close()
            assert_whole(file)
    with SQLiteStore(file) as store, store.lock("r1"):
        before = len(seqs(store))
        write(store, 1)
        assert len(seqs(store)) == before + 1


def test_of_two_processes_that_start_one_run_one_wins(tmp_path: Path) -> None:
    """R10: on a database that neither has seen before, so that both try to make it."""
    processes = [start(FIRST_APPEND, tmp_path / "runs.db") for _ in range(2)]
    for trial in range(8):
        file = tmp_path / str(trial) / "runs.db"
        for process in processes:
            go(process, str(file))
        answers = [process.stdout.readline().strip() for process in processes if process.stdout]
        assert sorted(answers) == ["lost", "won"]
        events = list(SQLiteStore(file).read("r1"))
        winner = processes[answers.index("won")].pid
        assert [event.payload["text"] for event in events] == [str(winner)] * 2
    for process in processes:
        assert process.communicate(timeout=60)[0] == ""


def test_processes_that_contend_for_a_run_number_it_without_gaps(tmp_path: Path) -> None:
    """SC-97. Each closes the database every time, so that it is also folded back in between."""
    file = tmp_path / "runs.db"
    processes = [start(COUNTING_WRITER, file) for _ in range(3)]
    for process in processes:
        go(process)
    for process in processes:
        assert process.communicate(timeout=60)[0] == "done\n"
    assert seqs(SQLiteStore(file)) == list(range(1, 76))


def test_processes_with_runs_of_their_own_do_not_disturb_each_other(tmp_path: Path) -> None:
    """And a reader beside them sees whole batches only."""
    file = tmp_path / "runs.db"
    processes = [start(OWN_RUN_WRITER, file) for _ in range(4)]
    for process in processes:
        go(process)
    while any(process.poll() is None for process in processes):
        reader = SQLiteStore(file)
        for entry in reader.runs():
            assert entry.last_seq % 2 == 0
            assert len(seqs(reader, entry.run_id)) >= entry.last_seq
        reader.close()
    for process in processes:
        assert process.communicate(timeout=60)[0] == "done\n"
    store = SQLiteStore(file)
    assert {entry.run_id: entry.last_seq for entry in store.runs()} == {
        f"run-{process.pid}": 80 for process in processes
    }
    for process in processes:
        assert seqs(store, f"run-{process.pid}") == list(range(1, 81))


def test_a_lock_held_by_another_process_is_seen_and_freed_by_its_death(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db", clock=FakeClock())
    write(store, 1)
    for end in ("left", "killed"):
        process = start(HOLDER, store.file)
        assert store.locked("r1")
        with pytest.raises(RunLockedError), store.lock("r1"):
            pass
        with pytest.raises(RunLockedError):
            store.append("r1", batch("note"), after=1)
        assert seqs(store) == [1], "readers need no lock"
        if end == "left":
            go(process)
        else:
            process.kill()
        process.communicate(timeout=60)
        assert not store.locked("r1")
        with store.lock("r1"):
            pass


def in_child(work: object) -> int:
    """Fork, do the work in the child, and give its exit code: 0 when nothing was raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()  # type: ignore[operator]
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_frees_its_parents_lock(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db", clock=FakeClock())
    write(store, 1)
    with store.lock("r1"):
        write(store, 1)

        def child() -> None:
            assert store.locked("r1"), "by the parent"
            try:
                store.append("r1", batch("note"), after=2)
            except RunLockedError:
                write(store, 2, run_id="r2")
                store.close()
            else:
                raise AssertionError("the child wrote to its parent's run")

        assert in_child(child) == 0
        assert SQLiteStore(store.file).locked("r1")
        write(store, 1)
    assert not store.locked("r1")
    assert seqs(store) == [1, 2, 3]
    assert seqs(store, "r2") == [1, 2]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_no_connection_crosses_a_fork(tmp_path: Path) -> None:
    """SQLite forbids it: a child that only closes one may destroy what others wrote since."""
    store = SQLiteStore(tmp_path / "runs.db")
    write(store, 1)
    reading = SQLiteStore(tmp_path / "runs.db")
    assert seqs(reading) == [1]
    mine = f"/proc/{os.getpid()}/fd"
    if not os.path.isdir(mine):
        pytest.skip("needs /proc to see open files")

    def open_files() -> list[str]:
        folder = f"/proc/{os.getpid()}/fd"
        found = []
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(f"{folder}/{name}"))
            except OSError:
                continue
        return [path for path in found if path.startswith(str(store.file))]

    assert open_files()

    def child() -> None:
        assert open_files() == []
        write(store, 1)
        assert seqs(reading) == [1, 2]

    assert in_child(child) == 0
    assert seqs(store) == [1, 2]
    write(store, 1)
    assert seqs(reading) == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_other_threads_append_can_use_the_store(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db")
    stop = threading.Event()

    def work(run_id: str) -> None:
        while not stop.is_set():
            write(store, 1, run_id=run_id)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        codes = [in_child(lambda at=at: write(store, 2, run_id=f"c{at}")) for at in range(15)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert codes == [0] * 15
    for run_id in ("t0", "t1", "t2"):
        assert not store.locked(run_id)
        found = seqs(store, run_id)
        assert found == list(range(1, len(found) + 1))
    store.close()
    assert_whole(store.file)


def test_threads_share_one_store(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db")
    errors: list[BaseException] = []

    def work() -> None:
        for _ in range(20):
            while True:
                try:
                    write(store, 1)
                except (ConflictError, RunLockedError):
                    continue
                except BaseException as error:
                    errors.append(error)
                    raise
                break

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert seqs(store) == list(range(1, 81))
