"""stdout carries the result alone, and closed streams break nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.helpers import ASKS_MODEL, GATE, HELLO, Shell, environment, on_terminal, one_line

PRINTS = """
import os
import sys
from replayt_core import Workflow

out = sys.__stdout__
os.system("echo imported")
wf = Workflow("prints")
wf.set_initial("only")


@wf.step("only")
def only(ctx):
    os.system("echo handled")
    os.write(1, b"written\\n")
    print("printed", file=out)
"""


def test_what_the_target_writes_to_descriptor_1_goes_to_stderr(shell: Shell) -> None:
    """SC-119, SC-137."""
    shell.write("flow.py", PRINTS)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--output", "json")
    assert ended.code == 0
    assert ended.json["status"] == "completed"
    assert sorted(ended.err.split()) == ["handled", "imported", "printed", "written"]
    assert "imported" not in shell.process("graph", "flow.py").out
    checked = shell.process("verify", "a", "--target", "flow.py", "--output", "json")
    assert checked.json["run_id"] == "a"


def test_on_a_terminal_the_result_is_there_as_well(shell: Shell) -> None:
    shell.write("flow.py", PRINTS)
    code, sent = on_terminal(shell, "run", "flow.py")
    assert code == 0
    assert "status=completed" in sent


def closed(shell: Shell, which: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "replayt_cli", *words]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {which}', "sh", *command],
        cwd=shell.directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("words", ["examples", "examples -o json", "--version", "runs"])
def test_a_stdout_that_takes_nothing_is_told(shell: Shell, words: str) -> None:
    """SC-120: as the redirection to a disk that is full."""
    with open("/dev/full", "wb", buffering=0) as full:
        ended = shell.into(full.fileno(), *words.split())
    assert ended == (74, "replayt: input or output: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize(
    ("which", "words", "code"),
    [
        (">&-", ("run", "flow.py"), 0),
        (">&-", ("run", "gate.py"), 2),
        (">&-", ("--help",), 0),
        ("2>&-", ("run", "flow.py"), 0),
        ("2>&-", ("run", "nope.py"), 66),
        (">&- 2>&- <&-", ("run", "flow.py"), 0),
        ("<&-", ("run", "flow.py"), 0),
        ("<&-", ("run", "flow.py", "--inputs-json", "-"), 64),
    ],
)
def test_closed_streams_leave_the_exit_code_as_it_is(
    shell: Shell, which: str, words: tuple[str, ...], code: int
) -> None:
    shell.write("flow.py", HELLO)
    shell.write("gate.py", GATE)
    ended = closed(shell, which, *words)
    assert ended.returncode == code
    assert "Error" not in ended.stderr
    for path in shell.directory.glob(".replayt/runs/*.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    "words",
    [("--help",), ("run", "--help"), ("--version",), ("--show-completion", "fish"), ("runs",)],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX pipe")
def test_a_reader_that_has_gone_is_told_nothing(shell: Shell, words: tuple[str, ...]) -> None:
    """`replayt --help | head -1`: typer meets the closed pipe itself, and exits."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        assert shell.into(writes, *words) == (128 + signal.SIGPIPE, "")
    finally:
        os.close(writes)


def test_an_interrupt_while_the_program_is_loaded_is_told_nothing_either(shell: Shell) -> None:
    script = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from replayt_cli.__main__ import program\n"
        "sys.exit(program())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shell.directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


EXITS = """
import sys
from replayt_core import Workflow

wf = Workflow("exits")
wf.set_initial("only")


@wf.step("only")
def only(ctx):
    sys.exit(2)
"""


@pytest.mark.parametrize("flow", ["sync", "async"])
def test_a_handler_that_exits_is_named_with_its_run(shell: Shell, flow: str) -> None:
    shell.write("flow.py", EXITS if flow == "sync" else EXITS.replace("def only", "async def only"))
    ended = shell.call("run", "flow.py", "--run-id", "a", "-o", "json")
    assert ended.code == 1
    assert one_line(ended) == (
        "run a: state 'only' called sys.exit(2); to try it again: replayt resume flow.py a"
    )
    assert shell.events("a")[-1]["type"] == "run_interrupted"


def test_a_target_that_changes_the_directory_does_not_move_its_log(shell: Shell) -> None:
    (shell.directory / "else").mkdir()
    moves = "import os\nos.chdir('else')\n"
    shell.write("flow.py", moves + GATE)
    assert shell.process("run", "flow.py", "--run-id", "a").code == 2
    assert shell.log("a").is_file()
    assert shell.process("resume", "flow.py", "a", "--approval", "publish").code == 0
    assert not any((shell.directory / "else").iterdir())


def test_a_call_that_never_left_is_no_model_call(shell: Shell) -> None:
    shell.write("flow.py", ASKS_MODEL)
    ended = shell.call("run", "flow.py")
    assert ended.code == 1
    assert "no model call (1 could not be made)" in ended.out
    asked = shell.call("run", "flow.py", "-o", "json").json
    assert (asked["llm_calls"], asked["llm_calls_unsent"]) == (1, 1)


ASYNC_GATE = """
import asyncio
from replayt_core import Workflow

wf = Workflow("gate", version="1")
wf.set_initial("review")


@wf.step("review", to=["publish"])
async def review(ctx):
    @ctx.tools.register
    async def look_up(number: int) -> int:
        return await asyncio.to_thread(abs, number)

    calls = [ctx.tools.call("look_up", {"number": number}) for number in (1, 2)]
    ctx.set("found", await asyncio.gather(*calls))
    if ctx.is_approved("publish"):
        return "publish"
    ctx.request_approval("publish", summary="Publish it?")


@wf.step("publish")
def publish(ctx):
    return None
"""


def test_an_async_workflow_runs_waits_resumes_and_forks(shell: Shell) -> None:
    shell.write("flow.py", ASYNC_GATE)
    assert shell.call("run", "flow.py", "--run-id", "a", "--timeout", "600").code == 2
    ended = shell.call("resume", "flow.py", "a", "--approval", "publish", "-o", "json")
    assert ended.code == 0
    assert (ended.json["final_state"], ended.json["served_calls"]) == ("publish", 2)
    assert shell.call("fork", "flow.py", "a", "--at", "review", "--run-id", "b").code == 2
    assert shell.call("verify", "--all", "--target", "flow.py").code == 0
    refused = shell.call("resume", "flow.py", "a")
    assert refused.code == 75


def test_an_async_run_ends_in_time(shell: Shell) -> None:
    shell.write(
        "flow.py",
        ASYNC_GATE.replace("    calls =", "    await asyncio.Event().wait()\n    calls ="),
    )
    ended = shell.process("run", "flow.py", "--run-id", "a", "--timeout", "0.2")
    assert ended.code == 1
    failed = shell.events("a")[-2]
    assert failed["payload"]["error"]["type"] == "StepTimeout"
