"""Runs on a SQLite store, through the public names: run, pause, answer, resume, verify, fork."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replayt_core import MemoryStore, verify
from replayt_core.errors import ConflictError
from replayt_core.events import Event
from replayt_core.ports.store import DeletesRuns, EventStore, ListsRuns
from replayt_store import JSONLStore, SQLiteStore
from tests.drawn import examples
from tests.store.helpers import batch, seqs

WORKFLOW = """
from replayt_core import Workflow

wf = Workflow("release")
wf.set_initial("draft")

@wf.step("draft", to=["review"])
def draft(ctx):
    ctx.set("text", "Grüße, 東京")
    return "review"

@wf.step("review", to=["publish"])
def review(ctx):
    if not ctx.is_approved("publish"):
        ctx.request_approval("publish", summary="Publish it?")
    return "publish"

@wf.step("publish")
def publish(ctx):
    ctx.set("done", ctx.get("text") + "!")
    return None
"""
PROGRAM = """
import sys, json
sys.path[:0] = json.loads(sys.argv[1])
from shop_release import wf
from replayt_core import Runner, resolve, verify
from replayt_store import SQLiteStore

store = SQLiteStore(sys.argv[2])
what = sys.argv[3]
if what == "run":
    result = Runner(wf, store).run(run_id="r1", inputs={"n": 1})
elif what == "resolve":
    resolve(store, "r1", "publish", approved=True, by="ada", reason=None)
    result = None
elif what == "resume":
    result = Runner(wf, store).resume("r1")
if what == "verify":
    found = verify(wf, store.read("r1"))
    print(json.dumps([found.ok, found.executed, found.attempts]))
else:
    print(json.dumps(result and result.status))
"""


def step(tmp_path: Path, what: str) -> object:
    """One step, in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-c", PROGRAM),
            *(json.dumps([str(tmp_path), *sys.path]), str(tmp_path / "runs.db"), what),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_approval_is_resumed_in_a_fresh_process_and_the_run_verifies(tmp_path: Path) -> None:
    (tmp_path / "shop_release.py").write_text(WORKFLOW, encoding="utf-8")
    assert step(tmp_path, "run") == "paused"
    assert step(tmp_path, "resolve") is None
    assert step(tmp_path, "resume") == "completed"
    assert step(tmp_path, "verify") == [True, True, 4], "the paused attempt is executed twice"
    store = SQLiteStore(tmp_path / "runs.db")
    assert [entry.run_id for entry in store.runs()] == ["r1"]
    kinds = [event.type for event in store.read("r1")]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_completed")
    assert verify(None, store.read("r1")).ok
    files = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert files == {"shop_release.py", "runs.db"}, "each process left one whole file"


RUNS = ("r1", "r2", "r3")
run_ids = st.sampled_from(RUNS)


class StoresAgree(RuleBasedStateMachine):
    """C10: whatever is asked in whatever order, the three stores give the same answers."""

    stores: tuple[EventStore, ...]

    @initialize()
    def make(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "db", "runs.db")
        self.sqlite = SQLiteStore(self.file)
        self.stores = (MemoryStore(), JSONLStore(Path(self.folder.name, "logs")), self.sqlite)
        self.events: dict[str, list[Event]] = {run_id: [] for run_id in RUNS}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.sqlite.close()
            self.folder.cleanup()

    def all_do(self, call: object) -> object:
        """What every store answers: a value, or the type of an error."""
        answers = []
        for store in self.stores:
            try:
                answers.append(call(store))  # type: ignore[operator]
            except (ConflictError, ValueError) as error:
                answers.append(type(error))
        assert answers[1:] == answers[:-1], answers
        return answers[0]

    @rule(run_id=run_ids, size=st.integers(1, 4), text=st.text(max_size=20))
    def append(self, run_id: str, size: int, text: str) -> None:
        events = self.events[run_id]
        more = batch(*["note"] * size, after=events, run_id=run_id, text=text)
        self.all_do(lambda store: store.append(run_id, more, after=len(events)))
        events += more

    @rule(run_id=run_ids, off=st.integers(-3, 3).filter(bool), size=st.integers(1, 2))
    def append_at_the_wrong_end(self, run_id: str, off: int, size: int) -> None:
        events = self.events[run_id]
        end = max(len(events) + off, 0)
        if end != len(events):
            padded = (events + batch(*["note"] * 9, after=events, run_id=run_id))[:end]
            more = batch(*["note"] * size, after=padded, run_id=run_id)
            answer = self.all_do(lambda store: store.append(run_id, more, after=end))
            assert answer is ConflictError

    @rule(run_id=run_ids, after=st.integers(0, 5))
    def append_wrongly_numbered(self, run_id: str, after: int) -> None:
        more = batch("note", "note", run_id=run_id)[::-1]
        answer = self.all_do(lambda store: store.append(run_id, more, after=after))
        assert answer in (ConflictError, ValueError)

    @rule(run_id=run_ids, after=st.integers(0, 9))
    def read(self, run_id: str, after: int) -> None:
        answer = self.all_do(lambda store: list(store.read(run_id, after=after)))
        assert answer == self.events[run_id][after:]

    @rule(run_id=run_ids, off=st.integers(-1, 1))
    def delete(self, run_id: str, off: int) -> None:
        def call(store: EventStore) -> bool:
            assert isinstance(store, DeletesRuns)
            size = sum(len(event.line) for event in self.events[run_id])
            return store.delete(run_id, after=max(len(self.events[run_id]) + off, 0)) >= size

        if self.all_do(call) is True:
            self.events[run_id] = []

    @rule()
    def lock_and_leave(self) -> None:
        for store in self.stores:
            with store.lock("r1"):  # type: ignore[attr-defined]
                assert store.locked("r1")  # type: ignore[attr-defined]
            assert not store.locked("r1")  # type: ignore[attr-defined]

    @rule()
    def open_the_database_again(self) -> None:
        self.sqlite.close()
        self.sqlite = SQLiteStore(self.file)
        self.stores = (*self.stores[:2], self.sqlite)

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "stores"):
            return
        expected = {run_id: len(events) for run_id, events in self.events.items() if events}
        for store in self.stores:
            assert isinstance(store, ListsRuns)
            assert sorted(store.run_ids()) == sorted(expected)
            assert {entry.run_id: entry.last_seq for entry in store.runs()} == expected


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = examples(40, stateful_step_count=25)


def test_a_bridge_may_answer_an_approval_while_the_database_is_closed(tmp_path: Path) -> None:
    """An app with a store of its own appends the line; the holder then reads it."""
    store = SQLiteStore(tmp_path / "runs.db")
    events = batch("run_started")
    store.append("r1", events, after=0)
    store.close()
    with SQLiteStore(tmp_path / "runs.db") as app:
        app.append("r1", batch("approval_resolved", after=events), after=1)
    assert seqs(store) == [1, 2]
