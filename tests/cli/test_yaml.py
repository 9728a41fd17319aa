"""YAML files as targets: run, validate, graph, resume, verify, and what is said of mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import Shell, environment, one_line

pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")

DOCS = Path(__file__).parents[2] / "docs"
INPUTS = '{"ticket": {"id": "T-1", "text": "It broke.", "amount": 250}, "category": "refund"}'

RULES = """
from typing import Literal


def size(amount: float) -> Literal["small", "large"]:
    print("weighing")
    return "large" if amount > 100 else "small"
"""

FLOW = """
name: refund
version: 2
initial: route
steps:
  route:
    require:
      category: {enum: [refund, question]}
      ticket: {fields: {id: string, text: string, amount: float}}
    branch:
      key: category
      cases: {refund: weigh, question: answer}
  weigh:
    tool:
      function: refund_rules:size
      arguments: {amount: "{ticket.amount}"}
      output_key: size
    branch:
      key: size
      cases: {small: pay, large: ask}
  ask:
    approval:
      id: large_refund
      summary: Refund {ticket.amount} for {ticket.id}?
      on_approve: pay
      on_reject: answer
  pay:
    set: {outcome: refunded}
  answer:
    set: {outcome: answered}
"""


@pytest.fixture
def refund(shell: Shell) -> Shell:
    """A directory with a workflow file and, beside it, the module of its tool."""
    shell.write("flows/refund.yaml", FLOW)
    shell.write("flows/refund_rules.py", RULES)
    return shell


def test_validate_graph_run_resume_and_verify(refund: Shell) -> None:
    """SC-112, SC-155, SC-180 to SC-182; a tool's module is looked for beside the file."""
    target = "flows/refund.yaml"
    ended = refund.process("validate", target)
    assert (ended.code, ended.out) == (0, "refund@2: ok, 5 states, 6 edges\n")
    graph = refund.process("graph", target).out
    assert [line.strip() for line in graph.splitlines() if "-->" in line] == [
        "s0 --> s1",
        "s0 --> s4",
        "s1 --> s3",
        "s1 --> s2",
        "s2 --> s3",
        "s2 --> s4",
        "start(( )) --> s0",
    ]
    ended = refund.process("run", target, "--run-id", "r1", "--inputs-json", INPUTS)
    assert ended.code == 2, ended.err
    assert "weighing" not in ended.out
    asked = [event for event in refund.events("r1") if event["type"] == "approval_requested"]
    assert asked[0]["payload"]["summary"] == "Refund 250 for T-1?"
    ended = refund.process("resume", target, "r1", "--approval", "large_refund", "--output", "json")
    assert ended.code == 0, ended.err
    assert (ended.json["status"], ended.json["final_state"]) == ("completed", "pay")
    assert refund.process("verify", "r1", "--target", target).code == 0
    refund.write(target, FLOW.replace("{small: pay, large: ask}", "{small: ask, large: pay}"))
    ended = refund.process("verify", "r1", "--target", target)
    assert ended.code == 1
    assert "refund.yaml:13" in ended.out + ended.err


def test_the_example_of_the_docs_validates_graphs_and_runs(shell: Shell) -> None:
    """SC-180. The page prints these very files."""
    page = (DOCS / "yaml-workflows.md").read_text(encoding="utf-8")
    for name in ("refund.yaml", "refund_rules.py"):
        text = (DOCS / "yaml" / name).read_text(encoding="utf-8")
        assert f"\n{text}```\n" in page, name
        shell.write(name, text)
    assert shell.process("validate", "refund.yaml").code == 0
    assert shell.process("graph", "refund.yaml").code == 0
    ticket = '{"ticket": {"id": "T-1", "text": "Where is it?", "amount": 20}}'
    run = ["run", "refund.yaml", "--dry-run", "--run-id", "r1", "--inputs-json", ticket]
    assert shell.process(*run).code == 0
    assert shell.process("verify", "r1", "--target", "refund.yaml").code == 0


def test_yml_is_the_same_and_a_module_of_the_working_directory_counts(shell: Shell) -> None:
    """SC-112."""
    shell.write("flows/refund.yml", FLOW)
    shell.write("refund_rules.py", RULES)
    assert shell.process("validate", "flows/refund.yml").code == 0


