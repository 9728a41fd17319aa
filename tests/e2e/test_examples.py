"""The bundled workflows through the real command line: offline, and against a real model server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import CommandLine
from tests.facade.helpers import FOLDER

OFFLINE = {"REPLAYT_PROVIDER": "offline"}


@pytest.fixture(params=["offline", "model server"])
def replayt(request: pytest.FixtureRequest, tmp_path: Path) -> CommandLine:
    """Without a model, and with llama.cpp's server and its model of random weights."""
    if request.param == "offline":
        return CommandLine(tmp_path, OFFLINE)
    server = request.getfixturevalue("model_server")
    chosen = {"REPLAYT_PROVIDER": "llamacpp", "OPENAI_BASE_URL": server.base_url}
    return CommandLine(tmp_path, chosen)


def run(replayt: CommandLine, name: str, sample: str, run_id: str) -> Any:
    """Start the example `name` with one of its samples."""
    inputs = f"@{FOLDER / sample}.json"
    return replayt(
        "run",
        f"examples.{name}:wf",
        "--inputs-json",
        inputs,
        "--run-id",
        run_id,
        "--output",
        "json",
    )


def types_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_issue_triage_pauses_and_goes_on_in_a_new_process(replayt: CommandLine) -> None:
    """SC-187, SC-82 to SC-86: states, a structured output, a typed tool, an approval."""
    started = run(replayt, "issue_triage", "issue_triage", "triage")
    assert started.code == 2, started.err
    assert started.document["status"] == "paused"
    assert types_of(replayt.log("triage"))[-1] == "run_paused"

    done = replayt(
        "resume",
        "examples.issue_triage:wf",
        "triage",
        "--approval",
        "triage",
        "--output",
        "json",
    )
    assert done.code == 0, done.err
    assert (done.document["status"], done.document["final_state"]) == ("completed", "apply")

    events = replayt.log("triage")
    by_type = {event["type"]: event["payload"] for event in events}
    assert by_type["structured_output"]["schema_name"] == "Triage"
    tools = [event["payload"]["name"] for event in events if event["type"] == "tool_call"]
    assert tools == ["find_owner", "update_issue"]
    moves = [event["payload"]["to_state"] for event in events if event["type"] == "transition"]
    assert moves == ["classify", "assign", "review", "apply"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))

    shown = replayt("inspect", "triage", "--output", "json").document
    assert shown["events"] == events
    assert shown["summary"]["status"] == "completed"
    timeline = replayt("replay", "triage")
    assert timeline.code == 0
    for state in ("check_report", "classify", "assign", "review", "apply"):
        assert state in timeline.out


def test_issue_triage_rejected_ends_with_nothing_applied(replayt: CommandLine) -> None:
    assert run(replayt, "issue_triage", "issue_triage", "no").code == 2
    target = "examples.issue_triage:wf"
    done = replayt("resume", target, "no", "--approval", "triage", "--reject")
    assert done.code == 0, done.err
    assert types_of(replayt.log("no")).count("tool_call") == 1


def test_refund_policy_completes_and_large_amounts_wait(replayt: CommandLine) -> None:
    """SC-188, run as well as loaded."""
    done = run(replayt, "refund_policy", "refund_policy", "small")
    assert done.code == 0, done.err
    assert done.document["final_state"] in ("refund", "deny")

    assert run(replayt, "refund_policy", "refund_policy_large", "large").code == 2
    approved = replayt("resume", "examples.refund_policy:wf", "large", "--approval", "refund")
    assert approved.code == 0, approved.err
    assert replayt.log("large")[-1]["payload"]["final_state"] == "refund"


def test_publishing_preflight_completes_after_the_approval(replayt: CommandLine) -> None:
    """SC-189, and SC-88: the model call of the paused step is served, not made again."""
    assert run(replayt, "publishing_preflight", "publishing_preflight", "post").code == 2
    done = replayt(
        "resume", "examples.publishing_preflight:wf", "post", "--approval", "publish"
    )  # a new process
    assert done.code == 0, done.err
    events = replayt.log("post")
    assert types_of(events).count("llm_request") == 1
    assert events[-1]["payload"] | {"status": "completed"} == events[-1]["payload"]


def test_a_too_short_issue_needs_neither_key_nor_provider(tmp_path: Path) -> None:
    """SC-187, SC-58."""
    replayt = CommandLine(tmp_path, {})
    done = run(replayt, "issue_triage", "issue_triage_too_short", "short")
    assert done.code == 0, done.err
    assert done.document["final_state"] == "request_more_info"


def test_a_missing_key_is_one_line_that_names_it(tmp_path: Path) -> None:
    """SC-58, SC-119."""
    replayt = CommandLine(tmp_path, {})
    failed = run(replayt, "issue_triage", "issue_triage", "keyless")
    assert failed.code == 1
    assert "OPENAI_API_KEY is not set" in failed.document["error"]["message"]
    assert types_of(replayt.log("keyless"))[-1] == "run_completed"


@pytest.mark.parametrize("name", ["issue_triage", "publishing_preflight", "refund_policy"])
def test_each_example_graphs_and_validates(name: str, tmp_path: Path) -> None:
    """SC-188. The alias and the full name are the same workflow."""
    replayt = CommandLine(tmp_path, {})
    for target in (f"examples.{name}:wf", f"replayt.examples.{name}:wf"):
        valid = replayt("validate", target)
        assert valid.code == 0, valid.err
        assert f"{name}@1" in valid.out
    drawn = replayt("graph", f"examples.{name}:wf")
    assert drawn.code == 0
    assert drawn.out.startswith("flowchart TD")
    assert list(tmp_path.iterdir()) == []
