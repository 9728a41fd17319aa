"""`replayt validate`: every fault of a graph at once, and the exit code that CI reads."""

from __future__ import annotations

import json

import pytest

from tests.cli.helpers import HELLO, Shell, one_line

HEAD = "from replayt_core import Workflow\nwf = Workflow('x', version='7')\n"
A = "@wf.step('a')\ndef a(ctx): raise SystemExit\n"
B = "@wf.step('b')\ndef b(ctx): raise SystemExit\n"
INITIAL = "wf.set_initial('a')\n"

# SC-157: the six faults, with the finding that names each.
FAULTS = {
    "initial state unset": (A, "no-initial", "the initial state is not set"),
    "initial state without handler": (
        f"wf.set_initial('b')\n{A}",
        "initial-without-handler",
        "the initial state 'b' has no handler",
    ),
    "edge target not a step": (
        f"{INITIAL}{A}wf.note_transition('a', 'gone')\n",
        "unknown-edge-target",
        "leads to 'gone', which has no handler",
    ),
    "edge source not a step": (
        f"{INITIAL}{A}wf.note_transition('ghost', 'a')\n",
        "unknown-edge-source",
        "starts at 'ghost', which has no handler",
    ),
    "unreachable state": (
        f"{INITIAL}{A}{B}wf.note_transition('a', 'a')\n",
        "unreachable",
        "state 'b' cannot be reached from 'a'",
    ),
    "step without handler": (
        f"{INITIAL}@wf.step('a', to=['b'])\ndef a(ctx): return 'c'\n{B}",
        "undeclared-move",
        "step 'a' goes to 'c', which has no handler",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_on_stderr_and_ends_with_1(shell: Shell, fault: str) -> None:
    """SC-157."""
    text, code, said = FAULTS[fault]
    shell.write("flow.py", HEAD + text)
    ended = shell.process("validate", "flow.py")
    assert ended.code == 1
    message = one_line(ended)
    assert message.startswith("flow.py:")
    assert message.count("flow.py") == 1
    assert said in message
    as_json = shell.process("validate", "flow.py", "--output", "json")
    assert as_json.code == 1
    assert as_json.err == ended.err
    (finding,) = as_json.json["findings"]
    assert finding["code"] == code
    assert finding["message"] in message


def test_all_faults_are_listed_at_once(shell: Shell) -> None:
    """SC-157: whoever mends them sees all of them in one go."""
    shell.write(
        "flow.py",
        f"{HEAD}wf.set_initial('nowhere')\n{A}"
        "wf.note_transition('a', 'gone')\nwf.note_transition('ghost', 'a')\n"
        "@wf.step('b', to=['a'])\ndef b(ctx): return 'c'\n",
    )
    ended = shell.call("validate", "flow.py")
    assert (ended.code, ended.out) == (1, "")
    document = shell.call("validate", "flow.py", "-o", "json").json
    codes = [finding["code"] for finding in document["findings"]]
    assert set(codes) == {
        "initial-without-handler",
        "unknown-edge-target",
        "unknown-edge-source",
        "unreachable",
        "undeclared-move",
    }
    assert len(ended.err.splitlines()) == len(codes)
    for line, finding in zip(ended.err.splitlines(), document["findings"], strict=True):
        assert line.startswith("replayt: flow.py:")
        assert line.endswith(finding["message"])


def test_a_sound_workflow_is_told_with_its_counts(shell: Shell) -> None:
    """SC-156."""
    shell.write("flow.py", HELLO)
    ended = shell.process("validate", "flow.py")
    assert (ended.code, ended.out, ended.err) == (0, "hello@2: ok, 2 states, 1 edge\n", "")
    document = shell.process("validate", "flow.py", "-o", "json").json
    assert document == {
        "workflow": "hello@2",
        "ok": True,
        "initial": "greet",
        "state_count": 2,
        "edge_count": 1,
        "findings": [],
    }


def test_the_json_of_a_faulty_workflow_has_the_same_shape(shell: Shell) -> None:
    shell.write("flow.py", HEAD + A)
    document = json.loads(shell.call("validate", "flow.py", "-o", "json").out)
    assert document == {
        "workflow": "x@7",
        "ok": False,
        "initial": None,
        "state_count": 1,
        "edge_count": 0,
        "findings": [
            {
                "code": "no-initial",
                "subject": "",
                "message": "the initial state is not set: call set_initial(state)",
            }
        ],
    }


def test_hostile_names_reach_no_terminal_raw(shell: Shell) -> None:
    shell.write("flow.py", f"{HEAD}{INITIAL}{A}wf.note_transition('a', 'x\\x1b[31m\\n\\u202ey')\n")
    ended = shell.call("validate", "flow.py")
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert "\u202e" not in ended.err
    one_line(ended)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.py"], 66, "no such file"),
        (["flow"], 64, "is no target"),
        (["broken.py"], 1, "SyntaxError"),
        (["nothing.py"], 66, "neither `wf` nor `workflow`"),
        ([], 64, "Missing argument"),
        (["flow.py", "--strict"], 64, "No such option"),
    ],
)
def test_mistakes_are_one_line(shell: Shell, words: list[str], code: int, said: str) -> None:
    shell.write("flow.py", HELLO)
    shell.write("broken.py", "def f(:\n")
    shell.write("nothing.py", "x = 1\n")
    ended = shell.call("validate", *words)
    assert ended.code == code
    assert said in one_line(ended)
