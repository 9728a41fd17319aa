"""`inspect --follow`: events as they are written, until nobody executes the run any more."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from replayt_cli.show.follow import INTERVAL, REREAD_A_SECOND, follow_run
from replayt_core import (
    ConflictError,
    DamagedLogError,
    Event,
    MemoryStore,
    RunNotFoundError,
    new_state,
    resolve,
)
from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports import EventStore, LocksRuns
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from tests.cli.helpers import FAILS, GATE, HELLO, Shell, on_terminal
from tests.cli.helpers import one_line as mistake
from tests.cli.logs import install_plugin, record

STARTED = Draft("run_started", {"log_schema": 1, "workflow_name": "w", "workflow_version": "1"})
ENTERED = Draft("state_entered", {"state": "s", "visit": 1, "attempt": 1})
NOTE = Draft("step_note", {"state": "s", "kind": "n", "summary": None, "data": None})
ENDED = Draft("run_completed", {"final_state": "s", "status": "completed"})


class Bare:
    """A store of somebody else: it can do what it must, and nothing besides."""

    def __init__(self) -> None:
        self.kept = MemoryStore()
        self.asked: list[int] = []

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        self.kept.append(run_id, events, after=after)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        self.asked.append(after)
        return self.kept.read(run_id, after=after)

    def run_ids(self) -> Iterator[str]:
        return self.kept.run_ids()


STORES: dict[str, Callable[[Path], EventStore]] = {
    "jsonl": lambda place: JSONLStore(place / "runs", sync="os"),
    "sqlite": lambda place: SQLiteStore(place / "runs.db"),
    "mirror": lambda place: MirrorStore(
        JSONLStore(place / "runs", sync="os"), SQLiteStore(place / "copy.db")
    ),
    "memory": lambda place: MemoryStore(),
    "bare": lambda place: Bare(),
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore:
    return STORES[request.param](tmp_path)


def put(store: EventStore, *drafts: Draft) -> None:
    before = list(store.read("a"))
    head = line_hash(before[-1].line) if before else first_prev("a")
    ts = "2026-01-02T03:04:05.678901Z"
    store.append("a", seal("a", drafts, after=len(before), head=head, ts=ts), after=len(before))


class Script:
    """A clock that does the next thing whenever somebody waits."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)
        self.waits: list[float] = []

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        return float(len(self.waits))

    def sleep(self, seconds: float) -> None:
        assert self.steps, "it waits, and nothing will come"
        self.waits.append(seconds)
        self.steps.pop(0)()


def held(store: EventStore) -> ExitStack:
    """The run is executed until this is closed."""
    stack = ExitStack()
    if isinstance(store, LocksRuns):
        stack.enter_context(store.lock("a"))
    return stack


def followed(store: EventStore, clock: Script) -> list[int]:
    state = new_state("a")
    seen = []
    for event in follow_run(store, state, clock=clock):
        assert state.last_seq == event.seq
        seen.append(event.seq)
    assert not clock.steps
    return seen


def nothing() -> None:
    pass


def test_events_come_as_they_are_written_until_the_run_has_ended(store: EventStore) -> None:
    put(store, STARTED, ENTERED)
    with held(store) as execution:

        def end() -> None:
            put(store, NOTE, ENDED)
            execution.close()

        clock = Script(lambda: put(store, NOTE), nothing, lambda: put(store, NOTE, NOTE), end)
        assert followed(store, clock) == [1, 2, 3, 4, 5, 6, 7]
    assert clock.waits == [INTERVAL] * 4


def test_a_run_that_has_ended_is_shown_without_waiting(store: EventStore) -> None:
    put(store, STARTED, ENTERED, ENDED)
    assert followed(store, Script()) == [1, 2, 3]


def test_an_end_that_is_written_while_the_lock_is_let_go_of_is_read(tmp_path: Path) -> None:
    """The lock is asked about before the log is read, and the log once more after that."""
    store = JSONLStore(tmp_path, sync="os")
    put(store, STARTED, ENTERED)

    class Late(JSONLStore):
        asked = 0

        def locked(self, run_id: str) -> bool:
            self.asked += 1
            answer = super().locked(run_id)
            if self.asked == 2:
                put(store, ENDED)
            return answer

    late = Late(tmp_path, sync="os")
    assert followed(late, Script()) == [1, 2, 3]
    assert late.asked == 3


