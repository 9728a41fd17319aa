from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.helpers import (
    ASKS_MODEL,
    FAILS,
    GATE,
    HELLO,
    SLEEPS,
    Shell,
    environment,
    one_line,
)


def test_the_text_of_a_completed_run(shell: Shell) -> None:
    """SC-118, SC-128."""
    shell.write("flow.py", HELLO)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--inputs-json", '{"name": "Ada"}')
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[:4] == ["run_id=a", "workflow=hello@2", "status=completed", "final_state=done"]
    assert "no model call" in lines[-1]
    assert ".replayt/runs/a.jsonl" in lines[-1]
    assert shell.events("a")[0]["payload"]["inputs"] == {"name": "Ada"}


def test_the_json_of_a_run_is_one_document_that_jq_can_judge(shell: Shell) -> None:
    """SC-128, SC-137."""
    shell.write("flow.py", HELLO)
    ended = shell.process("run", "flow.py", "-o", "json")
    assert ended.json["status"] == "completed"
    assert ended.json["workflow"] == "hello@2"
    assert ended.json["final_state"] == "done"
    assert ended.json["error"] is None
    assert ended.json["waiting"] == []
    assert Path(shell.directory, ended.json["log"]).is_file()
    last = shell.log(ended.json["run_id"]).read_bytes().splitlines()[-1]
    import hashlib

    assert ended.json["head"] == hashlib.sha256(last).hexdigest()[:32]


def test_a_failed_run_exits_1_and_shows_its_error_escaped(shell: Shell) -> None:
    """SC-110, SC-118, SC-128."""
    shell.write("flow.py", FAILS)
    ended = shell.process("run", "flow.py", "--run-id", "a")
    assert (ended.code, ended.err) == (1, "")
    assert r"error=ValueError: bad \x1b[31mnews\u202e (flow.py:10)" in ended.out
    assert shell.events("a")[-1]["payload"]["status"] == "failed"
    document = shell.process("run", "flow.py", "-o", "json")
    assert document.out.isascii()
    assert document.json["error"]["type"] == "ValueError"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1"),
        ("[1]", "an array"),
        ("3", "a number"),
        ("null", "null"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": [1e999]}', "too large"),
        ("@missing.json", "missing.json"),
        ("", "JSON"),
    ],
)
def test_inputs_that_are_no_json_object_create_no_run(shell: Shell, text: str, said: str) -> None:
    """SC-127."""
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", "--inputs-json", text)
    assert ended.code == 64
    assert said in one_line(ended)
    assert not shell.directory.joinpath(".replayt").exists()


