"""Further processes that read logs for an index: the same rows, whatever becomes of them.

Real processes and files throughout. Here a few runs are enough for readers to be started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from replayt_core import MemoryStore, RunSummary, summarize
from replayt_store import JSONLStore, MirrorStore, _index_parts, _index_readers
from replayt_store._index_rows import CALL_COLUMNS, COLUMNS
from replayt_store._index_sources import FileSource
from replayt_store.index import RunIndex
from replayt_store.sqlite import SQLiteStore
from tests.core.helpers import BareStore
from tests.store.runs import (
    END,
    append,
    asked,
    completed,
    entered,
    failed,
    listed,
    replied,
    started,
)

DAMAGED = ("hurt", "r-hurt")
# Four blocks of runs, the last one not full; and a file without a byte.
RUNS = 3 * _index_parts.BLOCK + 7


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every kind."""
    store = JSONLStore(tmp_path_factory.mktemp("logs") / "runs", sync="os")
    for number in range(RUNS - 6):
        calls = [
            draft for call in range(1, number % 3 + 1) for draft in (asked(call), replied(call))
        ]
        append(store, f"r{number:04}", started(tags={"n": f"{number % 7}"}), entered(), *calls, END)
    append(store, "broken", started(), entered())
    append(store, "broken", *failed())
    append(store, "waits", started(), entered(), ("run_paused", {"reason": "approval"}))
    append(store, "cut", started(), entered(), asked())
    for run_id in DAMAGED:
        completed(store, run_id)
        store.path(run_id).write_bytes(
            store.path(run_id).read_bytes().replace(b"llm_request", b"\xff")
        )
    completed(store, "torn")
    store.path("torn").write_bytes(store.path("torn").read_bytes() + b'{"ts":')
    store.path("empty").write_bytes(b"")
    return Path(store.directory)


@pytest.fixture
def store(logs: Path, tmp_path: Path) -> JSONLStore:
    return JSONLStore(shutil.copytree(logs, tmp_path / "runs"), sync="os")


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_index_parts, "WORTHWHILE", 10)  # bytes


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that this process reads itself."""
    ids: list[str] = []
    read = FileSource.read

    def noted(self: FileSource, run_id: str) -> Any:
        ids.append(run_id)
        return read(self, run_id)

    monkeypatch.setattr(FileSource, "read", noted)
    return ids


@pytest.fixture
def started_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    processes: list[subprocess.Popen[bytes]] = []
    start = _index_readers._started

    def noted(*arguments: Any) -> subprocess.Popen[bytes]:
        processes.append(start(*arguments))
        return processes[-1]

    monkeypatch.setattr(_index_readers, "_started", noted)
    return processes


def rows(index: RunIndex) -> tuple[list[Any], ...]:
    """Everything that an index holds, but for the time at which it looked."""

    def all_of_them(db: Any) -> tuple[list[Any], ...]:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(runs)")]
        kept = ", ".join(name for name in columns if name not in ("looked_ns", "mark", "watched"))
        return tuple(
            db.execute(sql).fetchall()
            for sql in (
                f"SELECT {kept} FROM runs ORDER BY run_id",  # noqa: S608
                "SELECT * FROM llm_calls ORDER BY run_id, seq",
                "SELECT * FROM empty_logs",
            )
        )

    return index._database.read(all_of_them)


def rows_by_one_process(store: JSONLStore) -> tuple[list[Any], ...]:
    with RunIndex(FileSource(store)) as index:
        index.refresh()
        return rows(index)


def by_plain_reading(store: JSONLStore) -> dict[str, RunSummary]:
    """Every run that can be read to its end, read and summarised."""
    return {
        run_id: summarize(run_id, store.read(run_id))
        for run_id in store.run_ids()
        if run_id not in DAMAGED
    }


def check_numbers(store: JSONLStore, index: RunIndex) -> None:
    """That the index says what plain reading says, and has the rows that one process makes."""
    found = listed(index)
    assert {run.run_id for run in index.runs() if run.status == "damaged"} == set(DAMAGED)
    assert {run_id: found[run_id] for run_id in found if run_id not in DAMAGED} == (
        by_plain_reading(store)
    )
    assert rows(index) == rows_by_one_process(store)


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_several_processes_make_the_rows_that_one_makes(
    store: JSONLStore,
    readers: int,
    read_here: list[str],
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    """Issue 4 point 8; PERFORMANCE.md P8. Counted: no log is read here, each is told once."""
    told: list[tuple[int, int]] = []
    with RunIndex.of(store, readers=readers) as index:
        found = index.refresh(lambda done, of: told.append((done, of)))
        assert read_here == []
        assert len(started_processes) == min(readers, 4)
        assert all(process.returncode is not None for process in started_processes)
        assert (found.runs, found.read, found.removed) == (RUNS, RUNS + 1, 0)
        assert told == [(done, RUNS + 1) for done in range(1, RUNS + 2)]
        check_numbers(store, index)
        assert index.rebuild().read == RUNS + 1
        check_numbers(store, index)


@pytest.mark.parametrize(
    "make",
    [
        lambda store: JSONLStore(store.directory),
        lambda store: MirrorStore(JSONLStore(store.directory), MemoryStore()),
    ],
)
def test_the_default_is_one_process(
    store: JSONLStore,
    make: Callable[[JSONLStore], Any],
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    with RunIndex.of(make(store)) as index:
        index.refresh()
        assert rows(index) == rows_by_one_process(store)
    assert started_processes == []


@pytest.mark.parametrize(("share", "processes"), [(1.5, 0), (0.5, 2)])
def test_how_much_there_is_to_read_decides_not_how_many_runs(
    store: JSONLStore,
    share: float,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    written = sum(path.stat().st_size for path in store.directory.iterdir())
    assert written > 10 * RUNS
    monkeypatch.setattr(_index_parts, "WORTHWHILE", int(written * share))
    with RunIndex.of(store, readers=2) as index:
        index.refresh()
        assert len(started_processes) == processes
        assert rows(index) == rows_by_one_process(store)


def test_one_block_is_read_by_one_process(
    store: JSONLStore,
    monkeypatch: pytest.MonkeyPatch,
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    """However large its logs are: the others would wait."""
    monkeypatch.setattr(_index_parts, "BLOCK", RUNS + 1)
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().read == RUNS + 1
    assert started_processes == []


def test_how_much_there_is_is_told_by_a_few_of_many_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted: at most so many looks, and a log that is gone does not count."""
    for number in range(1_000):
        (tmp_path / f"r{number:03}.jsonl").write_bytes(b"x" * 7)
    source = FileSource(JSONLStore(tmp_path))
    run_ids = sorted(source.listing({}, each=False))
    looks: list[Any] = []
    look = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: looks.append(path) or look(path))
    assert source.size(run_ids) == 7_000
    assert 100 <= len(looks) <= 200
    (tmp_path / "r000.jsonl").unlink()
    assert source.size(run_ids[:3]) == 14
    assert source.size([]) == 0


