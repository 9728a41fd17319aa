"""Inputs and tags on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.helpers import HELLO, Ended, Shell, one_line


def recorded(shell: Shell, *words: str) -> dict[str, Any]:
    """The inputs in the log of a run that was given these options."""
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", "--run-id", "a", *words)
    assert ended.code == 0, ended.err
    inputs = shell.events("a")[0]["payload"]["inputs"]
    assert isinstance(inputs, dict)
    return inputs


def refused(shell: Shell, *words: str) -> str:
    """What is said of options that no run is made of (SC-127)."""
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", *words)
    assert ended.code == 64
    assert not shell.directory.joinpath(".replayt").exists()
    return one_line(ended)


@pytest.mark.parametrize(
    ("pairs", "inputs"),
    [
        (["name=Bo"], {"name": "Bo"}),
        (["n=3", "x=-1.5", "yes=true", "no=null"], {"n": 3, "x": -1.5, "yes": True, "no": None}),
        (['text="3"'], {"text": "3"}),
        (["list=[1, 2]", 'object={"a": {"b": 1}}'], {"list": [1, 2], "object": {"a": {"b": 1}}}),
        (["empty="], {"empty": ""}),
        (["eq=a=b"], {"eq": "a=b"}),
        (["word=NaN", "more=[NaN]", "half={"], {"word": "NaN", "more": "[NaN]", "half": "{"}),
        (["order.total=12.5"], {"order": {"total": 12.5}}),
        (
            ["order.total=12.5", "order.lines.first=bolts", "name=Bo", "order.id=7"],
            {"order": {"total": 12.5, "lines": {"first": "bolts"}, "id": 7}, "name": "Bo"},
        ),
        (["größe.höhe=1"], {"größe": {"höhe": 1}}),
    ],
)
def test_each_input_is_json_or_text_at_its_place(
    shell: Shell, pairs: list[str], inputs: dict[str, Any]
) -> None:
    assert recorded(shell, *(f"--input={pair}" for pair in pairs)) == inputs


def test_single_inputs_go_over_the_object_and_into_it(shell: Shell) -> None:
    given = {"a": 1, "order": {"total": 1, "id": 7}, "with.dot": True}
    words = ["--input", "a=2", "--input", "order.total=12.5", "--input", "new.deep=x"]
    assert recorded(shell, "--inputs-json", json.dumps(given), *words) == {
        "a": 2,
        "order": {"total": 12.5, "id": 7},
        "with.dot": True,
        "new": {"deep": "x"},
    }


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["a=1", "a.b=2"], "gives both 'a' and 'a.b'"),
        (["a.b=2", "a=1"], "gives both 'a' and 'a.b'"),
        (['a={"x": 1}', "a.b=2"], "gives both 'a' and 'a.b'"),
        (["a.b=1", "a.b.c.d=2"], "gives both 'a.b' and 'a.b.c.d'"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a.b=1", "a.b=2"], "'a.b' is given twice"),
        ([".a=1"], "a key that holds a dot goes into --inputs-json"),
        (["a.=1"], "empty part"),
        (["a..b=1"], "empty part"),
        ([".=1"], "empty part"),
        (["=1"], "KEY=VALUE"),
        (["a"], "KEY=VALUE"),
        (['a={"x": 1, "x": 2}'], "'a' is not valid JSON: the key 'x' is given twice"),
        (["a=1e999"], "too large"),
    ],
)
def test_inputs_that_contradict_each_other_are_64(
    shell: Shell, pairs: list[str], said: str
) -> None:
    assert said in refused(shell, *(f"--input={pair}" for pair in pairs))


def test_a_part_of_what_is_no_object_is_64(shell: Shell) -> None:
    said = refused(shell, "--inputs-json", '{"a": {"b": [1]}}', "--input", "a.b.c=1")
    assert "needs an object at 'a.b', where --inputs-json has an array" in said


def test_a_very_deep_key_is_64(shell: Shell) -> None:
    assert "deep" in refused(shell, "--input", f"{'a.' * 5_000}a=1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@", "@ names no file"),
        ("@missing.json", "cannot read missing.json"),
        ("@.", "cannot read ."),
        ("@bad.json", "--inputs-json @bad.json is not valid JSON"),
        ("@list.json", "--inputs-json @list.json must be a JSON object"),
        ("@empty.json", "--inputs-json @empty.json is empty"),
        ("@latin.json", "latin.json is not UTF-8 text"),
        (" ", "--inputs-json is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(shell: Shell, text: str, said: str) -> None:
    """SC-127."""
    shell.write("bad.json", "{")
    shell.write("list.json", "[]")
    shell.write("empty.json", "\n")
    shell.directory.joinpath("latin.json").write_bytes('{"ä": 1}'.encode("latin-1"))
    assert said in refused(shell, "--inputs-json", text)


def test_a_file_with_a_byte_order_mark_is_read(shell: Shell) -> None:
    shell.directory.joinpath("in.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert recorded(shell, "--inputs-json", "@in.json") == {"a": 1}


def piped(shell: Shell, text: str) -> Ended:
    shell.write("flow.py", HELLO)
    return shell.process("run", "flow.py", "--run-id", "a", "--inputs-json", "-", stdin=text)


def test_standard_input_is_read_without_a_word(shell: Shell) -> None:
    ended = piped(shell, '{"name": "Zoë"}')
    assert (ended.code, ended.err) == (0, "")
    assert shell.events("a")[0]["payload"]["inputs"] == {"name": "Zoë"}


@pytest.mark.parametrize(("text", "said"), [("", "- is empty"), ("{", "- is not valid JSON")])
def test_standard_input_that_is_no_object_is_64(shell: Shell, text: str, said: str) -> None:
    ended = piped(shell, text)
    assert ended.code == 64
    assert said in one_line(ended)


def test_a_terminal_is_told_that_it_is_read(shell: Shell) -> None:
    """Nobody sits before a command that seems to hang."""
    terminal = pytest.importorskip("tests.cli.terminal")
    shell.write("flow.py", HELLO)
    words = ("run", "flow.py", "--run-id", "a", "--inputs-json", "-")
    child = terminal.spawn(shell.directory, *words, TERM="dumb")
    child.expect("--inputs-json is read from the terminal; Ctrl-D on a line of its own ends it")
    child.sendline('{"name": "Ana"}')
    child.sendeof()
    child.expect("status=completed")
    assert terminal.ended(child)[0] == 0
    assert shell.events("a")[0]["payload"]["inputs"] == {"name": "Ana"}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1", "b=x=y", "c="], {"a": "1", "b": "x=y", "c": ""}),
        (["team.name=ops"], {"team.name": "ops"}),
        (["größe=日本"], {"größe": "日本"}),
    ],
)
def test_tags_are_texts_and_their_keys_are_flat(
    shell: Shell, tags: list[str], found: dict[str, str]
) -> None:
    """SC-131."""
    recorded(shell, *(f"--tag={tag}" for tag in tags))
    assert shell.events("a")[0]["payload"]["tags"] == found


@pytest.mark.parametrize("tag", ["a", "=1", ""])
def test_a_tag_without_key_or_value_is_64(shell: Shell, tag: str) -> None:
    """SC-131."""
    assert "is not KEY=VALUE" in refused(shell, "--tag", tag)