@pytest.mark.parametrize("name", ["jsonl", "sqlite", "mirror", "memory"])
@pytest.mark.parametrize(
    "last", [NOTE, Draft("run_paused", {"state": "s", "reason": "approval"}), ENDED]
)
def test_where_a_lock_tells_a_run_is_followed_as_long_as_it_is_held(
    tmp_path: Path, name: str, last: Draft
) -> None:
    """Also where its last event is an end: someone may be taking it up."""
    store = STORES[name](tmp_path)
    put(store, STARTED, ENTERED, last)
    with held(store) as execution:
        assert followed(store, Script(nothing, execution.close)) == [1, 2, 3]


def test_without_locks_the_log_tells(tmp_path: Path) -> None:
    bare = Bare()
    put(bare, STARTED, ENTERED)
    paused = Draft("run_paused", {"state": "s", "reason": "approval"})
    clock = Script(nothing, nothing, lambda: put(bare, paused))
    assert followed(bare, clock) == [1, 2, 3]


def test_a_run_that_is_deleted_meanwhile_is_gone(store: EventStore) -> None:
    put(store, STARTED, ENTERED)

    with held(store) as execution:

        def delete() -> None:
            execution.close()
            kept = store.kept if isinstance(store, Bare) else store
            kept.delete("a", after=2)  # type: ignore[attr-defined]

        with pytest.raises(RunNotFoundError, match=r"run a .*is not there, or not any more"):
            followed(store, Script(nothing, delete))


def test_another_run_in_its_place_is_not_taken_for_the_same(tmp_path: Path) -> None:
    bare = Bare()
    put(bare, STARTED, ENTERED)

    def replace() -> None:
        bare.kept.delete("a", after=2)
        put(bare, STARTED, NOTE, NOTE)

    with pytest.raises(ConflictError, match="was written anew"):
        followed(bare, Script(replace))


def test_a_torn_tail_is_no_damage_and_damage_is(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path, sync="os")
    put(store, STARTED, ENTERED)
    path = store.path("a")

    def write(text: bytes) -> None:
        with path.open("ab") as file:
            file.write(text)

    with held(JSONLStore(tmp_path)):
        clock = Script(lambda: write(b'{"ts":'), nothing, lambda: write(b"\n"))
        events = follow_run(store, new_state("a"), clock=clock)
        assert [next(events).seq, next(events).seq] == [1, 2]
        with pytest.raises(DamagedLogError, match=r"a\.jsonl, line 3"):
            next(events)
    assert clock.steps == []


def test_a_store_that_reads_from_the_start_is_asked_more_rarely_as_the_run_grows() -> None:
    bare = Bare()
    put(bare, STARTED, ENTERED, *[NOTE] * (2 * REREAD_A_SECOND))
    clock = Script(nothing, lambda: put(bare, ENDED))
    assert len(followed(bare, clock)) == 2 * REREAD_A_SECOND + 3
    assert clock.waits == [pytest.approx(2, rel=0.01)] * 2
    # It asks for what is behind the last event but one, so that a store that can seek does.
    behind = [after for after in bare.asked if after]
    assert behind == [2 * REREAD_A_SECOND + 1] * 2 + [2 * REREAD_A_SECOND + 2]


# --- the command --------------------------------------------------------------------------------

WAITS = """
import os
import time
from replayt_core import Workflow

wf = Workflow("waits")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    ctx.note("begun")
    return "second"


@wf.step("second")
def second(ctx):
    end = time.monotonic() + 60
    while not os.path.exists("go") and time.monotonic() < end:
        time.sleep(0.01)
    if ctx.get("fails"):
        raise ValueError("boom")
"""


ENTERED_SECOND = b'"state":"second","visit":1'