class OddStore(JSONLStore):
    """A store of somebody else, who reads in a way of their own."""


@pytest.mark.parametrize(
    "make", [lambda path: OddStore(path / "runs"), lambda path: SQLiteStore(path / "runs.db"),
             lambda _: MemoryStore(), lambda _: BareStore()],
    ids=["subclass", "sqlite", "memory", "bare"],
)  # fmt: skip
def test_a_store_that_another_process_cannot_open_alike_is_read_by_one(
    tmp_path: Path,
    make: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    monkeypatch.setattr(_index_parts, "BLOCK", 2)
    store = make(tmp_path)
    for number in range(12):
        completed(store, f"r{number}")
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().runs == 12
    assert started_processes == []


# What may become of a reader: it never starts, is killed, is cut off in mid-answer, says what
# nobody asked for, or somebody else writes to its stdout first.
HALF = """
import os, sys
sys.path[:] = sys.argv[2:]
from replayt_store import _index_readers

class Out:
    answers = 0
    def write(self, data):
        self.answers += 1
        if self.answers == 2:
            os.write(1, data[: len(data) // 2])
            os._exit(0)
        sys.__stdout__.buffer.write(data)
    def flush(self):
        sys.__stdout__.buffer.flush()

sys.stdout = type("Half", (), {"buffer": Out()})
_index_readers.serve(sys.argv[1])
"""
FIRST = """
import os, sys
sys.path[:] = sys.argv[2:]
os.write(1, {data!r})
from replayt_store import _index_readers
_index_readers.serve(sys.argv[1])
"""
SAID = """
import os, sys
data = {data!r}
os.write(1, len(data).to_bytes(8, "little") + data)
sys.stdin.read()
"""
FATES = {
    "it never starts": "import there_is_no_such_module",
    "it is killed at once": "import os; os.kill(os.getpid(), 9)",
    "it is cut off in its second answer": HALF,
    "it answers no JSON": SAID.format(data=b"[[],[],[]"),
    "it answers something else": SAID.format(data=b"[1,2]"),
    "it answers of other runs": SAID.format(data=b'[[],[],["r9999"]]'),
    "it answers nothing of nothing": SAID.format(data=b"[[],[],[]]"),
    "it answers twice of one run": SAID.format(data=b'[[],[],["broken","broken"]]'),
    "it answers of a run in a row without an id": SAID.format(data=b'[[[]],[],["broken"]]'),
    "it answers a row that is no row": SAID.format(data=b"[[7],[],[]]"),
    "it answers a row that is too short": SAID.format(data=b'[[["broken"]],[],[]]'),
    "it answers a row of lists": SAID.format(
        data=to_json([[["broken", *[[]] * (len(COLUMNS) - 1)]], [], []])
    ),
    "it answers calls of another run": SAID.format(
        data=to_json([[], [["waits", *[1] * (len(CALL_COLUMNS) - 1)]], ["broken"]])
    ),
    "it answers calls that are too short": SAID.format(
        data=to_json([[["broken", *[1] * (len(COLUMNS) - 1)]], [["broken"]], []])
    ),
    "it answers a list where a run should be": SAID.format(data=b'[[],[],[["broken"]]]'),
    "it says something first": FIRST.format(data=b"hello from a hook\n"),
    "it says a short word first": FIRST.format(data=b"\x01" + bytes(7)),
    "it promises more than there is": FIRST.format(data=b"\xff\xff\xff\x1f" + bytes(4)),
}


@pytest.mark.parametrize("fate", FATES)
def test_what_a_reader_does_not_answer_is_read_here(
    store: JSONLStore, fate: str, monkeypatch: pytest.MonkeyPatch, read_here: list[str]
) -> None:
    """A process that dies never makes a wrong number."""
    monkeypatch.setattr(_index_readers, "_PROGRAM", FATES[fate])
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().runs == RUNS
        read = set(read_here)
        assert len(read) > _index_parts.BLOCK
        check_numbers(store, index)
    # Of two readers with two blocks each, the half had told one each.
    assert (len(read) == RUNS + 1) == (fate != "it is cut off in its second answer")


def test_one_reader_may_be_killed_while_the_other_goes_on(
    store: JSONLStore,
    monkeypatch: pytest.MonkeyPatch,
    read_here: list[str],
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    start = _index_readers._started

    def one_dies(*arguments: Any) -> subprocess.Popen[bytes]:
        process = start(*arguments)
        if len(started_processes) == 1:
            os.kill(process.pid, signal.SIGSTOP)  # so that it cannot have said anything
            process.kill()
            process.wait()
        return process

    if os.name == "nt":
        pytest.skip("there are no stopped processes")
    with monkeypatch.context() as patch:
        patch.setattr(_index_readers, "_started", one_dies)
        with RunIndex.of(store, readers=2) as index:
            index.refresh()
            assert 0 < len(read_here) < RUNS
            check_numbers(store, index)


@pytest.mark.parametrize("name", ["executable", "frozen"])
def test_where_no_python_can_be_started_one_process_reads(
    store: JSONLStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.executable` is empty in an embedded Python, and another program in a frozen one."""
    monkeypatch.setattr(sys, name, "" if name == "executable" else True, raising=False)
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().runs == RUNS
        check_numbers(store, index)


def test_where_no_process_can_be_started_one_reads(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(_index_readers, "_started", refuse)
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().runs == RUNS
        check_numbers(store, index)


def test_a_log_that_changes_while_it_is_read_is_read_again(store: JSONLStore) -> None:
    """What was written behind a reader's back, the next refresh finds."""
    changed = False

    def write(_done: int, _of: int) -> None:
        nonlocal changed
        if not changed:
            changed = True
            append(store, "waits", ("run_resumed", {}), END)
            append(store, "new", started(), entered(), END)
            store.delete("r0600", after=3)

    with RunIndex.of(store, readers=2) as index:
        index.refresh(write)
        assert changed
        index.refresh()
        check_numbers(store, index)


def test_who_answered_wrongly_is_not_asked_again(
    store: JSONLStore,
    monkeypatch: pytest.MonkeyPatch,
    read_here: list[str],
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    """It would stay one answer behind. Counted: each run is read here, and read once."""
    said = to_json([[], [], ["nobody-asked"]])
    monkeypatch.setattr(
        _index_readers, "_PROGRAM", FIRST.format(data=len(said).to_bytes(8, "little") + said)
    )
    asked_for = 0
    receive = _index_readers._received

    def noted(*arguments: Any) -> Any:
        nonlocal asked_for
        asked_for += 1
        return receive(*arguments)

    monkeypatch.setattr(_index_readers, "_received", noted)
    with RunIndex.of(store, readers=2) as index:
        index.refresh()
        assert sorted(read_here) == sorted({*store.run_ids(), "empty"})
        check_numbers(store, index)
    assert asked_for == len(started_processes) == 2


def test_hooks_of_the_environment_do_not_run_in_a_reader(
    store: JSONLStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_here: list[str]
) -> None:
    """A `sitecustomize` that prints would say its word before the reader does."""
    import venv

    home = tmp_path / "venv"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(home)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (packages,) = [path for path in home.rglob("site-packages") if not path.is_symlink()]
    (packages / "hook.pth").write_text("import sys; print('hook', flush=True)\n")
    found = subprocess.run([python, "-I", "-c", ""], capture_output=True, check=True)
    assert b"hook" in found.stdout
    monkeypatch.setattr(sys, "executable", str(python))
    with RunIndex.of(store, readers=2) as index:
        index.refresh()
        assert read_here == []
        check_numbers(store, index)


@pytest.mark.parametrize("entry", ["a\0b", "a\ud800b"], ids=["a zero byte", "a lone surrogate"])
def test_where_the_path_cannot_be_handed_over_one_process_reads(
    store: JSONLStore, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunIndex.of(store, readers=2) as index:
        index.refresh()  # what is imported late is there
        monkeypatch.setattr(sys, "path", [*sys.path, entry])
        assert index.rebuild().runs == RUNS
        check_numbers(store, index)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pipes cannot be made larger")
def test_where_pipes_cannot_be_made_larger_readers_help_all_the_same(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch, read_here: list[str]
) -> None:
    monkeypatch.setattr(_index_readers, "_ROOM", 1 << 30)  # more than the system allows anybody
    with RunIndex.of(store, readers=2) as index:
        assert index.refresh().runs == RUNS
        assert read_here == []
        check_numbers(store, index)


# A program without a guard for its main part, as people write them; it ends as it is told.
PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
with open(sys.argv[2], "a") as file:
    file.write("ran\\n")
from replayt_store import JSONLStore, _index_parts
from replayt_store.index import RunIndex
_index_parts.WORTHWHILE = 10
def told(done, of):
    if done == 1 and sys.argv[3] == "group":
        os.killpg(0, signal.SIGINT)
    elif done == 1 and sys.argv[3] == "alone":
        os.kill(os.getpid(), signal.SIGINT)
with RunIndex.of(JSONLStore(sys.argv[1]), readers=2) as index:
    try:
        index.refresh(told)
    except KeyboardInterrupt:
        sys.exit(130)
    print(index.count())
"""


def run_program(
    store: JSONLStore, tmp_path: Path, end: str
) -> tuple[subprocess.CompletedProcess[str], bool]:
    """What the program says, and whether a process of its group is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(store.directory), str(tmp_path / "ran"), end,
         str(Path(__file__).parents[2])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=120)
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            left = False
        else:
            left = True
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err), left


def test_the_program_that_asks_is_not_run_again(store: JSONLStore, tmp_path: Path) -> None:
    done, left = run_program(store, tmp_path, "in peace")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{RUNS}\n", "")
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert not left


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
@pytest.mark.parametrize("whom", ["group", "alone"])
def test_ctrl_c_ends_the_readers_too(store: JSONLStore, tmp_path: Path, whom: str) -> None:
    """The terminal tells the whole group; a `kill` tells one. Nobody complains, nobody is left."""
    done, left = run_program(store, tmp_path, whom)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not left
    with RunIndex.of(store, readers=2) as index:
        index.refresh()
        check_numbers(store, index)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_does_not_wait_for_a_reader(
    store: JSONLStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started_processes: list[subprocess.Popen[bytes]],
) -> None:
    """This one interrupts whoever waits for its answer, and goes on for a long time."""
    asked_for = tmp_path / "asked-for"
    os.mkfifo(asked_for)
    program = f"open({str(asked_for)!r}).close(); import os, time; os.kill(os.getppid(), 2)"
    monkeypatch.setattr(_index_readers, "_PROGRAM", f"{program}; time.sleep(600)")
    receive = _index_readers._received

    def waits(*arguments: Any) -> Any:
        asked_for.open("w").close()  # which waits until the reader is there
        return receive(*arguments)

    monkeypatch.setattr(_index_readers, "_received", waits)
    with RunIndex.of(store, readers=1) as index, pytest.raises(KeyboardInterrupt):
        index.refresh()
    assert [process.returncode for process in started_processes] == [-signal.SIGKILL]


def test_a_reader_whose_parent_is_gone_ends(store: JSONLStore) -> None:
    """At its next answer, which nobody takes."""
    process = _index_readers._started(str(store.directory), [sorted(store.run_ids())])
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) != 0


def test_a_part_has_only_so_many_calls(store: JSONLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with many calls do not pile up in memory, whoever reads them."""
    monkeypatch.setattr(_index_parts, "_CALLS", 5)
    source, run_ids = FileSource(store), sorted(store.run_ids())
    parts = list(_index_parts.read_parts(source, run_ids))
    assert [run_id for part in parts for run_id in part.run_ids()] == run_ids
    assert max(len(part.calls) for part in parts) <= 5 + 1
    assert len(parts) > len(run_ids) / 10
    monkeypatch.undo()
    assert max(len(part.runs) for part in _index_parts.read_parts(source, run_ids)) == (
        _index_parts.BLOCK
    )
