from __future__ import annotations

import pytest

from tests.cli.helpers import GATE, HELLO, Shell, one_line

CRASHES_IN_A_TOOL = """
import os
from replayt_core import Workflow

wf = Workflow("charges")
wf.set_initial("pay")


@wf.step("pay")
def pay(ctx):
    @ctx.tools.register
    def charge(amount: int) -> str:
        if not os.path.exists("crashed"):
            open("crashed", "w").close()
            os._exit(9)
        return f"charged {amount}"

    ctx.set("receipt", ctx.tools.call("charge", {"amount": 3}))
"""


def paused(shell: Shell, run_id: str = "a") -> bytes:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", run_id).code == 2
    return shell.log(run_id).read_bytes()


def test_an_approval_is_answered_in_a_new_process_and_the_run_completes(shell: Shell) -> None:
    """SC-149."""
    paused(shell)
    ended = shell.process(
        "resume", "flow.py", "a", "--approval", "publish", "--by", "Ada", "--reason", "fine"
    )
    assert ended.code == 0
    assert "status=completed\nfinal_state=publish\n" in ended.out
    resolved = [event for event in shell.events("a") if event["type"] == "approval_resolved"]
    assert resolved[0]["payload"]["by"] == "Ada"
    assert resolved[0]["payload"]["reason"] == "fine"


def test_the_printed_command_is_the_one_that_answers(shell: Shell) -> None:
    import shlex

    shell.write("flow.py", GATE)
    out = shell.process("run", "flow.py").out
    line = next(line for line in out.splitlines() if line.strip().startswith("approve:"))
    words = shlex.split(line.partition(":")[2])
    assert words[0] == "replayt"
    assert shell.process(*words[1:]).code == 0


def test_reject_rejects(shell: Shell) -> None:
    """SC-150."""
    paused(shell)
    ended = shell.call("resume", "flow.py", "a", "--approval", "publish", "--reject")
    assert ended.code == 0
    assert "final_state=discard" in ended.out


def test_without_an_answer_a_waiting_run_stays_paused_and_nothing_is_written(
    shell: Shell,
) -> None:
    """SC-151."""
    before = paused(shell)
    ended = shell.call("resume", "flow.py", "a")
    assert ended.code == 2
    assert "--approval publish" in ended.out
    assert shell.log("a").read_bytes() == before


def test_a_changed_workflow_is_refused_and_its_approval_not_spent(shell: Shell) -> None:
    """SC-152."""
    before = paused(shell)
    shell.write("flow.py", GATE.replace('version="1"', 'version="2"'))
    ended = shell.call("resume", "flow.py", "a", "--approval", "publish")
    assert ended.code == 75
    assert "version '1' is now '2'" in one_line(ended)
    assert shell.log("a").read_bytes() == before
    allowed = shell.call("resume", "flow.py", "a", "--approval", "publish", "--allow-changed")
    assert allowed.code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nosuchrun"], 66),
        (["a", "--approval", "other"], 66),
        (["a", "--retry", "3"], 66),
        (["a", "--fail", "3", "--retry", "3"], 64),
    ],
)
def test_what_is_not_there_is_66(shell: Shell, words: list[str], code: int) -> None:
    before = paused(shell)
    ended = shell.call("resume", "flow.py", *words)
    assert ended.code == code
    one_line(ended)
    assert shell.log("a").read_bytes() == before


def test_an_answer_that_was_used_or_was_another_is_75(shell: Shell) -> None:
    paused(shell)
    assert shell.call("resume", "flow.py", "a", "--approval", "publish").code == 0
    for words in ([], ["--approval", "publish"], ["--approval", "publish", "--reject"]):
        ended = shell.call("resume", "flow.py", "a", *words)
        assert ended.code == 75
        one_line(ended)


def test_a_tool_call_with_an_unknown_outcome_asks_and_is_settled(shell: Shell) -> None:
    shell.write("flow.py", CRASHES_IN_A_TOOL)
    assert shell.process("run", "flow.py", "--run-id", "a").code == 9
    asked = shell.process("resume", "flow.py", "a")
    assert asked.code == 2
    call = shell.process("resume", "flow.py", "a", "-o", "json").json["waiting_call"]
    assert f"--retry {call}" in asked.out
    assert f"--result {call} JSON" in asked.out
    ended = shell.process("resume", "flow.py", "a", "--result", str(call), '"charged by hand"')
    assert ended.code == 0
    assert "charged by hand" in shell.log("a").read_text()


def test_a_short_id_will_do(shell: Shell) -> None:
    paused(shell, "nightly-2026")
    assert shell.call("inspect", "nightly").code == 0
    assert shell.call("inspect", "2026").code == 0
    assert shell.call("resume", "flow.py", "2026", "--approval", "publish").code == 0


def test_an_ambiguous_short_id_lists_the_candidates(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    for run_id in ("x-one", "x-two", "x"):
        shell.call("run", "flow.py", "--run-id", run_id)
    ended = shell.call("inspect", "x-")
    assert ended.code == 64
    line = one_line(ended)
    assert "x-one" in line
    assert "x-two" in line
    assert "run x  " in shell.call("inspect", "x").out
