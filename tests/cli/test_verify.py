"""`replayt verify`: what passes, what is found and how it is told, and what is no pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import GATE, HELLO, SORTS, Ended, Shell, on_terminal, one_line

VARIES = ((re.compile(r"\b[0-9a-f]{32}\b"), "<hash>"), (re.compile(r"byte \d+"), "byte <n>"))

BEGINNING = """\
run a  sorts@1  different
  checked         12 events, chained; {checked}
  head            <hash>

"""
END = """
  note            the source of step 'read' has changed since the run
"""


def recorded(shell: Shell, run_id: str = "a", *words: str, number: int = 12) -> bytes:
    shell.write("flow.py", SORTS)
    words = ("--dry-run", "--input", f"number={number}", *words)
    assert shell.call("run", "flow.py", "--run-id", run_id, *words).code == 0
    return shell.log(run_id).read_bytes()


def mended(shell: Shell, old: str, new: str) -> None:
    assert SORTS.count(old) == 1
    shell.write("flow.py", SORTS.replace(old, new))


def report(ended: Ended) -> str:
    """The report without what differs from run to run."""
    assert ended.err == ""
    text = ended.out
    for pattern, shown in VARIES:
        text = pattern.sub(shown, text)
    return text


def test_an_untouched_run_passes_and_is_left_alone(shell: Shell) -> None:
    before = recorded(shell)
    ended = shell.call("verify", "a")
    assert (ended.code, report(ended)) == (
        0,
        "run a  sorts@1  ok\n"
        "  checked         12 events, chained; no handler was executed\n"
        "  head            <hash>\n",
    )
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert (ended.code, report(ended)) == (
        0,
        "run a  sorts@1  ok\n"
        "  checked         12 events, chained; 2 attempts executed again, 2 calls served from the "
        "log\n"
        "  head            <hash>\n",
    )
    assert shell.log("a").read_bytes() == before


GOLDEN = {
    "a character of a prompt": (
        "One word.",
        "One word!",
        "1 attempt executed again, 1 call served from the log",
        """\
first difference: call 2 is not the recorded one
  at              seq 5, state read, flow.py:22
  recorded        llm Label [user 38 B 7836549d7ad3]
  now             llm Label [user 38 B ad1d80387bd9]
    messages[0] (user):
      --- recorded
      +++ now
      @@ -1,2 +1,2 @@
       Choose a label for issue 12.
      -One word.
      +One word!
""",
    ),
    "an argument of a tool": (
        '{"number": number}',
        '{"number": number + 1}',
        "1 attempt executed again, 0 calls served from the log",
        """\
first difference: call 1 is not the recorded one
  at              seq 3, state read, flow.py:20
  recorded        tool look_up {"number":12}
  now             tool look_up {"number":13}
    argument number: recorded 12
    argument number: now      13
""",
    ),
    "a branch": (
        "number > 10",
        "number > 100",
        "1 attempt executed again, 2 calls served from the log",
        """\
first difference: state_exited.next_state
  at              seq 8, state read, flow.py:13
  recorded        "urgent"
  now             "later"
""",
    ),
    "a write to the context": (
        'ctx.set("number", number)',
        'ctx.set("number", number + 1)',
        "1 attempt executed again, 2 calls served from the log",
        """\
first difference: the context key 'number'
  at              seq 8, state read, flow.py:13
  recorded        not written
  now             13
