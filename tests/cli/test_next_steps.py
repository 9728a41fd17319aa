"""What a person is told to do next: on a terminal, and never in a pipe."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.cli.helpers import FAILS, GATE, HELLO, Shell, on_terminal, one_line

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
    ],
)
def test_a_target_that_was_nearly_right_is_named(shell: Shell, target: str, said: str) -> None:
    shell.write("flow.py", HELLO)
    shell.write("folder/flow.py", HELLO)
    shell.write("folder/flow.yaml", "")
    if target == "folder/flow":
        (shell.directory / "folder/flow.py").unlink()
    ended = shell.call("run", target)
    assert ended.code == 64
    assert re.search(re.escape(said), one_line(ended))
