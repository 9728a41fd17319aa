"""`--timeout`: a run ends in time, whatever its handler does (R16)."""

from __future__ import annotations

import pytest

from replayt_cli.execute.watchdog import Watchdog
from replayt_core import ConflictError, MemoryStore, Runner, Workflow, fold, verify
from replayt_core.testing import FrozenClock
from tests.cli.helpers import GATE, Shell, one_line

NEVER_ENDS = """
import re
import threading
from replayt_core import Workflow

wf = Workflow("never_ends")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    with open("effects", "a") as file:
        file.write("x")
    return "second"


@wf.step("second")
def second(ctx):
    @ctx.tools.register
    def nothing() -> None:
        return None

    HERE
"""

CALLS = "while True: ctx.tools.call('nothing', {})"
SWALLOWS = """
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass
"""
HOLDS_THE_GIL = 're.match(r"(a+)+$", "a" * 64 + "b")'


ENOUGH = "1"
"""Seconds in which a busy machine gets to the handler that never ends, too."""


def never_ends(shell: Shell, how: str) -> None:
    shell.write("flow.py", NEVER_ENDS.replace("HERE", how))


@pytest.mark.parametrize("how", [CALLS, SWALLOWS], ids=["calls", "swallows"])
def test_a_run_that_takes_too_long_fails_and_can_be_tried_again(shell: Shell, how: str) -> None:
    never_ends(shell, how)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--timeout", ENOUGH)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    failed, completed = shell.events("a")[-2:]
    assert (failed["type"], completed["type"]) == ("run_failed", "run_completed")
    assert failed["payload"]["error"]["type"] == "StepTimeout"
    assert failed["payload"]["state"] == "second"
    assert shell.call("inspect", "a", "--json").json["summary"]["status"] == "failed"
    assert shell.call("verify", "a").code == 0
    never_ends(shell, "pass")
    assert shell.call("resume", "flow.py", "a", "--retry-failed").code == 0
    assert (shell.directory / "effects").read_text() == "x"


def test_whoever_ends_it_from_outside_says_how_to_go_on(shell: Shell) -> None:
    never_ends(shell, SWALLOWS)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--timeout", "0.2", "-o", "json")
    assert one_line(ended) == (
        "timed out after 0.2 s; to try its last state again: "
        "replayt resume flow.py a --retry-failed"
    )


def test_a_handler_that_holds_the_interpreter_is_ended_and_reads_interrupted(
    shell: Shell,
) -> None:
    never_ends(shell, HOLDS_THE_GIL)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--timeout", "0.2")
    assert (ended.code, ended.out, ended.err) == (1, "", "")
    assert shell.call("inspect", "a", "--json").json["summary"]["status"] == "interrupted"
    never_ends(shell, "pass")
    assert shell.call("resume", "flow.py", "a").code == 0


@pytest.mark.parametrize("command", ["resume", "fork"])
def test_resume_and_fork_have_a_timeout_too(shell: Shell, command: str) -> None:
    shell.write("flow.py", GATE.replace("return None", "pass"))
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    endless = GATE.replace("def publish(ctx):\n", f"def publish(ctx):\n    {HANGS}\n")
    shell.write("flow.py", endless)
    words = ["--approval", "publish"]
    if command == "fork":
        assert shell.process("resume", "flow.py", "a", *words, "--timeout", ENOUGH).code == 1
        words = ["--at", "publish", "--run-id", "b"]
    ended = shell.process(command, "flow.py", "a", *words, "--timeout", ENOUGH)
    assert ended.code == 1
    failed = shell.events("b" if command == "fork" else "a")[-2]
    assert failed["payload"]["error"]["type"] == "StepTimeout"


HANGS = "import threading; threading.Event().wait()"


def test_a_run_that_ends_in_time_is_left_alone(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a", "--timeout", "600").code == 2
    words = ("--approval", "publish", "--timeout", "600")
    assert shell.call("resume", "flow.py", "a", *words).code == 0
    assert shell.call("inspect", "a", "--json").json["summary"]["status"] == "completed"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9", "soon"])
def test_a_wrong_timeout_is_64(shell: Shell, seconds: str) -> None:
    shell.write("flow.py", GATE)
    ended = shell.call("run", "flow.py", "--timeout", seconds)
    assert ended.code == 64
    assert "--timeout" in one_line(ended)
    assert not shell.directory.joinpath(".replayt").exists()


class Overtaken(MemoryStore):
    """Somebody writes between the watchdog's reading and its writing, once."""

    def __init__(self, writer) -> None:
        super().__init__()
        self.writer = writer

    def append(self, run_id, events, *, after):
        if events[0].type == "run_failed" and self.writer is not None:
            writer, self.writer = self.writer, None
            writer()
        super().append(run_id, events, after=after)


def test_the_end_stands_behind_what_the_handler_wrote_meanwhile() -> None:
    wf = Workflow("notes")
    wf.set_initial("only")
    store = Overtaken(lambda: note("meanwhile"))
    note = None

    @wf.step("only")
    def only(ctx):
        nonlocal note
        note = ctx.note
        assert Watchdog(store, "a", 5, clock=FrozenClock()).write_end()

    # The process exits there; this test does not, and the run finds itself overtaken.
    with pytest.raises(ConflictError):
        Runner(wf, store).run(run_id="a")
    events = list(store.read("a"))
    assert [event.type for event in events][-3:] == ["step_note", "run_failed", "run_completed"]
    state = fold("a", events)
    assert (state.summary.status, state.problems) == ("failed", [])
    assert verify(None, events).ok
    assert Watchdog(store, "a", 5).write_end() is False
