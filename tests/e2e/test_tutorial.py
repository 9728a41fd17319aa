"""SC-190. Each workflow of the tutorial through the real command line, with its sample inputs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replayt import RunState, fold
from replayt.persistence import JSONLStore
from tests.cli.helpers import ANSWERING, Shell
from tests.e2e.command_line import CommandLine
from tests.facade.helpers import FOLDER

CATALOGUE: list[dict[str, Any]] = json.loads((FOLDER / "catalogue.json").read_text("utf-8"))
NAMES = [entry["name"] for entry in CATALOGUE]
QUEUES = {"page_on_call", "billing_queue", "support_queue"}

ENDS: dict[str, tuple[str, set[str], dict[str, Any]]] = {
    "e01_hello_world": ("completed", {"welcome_back"}, {"greeting": "Welcome back, Ada!"}),
    "e02_intake_normalization": ("completed", {"accept"}, {"problems": []}),
    "e02_intake_normalization_unusable": ("completed", {"send_back"}, {}),
    "e03_support_routing": ("completed", QUEUES, {}),
    "e04_procurement_tools": ("completed", {"order"}, {"total_cents": 87_600}),
    "e04_procurement_tools_over_budget": ("completed", {"ask_for_budget"}, {}),
    "e05_vendor_lookup_retries": ("completed", {"onboard"}, {"lookup_attempts": 2}),
    "e06_sales_call_brief": ("completed", {"check_by_hand"}, {}),
    "e07_feedback_clustering": ("completed", {"summarize"}, {}),
    "e08_travel_approval": (
        "paused",
        {"manager_review"},
        {"flags": ["high_cost", "late_notice"]},
    ),
    "e08_travel_approval_routine": ("completed", {"book"}, {"flags": []}),
    "e09_incident_response": ("paused", {"propose_rollback"}, {"severity": "sev1"}),
    "e09_incident_response_minor": ("completed", {"open_ticket"}, {"severity": "sev3"}),
    "issue_triage": ("paused", {"review"}, {}),
    "issue_triage_too_short": ("completed", {"request_more_info"}, {}),
    "refund_policy": ("completed", {"refund", "deny"}, {}),
    "refund_policy_large": ("paused", {"manager_review"}, {}),
    "publishing_preflight": ("paused", {"review"}, {"problems": []}),
    "e13_sdk_in_a_step": ("completed", {"sort_by_hand"}, {"folder": "to_sort"}),
    "e14_yaml_reply": ("paused", {"review"}, {}),
    "e15_async_reviews": ("completed", {"sign_off", "negotiate"}, {}),
    "e16_crash_and_resume": ("completed", {"confirm"}, {}),
    "e17_verify_gate": ("completed", {"grant"}, {"percent": 12}),
    "e17_verify_gate_open_invoice": ("completed", {"refer"}, {"percent": None}),
}
"""What comes of each sample: several states where the offline provider's answer decides."""


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """An empty directory, the provider `offline`, and no key."""
    for name in list(os.environ):
        if name.startswith(ANSWERING):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REPLAYT_PROVIDER", "offline")
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield Shell(tmp_path, capsys)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("replayt_target_"):
            del sys.modules[name]


def example_of(sample: str) -> str:
    """The example whose name the sample's begins with."""
    (name,) = (name for name in NAMES if sample.startswith(name))
    return name


def target_of(name: str) -> str:
    file = FOLDER / f"{name}.yaml"
    return str(file) if file.exists() else f"examples.{name}:wf"


def run_state(shell: Shell, run_id: str) -> RunState:
    store = JSONLStore(shell.directory / ".replayt" / "runs")
    return fold(run_id, store.read(run_id))


def test_every_sample_has_its_end_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} - {"catalogue"} == ENDS.keys()
    assert {example_of(sample) for sample in ENDS} == set(NAMES)


