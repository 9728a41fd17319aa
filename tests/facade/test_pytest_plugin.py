"""The pytest plugin, in a pytest of its own: pinned runs as tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replayt import LogMode, Runner
from replayt.persistence import JSONLStore
from replayt.testing import MockLLMClient
from tests.forked.programs import python

FLOW = """
from pydantic import BaseModel
from replayt import Workflow, tool

wf = Workflow("sorts")
wf.set_initial("read")


class Label(BaseModel):
    label: str


@tool
def shout(text: str) -> str:
    return text.upper()


@wf.step("read", to=["done"])
def read(ctx):
    prompt = "Choose a label.\\nOne word."
    answer = ctx.llm.parse(Label, messages=[{"role": "user", "content": prompt}])
    ctx.set("label", ctx.tools.call("shout", {"text": answer.label}))
    return "done"


@wf.step("done")
def done(ctx):
    return None
"""
TEST = """
import flow


def test_pinned(replay_run):
    found = replay_run(flow.wf, "NAME", tools=[flow.shout])
    assert (found.ok, found.attempts, found.served_calls) == (True, 2, 2)
"""
FIXTURES = """
from replayt import MemoryStore
from replayt.testing import MockLLMClient, run_with_mock
import flow


def test_fixtures(mock_llm, run_store):
    assert type(mock_llm) is MockLLMClient
    assert type(run_store) is MemoryStore
    mock_llm.enqueue('{"label": "bug"}')
    done = run_with_mock(flow.wf, run_store, mock_llm, tools=[flow.shout])
    assert done.context["label"] == "BUG"


def test_fixtures_are_new_each_time(mock_llm, run_store):
    assert not mock_llm.requests
    assert not list(run_store.run_ids())
"""
NOTHING_LOADED = """
import sys


def test_nothing_is_loaded(request):
    assert request.config.pluginmanager.get_plugin("replayt").__name__ == "pytest_replayt"
    costly = ("replayt", "replayt_", "pydantic", "httpx", "typer", "duckdb")
    assert not [name for name in sys.modules if name.startswith(costly)]
"""
OTHERS = ("anyio", "hypothesispytest", "timeout", "xdist", "xdist.looponfail")
STRICT = """
[pytest]
addopts = --strict-config --strict-markers -p no:cacheprovider -p no:randomly
filterwarnings = error
pythonpath = .
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a workflow, a pinned run of it, and its test."""
    (tmp_path / "pytest.ini").write_text(STRICT, encoding="utf-8")
    (tmp_path / "flow.py").write_text(FLOW, encoding="utf-8")
    write_test(tmp_path, "sorted-1")
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "tests" / "runs", "sorted-1")
    return tmp_path


def write_test(project: Path, name: str) -> None:
    (project / "tests").mkdir(exist_ok=True)
    path = project / "tests" / "test_flow.py"
    path.write_text(TEST.replace("NAME", name), encoding="utf-8")


def record(directory: Path, run_id: str) -> None:
    names: dict[str, object] = {"__name__": "recorded_flow"}
    exec(compile(FLOW, "flow.py", "exec"), names)  # noqa: S102
    mock = MockLLMClient().enqueue('{"label": "bug"}')
    runner = Runner(
        names["wf"],  # type: ignore[arg-type]
        JSONLStore(directory),
        llm_client=mock,
        tools=[names["shout"]],  # type: ignore[list-item]
        log_mode=LogMode.full,
    )
    assert runner.run(run_id=run_id).status == "completed"


def run_pytest(
    project: Path, *words: str, start: tuple[str, ...] = ("-m", "pytest")
) -> tuple[int, str]:
    """A session of its own, with every plugin of this environment."""
    return ended(project, sys.executable, *start, *words)


def run_forked(project: Path, *words: str) -> tuple[int, str]:
    """The same without others' plugins, and with replayt imported already: a third of the time."""
    without = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    return ended(project, python(environment()), "-m", "pytest", *without, *words)


