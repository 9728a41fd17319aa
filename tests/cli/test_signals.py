"""A signal never cuts an append short: it waits, and then the run ends in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from replayt_cli.errors import Terminated
from replayt_cli.execute.signals import OrderlyEnd
from replayt_core import Event, MemoryStore, Runner, Workflow, verify
from replayt_core.ports import DeletesRuns, ListsRuns, LocksRuns, RepairsRuns
from replayt_store import JSONLStore
from tests.cli.helpers import Shell, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

WAITS = """
import threading
from replayt_core import Workflow

wf = Workflow("waits")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    return "second"


@wf.step("second")
def second(ctx):
    threading.Event().wait()
"""

SLOW_STORE = """
import os
import sys
from replayt_store import JSONLStore


class SlowStore(JSONLStore):
    '''Holds the move to the second state, inside its append, until it is told to go on.'''

    def append(self, run_id, events, *, after):
        moves = any(event.type == "transition" for event in events)
        if moves and self.held == "before":
            self.hold()
        super().append(run_id, events, after=after)
        if moves and self.held == "after":
            self.hold()

    def hold(self):
        sys.stderr.write("inside\\n")
        sys.stderr.flush()
        os.read(0, 1)


def open_slow(url):
    store = SlowStore("runs")
    store.held = url.rpartition("/")[2]
    return store
"""


def slow_store(shell: Shell) -> None:
    """A store of its own, found as any installed package's."""
    shell.write("flow.py", WAITS)
    shell.write("slow_store.py", SLOW_STORE)
    shell.write("slow_store-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: slow-store\n")
    shell.write(
        "slow_store-1.0.dist-info/entry_points.txt",
        "[replayt.stores]\nslow = slow_store:open_slow\n",
    )