@pytest.mark.parametrize("sample", ENDS)
def test_each_sample_runs_offline_to_its_end_and_holds_when_executed_again(
    shell: Shell, sample: str
) -> None:
    """SC-190, SC-187 to SC-189: without a key; `verify --target` executes every handler again."""
    target = target_of(example_of(sample))
    status, states, facts = ENDS[sample]
    ended = shell.call(
        "run", target, "--inputs-json", f"@{FOLDER / sample}.json", "--run-id", "a", "-o", "json"
    )
    assert ended.json["status"] == status, ended.err
    assert ended.code == (2 if status == "paused" else 0)
    assert ended.json["final_state"] in states
    state = run_state(shell, "a")
    assert {key: state.context[key] for key in facts} == facts
    again = shell.call("verify", "a", "--target", target, "-o", "json")
    assert again.code == 0, again.out + again.err


@pytest.mark.parametrize("name", NAMES)
def test_each_validates_and_its_graph_can_be_drawn(shell: Shell, name: str) -> None:
    target = target_of(name)
    assert shell.call("validate", target).code == 0
    drawn = shell.call("graph", target)
    assert (drawn.code, drawn.out.startswith("flowchart TD")) == (0, True)


@pytest.mark.parametrize("entry", CATALOGUE, ids=NAMES)
def test_the_commands_that_a_copy_prints_work_as_printed(
    shell: Shell, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approvals pause with 2 and are completed by the next command; crashes are real ones."""
    monkeypatch.delenv("REPLAYT_PROVIDER")
    name = entry["name"]
    copied = shell.call("examples", name, "--out", "a copy", "-o", "json").json
    (example,) = copied["examples"]
    for command in example["commands"]:
        words = shlex.split(command["command"])
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "replayt":
            ended = shell.call(*words[1:])
            assert ended.code == command["exit_code"], f"{words}\n{ended.out}{ended.err}"
        else:
            (variable, value), program, *rest = words[0].split("="), *words[1:]
            assert program == "replayt"
            dying = shell.process(*rest, REPLAYT_PROVIDER="offline", **{variable: value})
            assert dying.code == command["exit_code"], dying.err
    runs = shell.call("runs", "-o", "json").json["runs"]
    assert runs
    assert {run["status"] for run in runs} == {"completed"}
    assert shell.call("verify", "--all", "--target", f"a copy/{example['files'][0]}").code == 0


@pytest.mark.parametrize(
    ("name", "approval", "ends_in"),
    [
        ("e08_travel_approval", "trip", "decline"),
        ("e09_incident_response", "rollback", "hand_over"),
        ("e14_yaml_reply", "reply", "write_by_hand"),
    ],
)
def test_a_rejection_leads_the_other_way(
    shell: Shell, name: str, approval: str, ends_in: str
) -> None:
    target = target_of(name)
    inputs = f"@{FOLDER / name}.json"
    assert shell.call("run", target, "--inputs-json", inputs, "--run-id", "a").code == 2
    done = shell.call("resume", target, "a", "--approval", approval, "--reject", "-o", "json")
    assert (done.code, done.json["final_state"]) == (0, ends_in)


def test_a_crash_after_the_model_call_costs_no_second_call(tmp_path: Path) -> None:
    """Three processes; the first is ended by `os._exit` in the middle of a step."""
    inputs = f"@{FOLDER / 'e16_crash_and_resume.json'}"
    target = "examples.e16_crash_and_resume:wf"
    dying = CommandLine(tmp_path, {"REPLAYT_PROVIDER": "offline", "CRASH_AT": "after_model"})
    assert dying("run", target, "--inputs-json", inputs, "--run-id", "a").code == 137
    replayt = CommandLine(tmp_path, {"REPLAYT_PROVIDER": "offline"})
    (row,) = replayt("runs", "-o", "json").document["runs"]
    assert row["status"] == "interrupted"
    done = replayt("resume", target, "a", "-o", "json")
    assert (done.code, done.document["served_calls"]) == (0, 1)
    types = [event["type"] for event in replayt.log("a")]
    assert (types.count("llm_request"), types.count("tool_call")) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [(["--retry", "9"], None), (["--result", "9"], "TX-bank"), (["--fail", "9"], None)],
    ids=["retry", "result", "fail"],
)
def test_a_crash_inside_the_payment_is_asked_about_and_never_guessed(
    tmp_path: Path, answer: list[str], reference: str | None
) -> None:
    inputs = f"@{FOLDER / 'e16_crash_and_resume.json'}"
    target = "examples.e16_crash_and_resume:wf"
    dying = CommandLine(tmp_path, {"REPLAYT_PROVIDER": "offline", "CRASH_AT": "in_payment"})
    assert dying("run", target, "--inputs-json", inputs, "--run-id", "a").code == 137
    replayt = CommandLine(tmp_path, {"REPLAYT_PROVIDER": "offline"})
    asked = replayt("resume", target, "a", "-o", "json")
    assert (asked.code, asked.document["waiting_call"]) == (2, 9)
    if reference is not None:
        answer = [*answer, json.dumps({"reference": reference, "cents": 86_000})]
    done = replayt("resume", target, "a", *answer, "-o", "json")
    if answer[0] == "--fail":
        assert (done.code, done.document["status"]) == (1, "failed")
        return
    assert (done.code, done.document["final_state"]) == (0, "confirm")
    paid = [event["payload"] for event in replayt.log("a") if event["type"] == "tool_result"]
    assert len(paid) == 1
    assert reference in (None, paid[0]["result"]["reference"])


def test_the_gate_is_green_then_red_at_the_decision_that_an_edit_changes(tmp_path: Path) -> None:
    """The CI job of the README: no key, no provider, exit code 1 and the name of the run."""
    replayt = CommandLine(tmp_path, {})
    assert replayt("examples", "17", "--out", ".").code == 0
    gate = ("verify", "--all", "--log-dir", "e17_verify_gate_runs", "--target")
    assert replayt(*gate, "e17_verify_gate.py").code == 0
    module = tmp_path / "e17_verify_gate.py"
    text = module.read_text(encoding="utf-8")
    assert "MAX_PERCENT = 15\n" in text
    module.write_text(text.replace("MAX_PERCENT = 15\n", "MAX_PERCENT = 10\n"), encoding="utf-8")
    red = replayt(*gate, "e17_verify_gate.py")
    assert red.code == 1
    assert "discount-granted" in red.out
    assert "state decide" in red.out


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("e03_support_routing", {1}),
        ("e06_sales_call_brief", {1, 2}),
        ("e07_feedback_clustering", {6}),
        ("e15_async_reviews", {3}),
    ],
)
def test_those_with_a_model_run_against_a_real_server(
    tmp_path: Path, model_server: Any, name: str, calls: set[int]
) -> None:
    """llama.cpp with random weights: nonsense that fits the forms, so every rule gets its facts."""
    replayt = CommandLine(
        tmp_path, {"REPLAYT_PROVIDER": "llamacpp", "OPENAI_BASE_URL": model_server.base_url}
    )
    inputs = f"@{FOLDER / name}.json"
    target = f"examples.{name}:wf"
    done = replayt("run", target, "--inputs-json", inputs, "--run-id", "a", "-o", "json")
    assert done.code == 0, done.out + done.err
    assert done.document["final_state"] in ENDS[name][1]
    assert done.document["llm_calls"] in calls
    assert replayt("verify", "a", "--target", target).code == 0


def test_the_official_sdk_answers_inside_its_step(tmp_path: Path, model_server: Any) -> None:
    """The real SDK against a real server; served from the log when executed again, offline."""
    pytest.importorskip("openai")
    key = "sk-tutorial-0123456789abcdef"
    online = {"OPENAI_BASE_URL": model_server.base_url, "OPENAI_API_KEY": key}
    inputs = f"@{FOLDER / 'e13_sdk_in_a_step.json'}"
    target = "examples.e13_sdk_in_a_step:wf"
    replayt = CommandLine(tmp_path, online)
    done = replayt("run", target, "--inputs-json", inputs, "--run-id", "a", "-o", "json")
    assert done.code == 0, done.err
    (result,) = (event["payload"] for event in replayt.log("a") if event["type"] == "tool_result")
    assert result["ok"], result
    assert 0 <= result["result"]["probability"] <= 1
    assert key not in json.dumps(replayt.log("a"))
    offline = CommandLine(tmp_path, {})
    assert offline("verify", "a", "--target", target).code == 0
