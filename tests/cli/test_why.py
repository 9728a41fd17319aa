"""`replayt why`: what each move was decided by, and where it could have gone instead."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from tests.cli.helpers import GATE, HELLO, Shell, one_line

TRIAGE = "examples.issue_triage:wf"


def triaged(shell: Shell) -> None:
    inputs = files("replayt.examples").joinpath("issue_triage.json").read_text("utf-8")
    words = ("--inputs-json", inputs, "--run-id", "a", "--dry-run")
    assert shell.call("run", TRIAGE, *words).code == 2
    assert shell.call("resume", TRIAGE, "a", "--approval", "triage", "--dry-run").code == 0


def test_each_move_of_the_bundled_triage_is_explained(shell: Shell) -> None:
    triaged(shell)
    ended = shell.call("why", "a")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(
        "run a  issue_triage@1  completed\n"
        "\n"
        "check_report -> classify  (seq 4)\n"
        "  because    title and description are long enough\n"
        '  looked at  input issue: {"number": 482, '
    )
    triage = next(event for event in shell.events("a") if event["type"] == "structured_output")
    data = json.dumps(triage["payload"]["data"], ensure_ascii=False)
    assert f"  looked at  call Triage: {data}"[:170] in ended.out
    assert "  not taken  request_more_info\n" in ended.out
    assert ended.out.endswith(
        "\n"
        "review -> apply  (seq 23)\n"
        "  because    approval triage approved\n"
        "  looked at  approval triage: approved  (seq 19, state review)\n"
        "  not taken  leave_to_person\n"
    )


def test_a_read_names_the_event_and_the_state_that_wrote_it(shell: Shell) -> None:
    triaged(shell)
    out = shell.call("why", "a", "assign").out
    wrote = next(
        event["seq"]
        for event in shell.events("a")
        if event["type"] == "state_exited" and event["payload"]["state"] == "classify"
    )
    assert out.count(" -> ") == 1
    assert f"(seq {wrote}, state classify)" in out


def test_json_holds_the_whole_values(shell: Shell) -> None:
    triaged(shell)
    document = shell.call("why", "a", "check_report", "-o", "json").json
    assert (document["run_id"], document["status"]) == ("a", "completed")
    (move,) = document["moves"]
    assert (move["from_state"], move["to_state"], move["visit"]) == ("check_report", "classify", 1)
    assert move["not_taken"] == ["request_more_info"]
    (cause,) = move["causes"]
    assert set(cause) == {"read", "name", "seq", "state", "value"}
    assert cause["value"]["number"] == 482


def test_the_attempt_is_named_once(shell: Shell) -> None:
    inputs = files("replayt.examples").joinpath("e05_vendor_lookup_retries.json").read_text("utf-8")
    words = ("--inputs-json", inputs, "--run-id", "v")
    assert shell.call("run", "examples.e05_vendor_lookup_retries:wf", *words).code == 0
    (entered,) = (
        event["seq"]
        for event in shell.events("v")
        if event["type"] == "state_entered" and event["payload"]["attempt"] > 1
    )
    assert f"  looked at  attempt  (seq {entered})\n" in shell.call("why", "v", "look_up").out


def test_a_key_that_was_absent_is_shown_so(shell: Shell) -> None:
    absent = HELLO.replace("ctx.because(", "ctx.get('vip'); ctx.because(")
    shell.write("flow.py", absent)
    assert shell.call("run", "flow.py", "--run-id", "a", "--input", "name=Ada").code == 0
    out = shell.call("why", "a").out
    assert "  because    everybody is greeted\n" in out
    assert "  looked at  input name: Ada  (seq 1)\n" in out
    assert "vip: there was none\n" in out


def test_a_run_that_has_not_moved_says_so(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    ended = shell.call("why", "a")
    assert (ended.code, ended.out.splitlines()[1:]) == (0, ["it has made no move yet"])
    assert shell.call("why", "a", "-o", "json").json["moves"] == []


def test_of_a_damaged_log_the_readable_moves_are_explained(shell: Shell) -> None:
    """R7."""
    triaged(shell)
    log = shell.log("a").read_bytes()
    at = log.index(b'"seq":18')
    shell.log("a").write_bytes(log[:at] + b"!" + log[at + 1 :])
    ended = shell.call("why", "a")
    assert ended.code == 65
    assert "assign -> review" in ended.out
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch"], 66, "nosuch"),
        (["a", "nosuch"], 66, "it left check_report, classify, assign, review"),
        ([], 64, "RUN_ID"),
    ],
)
def test_mistakes(shell: Shell, words: list[str], code: int, said: str) -> None:
    triaged(shell)
    ended = shell.call("why", *words)
    assert ended.code == code
    assert said in one_line(ended)
