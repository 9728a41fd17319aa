"""The demo that the README's first command runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command_line import environment
from tests.workspace.helpers import ROOT

DEMO = ROOT / "tools" / "demo.py"


def demo(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=folder,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run of the demo without a key, in an empty directory."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_it_runs_pauses_resumes_and_shows_the_timeline(shown: tuple[Path, str]) -> None:
    folder, out = shown
    (log,) = (folder / ".replayt" / "runs").glob("demo-*.jsonl")
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    types = [event["type"] for event in events]
    for needed in ("structured_output", "tool_result", "approval_requested", "run_resumed"):
        assert needed in types
    assert events[-1]["payload"]["status"] == "completed"
    assert "paused" in out
    assert "completed" in out
    for state in ("check_report", "classify", "assign", "review", "apply"):
        assert state in out.rpartition("$ replayt replay")[2]


def test_it_prints_each_command_and_the_path_of_the_log(shown: tuple[Path, str]) -> None:
    folder, out = shown
    assert re.findall(r"^\$ replayt (\w+)", out, flags=re.MULTILINE) == ["run", "resume", "replay"]
    (log,) = (folder / ".replayt" / "runs").glob("*.jsonl")
    assert str(log.resolve()) in out


def test_it_says_that_no_model_was_called(shown: tuple[Path, str]) -> None:
    """Clearly labelled, in what is printed and in the log."""
    folder, out = shown
    assert "No model is called" in out
    (log,) = (folder / ".replayt" / "runs").glob("*.jsonl")
    requests = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    (request,) = [event for event in requests if event["type"] == "llm_request"]
    assert request["payload"]["effective"]["provider"] == "offline"
    assert "no model was called" in request["payload"]["effective"]["model"]


def test_its_own_lines_fit_in_80_columns(shown: tuple[Path, str]) -> None:
    """What the commands print in between is theirs."""
    folder, out = shown
    own = re.sub(r"(?s)(\n\$ replayt.*?\n\n).*?(?=\n\n(?:\d\. |The log is))", r"\1", out)
    assert own.count("$ replayt") == 3
    assert "run_id=" not in own
    long = [line for line in own.splitlines() if len(line) > 80 and str(folder) not in line]
    assert not long, "\n".join(long)


def test_it_can_be_run_again_in_the_same_directory(shown: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(shown[0], tmp_path, dirs_exist_ok=True)
    assert demo(tmp_path).returncode == 0
    assert len(list((tmp_path / ".replayt" / "runs").glob("demo-*.jsonl"))) == 2


def test_with_a_provider_set_it_calls_that_model(tmp_path: Path, model_server) -> None:
    chosen = {"REPLAYT_PROVIDER": "llamacpp", "OPENAI_BASE_URL": model_server.base_url}
    done = demo(tmp_path, **chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Provider: llamacpp. A model is called." in done.stdout
    assert "No model is called" not in done.stdout


def test_a_step_that_ends_otherwise_ends_the_demo(tmp_path: Path) -> None:
    """With a provider that nobody knows the first step fails, and so does the demo."""
    done = demo(tmp_path, REPLAYT_PROVIDER="nobody")
    assert done.returncode == 1
    assert "should have ended with exit code 2" in done.stderr
    assert "$ replayt resume" not in done.stdout
