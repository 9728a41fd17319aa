from __future__ import annotations

import pytest

from tests.cli.helpers import HELLO, Shell, one_line


@pytest.mark.parametrize("target", ["flow.py", "flow:wf", "pack.inner:made", "sub/flow.py"])
def test_the_forms_of_a_target(shell: Shell, target: str) -> None:
    """SC-112, SC-115: files, and modules looked for in the working directory."""
    shell.write("flow.py", HELLO)
    shell.write("sub/flow.py", HELLO)
    shell.write("pack/__init__.py", "")
    shell.write("pack/inner.py", HELLO.replace("wf", "made"))
    ended = shell.process("validate", target)
    assert (ended.code, ended.out) == (0, "hello@2: ok, 2 states, 1 edge\n")


def test_a_file_may_call_it_workflow_and_import_its_neighbour(shell: Shell) -> None:
    """SC-113."""
    shell.write("sub/neighbour.py", HELLO)
    shell.write("sub/flow.py", "from neighbour import wf as workflow\n")
    assert shell.process("validate", "sub/flow.py").code == 0


def test_a_file_with_neither_name_says_so(shell: Shell) -> None:
    """SC-113."""
    shell.write("flow.py", "x = 1\n")
    ended = shell.call("run", "flow.py")
    assert ended.code == 66
    assert "neither `wf` nor `workflow`" in one_line(ended)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("missing.py", 66),
        ("missing:wf", 66),
        ("flow:nope", 66),
        ("flow:text", 66),
        ("other.py", 66),
        ("flow", 64),
        ("a b:c", 64),
        (":wf", 64),
        ("flow:", 64),
        ("", 64),
    ],
)
def test_what_is_no_target_lists_the_accepted_forms(shell: Shell, target: str, code: int) -> None:
    """SC-114."""
    shell.write("flow.py", HELLO + "text = 'a text'\n")
    shell.write("other.py", "wf = 3\n")
    ended = shell.process("run", target)
    assert ended.code == code
    assert "module:variable" in one_line(ended)
    assert not shell.directory.joinpath(".replayt").exists()


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("x = 1\ny = missing\n", "NameError", "flow.py:2"),
        ("def f(:\n", "SyntaxError", "flow.py:1"),
        ("import nosuchpackage\n", "nosuchpackage", "flow.py:1"),
        ("import sys\nsys.exit(2)\n", "SystemExit", "flow.py:2"),
        ("import json\njson.loads('{')\n", "JSONDecodeError", "flow.py:2"),
        ("from replayt_core import Workflow\nWorkflow('')\n", "DefinitionError", "flow.py:2"),
    ],
)
@pytest.mark.parametrize("target", ["flow.py", "flow:wf"])
def test_a_target_that_fails_to_load_is_one_line_with_its_place(
    shell: Shell, target: str, text: str, said: str, place: str
) -> None:
    shell.write("flow.py", text)
    ended = shell.process("run", target)
    assert ended.code == 1
    line = one_line(ended)
    assert said in line
    assert f"({place})" in line


def test_examples_means_the_users_own_package_first(shell: Shell) -> None:
    shell.write("examples/mine.py", HELLO)
    assert "hello@2" in shell.process("validate", "examples.mine:wf").out


def test_examples_falls_back_to_the_bundled_ones(shell: Shell) -> None:
    pytest.importorskip("replayt.examples")
    assert shell.process("validate", "examples.issue_triage:wf").code == 0
    assert shell.process("validate", "examples.nothing_like_it:wf").code == 66


def test_validate_lists_all_findings_at_once_on_stderr(shell: Shell) -> None:
    """SC-157."""
    shell.write(
        "flow.py",
        "from replayt_core import Workflow\n"
        "wf = Workflow('x')\n"
        "wf.set_initial('a')\n"
        "@wf.step('a', to=['gone'])\ndef a(ctx): raise SystemExit\n"
        "@wf.step('island')\ndef island(ctx): raise SystemExit\n"
        "wf.note_transition('ghost', 'a')\n",
    )
    ended = shell.call("validate", "flow.py")
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 3
    assert all(word in ended.err for word in ("'gone'", "'island'", "'ghost'"))
    document = shell.call("validate", "flow.py", "--output", "json").json
    assert document["ok"] is False
    assert {finding["code"] for finding in document["findings"]} == {
        "unknown-edge-target",
        "unknown-edge-source",
        "unreachable",
    }


def test_validate_and_graph_run_no_handler(shell: Shell) -> None:
    """SC-153, SC-154, SC-156."""
    shell.write("flow.py", HELLO.replace("ctx.set(", "raise SystemExit; ctx.set("))
    assert shell.call("validate", "flow.py").code == 0
    graph = shell.call("graph", "flow.py")
    assert graph.code == 0
    assert graph.out.startswith("flowchart TD\n")
    assert "greet" in graph.out
    assert "done" in graph.out
    assert not shell.directory.joinpath(".replayt").exists()
