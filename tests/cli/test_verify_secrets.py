"""`replayt verify --secrets`: where secrets stand in existing logs (issue 5 point 6, SC-57)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.helpers import HELLO, SORTS, Shell, one_line

FIXTURES = Path(__file__).parents[1] / "fixtures"
MAIL = "ada@analytical.engine.net"
KEY = "sk-proj-q7Zt2mVx9LwB4nRkE1sYpA8d"


def recorded(shell: Shell, run_id: str, *words: str, name: str = "world") -> None:
    shell.write("hello.py", HELLO)
    ended = shell.call("run", "hello.py", "--run-id", run_id, "--input", f"name={name}", *words)
    assert ended.code == 0, ended.err


def test_it_tells_file_seq_path_and_kind_and_never_the_value(shell: Shell) -> None:
    """Issue 5 point 6: exit 1 when found."""
    recorded(shell, "a", name=f"{MAIL} {KEY}")
    ended = shell.call("verify", "a", "--secrets")
    assert ended.code == 1
    file = os.path.join(".replayt/runs", "a.jsonl")
    assert ended.out.splitlines() == [
        f"{file} seq 1: model provider key at $.payload.inputs.name",
        f"{file} seq 1: e-mail address at $.payload.inputs.name",
        f"{file} seq 3: model provider key at $.payload.context.set.greeting",
        f"{file} seq 3: e-mail address at $.payload.context.set.greeting",
        f"{file} seq 6: model provider key at $.payload.summary",
        f"{file} seq 6: e-mail address at $.payload.summary",
        "1 run searched for secrets: 6 findings in 1 run",
    ]
    lines = shell.log("a").read_text().splitlines()
    assert MAIL in lines[2]
    for secret in (MAIL, KEY, "q7Zt2mVx"):
        assert secret not in ended.out + ended.err


def test_a_clean_run_is_a_pass(shell: Shell) -> None:
    """Issue 5 point 6."""
    recorded(shell, "a")
    ended = shell.call("verify", "a", "--secrets")
    assert (ended.code, ended.out) == (0, "1 run searched for secrets: nothing found\n")


def test_all_searches_a_whole_store_and_tags_choose(shell: Shell) -> None:
    """Issue 5 point 6: the gate for logs that are to leave the house."""
    recorded(shell, "a", "--tag", "team=x")
    recorded(shell, "b", "--tag", "team=y", name=MAIL)
    ended = shell.call("verify", "--secrets", "--all")
    assert ended.code == 1
    assert ended.out.endswith("2 runs searched for secrets: 3 findings in 1 run\n")
    ended = shell.call("verify", "--secrets", "--all", "--tag", "team=x")
    assert (ended.code, ended.out) == (
        0,
        "1 run searched for secrets: nothing found; 1 with other tags skipped\n",
    )
    ended = shell.call("verify", "--secrets", "--all", "--tag", "team=z")
    assert ended.code == 1
    assert "nothing to check, which is no pass: the store has 2 with other tags" in one_line(ended)


def test_the_json_is_one_document_with_places_and_kinds(shell: Shell) -> None:
    """SC-122: for a program that opens an issue for each."""
    recorded(shell, "a", name=MAIL)
    ended = shell.call("verify", "a", "--secrets", "--output", "json")
    assert ended.code == 1
    assert MAIL not in ended.out
    document = ended.json
    assert {name: document[name] for name in ("ok", "checked", "secrets", "damaged")} == {
        "ok": False,
        "checked": 1,
        "secrets": 3,
        "damaged": 0,
    }
    assert document["findings"][0] == {
        "run_id": "a",
        "place": os.path.join(".replayt/runs", "a.jsonl"),
        "seq": 1,
        "path": "$.payload.inputs.name",
        "kind": "e-mail address",
    }
    assert document["problems"] == []


def test_of_a_damaged_log_what_can_be_read_is_searched_and_the_rest_is_said(shell: Shell) -> None:
    """DESIGN 4: one bad file never breaks a command for the others."""
    recorded(shell, "a", name=MAIL)
    recorded(shell, "b", name=MAIL)
    log = shell.log("a")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[1] + b"{broken}\n" + lines[3])
    ended = shell.call("verify", "--secrets", "--all")
    assert ended.code == 65
    assert "a.jsonl seq 1: e-mail address at $.payload.inputs.name" in ended.out
    assert "a.jsonl: damaged: " in ended.out
    assert "b.jsonl seq 6" in ended.out
    assert ended.out.endswith("4 findings in 2 runs; 1 could not be read to the end\n")
    found = shell.call("verify", "a", "--secrets", "-o", "json")
    assert found.code == 65
    assert "damaged" in found.json["problems"][0]["problem"]


def test_the_recorded_logs_of_every_release_are_clean(shell: Shell) -> None:
    """Issue 5 point 6: no hash, id, digest or key of our own is taken for a secret."""
    for folder in ("schema-1", "unchained"):
        shutil.copytree(FIXTURES / folder, shell.directory / folder)
        count = len(list((shell.directory / folder).glob("*.jsonl")))
        ended = shell.call("verify", "--secrets", "--all", "--log-dir", folder)
        assert (ended.code, ended.out) == (
            0,
            f"{count} runs searched for secrets: nothing found\n",
        )


def test_a_dry_run_with_calls_and_tools_is_clean_in_every_mode(shell: Shell) -> None:
    """Issue 5 point 6."""
    shell.write("flow.py", SORTS)
    for mode in ("redacted", "full", "structured_only"):
        words = ("--dry-run", "--input", "number=12", "--log-mode", mode)
        assert shell.call("run", "flow.py", *words).code == 0
    ended = shell.call("verify", "--secrets", "--all")
    assert (ended.code, ended.out) == (0, "3 runs searched for secrets: nothing found\n")


@pytest.mark.parametrize("words", [("--target", "flow.py"), ("--head", "0" * 32), ("--strict",)])
def test_it_is_a_check_of_its_own(shell: Shell, words: tuple[str, ...]) -> None:
    """SC-119: 64, one line."""
    ended = shell.call("verify", "a", "--secrets", *words)
    assert ended.code == 64
    assert "--secrets is a check of its own" in one_line(ended)


def test_which_runs_has_to_be_said(shell: Shell) -> None:
    """SC-119, SC-120."""
    assert shell.call("verify", "--secrets").code == 64
    assert shell.call("verify", "nothing", "--secrets").code == 66


def test_a_path_from_a_log_reaches_no_terminal_raw(shell: Shell) -> None:
    """DESIGN 6: control characters are escaped."""
    shell.write("hello.py", HELLO)
    inputs = json.dumps({"\x1b]0;x\x07\u202e": MAIL})
    assert shell.call("run", "hello.py", "--run-id", "a", "--inputs-json", inputs).code == 0
    ended = shell.call("verify", "a", "--secrets")
    assert ended.code == 1
    assert not {"\x1b", "\x07", "\u202e"} & set(ended.out)


def test_other_stores_are_searched_too(shell: Shell) -> None:
    """DESIGN 4: every read command accepts every store."""
    shell.write("hello.py", HELLO)
    words = ("--store", "sqlite:///runs.db", "--run-id", "a", "--input", f"name={MAIL}")
    assert shell.call("run", "hello.py", *words).code == 0
    ended = shell.call("verify", "a", "--secrets", "--store", "sqlite:///runs.db")
    assert ended.code == 1
    assert "run a seq 1: e-mail address at $.payload.inputs.name" in ended.out


HIDES = """
from pathlib import Path
from typing import Annotated
from pydantic import BaseModel
from replayt_core import Redacted, Workflow

