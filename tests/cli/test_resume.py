from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_core import resolve, verify
from replayt_store import JSONLStore
from tests.cli.helpers import GATE, HELLO, Shell, environment, one_line

ROOT = Path(__file__).parents[2]

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


FLAKY = """
import os
from replayt_core import Workflow

wf = Workflow("flaky")
wf.set_initial("prepare")


@wf.step("prepare", to=["send"])
def prepare(ctx):
    with open("effects", "a") as file:
        file.write("prepare ")
    return "send"


@wf.step("send")
def send(ctx):
    if not os.path.exists("mended"):
        raise ValueError("the server is down")
    ctx.set("sent", True)
"""


def test_a_failed_run_goes_on_with_retry_failed(shell: Shell) -> None:
    shell.write("flow.py", FLAKY)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 1
    before = shell.log("a").read_bytes()
    ended = shell.call("resume", "flow.py", "a")
    assert ended.code == 75
    assert "--retry-failed" in one_line(ended)
    assert shell.log("a").read_bytes() == before
    assert shell.call("resume", "flow.py", "a", "--retry-failed").code == 1
    shell.write("mended", "")
    assert shell.call("resume", "flow.py", "a", "--retry-failed").code == 0
    assert (shell.directory / "effects").read_text() == "prepare "
    assert [
        event["payload"]["reason"] for event in shell.events("a") if event["type"] == "run_resumed"
    ] == ["retry_failed", "retry_failed"]


def test_a_completed_run_is_never_retried(shell: Shell) -> None:
    """R3."""
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    before = shell.log("a").read_bytes()
    for words in (["--retry-failed"], ["--restart-state"], ["--retry", "3"]):
        ended = shell.call("resume", "flow.py", "a", *words)
        assert ended.code == 75
        assert "is completed" in one_line(ended)
    assert shell.log("a").read_bytes() == before


CRASHES_AFTER_A_CALL = """
import os
from replayt_core import Workflow

wf = Workflow("looks")
wf.set_initial("only")


@wf.step("only")
def only(ctx):
    @ctx.tools.register
    def look_up(number: int) -> int:
        with open("effects", "a") as file:
            file.write(f"{number} ")
        return number

    ctx.tools.call("look_up", {"number": 1})
    if not os.path.exists("crashed"):
        open("crashed", "w").close()
        os._exit(9)
"""


def test_restart_state_is_the_way_out_after_the_code_was_mended(shell: Shell) -> None:
    shell.write("flow.py", CRASHES_AFTER_A_CALL)
    assert shell.process("run", "flow.py", "--run-id", "a").code == 9
    shell.write("flow.py", CRASHES_AFTER_A_CALL.replace('"number": 1', '"number": 2'))
    ended = shell.call("resume", "flow.py", "a")
    assert ended.code == 75
    assert "call 1 is not the recorded one" in one_line(ended)
    assert (shell.directory / "effects").read_text() == "1 "
    ended = shell.call("resume", "flow.py", "a", "--restart-state")
    assert ended.code == 0
    assert (shell.directory / "effects").read_text() == "1 2 "
    resumed = [event for event in shell.events("a") if event["type"] == "run_resumed"]
    assert resumed[-1]["payload"]["overrides"] == {"restart_state": True}


@pytest.mark.parametrize("answer", ["--retry", "--result", "--fail"])
def test_an_unfinished_call_is_settled_without_asking_first(shell: Shell, answer: str) -> None:
    """The run was killed inside the tool; the log shows which call that was."""
    shell.write("flow.py", CRASHES_IN_A_TOOL)
    assert shell.process("run", "flow.py", "--run-id", "a").code == 9
    call = next(event["seq"] for event in shell.events("a") if event["type"] == "tool_call")
    wrong = shell.call("resume", "flow.py", "a", "--retry", str(call + 1))
    assert wrong.code == 66
    assert f"its tool calls: {call}" in one_line(wrong)
    words = [answer, str(call), *(['"by hand"'] if answer == "--result" else [])]
    ended = shell.call("resume", "flow.py", "a", *words)
    assert ended.code == (1 if answer == "--fail" else 0)
    assert len([event for event in shell.events("a") if event["type"] == "run_paused"]) == 0


def test_a_call_with_a_result_is_not_settled_again(shell: Shell) -> None:
    shell.write("flow.py", CRASHES_AFTER_A_CALL)
    assert shell.process("run", "flow.py", "--run-id", "a").code == 9
    call = next(event["seq"] for event in shell.events("a") if event["type"] == "tool_call")
    before = shell.log("a").read_bytes()
    ended = shell.call("resume", "flow.py", "a", "--retry", str(call))
    assert ended.code == 75
    assert "unknown outcome" in one_line(ended)
    assert shell.log("a").read_bytes() == before


def test_one_answer_at_a_time(shell: Shell) -> None:
    before = paused(shell)
    ended = shell.call("resume", "flow.py", "a", "--approval", "publish", "--retry", "3")
    assert ended.code == 64
    one_line(ended)
    assert shell.log("a").read_bytes() == before