@contextmanager
def inside_an_append(shell: Shell, held: str) -> Iterator[subprocess.Popen[str]]:
    """A run that stands inside an append; it goes on when its stdin is written to."""
    slow_store(shell)
    words = ("run", "flow.py", "--run-id", "a", "--store", f"slow:///{held}")
    with subprocess.Popen(
        [sys.executable, "-m", "replayt_cli", *words],
        cwd=shell.directory,
        env=environment(PYTHONPATH=str(shell.directory)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "inside\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("held", ["before", "after"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_inside_an_append_waits_for_its_end(shell: Shell, name: str, held: str) -> None:
    """R15; the handler that runs next would never end by itself."""
    signum = getattr(signal, name)
    with inside_an_append(shell, held) as process:
        process.send_signal(signum)
        out, err = process.communicate("g", timeout=60)
    assert (process.returncode, out) == (128 + signum, "")
    assert "Traceback" not in err
    assert "to go on: replayt resume flow.py a --store slow:///" in err
    kinds = [event.type for event in JSONLStore(shell.directory / "runs").read("a")]
    assert kinds[-3:] == ["transition", "state_entered", "run_interrupted"]
    assert shell.call("verify", "a", "--log-dir", "runs").code == 0
    shell.write("flow.py", WAITS.replace("threading.Event().wait()", "pass"))
    assert shell.call("resume", "flow.py", "a", "--log-dir", "runs").code == 0


def test_ctrl_c_again_ends_a_run_whose_append_hangs(shell: Shell) -> None:
    """Signals of one kind merge while they are pending, hence more than two."""
    with inside_an_append(shell, "before") as process:
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    assert process.returncode == 130
    kinds = [event.type for event in JSONLStore(shell.directory / "runs").read("a")]
    assert kinds == ["run_started", "state_entered"]
    shell.write("flow.py", WAITS.replace("threading.Event().wait()", "pass"))
    assert shell.call("resume", "flow.py", "a", "--log-dir", "runs").code == 0


class Signalled(MemoryStore):
    """A store into whose append a signal falls: before the events are kept, or after."""

    def __init__(self, signum: int, at: int, *, late: bool) -> None:
        super().__init__()
        self.signum, self.at, self.late = signum, at, late

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        self.at -= 1
        if self.at == 0 and not self.late:
            signal.raise_signal(self.signum)
        super().append(run_id, events, after=after)
        if self.at == 0 and self.late:
            signal.raise_signal(self.signum)


def loop(states: int = 3) -> Workflow:
    wf = Workflow("loop")
    wf.set_initial("again")

    @wf.step("again", to=["again"])
    def again(ctx):
        ctx.note("here")
        ctx.set("count", ctx.get("count", 0) + 1)
        return "again" if ctx.get("count") < states else None

    return wf


def test_a_signal_that_waited_is_sent_until_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes just before the main thread waits for a lock wakes nobody: Python's own gap."""
    sent: list[int] = []
    real = signal.pthread_kill

    def unheard_at_first(thread: int, signum: int) -> None:
        sent.append(signum)
        if len(sent) > 2:
            real(thread, signum)

    monkeypatch.setattr(signal, "pthread_kill", unheard_at_first)
    end, store, waited = OrderlyEnd(), Signalled(signal.SIGTERM, 1, late=True), list[bool]()
    wf = Workflow("waits")
    wf.set_initial("first")

    @wf.step("first")
    def first(ctx):
        waited.append(threading.Event().wait(60))

    with pytest.raises(Terminated), end.listening():
        Runner(wf, end.guard(store), clock=end.clock()).run(run_id="a")
    assert (len(sent), waited) == (3, [])


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_no_append_is_lost_and_the_log_stays_whole(signum: int, at: int, late: bool) -> None:
    end, store = OrderlyEnd(), Signalled(signum, at, late=late)
    before = signal.getsignal(signum)
    runner = Runner(loop(), end.guard(store), clock=end.clock())
    expected = Terminated if signum == signal.SIGTERM else KeyboardInterrupt
    with suppress(expected), end.listening():
        runner.run(run_id="a")
    assert signal.getsignal(signum) is before
    events = list(store.read("a"))
    assert verify(loop(), events).ok
    assert store.at >= -1, "one more append at most: the one that says how it ended"
    if events[-1].type != "run_completed":
        assert Runner(loop(), store).resume("a").status == "completed"


def test_what_a_store_can_do_stays_visible(tmp_path: Path) -> None:
    end = OrderlyEnd()
    for store in (JSONLStore(tmp_path), MemoryStore()):
        guarded = end.guard(store)
        for ability in (LocksRuns, RepairsRuns, ListsRuns, DeletesRuns):
            assert isinstance(guarded, ability) == isinstance(store, ability)


def test_an_ignored_signal_stays_ignored(shell: Shell) -> None:
    """`nohup replayt run …`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with OrderlyEnd().listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


SWALLOWS = """
import signal
from replayt_core import Workflow

wf = Workflow("swallows")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    try:
        signal.raise_signal(ctx.get("signum"))
    except:
        NOTE
    return "second"


@wf.step("second")
def second(ctx):
    open("went_on", "w").close()
"""

ASYNC_SWALLOWS = SWALLOWS.replace("def first", "async def first")


@pytest.mark.parametrize("note", ["pass", "ctx.note('caught')", "raise ValueError"])
@pytest.mark.parametrize("flow", [SWALLOWS, ASYNC_SWALLOWS], ids=["sync", "async"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_no_run_goes_on_after_a_signal_that_its_handler_swallows(
    shell: Shell, name: str, flow: str, note: str
) -> None:
    signum = getattr(signal, name)
    shell.write("flow.py", flow.replace("NOTE", note))
    words = ("run", "flow.py", "--run-id", "a", "--input", f"signum={int(signum)}")
    ended = shell.call(*words)
    assert ended.code == 128 + signum
    assert "to go on: replayt resume flow.py a" in ended.err
    last = shell.events("a")[-1]
    assert (last["type"], last["payload"]["signal"]) == ("run_interrupted", name)
    assert not (shell.directory / "went_on").exists()
    assert shell.call("verify", "a").code == 0


WAITS_ASYNC = """
import asyncio
import sys
from replayt_core import Workflow

wf = Workflow("waits")
wf.set_initial("only")


@wf.step("only")
async def only(ctx):
    print("inside", file=sys.stderr, flush=True)
    await asyncio.Event().wait()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_an_async_run_that_waits(shell: Shell, name: str) -> None:
    signum = getattr(signal, name)
    shell.write("flow.py", WAITS_ASYNC)
    with shell.start("run", "flow.py", "--run-id", "a") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "inside\n"
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + signum, "")
    assert "Traceback" not in err
    last = shell.events("a")[-1]
    assert (last["type"], last["payload"]["signal"]) == ("run_interrupted", name)
    assert shell.call("verify", "a").code == 0
    shell.write("flow.py", WAITS_ASYNC.replace("await asyncio.Event().wait()", "pass"))
    assert shell.call("resume", "flow.py", "a").code == 0