wf = Workflow("hides")
wf.set_initial("ask")


class Person(BaseModel):
    name: str
    ssn: Annotated[str, Redacted]


@wf.step("ask", to=["gate"])
def ask(ctx):
    person = ctx.llm.parse(Person, messages=[{"role": "user", "content": "who?"}])
    ctx.set("person", person)
    Path("ssn").write_text(person.ssn)
    return "gate"


@wf.step("gate")
def gate(ctx):
    if ctx.request_approval("go"):
        ctx.set("length", len(ctx.get("person")["ssn"]))
"""


def test_what_a_model_marks_is_in_no_log_and_has_to_be_handed_in_again(shell: Shell) -> None:
    """DESIGN 3, 5: `--set KEY=JSON`; 75 without, 75 with another value, nothing written."""
    shell.write("hides.py", HIDES)
    assert shell.call("run", "hides.py", "--dry-run", "--run-id", "a").code == 2
    ssn = (shell.directory / "ssn").read_text()
    before = shell.log("a").read_bytes()
    assert json.dumps(ssn).encode() not in before
    resume = ("resume", "hides.py", "a", "--approval", "go", "--dry-run")
    for words in ((), ("--set", 'ssn="another"')):
        ended = shell.call(*resume, *words)
        assert ended.code == 75
        assert "the log has only the hash of 'ssn'" in one_line(ended)
        assert "another" not in ended.err
        assert shell.log("a").read_bytes() == before
    handed_in = ("--set", f"ssn={json.dumps(ssn)}")
    assert shell.call(*resume, *handed_in).code == 0
    assert json.dumps(ssn).encode() not in shell.log("a").read_bytes()
    fork = ("fork", "hides.py", "a", "--at", "gate", *handed_in)
    for words, said in ((("--log-mode", "full"), "mode full"), (("--tag", "ssn=1"), "tags")):
        ended = shell.call(*fork, *words)
        assert ended.code == 1
        assert said in one_line(ended)
        assert "--at" not in ended.err  # the place is not what is wrong
    assert shell.call("verify", "a").code == 0
    assert shell.call("verify", "a", "--target", "hides.py").code == 75
    assert shell.call("verify", "a", "--target", "hides.py", *handed_in).code == 0
    ended = shell.call("verify", "--all", "--target", "hides.py")
    assert ended.code == 1
    assert "a  redacted  the log has only the hash of 'ssn'" in ended.out
    assert shell.call("verify", "--all", "--target", "hides.py", *handed_in).code == 0
    assert shell.call("verify", "a", *handed_in).code == 64
