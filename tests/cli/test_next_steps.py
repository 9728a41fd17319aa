"""What a person is told to do next: on a terminal, and never in a pipe."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from replayt_cli.arguments.store_choice import command_line
from tests.cli.helpers import FAILS, GATE, HELLO, Shell, environment, on_terminal, one_line
from tests.cli.shells import require

if sys.platform != "win32":
    import pty
    import select

terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


def last_line(shell: Shell, *words: str) -> str:
    code, sent = on_terminal(shell, *words, columns=200)
    assert code == 0
    return sent.replace("\r", "").splitlines()[-1]


@terminal
@pytest.mark.parametrize("where", [[], ["--log-dir", "my logs"]])
def test_inspect_says_how_a_paused_run_is_answered(shell: Shell, where: list[str]) -> None:
    shell.write("gate.py", GATE)
    assert shell.call("run", "gate.py", "--run-id", "a", *where).code == 2
    said = last_line(shell, "inspect", "a", *where)
    flags = "".join(f" {json.dumps(word) if ' ' in word else word}" for word in where)
    command = f"replayt resume TARGET a --approval publish{flags}".replace('"', "'")
    assert said == f"to approve (with --reject to reject): {command}"


@terminal
def test_inspect_says_how_a_failed_and_an_interrupted_run_go_on(shell: Shell) -> None:
    shell.write("flow.py", FAILS)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 1
    again = "to try its last state again: replayt resume TARGET a --retry-failed"
    assert last_line(shell, "inspect", "a") == again
    log = shell.log("a")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    assert last_line(shell, "inspect", "a") == "to go on: replayt resume TARGET a"


@terminal
def test_a_run_that_has_its_answer_only_goes_on(shell: Shell) -> None:
    from replayt_core import resolve
    from replayt_store import JSONLStore

    shell.write("gate.py", GATE)
    assert shell.call("run", "gate.py", "--run-id", "a").code == 2
    resolve(JSONLStore(".replayt/runs"), "a", "publish", approved=True, by=None, reason=None)
    said = last_line(shell, "inspect", "a")
    assert said == "it has its answer; to go on: replayt resume TARGET a"
    assert shell.call("resume", "gate.py", "a").code == 0
    assert "run_completed" in last_line(shell, "inspect", "a")


ASKS = """
from replayt_core import Workflow

wf = Workflow("asks")
wf.set_initial("ask")


@wf.step("ask")
def ask(ctx):
    ctx.request_approval("two  words\\n\\tit's \\u202e back\\\\slash", summary="Yes?")
"""


@terminal
def test_a_command_is_whole_whatever_the_name_holds(shell: Shell) -> None:
    """Copied into bash, it names the approval, though a terminal can show all of it."""
    bash = require("bash")
    shell.write("flow.py", ASKS)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    _, _, command = last_line(shell, "inspect", "a").partition("reject): ")
    assert command.isprintable()
    assert command in shell.call("runs", "--status", "paused").out
    shown = f"printf '%s\\0' {command}"
    done = subprocess.run([bash, "-c", shown], capture_output=True, check=True)
    *words, _ = done.stdout.decode().split("\0")
    name = "two  words\n\tit's \u202e back\\slash"
    assert words == ["replayt", "resume", "TARGET", "a", "--approval", name]


@terminal
def test_a_result_that_is_piped_has_no_next_step_on_the_terminal(shell: Shell) -> None:
    """It would be written onto the pager's screen."""
    shell.write("gate.py", GATE)
    assert shell.call("run", "gate.py", "--run-id", "a").code == 2
    theirs, ours = pty.openpty()
    with open(theirs, "rb", buffering=0), open(ours, "wb") as stderr:
        done = subprocess.run(
            [sys.executable, "-m", "replayt_cli", "inspect", "a"],
            cwd=shell.directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            check=True,
        )
        assert select.select([theirs], [], [], 0)[0] == []
    assert b"publish" in done.stdout


def test_a_pipe_is_told_nothing(shell: Shell) -> None:
    shell.write("gate.py", GATE)
    assert shell.call("run", "gate.py", "--run-id", "a").code == 2
    ended = shell.call("inspect", "a")
    assert ended.err == ""
    assert "resume" not in ended.out


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("flow", "'flow' is no target: perhaps flow.py; use "),
        ("folder/flow", "'folder/flow' is no target: perhaps folder/flow.yaml; use "),
        ("nothing", "'nothing' is no target; use "),
        ("flow.py:wf", "a file is named without a variable, flow.py or flow:wf"),
        ("folder/flow.py:wf", "a file is named without a variable, folder/flow.py or folder.flow:"),
        ("./flow.py:wf", "without a variable, ./flow.py or flow:wf"),
        ("flow.py:", "without a variable, flow.py$"),
        ("o dd.py:wf", "without a variable, o dd.py$"),
        ("../{here}/flow.py:wf", "without a variable, ../{here}/flow.py$"),
        ("{directory}/flow.py:wf", "without a variable, {directory}/flow.py$"),
        ("a" * 300, "is no target; use "),
    ],
)
def test_a_target_that_was_nearly_right_is_named(shell: Shell, target: str, said: str) -> None:
    shell.write("flow.py", HELLO)
    shell.write("folder/flow.py", HELLO)
    shell.write("folder/flow.yaml", "")
    shell.write("o dd.py", HELLO)
    places = {"here": shell.directory.name, "directory": str(shell.directory)}
    target, said = target.format(**places), said.format(**places)
    if target == "folder/flow":
        (shell.directory / "folder/flow.py").unlink()
    ended = shell.call("run", target)
    assert ended.code == 64
    assert re.search(re.escape(said).replace(r"\$", "$"), one_line(ended))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("plain", "plain"),
        ("two  words", "'two  words'"),
        ("prüfung", "'prüfung'"),
        ("one\ntwo", r"$'one\x0atwo'"),
        ("it's \\ \x1b", r"$'it\'s \\ \x1b'"),
        ("\u202e\U000e0001", r"$'\xe2\x80\xae\xf3\xa0\x80\x81'"),
        ("\udcff\ud800", r"$'\xff\xed\xa0\x80'"),
    ],
)
def test_a_word_of_a_command_is_printable_and_means_itself(word: str, shown: str) -> None:
    assert command_line("replayt", word) == f"replayt {shown}"
