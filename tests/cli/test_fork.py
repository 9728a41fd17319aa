"""`replayt fork`: a new run from the middle of another."""

from __future__ import annotations

import pytest

from tests.cli.helpers import GATE, SORTS, Shell, one_line

COUNTS = """
from replayt_core import Workflow

wf = Workflow("counts")
wf.set_initial("start")


@wf.step("start", to=["add"])
def start(ctx):
    ctx.set("total", 0)
    return "add"


@wf.step("add", to=["add", "done"])
def add(ctx):
    with open("effects", "a") as file:
        file.write("x")
    ctx.set("total", ctx.get("total") + ctx.get("step", 1))
    return "add" if ctx.get("total") < 3 else "done"


@wf.step("done")
def done(ctx):
    ctx.note("total", summary=str(ctx.get("total")))
"""


def counted(shell: Shell) -> bytes:
    shell.write("flow.py", COUNTS)
    assert shell.call("run", "flow.py", "--run-id", "a", "--tag", "kind=first").code == 0
    assert (shell.directory / "effects").read_text() == "xxx"
    return shell.log("a").read_bytes()


def total(shell: Shell, run_id: str) -> str:
    notes = [event for event in shell.events(run_id) if event["type"] == "step_note"]
    return str(notes[-1]["payload"]["summary"])


@pytest.mark.parametrize(
    ("at", "calls", "shown"),
    [("add", 1, "3"), ("add:1", 3, "3"), ("add:2", 2, "3"), ("done", 0, "3"), ("start", 3, "3")],
)
def test_a_state_names_its_last_visit_or_the_one_that_is_asked_for(
    shell: Shell, at: str, calls: int, shown: str
) -> None:
    before = counted(shell)
    ended = shell.call("fork", "flow.py", "a", "--at", at, "--run-id", "b")
    assert ended.code == 0
    assert "status=completed\nfinal_state=done\n" in ended.out
    assert total(shell, "b") == shown
    assert (shell.directory / "effects").read_text() == "x" * (3 + calls)
    assert shell.log("a").read_bytes() == before


def test_a_seq_names_the_visit_it_belongs_to(shell: Shell) -> None:
    counted(shell)
    entries = [event["seq"] for event in shell.events("a") if event["type"] == "state_entered"]
    for run_id, seq in (("b", entries[2]), ("c", entries[2] + 1)):
        ended = shell.call("fork", "flow.py", "a", "--at", str(seq), "--run-id", run_id)
        assert ended.code == 0
        started = shell.events(run_id)[0]["payload"]
        assert started["forked_from"]["seq"] == entries[2]
        assert started["context"] == {"total": 1}


def test_the_parent_is_named(shell: Shell) -> None:
    counted(shell)
    ended = shell.call("fork", "flow.py", "a", "--at", "add", "--run-id", "b", "--tag", "kind=x")
    seq = shell.events("b")[0]["payload"]["forked_from"]["seq"]
    assert f"run_id=b\nworkflow=counts@1\nforked_from=a seq {seq}\n" in ended.out
    document = shell.call("fork", "flow.py", "a", "--at", "add", "-o", "json").json
    assert document["status"] == "completed"
    assert document["forked_from"]["run_id"] == "a"
    assert set(document["forked_from"]) == {"run_id", "seq", "hash"}
    assert shell.events("b")[0]["payload"]["tags"] == {"kind": "x"}
    assert shell.call("verify", "b", "--target", "flow.py").code == 0


def test_set_changes_the_context_it_begins_with(shell: Shell) -> None:
    counted(shell)
    words = ("--run-id", "b", "--set", "step=10", "--set", 'why="a, b=c"')
    assert shell.call("fork", "flow.py", "a", "--at", "add:1", *words).code == 0
    assert total(shell, "b") == "10"
    assert shell.events("b")[0]["payload"]["context"] == {"total": 0, "step": 10, "why": "a, b=c"}


def test_approvals_are_asked_again_and_exit_codes_are_those_of_run(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    assert shell.call("resume", "flow.py", "a", "--approval", "publish").code == 0
    ended = shell.call("fork", "flow.py", "a", "--at", "review", "--run-id", "b")
    assert ended.code == 2
    assert "--approval publish" in ended.out
    assert shell.call("resume", "flow.py", "b", "--approval", "publish", "--reject").code == 0
    shell.write("flow.py", GATE.replace("def publish(ctx):\n", "def publish(ctx):\n    1 / 0\n"))
    assert shell.call("fork", "flow.py", "a", "--at", "publish").code == 1


def test_a_fork_is_as_private_as_its_parent(shell: Shell) -> None:
    shell.write("flow.py", SORTS)
    words = ("--run-id", "a", "--dry-run", "--input", "number=1", "--log-mode", "structured_only")
    assert shell.call("run", "flow.py", *words).code == 0
    fork = ("fork", "flow.py", "a", "--at", "read", "--dry-run", "--run-id")
    assert shell.call(*fork, "b").code == 0
    assert shell.call(*fork, "c", "--log-mode", "full").code == 0
    modes = [shell.events(run_id)[0]["payload"]["log_mode"] for run_id in ("b", "c")]
    assert modes == ["structured_only", "full"]


def test_a_changed_workflow_may_be_forked(shell: Shell) -> None:
    counted(shell)
    shell.write("flow.py", COUNTS.replace("< 3", "< 5"))
    assert shell.call("fork", "flow.py", "a", "--at", "add", "--run-id", "b").code == 0
    assert total(shell, "b") == "5"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a"], 64, "--at"),
        (["a", "--at", ""], 64, "--at"),
        (["a", "--at", "add", "--set", "step=ten"], 64, "needs its quotes"),
        (["a", "--at", "add", "--set", "step"], 64, "KEY=VALUE"),
        (["a", "--at", "add", "--set", "x=1", "--set", "x=2"], 64, "twice"),
        (["a", "--at", "add", "--log-mode", "loud"], 64, "redacted"),
        (["a", "--at", "add", "--run-id", "../x"], 64, "run id"),
        (["a", "--at", "nowhere"], 66, "add:3"),
        (["a", "--at", "add:9"], 66, "add:3"),
        (["a", "--at", "900"], 66, "fork at a seq from 2 to"),
        (["nosuch", "--at", "add"], 66, "nosuch"),
        (["a", "--at", "add", "--run-id", "a"], 75, "exists"),
    ],
)
def test_mistakes(shell: Shell, words: list[str], code: int, said: str) -> None:
    before = counted(shell)
    ended = shell.call("fork", "flow.py", *words)
    assert ended.code == code
    assert said in one_line(ended)
    assert [path.name for path in shell.log("a").parent.iterdir()] == ["a.jsonl"]
    assert shell.log("a").read_bytes() == before
    assert (shell.directory / "effects").read_text() == "xxx"