def test_a_lone_surrogate_in_the_inputs_creates_no_run(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", "--inputs-json", '{"a": "\\ud800"}')
    assert ended.code == 64
    assert "inputs.a" in one_line(ended)
    assert "No runs" in shell.call("runs").out


def test_inputs_come_from_a_file_from_stdin_and_one_by_one(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    shell.write("in.json", '{"name": "Bo"}')
    assert shell.process("run", "flow.py", "--run-id", "f", "--inputs-json", "@in.json").code == 0
    piped = shell.process(
        "run", "flow.py", "--run-id", "p", "--inputs-json", "-", stdin='{"name": "Cy"}'
    )
    assert piped.code == 0
    pairs = ["--input", "name=Di", "--input", "n=3", "--input", "eq=a=b"]
    assert shell.process("run", "flow.py", "--run-id", "i", *pairs).code == 0
    inputs = {name: shell.events(name)[0]["payload"]["inputs"] for name in "fpi"}
    assert inputs["f"] == {"name": "Bo"}
    assert inputs["p"] == {"name": "Cy"}
    assert inputs["i"] == {"name": "Di", "n": 3, "eq": "a=b"}


def test_tags_may_hold_an_equals_sign(shell: Shell) -> None:
    """SC-131."""
    shell.write("flow.py", HELLO)
    shell.call("run", "flow.py", "--run-id", "a", "--tag", "env=ci", "--tag", "q=a=b")
    assert shell.events("a")[0]["payload"]["tags"] == {"env": "ci", "q": "a=b"}


def test_a_used_run_id_is_refused(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    shell.call("run", "flow.py", "--run-id", "a")
    before = shell.log("a").read_bytes()
    ended = shell.call("run", "flow.py", "--run-id", "a")
    assert ended.code == 75
    assert "resume" in one_line(ended)
    assert shell.log("a").read_bytes() == before


def test_a_workflow_that_asks_a_model_without_a_key_fails_and_says_so(shell: Shell) -> None:
    shell.write("flow.py", ASKS_MODEL)
    ended = shell.process("run", "flow.py", "--run-id", "a")
    assert ended.code == 1
    assert "OPENAI_API_KEY is not set" in ended.out
    assert "Traceback" not in ended.out + ended.err
    assert [event["type"] for event in shell.events("a")][-2:] == ["run_failed", "run_completed"]


def test_a_dry_run_calls_no_model_and_says_so(shell: Shell) -> None:
    """SC-136."""
    shell.write("flow.py", ASKS_MODEL)
    ended = shell.process("run", "flow.py", "--dry-run", OPENAI_API_KEY="sk-live-0123456789abcdef")
    assert ended.code == 0
    assert "1 model call (offline: no model was called), 1 tool call" in ended.out


def test_a_key_in_the_environment_reaches_no_log_in_a_dry_run_either(shell: Shell) -> None:
    secret = "not-a-known-prefix-4711"
    shell.write("flow.py", HELLO)
    run = ["run", "flow.py", "--dry-run", "--run-id", "a", "--input", f"name=it is {secret}"]
    shell.process(*run, OPENAI_API_KEY=secret)
    assert secret not in shell.log("a").read_text()


def test_log_mode_is_recorded(shell: Shell) -> None:
    """SC-130."""
    shell.write("flow.py", HELLO)
    for mode, kept in (("full", "full"), ("structured-only", "structured_only")):
        shell.call("run", "flow.py", "--run-id", mode, "--log-mode", mode)
        assert shell.events(mode)[0]["payload"]["log_mode"] == kept


def test_a_runaway_run_is_ended_by_max_steps(shell: Shell) -> None:
    shell.write(
        "flow.py",
        HELLO.replace('to=["done"]', 'to=["greet"]').replace('return "done"', 'return "greet"'),
    )
    ended = shell.call("run", "flow.py", "--max-steps", "5")
    assert ended.code == 1
    assert "MaxStepsError" in ended.out


def test_store_and_log_dir_mean_the_same_everywhere(shell: Shell) -> None:
    """SC-120."""
    shell.write("flow.py", GATE)
    ended = shell.call("run", "flow.py", "--run-id", "a", "--log-dir", "my logs")
    assert ended.code == 2
    assert "replayt resume flow.py a --approval publish --log-dir 'my logs'" in ended.out
    assert shell.log("a", "my logs").is_file()
    assert not shell.directory.joinpath(".replayt").exists()
    for words in (["inspect", "a"], ["replay", "a"], ["runs"]):
        assert "gate@1" in shell.call(*words, "--log-dir", "my logs").out
        assert "gate@1" in shell.call(*words, "--store", "jsonl:///my logs").out
    done = shell.call("resume", "flow.py", "a", "--approval", "publish", "--log-dir", "my logs")
    assert done.code == 0


def test_a_directory_that_cannot_be_written_is_74(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", "--log-dir", "flow.py/runs")
    assert ended.code == 74
    assert "cannot write the log" in one_line(ended)


def test_a_log_that_hits_a_size_limit_is_74(shell: Shell) -> None:
    shell.write("flow.py", HELLO)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    done = subprocess.run(
        [sys.executable, "-m", "replayt_cli", "run", "flow.py"],
        cwd=shell.directory,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 74
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_handler_that_exits_with_2_does_not_look_paused(shell: Shell) -> None:
    """SC-118."""
    shell.write("flow.py", HELLO.replace("ctx.because(", "raise SystemExit(2); ctx.because("))
    ended = shell.process("run", "flow.py", "--run-id", "a")
    assert ended.code == 1
    assert "sys.exit(2)" in one_line(ended)


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -signal.SIGKILL)]
)
def test_a_run_that_a_signal_ends_reads_interrupted_and_goes_on(
    shell: Shell, name: str, code: int
) -> None:
    """SC-142."""
    shell.write("flow.py", SLEEPS)
    process = shell.start("run", "flow.py", "--run-id", "a")
    _wait_for(shell.directory / "started")
    assert "running" in shell.call("runs").out
    assert shell.call("inspect", "a", "--json").json["summary"]["status"] == "running"
    refused = shell.call("resume", "flow.py", "a")
    assert refused.code == 75
    acknowledged = shell.log("a").read_bytes()
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    if name != "SIGKILL":
        assert "replayt resume flow.py a" in err
        assert shell.events("a")[-1]["type"] == "run_interrupted"
    assert shell.log("a").read_bytes().startswith(acknowledged)
    assert shell.call("runs", "-o", "json").json["runs"][0]["status"] == "interrupted"
    shell.write("flow.py", SLEEPS.replace("time.sleep(60 if", "time.sleep(0 if"))
    assert shell.process("resume", "flow.py", "a").code == 0
    assert shell.call("inspect", "a", "--json").json["summary"]["status"] == "completed"


def test_resume_through_run_continues_the_run(shell: Shell) -> None:
    """SC-133, SC-134."""
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    from replayt_core import resolve
    from replayt_store import JSONLStore

    resolve(JSONLStore(".replayt/runs"), "a", "publish", approved=True)
    ended = shell.process("run", "flow.py", "--run-id", "a", "--resume", "-o", "json")
    assert (ended.code, ended.json["status"]) == (0, "completed")


def test_what_the_users_code_prints_stays_out_of_the_result(shell: Shell) -> None:
    """SC-119."""
    chatty = HELLO.replace("ctx.because(", "print('in a handler'); ctx.because(")
    shell.write("flow.py", f"print('while loading')\n{chatty}")
    ended = shell.process("run", "flow.py", "-o", "json")
    assert ended.json["status"] == "completed"
    assert ended.err.split("\n")[:2] == ["while loading", "in a handler"]


def test_json_output_of_a_pause_names_what_it_waits_for(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    ended = shell.call("run", "flow.py", "-o", "json")
    assert ended.code == 2
    assert ended.json["status"] == "paused"
    assert ended.json["waiting"] == ["publish"]
    assert json.loads(ended.out) == ended.json


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)