PAYS = GATE.replace(
    "def publish(ctx):\n    return None",
    """def publish(ctx):
    import os

    file = os.open("effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"paid ")
    os.close(file)""",
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the racers are forked")
def test_of_two_processes_that_take_up_an_approved_run_one_wins_a_hundred_times(
    shell: Shell,
) -> None:
    """Issue 3, what must hold: the side effect happens once, the other is refused with 75."""
    shell.write("flow.py", PAYS)
    store = JSONLStore(shell.directory / ".replayt/runs")
    run_ids = ["warm", *(f"r{number}" for number in range(100))]
    for run_id in run_ids:
        assert shell.call("run", "flow.py", "--run-id", run_id).code == 2
        resolve(store, run_id, "publish", approved=True)
    subprocess.run(
        [sys.executable, "-m", "tests.cli.racers", "flow.py", *run_ids],
        cwd=shell.directory,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    races = json.loads((shell.directory / "races.json").read_text(encoding="utf-8"))
    for run_id, ended in zip(run_ids[1:], races, strict=True):
        assert sorted(racer["code"] for racer in ended) == [0, 75]
        for racer in ended:
            assert "Traceback" not in racer["err"]
            assert bool(racer["out"]) == (racer["code"] == 0)
        kinds = [event["type"] for event in shell.events(run_id)]
        assert kinds.count("run_resumed") == kinds.count("run_completed") == 1
        assert verify(None, store.read(run_id)).ok
    assert (shell.directory / "effects").read_text() == "paid " * len(run_ids)


@pytest.mark.parametrize("trial", range(3))
def test_of_two_processes_that_approve_and_resume_one_wins(shell: Shell, trial: int) -> None:
    """R18: the side effect happens once, whoever comes first; the other is refused."""
    shell.write("flow.py", PAYS)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    both = [shell.start("resume", "flow.py", "a", "--approval", "publish") for _ in range(2)]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(code for _, _, code in ended) == [0, 75]
    for out, err, code in ended:
        assert "Traceback" not in err
        assert bool(out) == (code == 0)
    assert (shell.directory / "effects").read_text() == "paid "
    kinds = [event["type"] for event in shell.events("a")]
    assert kinds.count("approval_resolved") == kinds.count("run_resumed") == 1
    assert shell.call("verify", "a").code == 0


NOT_KEPT = """
from replayt_core import Workflow

wf = Workflow("stuck")
wf.set_initial("only")


@wf.step("only")
def only(ctx):
    @ctx.tools.register
    def look_up() -> int:
        with open("effects", "a") as file:
            file.write("x")
        return 1

    ctx.tools.call("look_up")
    ctx.llm.complete_text(messages=[{"role": "user", "content": "write"}])
    if not ctx.is_approved("mail"):
        ctx.request_approval("mail", summary="Send it?")
"""


@pytest.mark.parametrize("flow", ["sync", "async"])
def test_no_answer_is_spent_on_a_resume_that_would_be_refused(shell: Shell, flow: str) -> None:
    """SC-90, R5: the reply was not kept, so the step could only go on by calling its tool again."""
    text = NOT_KEPT
    if flow == "async":
        text = text.replace("def only", "async def only").replace(
            "    ctx.tools.call", "    await ctx.tools.call"
        )
        text = text.replace("    ctx.llm", "    await ctx.llm")
    shell.write("flow.py", text)
    assert shell.call("run", "flow.py", "--run-id", "a", "--dry-run").code == 2
    before = shell.log("a").read_bytes()
    words = ("resume", "flow.py", "a", "--approval", "mail", "--dry-run")
    for _ in range(2):
        ended = shell.call(*words)
        assert ended.code == 75
        assert "--restart-state" in one_line(ended)
        assert shell.log("a").read_bytes() == before
    assert shell.call(*words, "--restart-state").code == 0
    assert (shell.directory / "effects").read_text() == "xx"


def test_an_ignored_answer_is_said_to_be_ignored(shell: Shell) -> None:
    from replayt_core import fold
    from replayt_core.chain import seal
    from replayt_core.events import Draft
    from replayt_store import JSONLStore

    paused(shell)
    store = JSONLStore(shell.directory / ".replayt/runs")
    state = fold("a", store.read("a"))
    request = state.open_approvals()[0]
    answer = {
        "approval_id": "publish",
        "request_seq": request.request_seq,
        "digest": request.digest,
        "approved": "true",
    }
    draft = Draft("approval_resolved", answer)
    ts = state.summary.last_ts or ""
    events = seal("a", [draft], after=state.last_seq, head=state.head, ts=ts)
    store.append("a", events, after=state.last_seq)
    ended = shell.call("resume", "flow.py", "a")
    assert ended.code == 2
    assert f"the answer at seq {events[0].seq} is ignored" in ended.err
