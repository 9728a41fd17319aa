"""`replayt verify --target`: handlers that do not end, or end the process, end neither the gate."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.cli.helpers import Shell

ENDS = """
import asyncio
import os
import sys
import threading
import time
from replayt_core import Workflow

wf = Workflow("ends")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    return "second"


@wf.step("second")
DEF second(ctx):
    if ctx.get("ends") and os.path.exists("again"):
        open("started", "w").close()
        HERE
"""

SPINS = "while True: pass"
SLEEPS = "threading.Event().wait()"
ASKS = "while True: ctx.get('x')"
TURNS = "while True: await asyncio.sleep(0)"
SWALLOWS = """
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
"""
HOLDS_THE_GIL = "max(range(10**13))"


def recorded(shell: Shell, how: str) -> None:
    """Two runs; `a` meets HERE when it is executed again, `b` does not."""
    define = "async def" if "await" in how else "def"
    shell.write("flow.py", ENDS.replace("HERE", how).replace("DEF", define))
    assert shell.call("run", "flow.py", "--run-id", "a", "--input", "ends=true").code == 0
    assert shell.call("run", "flow.py", "--run-id", "b").code == 0
    shell.write("again", "")


@pytest.mark.parametrize(
    "how", [SPINS, SLEEPS, ASKS, TURNS], ids=["spins", "waits", "asks", "turns"]
)
def test_a_handler_that_does_not_end_fails_its_run_and_the_others_are_checked(
    shell: Shell, how: str
) -> None:
    recorded(shell, how)
    ended = shell.process("verify", "--all", "--target", "flow.py", "--timeout", "0.5")
    assert ended.err == ""
    assert ended.code == 1
    found, tally = ended.out.splitlines()
    assert found.startswith("a  different  seq 6, state second, flow.py:18: the time for executing")
    assert tally == "2 runs checked: 1 ok, 1 failed"


def test_that_it_has_not_ended_is_the_difference(shell: Shell) -> None:
    recorded(shell, SLEEPS)
    words = ("verify", "a", "--target", "flow.py", "--timeout", "0.3", "-o", "json")
    document = shell.process(*words).json
    assert document["difference"]["now"] == "the handler of 'second' has not ended"


def test_one_that_swallows_whatever_would_stop_it_ends_the_process_with_its_name(
    shell: Shell,
) -> None:
    recorded(shell, SWALLOWS)
    ended = shell.process("verify", "--all", "--target", "flow.py", "--timeout", "0.3")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "replayt: run a, state 'second': the handler has not ended after 0.3 s, and swallows what "
        "would stop it; --timeout gives it more\n"
    )


def test_one_that_holds_the_interpreter_ends_it_with_the_place_where_it_stands(
    shell: Shell,
) -> None:
    recorded(shell, HOLDS_THE_GIL)
    ended = shell.process("verify", "a", "--target", "flow.py", "--timeout", "0.3")
    assert (ended.code, ended.out) == (1, "")
    assert 'flow.py", line 22 in second' in ended.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_limit_that_is_none_is_a_mistake(shell: Shell, seconds: str) -> None:
    recorded(shell, "pass")
    assert shell.call("verify", "a", "--target", "flow.py", "--timeout", seconds).code == 64


@pytest.mark.parametrize("define", ["", "await asyncio.sleep(0); "], ids=["plain", "async"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit(0)"])
def test_a_handler_that_ends_the_process_itself_is_an_outcome_like_any_other(
    shell: Shell, define: str, error: str
) -> None:
    recorded(shell, f"{define}raise {error}")
    ended = shell.process("verify", "--all", "--target", "flow.py")
    assert (ended.code, ended.err) == (1, "")
    found, tally = ended.out.splitlines()
    assert found.startswith("a  different  seq 6, state second, flow.py:18: how the attempt ends")
    assert tally == "2 runs checked: 1 ok, 1 failed"
    # The same where the log says that it ended like this.
    shell.call("run", "flow.py", "--run-id", "c", "--input", "ends=true")
    assert shell.events("c")[-1]["type"] == "run_interrupted"
    assert shell.process("verify", "c", "--target", "flow.py").code == 0


@pytest.mark.parametrize(
    ("how", "number"),
    [(SLEEPS, signal.SIGINT), (TURNS, signal.SIGTERM), (SWALLOWS, signal.SIGINT)],
    ids=["waits", "turns", "swallows"],
)
def test_a_signal_ends_it_all_the_same(shell: Shell, how: str, number: signal.Signals) -> None:
    recorded(shell, how)
    process = shell.start("verify", "--all", "--target", "flow.py")
    _wait_until_it_hangs(shell, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, "", "")


def _wait_until_it_hangs(shell: Shell, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 60
    while not os.path.exists(shell.directory / "started"):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.01)