def environment() -> dict[str, str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return {**env, "PYTHONUTF8": "1", "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}


def ended(project: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pinned_run_passes_in_a_strict_session(project: Path) -> None:
    code, out = run_pytest(project)
    assert code == 0, out
    write_test(project, "sorted")  # the only run whose id starts so
    code, out = run_forked(project)
    assert code == 0, out


def test_the_plugin_breaks_no_strict_session(project: Path) -> None:
    """Also where warnings are errors from the start, or replayt is imported before pytest."""
    (project / "tests" / "test_flow.py").write_text("def test_it(): pass", encoding="utf-8")
    program = "import replayt, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    for start in (("-W", "error", "-m", "pytest"), ("-W", "error", "-c", program)):
        code, out = run_pytest(project, start=start)
        assert code == 0, out


def test_loading_the_plugin_loads_nothing_of_replayt(project: Path) -> None:
    """A session that uses no fixture of it pays for one small module."""
    (project / "tests" / "test_flow.py").write_text(NOTHING_LOADED, encoding="utf-8")
    code, out = run_pytest(project)
    assert code == 0, out


def test_a_changed_prompt_fails_with_the_difference(project: Path) -> None:
    (project / "flow.py").write_text(FLOW.replace("One word", "Two words"), encoding="utf-8")
    code, out = run_forked(project)
    assert code == 1
    events = JSONLStore("tests/runs").read("sorted-1")
    seq = next(event.seq for event in events if event.type == "llm_request")
    lines = FLOW.splitlines()
    line = 1 + next(at for at, text in enumerate(lines) if "ctx.llm.parse" in text)
    assert f"at        seq {seq}, state 'read', flow.py:{line}" in out
    assert "-One word." in out
    assert "+Two words." in out
    assert "recorded  " in out
    assert "now       " in out
    assert "Traceback" not in out


def test_what_is_not_pinned_fails_clearly(project: Path) -> None:
    write_test(project, "nosuch")
    code, out = run_forked(project)
    assert code == 1
    assert "no pinned run 'nosuch' in " in out
    assert "(there: sorted-1)" in out
    assert "replayt pin RUN_ID --out" in out
    record(project / "tests" / "runs", "sorted-2")
    write_test(project, "sorted")
    code, out = run_forked(project)
    assert code == 1
    assert "'sorted' fits 2 pinned runs: sorted-1, sorted-2" in out


def test_a_damaged_pinned_run_fails(project: Path) -> None:
    path = project / "tests" / "runs" / "sorted-1.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"BUG"', b'"bug"', 1))
    code, out = run_forked(project)
    assert code == 1
    assert "damaged" in out


def test_the_setting_names_the_directory(project: Path) -> None:
    (project / "tests" / "runs").rename(project / "kept runs")
    (project / "pytest.ini").write_text(STRICT + "replayt_runs = kept runs\n", encoding="utf-8")
    code, out = run_forked(project, "tests/test_flow.py")
    assert code == 0, out


def test_the_fakes_are_fixtures(project: Path) -> None:
    (project / "tests" / "test_flow.py").write_text(FIXTURES, encoding="utf-8")
    code, out = run_forked(project)
    assert code == 0, out


def test_a_log_that_cannot_be_executed_again_is_no_pass(project: Path) -> None:
    old = Path(__file__).parents[1] / "fixtures" / "unchained" / "old-completed.jsonl"
    run_id = json.loads(old.read_text(encoding="utf-8").splitlines()[0])["run_id"]
    (project / "tests" / "runs" / f"{run_id}.jsonl").write_bytes(old.read_bytes())
    write_test(project, run_id)
    code, out = run_forked(project)
    assert code == 1
    assert "it was written by replayt 0.1 to 0.4, which cannot be executed again" in out


HIDING = """
from replayt import Workflow

wf = Workflow("hiding")
wf.set_initial("read")


@wf.step("read")
def read(ctx):
    ctx.set("letters", len(ctx.get("name")))
"""
SUPPLIED = """
import hiding


def test_supplied(replay_run):
    assert replay_run(hiding.wf, "hidden-1", supplied={"name": "Ada"}).ok


def test_not_supplied(replay_run):
    replay_run(hiding.wf, "hidden-1")
"""


def test_what_the_log_has_hidden_is_handed_in(project: Path) -> None:
    (project / "hiding.py").write_text(HIDING, encoding="utf-8")
    (project / "tests" / "test_flow.py").write_text(SUPPLIED, encoding="utf-8")
    names: dict[str, object] = {"__name__": "recorded_hiding"}
    exec(compile(HIDING, "hiding.py", "exec"), names)  # noqa: S102
    store = JSONLStore(project / "tests" / "runs")
    Runner(names["wf"], store, redact_keys=["name"]).run(  # type: ignore[arg-type]
        {"name": "Ada"}, run_id="hidden-1"
    )
    code, out = run_forked(project)
    assert code == 1
    assert "1 failed, 1 passed" in out
    assert "pinned run hidden-1 cannot be executed again" in out
    assert "Traceback" not in out
