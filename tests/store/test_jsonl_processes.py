"""Real processes: killed, racing, contending, forking (R1, R10, SC-97)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from replayt_core.errors import RunLockedError
from replayt_store import JSONLStore
from tests.store.helpers import FakeClock, batch, seqs, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9 and fork")

PROGRAM_HEAD = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch, seqs
from replayt_core.errors import ConflictError, RunLockedError
from replayt_store import JSONLStore
store = JSONLStore(sys.argv[1])
def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()
"""

ENDLESS_WRITER = """
with store.lock("r1"):
    store.repair("r1")
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
    store = JSONLStore(line.rstrip("\\n"))
    while True:
        try:
            store.append("r1", first, after=0)
            say("won")
        except RunLockedError:  # the other one is at it, and slow
            continue
        except ConflictError:
            say("lost")
        break
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
    except RunLockedError:
        continue
    done += 1
say("done")
"""

HOLDER = """
with store.lock("r1"):
    say("ready")
    sys.stdin.readline()
say("left")
"""


def start(program: str, directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM_HEAD + program, str(directory)],
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


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    """R1, R6: the writer dies anywhere; the next one repairs and goes on."""
    chance = random.Random(20)
    store = JSONLStore(tmp_path / "runs")
    for _ in range(25):
        process = start(ENDLESS_WRITER, store.directory)
        assert process.stdout is not None
        acknowledged = 0
        for _ in range(chance.randint(1, 40)):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        # What it had said before it died counts too; the last word may be cut short.
        rest = process.stdout.read().split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        process.communicate()
        found = seqs(store)
        assert len(found) >= acknowledged
        assert found == list(range(1, len(found) + 1))
        assert [entry.last_seq for entry in store.runs()] == [len(found)]
        assert not store.locked("r1")
    with store.lock("r1"):
        store.repair("r1")
        before = len(seqs(store))
        write(store, 1)
    assert len(seqs(store)) == before + 1


def test_of_two_processes_that_start_one_run_one_wins(tmp_path: Path) -> None:
    """R10: creating first and locking after let a second process steal the run."""
    processes = [start(FIRST_APPEND, tmp_path) for _ in range(2)]
    for trial in range(12):
        directory = tmp_path / str(trial)
        for process in processes:
            go(process, str(directory))
        answers = [process.stdout.readline().strip() for process in processes if process.stdout]
        assert sorted(answers) == ["lost", "won"]
        events = list(JSONLStore(directory).read("r1"))
        winner = processes[answers.index("won")].pid
        assert [event.payload["text"] for event in events] == [str(winner)] * 2
    for process in processes:
        assert process.communicate(timeout=60)[0] == ""


def test_processes_that_contend_for_a_run_number_it_without_gaps(tmp_path: Path) -> None:
    """SC-97."""
    processes = [start(COUNTING_WRITER, tmp_path / "runs") for _ in range(3)]
    for process in processes:
        go(process)
    for process in processes:
        assert process.communicate(timeout=60)[0] == "done\n"
    assert seqs(JSONLStore(tmp_path / "runs")) == list(range(1, 76))


def test_a_lock_held_by_another_process_is_seen_and_freed_by_its_death(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs", clock=FakeClock())
    write(store, 1)
    for end in ("left", "killed"):
        process = start(HOLDER, store.directory)
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
    store = JSONLStore(tmp_path / "runs", clock=FakeClock())
    other = JSONLStore(tmp_path / "runs", clock=FakeClock())
    write(store, 1)
    ready, done = os.pipe(), os.pipe()
    holding = store.lock("r1")
    holding.__enter__()
    pid = os.fork()
    if pid == 0:  # stays alive beyond the parent's release
        code = 1
        try:
            assert store.locked("r1"), "by the parent"
            try:
                store.append("r1", batch("note"), after=1)
            except RunLockedError:
                holding.__exit__(None, None, None)
                assert other.locked("r1"), "leaving the block in the child frees nothing"
                os.write(ready[1], b"x")
                os.read(done[0], 1)
                code = 0
        finally:
            os._exit(code)
    assert os.read(ready[0], 1) == b"x"
    assert other.locked("r1")
    write(store, 1)
    holding.__exit__(None, None, None)
    assert not other.locked("r1"), "the child is alive and must not keep the run"
    with other.lock("r1"):
        pass
    os.write(done[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for fd in (*ready, *done):
        os.close(fd)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_other_threads_append_can_use_the_store(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs", sync="os")
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


FORKS_DURING_AN_IMPORT = """
import os, sys, threading
from replayt_store import JSONLStore

store = JSONLStore(sys.argv[1])
inside, forking = threading.Event(), threading.Event()


class Held:
    def find_spec(self, name, path=None, target=None):
        if name == "replayt_core.chain":
            inside.set()
            forking.wait(60)


def first_use():
    with store.lock("r1"):
        pass


sys.meta_path.insert(0, Held())
os.register_at_fork(before=forking.set)  # the last to be registered is the first to be called
thread = threading.Thread(target=first_use)
thread.start()
assert inside.wait(60)
pid = os.fork()
if pid == 0:
    import signal
    signal.alarm(20)
    list(store.read("r2"))
    os._exit(0)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_child_forked_while_a_thread_first_uses_the_store_can_use_it(tmp_path: Path) -> None:
    """What reads and writes is imported then: a child would wait for a thread it does not have."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS_DURING_AN_IMPORT, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


def test_a_started_program_inherits_no_lock(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs")
    with store.lock("r1"):
        write(store, 1)
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.readline()"],
            stdin=subprocess.PIPE,
            close_fds=False,
        )
    assert not JSONLStore(store.directory).locked("r1")
    child.communicate(b"\n")


def test_threads_share_a_store_and_number_one_run_without_gaps(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs", sync="os")
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def work() -> None:
        from replayt_core.errors import ConflictError

        barrier.wait(30)
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
