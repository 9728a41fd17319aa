"""`replayt pin`: a run kept beside the tests, byte for byte or redacted."""

from __future__ import annotations

import json

import pytest

from replayt_core.chain import line_hash
from tests.cli.helpers import GATE, SORTS, Shell, one_line

PIN = ("pin", "a", "--out", "tests/runs")


def recorded(shell: Shell, *words: str) -> bytes:
    shell.write("flow.py", SORTS)
    words = ("--dry-run", "--input", "number=12", *words)
    assert shell.call("run", "flow.py", "--run-id", "a", *words).code == 0
    return shell.log("a").read_bytes()


def test_a_copy_is_the_run_byte_for_byte(shell: Shell) -> None:
    before = recorded(shell)
    ended = shell.call(*PIN)
    head = line_hash(before.splitlines()[-1])
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"run_id=a\npath=tests/runs/a.jsonl\nhead={head}\n"
    assert shell.log("a", "tests/runs").read_bytes() == before == shell.log("a").read_bytes()
    words = ("verify", "a", "--log-dir", "tests/runs", "--target", "flow.py", "--head", head)
    assert shell.call(*words).code == 0


def test_a_redacted_copy_names_its_original_and_verifies(shell: Shell) -> None:
    before = recorded(shell, "--log-mode", "full")
    assert b"Choose a label" in before
    document = shell.call(*PIN, "--redact", "-o", "json").json
    copy = shell.log("a", "tests/runs").read_bytes()
    assert b"Choose a label" not in copy
    assert document == {
        "run_id": "a",
        "path": "tests/runs/a.jsonl",
        "head": line_hash(copy.splitlines()[-1]),
        "events": len(before.splitlines()),
        "redacted": True,
        "pinned_from": line_hash(before.splitlines()[-1]),
        "torn_bytes": 0,
    }
    started = json.loads(copy.splitlines()[0])["payload"]
    assert started["pinned_from"] == {"head": document["pinned_from"]}
    check = ("verify", "a", "--log-dir", "tests/runs", "--target", "flow.py")
    assert shell.call(*check).code == 0
    shell.write("flow.py", SORTS.replace("One word", "Two words"))
    assert shell.call(*check).code == 1


def test_a_run_with_a_line_that_a_bridge_wrote_is_copied(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    last = json.loads(shell.log("a").read_bytes().splitlines()[-1])
    line = {
        "ts": last["ts"],
        "run_id": "a",
        "seq": last["seq"] + 1,
        "type": "approval_resolved",
        "payload": {"approval_id": "publish", "approved": True},
    }
    with shell.log("a").open("a", newline="\n") as file:
        file.write(json.dumps(line) + "\n")
    assert shell.call("resume", "flow.py", "a").code == 0
    assert shell.call(*PIN).code == 0
    assert shell.log("a", "tests/runs").read_bytes() == shell.log("a").read_bytes()
    assert shell.call("pin", "a", "--out", "other", "--redact").code == 0
    check = ("verify", "a", "--log-dir", "other", "--target", "flow.py", "--strict")
    assert shell.call(*check).code == 0


def test_a_run_that_is_there_is_not_replaced(shell: Shell) -> None:
    recorded(shell)
    assert shell.call(*PIN, "--redact").code == 0
    before = shell.log("a", "tests/runs").read_bytes()
    ended = shell.call(*PIN)
    assert ended.code == 75
    assert "tests/runs/a.jsonl exists" in one_line(ended)
    assert shell.log("a", "tests/runs").read_bytes() == before
    assert shell.call("pin", "a", "--out", ".replayt/runs").code == 75


@pytest.mark.parametrize("redact", [[], ["--redact"]], ids=["whole", "redacted"])
def test_a_damaged_run_is_refused_and_leaves_nothing(shell: Shell, redact: list[str]) -> None:
    lines = recorded(shell).splitlines(keepends=True)
    shell.log("a").write_bytes(b"".join([*lines[:4], *lines[5:]]))
    ended = shell.call(*PIN, *redact)
    assert ended.code == 65
    assert "damaged" in one_line(ended)
    assert not (shell.directory / "tests").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a"], 64, "--out"),
        (["a", "--out", " "], 64, "--out is empty"),
        (["nosuch", "--out", "x"], 66, "nosuch"),
    ],
)
def test_mistakes(shell: Shell, words: list[str], code: int, said: str) -> None:
    recorded(shell)
    ended = shell.call("pin", *words)
    assert ended.code == code
    assert said in one_line(ended)


def test_a_run_that_is_executed_right_now_is_refused(shell: Shell) -> None:
    from replayt_store import JSONLStore

    recorded(shell)
    with JSONLStore(".replayt/runs").lock("a"):
        ended = shell.call(*PIN)
    assert ended.code == 75
    assert "being executed" in one_line(ended)


@pytest.mark.parametrize("words", [(), ("--redact",)])
def test_a_torn_tail_is_left_out_and_told(shell: Shell, words: tuple[str, ...]) -> None:
    recorded(shell)
    whole = shell.log("a").read_bytes()
    shell.log("a").write_bytes(whole + b'{"ts": "2026')
    ended = shell.call("pin", "a", "--out", "kept", "-o", "json", *words)
    assert ended.code == 0
    assert ended.err == (
        "replayt: warning: 12 bytes of a batch that was cut short are left out of the copy\n"
    )
    assert ended.json["torn_bytes"] == 12
    kept = shell.log("a", "kept").read_bytes()
    assert kept.count(b"\n") == whole.count(b"\n")
    assert words or kept == whole