def until(true: Callable[[], Any]) -> None:
    """Wait for what another process does; a bound for a machine that is very busy."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("inputs", "status"), [("{}", "completed"), ('{"fails": 1}', "failed")])
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_run_in_another_process_is_followed_to_its_end(
    shell: Shell, inputs: str, status: str, form: str
) -> None:
    shell.write("flow.py", WAITS)
    with shell.start("run", "flow.py", "--run-id", "a", "--inputs-json", inputs) as running:
        until(lambda: shell.log("a").exists() and b'"begun"' in shell.log("a").read_bytes())
        with shell.start("inspect", "a", "--follow", "-o", form) as following:
            assert following.stdout is not None
            assert following.stderr is not None
            early = following.stdout.readline()
            assert "run_started" in early
            assert running.poll() is None
            (shell.directory / "go").touch()
            out, err = following.stdout.read(), following.stderr.read()
        running.communicate(timeout=60)
    assert (following.returncode, err) == (0, "")
    log = shell.events("a")
    if form == "jsonl":
        assert [json.loads(line) for line in (early + out).splitlines()] == log
        return
    listed, _, summary = (early + out).partition("\n\n")
    assert [int(line.split()[0]) for line in listed.splitlines()] == [e["seq"] for e in log]
    assert summary.splitlines()[0] == f"run a  waits@1  {status}"
    assert f"{len(log)} events, " in summary


def test_a_filter_applies_to_what_is_followed(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    ended = shell.call("inspect", "a", "--follow", "--state", "done", "--type", "step_note")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert "note result: Hello, world" in lines[0]
    assert lines[1:3] == ["1 of 8 events", ""]
    assert shell.call("inspect", "a", "--follow", "--type", "nonsense").code == 64


@pytest.mark.parametrize(
    ("flow", "code", "status"), [(GATE, 2, "paused"), (FAILS, 1, "failed"), (HELLO, 0, "completed")]
)
@pytest.mark.parametrize("option", ["--log-dir", "--sqlite", "--store"])
def test_how_a_run_ended_is_said(
    shell: Shell, flow: str, code: int, status: str, option: str
) -> None:
    shell.write("flow.py", flow)
    assert shell.call("run", "flow.py", "--run-id", "a", "--sqlite", "runs.db").code == code
    place = {
        "--log-dir": ".replayt/runs",
        "--sqlite": "runs.db",
        "--store": "sqlite:///runs.db",
    }[option]
    ended = shell.call("inspect", "a", "--follow", option, place)
    assert (ended.code, ended.err) == (0, "")
    assert f"  {status}\n" in ended.out


def test_a_run_that_was_cut_short_reads_as_interrupted(shell: Shell) -> None:
    record("a", status="interrupted")
    assert "run a  sorts@1  interrupted" in shell.call("inspect", "a", "--follow").out
    log = shell.log("a")
    log.write_bytes(log.read_bytes()[:-9])
    ended = shell.call("inspect", "a", "--follow")
    assert ended.code == 0
    assert "torn tail: " in ended.out


def test_an_answer_is_shown_while_it_is_written(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    resolve(JSONLStore(".replayt/runs"), "a", "publish", approved=True, by="Ada", reason=None)
    out = shell.call("inspect", "a", "--follow").out
    assert "publish is approved by Ada" in out
    assert "  paused\n" in out


def test_a_run_that_does_not_exist_yet_is_not_waited_for(shell: Shell) -> None:
    ended = shell.call("inspect", "later", "--follow")
    assert ended.code == 66
    assert "later" in mistake(ended)


def test_the_store_of_a_package_without_locks_is_followed_until_its_log_has_an_end(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(shell.directory)
    monkeypatch.syspath_prepend(str(shell.directory))
    record("a", store=JSONLStore("odd", sync="os"))
    ended = shell.call("inspect", "a", "--follow", "--store", "keeps://x")
    assert ended.code == 0
    assert "run a  sorts@1  completed" in ended.out


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX signal")
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_ctrl_c_ends_it_cleanly_and_the_run_goes_on(shell: Shell, form: str) -> None:
    """SC-138: 130, whole lines, no traceback."""
    shell.write("flow.py", WAITS)
    with shell.start("run", "flow.py", "--run-id", "a") as running:
        until(lambda: shell.log("a").exists() and ENTERED_SECOND in shell.log("a").read_bytes())
        with shell.start("inspect", "a", "--follow", "-o", form) as following:
            assert following.stdout is not None
            assert following.stderr is not None
            lines = [following.stdout.readline() for _ in shell.events("a")]
            following.send_signal(signal.SIGINT)
            out, err = following.stdout.read(), following.stderr.read()
        assert running.poll() is None
        (shell.directory / "go").touch()
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert (following.returncode, out, err) == (130, "", "")
    assert all(line.endswith("\n") for line in lines)


def test_whoever_stops_reading_ends_it(shell: Shell) -> None:
    shell.write("flow.py", WAITS)
    with shell.start("run", "flow.py", "--run-id", "a") as running:
        until(lambda: shell.log("a").exists() and ENTERED_SECOND in shell.log("a").read_bytes())
        with shell.start("inspect", "a", "--follow") as following:
            assert following.stdout is not None
            assert following.stderr is not None
            following.stdout.readline()
            following.stdout.close()
            (shell.directory / "go").touch()
            assert following.wait(60) != 0
            assert following.stderr.read() == ""
        running.communicate(timeout=60)


def test_on_a_terminal_how_lines_ended_is_said_on_stderr(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    code, sent = on_terminal(shell, "inspect", "a", "--follow", "-o", "jsonl")
    assert code == 0
    assert sent.splitlines()[-1] == "run a: completed"