def test_a_run_that_was_killed_in_a_tool_goes_on(shell: Shell) -> None:
    shell.write(
        "flow.yaml",
        "name: kill\ninitial: a\nsteps:\n"
        "  a: {set: {x: 1}, next: b}\n"
        "  b: {tool: {function: 'deadly:work', arguments: {n: '{x}'}, output_key: y}, next: c}\n"
        "  c: {branch: {key: y, cases: {2: d}}}\n"
        "  d: {}\n",
    )
    shell.write(
        "deadly.py",
        "import os, pathlib, signal\n"
        "from replayt_core import tool\n"
        "@tool(idempotent=True)\n"
        "def work(n: int) -> int:\n"
        "    mark = pathlib.Path('mark')\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getpid(), signal.SIGTERM if os.name == 'nt' else signal.SIGKILL)\n"
        "    return n + 1\n",
    )
    assert shell.process("run", "flow.yaml", "--run-id", "r1").code != 0
    assert shell.events("r1")[-1]["type"] == "tool_call"
    ended = shell.process("resume", "flow.yaml", "r1", "--output", "json")
    assert ended.code == 0, ended.err
    assert ended.json["final_state"] == "d"
    assert shell.process("verify", "r1", "--target", "flow.yaml").code == 0


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        (
            "transition.yaml",
            "name: x\ninitial: a\nsteps:\n  a:\n    transition: b\n  b: {}\n",
            1,
            "transition.yaml:5:5: unknown key 'transition' in step 'a'; did you mean 'next'?",
        ),
        (
            "target.yaml",
            "name: x\ninitial: a\nsteps:\n  a: {next: bb}\n  bbb: {}\n",
            1,
            "target.yaml:4:13: step 'a' leads to 'bb', which is no step; did you mean 'bbb'?",
        ),
        (
            "indent.yaml",
            "name: x\nsteps:\n  a: {}\n   b: {}\n",
            1,
            "indent.yaml:4:4: this is no YAML:",
        ),
        ("module.yaml", FLOW, 1, "there is no module 'refund_rules'; put it beside the file"),
        ("\x1b[31mred.yaml", "- x\n", 1, r"\x1b[31mred.yaml:1:1: the file holds a list"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate", "graph"])
def test_a_likely_mistake_is_one_line_with_its_place(
    shell: Shell, command: str, name: str, text: str, code: int, said: str
) -> None:
    shell.write(name, text)
    ended = shell.call(command, name)
    assert ended.code == code
    assert said in one_line(ended)
    assert not shell.directory.joinpath(".replayt").exists()


def test_several_mistakes_are_a_line_each(shell: Shell) -> None:
    shell.write("flow.yaml", "nmae: x\ninitial: a\nsteps: {a: {nxt: a}}\n")
    ended = shell.process("validate", "flow.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        "replayt: flow.yaml:1:1: unknown key 'nmae' in the file; did you mean 'name'?",
        "replayt: flow.yaml:1:1: the file has no `name`; add it",
        "replayt: flow.yaml:3:13: unknown key 'nxt' in step 'a'; did you mean 'next'?",
    ]


@pytest.mark.parametrize("target", ["missing.yaml", "folder.yml"])
def test_a_file_that_is_not_there(shell: Shell, target: str) -> None:
    shell.directory.joinpath("folder.yml").mkdir()
    ended = shell.call("run", target)
    assert ended.code == 66
    assert f"{target}: no such file; use module:variable" in one_line(ended)


def test_a_missing_input_names_the_key(refund: Shell) -> None:
    """SC-181."""
    ended = refund.process("run", "flows/refund.yaml", "--inputs-json", '{"category": "refund"}')
    assert ended.code == 1
    assert "key 'ticket' is missing" in ended.out + ended.err


def test_without_pyyaml_it_says_what_to_install(refund: Shell) -> None:
    """SC-116."""
    program = (
        "import sys; sys.modules['yaml'] = None; from replayt_cli.main import main\n"
        "sys.exit(main(['run', 'flows/refund.yaml']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=refund.directory,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "replayt: flows/refund.yaml: PyYAML is missing: install the yaml extra "
        "(pip install 'replayt[yaml]'), or PyYAML itself\n"
    )