""",
    ),
}


@pytest.mark.parametrize(("old", "new", "checked", "difference"), GOLDEN.values(), ids=GOLDEN)
def test_the_first_difference_is_told(
    shell: Shell, old: str, new: str, checked: str, difference: str
) -> None:
    recorded(shell, "a", "--log-mode", "full")
    mended(shell, old, new)
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert ended.code == 1
    assert report(ended) == BEGINNING.format(checked=checked) + difference + END


def test_a_changed_byte_of_the_log_is_damage(shell: Shell) -> None:
    log = recorded(shell, "a", "--log-mode", "full")
    at = log.index(b"issue 12")
    shell.log("a").write_bytes(log[:at] + b"J" + log[at + 1 :])
    for words in ((), ("--target", "flow.py")):
        assert shell.call("verify", "a", *words).code == 65
    assert report(shell.call("verify", "a")) == (
        "run a  sorts@1  damaged\n"
        "  checked         4 events, chained; no handler was executed\n"
        "  head            <hash>\n"
        "  damage          the log of run a is damaged: the line that should be event 5 does not "
        "follow the line before it (its `prev` differs) (.replayt/runs/a.jsonl, line 5, byte <n>). "
        "What stands before it can be read; nothing is appended\n"
    )


@pytest.mark.parametrize("at", [0, 40])
def test_damage_in_the_first_line_is_damage_too(shell: Shell, at: int) -> None:
    log = recorded(shell)
    shell.log("a").write_bytes(log[:at] + b"\0" + log[at + 1 :])
    ended = shell.call("verify", "a")
    assert ended.code == 65
    assert "damage " in report(ended)
    assert shell.call("verify", "a", "-o", "json").json["finding"] == "damaged"


def test_a_missing_line_is_damage(shell: Shell) -> None:
    """R8."""
    lines = recorded(shell).splitlines(keepends=True)
    shell.log("a").write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert shell.call("verify", "a").code == 65


def test_what_the_log_mode_did_not_keep_is_told_by_its_size_and_hash(shell: Shell) -> None:
    recorded(shell)
    mended(shell, "One word.", "One word!")
    out = report(shell.call("verify", "a", "--target", "flow.py"))
    assert "messages[0] recorded: user, 38 bytes, sha256 7836549d7ad3" in out
    assert "One word" not in out


def test_what_is_not_replayable_passes_and_is_named(shell: Shell) -> None:
    text = SORTS.replace("ctx.llm.parse(Label, messages=", "ctx.llm.complete_text(messages=")
    text = text.replace("answer.label", "answer")
    shell.write("flow.py", text)
    words = ("--run-id", "a", "--dry-run", "--input", "number=1")
    assert shell.call("run", "flow.py", *words).code == 0
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert ended.code == 0
    assert (
        "  not replayable  state 'read', visit 1, attempt 1: the text call at seq 5 is not "
        "replayable in log mode redacted\n"
    ) in report(ended)
    everything = shell.call("verify", "--all", "--target", "flow.py")
    assert everything.out == (
        "1 run checked: 1 ok, 0 failed; 1 with calls that are not replayable\n"
    )


def test_a_line_long_prompt_is_shown_around_its_change(shell: Shell) -> None:
    text = SORTS.replace("One word.", "x" * 900 + " One word. " + "y" * 900)
    shell.write("flow.py", text)
    words = ("--run-id", "a", "--dry-run", "--log-mode", "full", "--input", "number=1")
    assert shell.call("run", "flow.py", *words).code == 0
    shell.write("flow.py", text.replace("One word.", "One word!"))
    ended = shell.call("verify", "a", "--target", "flow.py")
    lines = report(ended).splitlines()
    old, new = (next(ln for ln in lines if ln.startswith(f"      {sign}…")) for sign in "-+")
    assert "One word." in old
    assert "One word!" in new
    assert max(len(old), len(new)) < 150
    details = shell.call("verify", "a", "--target", "flow.py", "-o", "json").json["difference"]
    assert "y" * 900 in "".join(details["details"])


def test_verify_passes_without_a_network(shell: Shell) -> None:
    """No socket is even made. The run itself asked the offline provider."""
    recorded(shell)
    script = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs):\n"
        "    raise AssertionError('verify used the network')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from replayt_cli.main import main\n"
        "sys.exit(main(['verify', 'a', '--target', 'flow.py']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=shell.directory, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_another_model_in_the_environment_is_a_note_and_needs_no_key(shell: Shell) -> None:
    """DESIGN 5: what the environment filled in is no difference."""
    recorded(shell)
    words = ("verify", "a", "--target", "flow.py")
    ended = shell.process(*words, REPLAYT_PROVIDER="groq", REPLAYT_MODEL="other")
    assert (ended.code, ended.err) == (0, "")
    assert 'note            provider of a model call: recorded "offline", now "groq"' in ended.out
    document = shell.process(*words, "-o", "json", REPLAYT_MODEL="other").json
    assert any(note.startswith("model of a model call: ") for note in document["notes"])
    ended = shell.process(*words, REPLAYT_PROVIDER="nobody")
    assert ended.code == 0
    assert "model calls are not compared with the environment" in ended.err
    assert "note " not in ended.out


def test_json_says_the_same(shell: Shell) -> None:
    recorded(shell)
    mended(shell, "number > 10", "number > 100")
    document = shell.call("verify", "a", "--target", "flow.py", "-o", "json").json
    assert set(document) == {
        *("run_id", "workflow_name", "workflow_version", "log_mode", "ok", "finding", "damage"),
        *("events", "head", "head_found", "chained", "unchained", "illegal", "executed"),
        *("attempts", "served_calls", "difference", "not_replayable", "notes", "torn_bytes"),
    }
    assert (document["ok"], document["finding"]) == (False, "different")
    assert document["difference"] == {
        "seq": 8,
        "state": "read",
        "visit": 1,
        "attempt": 1,
        "what": "state_exited.next_state",
        "recorded": '"urgent"',
        "now": '"later"',
        "location": "flow.py:13",
        "details": [],
    }


def test_a_head_that_was_kept_elsewhere_is_looked_for(shell: Shell) -> None:
    recorded(shell)
    head = shell.call("inspect", "a", "--json").json["summary"]["head"]
    assert shell.call("verify", "a", "--head", head).code == 0
    assert shell.call("verify", "a", "--head", head.upper()).code == 0
    ended = shell.call("verify", "a", "--head", "0" * 32)
    assert ended.code == 1
    assert "asked head      is that of no line" in ended.out


def unchained(shell: Shell, run_id: str) -> None:
    """A log as the releases before the chain wrote it, with a line that an app has added."""
    lines = [
        ("run_started", {"workflow_name": "sorts", "workflow_version": "1", "inputs": {}}),
        ("state_entered", {"state": "later"}),
        ("state_exited", {"state": "later", "next_state": None}),
        ("run_completed", {"final_state": "later", "status": "completed"}),
    ]
    shell.write(
        f".replayt/runs/{run_id}.jsonl",
        "".join(
            json.dumps(
                {
                    "ts": "2025-01-01T00:00:00Z",
                    "run_id": run_id,
                    "seq": seq,
                    "type": kind,
                    "payload": payload,
                }
            )
            + "\n"
            for seq, (kind, payload) in enumerate(lines, 1)
        ),
    )


def test_unchained_lines_pass_unless_strict(shell: Shell) -> None:
    unchained(shell, "old")
    ended = shell.call("verify", "old")
    assert ended.code == 0
    assert "unchained       4 lines: seq 1, 2, 3, 4 (without `prev`)" in ended.out
    ended = shell.call("verify", "old", "--strict")
    assert ended.code == 1
    assert "run old  sorts@1  unchained" in ended.out
    assert shell.call("verify", "--all").code == 0
    ended = shell.call("verify", "--all", "--strict")
    assert ended.code == 1
    assert ended.out.splitlines()[0] == "old  unchained  4 lines: seq 1, 2, 3, 4 without `prev`"


def test_a_whole_store_is_checked_with_one_line_a_failing_run(shell: Shell) -> None:
    for number in range(8, 13):
        recorded(shell, f"run-{number}", "--tag", "kind=ci", number=number)
    recorded(shell, "untagged")
    shell.write("other.py", HELLO)
    assert shell.call("run", "other.py", "--run-id", "foreign", "--tag", "kind=ci").code == 0
    ended = shell.call("verify", "--all")
    assert (ended.code, ended.out) == (0, "7 runs checked: 7 ok, 0 failed\n")
    mended(shell, "number > 10", "number > 11")
    words = ("verify", "--all", "--target", "flow.py", "--tag", "kind=ci")
    ended = shell.call(*words)
    assert ended.code == 1
    assert ended.out == (
        "run-11  different  seq 8, state read, flow.py:13: state_exited.next_state\n"
        "5 runs checked: 4 ok, 1 failed; 1 of other workflows skipped; 1 with other tags skipped\n"
    )
    assert ended.err == ""
    document = shell.call(*words, "-o", "json").json
    assert document["ok"] is False
    assert (document["checked"], document["passed"], document["failed"]) == (5, 4, 1)
    assert (document["other_workflow"], document["other_tags"]) == (1, 1)
    assert [run["run_id"] for run in document["failures"]] == ["run-11"]


def test_one_bad_file_does_not_end_the_check_of_the_others(shell: Shell) -> None:
    """R7."""
    recorded(shell)
    for name, data in {"bad": b"\0\0\n", "half": b'{"seq": 1'}.items():
        shell.log(name).write_bytes(data)
    shell.log("list").write_bytes(b"[]\n")
    ended = shell.call("verify", "--all", "--target", "flow.py")
    assert ended.code == 65
    lines = ended.out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:-1]] == [
        ["bad", "damaged"],
        ["list", "damaged"],
    ]
    assert lines[-1] == "3 runs checked: 1 ok, 2 failed (2 damaged)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the store has 1 of other workflows than gate"),
        (["--tag", "kind=ci"], "the store has 1 with other tags"),
        (["--log-dir", "empty"], "the store has no runs"),
    ],
)
def test_nothing_to_check_is_no_pass(shell: Shell, words: list[str], said: str) -> None:
    recorded(shell)
    shell.write("gate.py", GATE)
    for more in ((), ("-o", "json")):
        ended = shell.call("verify", "--all", "--target", "gate.py", *words, *more)
        assert ended.code == 1
        assert one_line(ended) == f"nothing to check, which is no pass: {said}"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 64, "either a RUN_ID or --all"),
        (["a", "--all"], 64, "either a RUN_ID or --all"),
        (["--all", "--head", "00"], 64, "--head"),
        (["a", "--tag", "k=v"], 64, "--tag"),
        (["nosuch"], 66, "nosuch"),
        (["a", "--target", "nosuch.py"], 66, "nosuch.py"),
        (["a", "--target", "broken.py"], 1, "broken.py:1"),
    ],
)
def test_mistakes(shell: Shell, words: list[str], code: int, said: str) -> None:
    recorded(shell)
    shell.write("broken.py", "wf = missing\n")
    ended = shell.call("verify", *words)
    assert ended.code == code
    assert said in one_line(ended)


def test_a_run_that_still_waits_or_was_cut_short_is_followed_as_far_as_it_goes(
    shell: Shell,
) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    assert shell.call("verify", "a", "--target", "flow.py").code == 0
    assert shell.call("resume", "flow.py", "a", "--approval", "publish").code == 0
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert ended.code == 0
    assert "3 attempts executed again" in ended.out


def test_what_handlers_print_stays_out_of_the_report(shell: Shell) -> None:
    """SC-119."""
    recorded(shell)
    mended(shell, '    ctx.set("done", True)', '    print("noise"); ctx.set("done", True)')
    ended = shell.call("verify", "a", "--target", "flow.py", "-o", "json")
    assert ended.err == "noise\n"
    assert json.loads(ended.out)["ok"] is True


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_on_a_terminal_nothing_is_wider_than_80_columns(shell: Shell) -> None:
    recorded(shell, "a", "--log-mode", "full")
    shell.write("flow.py", SORTS.replace("One word.", "One word! " + "more " * 60))
    code, out = on_terminal(shell, "verify", "a", "--target", "flow.py")
    assert code == 1
    assert "One word! more" in out
    assert max(map(len, out.splitlines())) <= 80
    log = shell.log("a").read_bytes()
    shell.log("a").write_bytes(log.replace(b"issue 12", b"issue 13"))
    code, out = on_terminal(shell, "verify", "a")
    assert code == 65
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_bar_shows_on_a_terminal_and_goes(shell: Shell) -> None:
    for name in ("a", "b", "c"):
        recorded(shell, name)
    code, out = on_terminal(shell, "verify", "--all")
    assert code == 0
    assert "verify [########################] 3/3" in out
    assert out.endswith(" \r3 runs checked: 3 ok, 0 failed\r\n")


def test_a_control_character_in_a_log_never_reaches_the_terminal(shell: Shell) -> None:
    """SC-119."""
    recorded(shell, "a", "--log-mode", "full")
    mended(shell, "One word.", "One\\x1b[31m word.")
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert ended.code == 1
    assert "\x1b" not in ended.out
    assert "\\x1b[31m" in ended.out


def test_the_golden_workflow_is_what_the_reports_say(tmp_path: Path) -> None:
    """The places in the reports above are places in `SORTS`."""
    lines = SORTS.splitlines()
    assert lines[12].startswith('@wf.step("read"')
    assert "tools.call" in lines[19]
    assert "llm.parse" in lines[21]


def test_a_torn_tail_passes_and_is_told(shell: Shell) -> None:
    recorded(shell)
    with shell.log("a").open("ab") as file:
        file.write(b'{"ts": "2026')
    ended = shell.call("verify", "a", "--target", "flow.py")
    assert ended.code == 0
    assert "  torn tail       12 bytes of a batch that was cut short\n" in ended.out
    assert shell.call("verify", "a", "-o", "json").json["torn_bytes"] == 12
