"""The bundled workflows in this process; tests/e2e runs them through the command line."""

from __future__ import annotations

import itertools
import json
import re
from importlib import import_module
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from replayt import MemoryStore, Runner, Workflow, mermaid, resolve
from replayt.examples import (
    e03_support_routing,
    e06_sales_call_brief,
    e07_feedback_clustering,
    e15_async_reviews,
    e16_crash_and_resume,
    e17_verify_gate,
    issue_triage,
    publishing_preflight,
    refund_policy,
)
from replayt.testing import MockLLMClient, assert_events, run_with_mock
from tests.facade.helpers import FOLDER, sample

CATALOGUE: list[dict[str, Any]] = json.loads((FOLDER / "catalogue.json").read_text("utf-8"))
NAMES = [entry["name"] for entry in CATALOGUE]
MODULES = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
README = (FOLDER / "README.md").read_text(encoding="utf-8")
TRIAGE = issue_triage.Triage(
    kind="bug", component="sync", severity="high", summary="Edits are lost.", open_questions=[]
)
LOOK = publishing_preflight.SecondLook(tone="plain", claims_to_check=["About a minute?"])
FORMS = [
    TRIAGE.__class__,
    LOOK.__class__,
    refund_policy.Claim,
    e03_support_routing.Reading,
    e06_sales_call_brief.Brief,
    e07_feedback_clustering.Themes,
    e07_feedback_clustering.Choice,
    e15_async_reviews.Review,
    e16_crash_and_resume.Subject,
    e17_verify_gate.Request,
]


def test_the_tutorial_has_twelve_workflows_in_order_and_five_after_them() -> None:
    """SC-190. Issue F point 2."""
    assert len(NAMES) == len(set(NAMES)) == 17
    assert NAMES[9:12] == ["issue_triage", "refund_policy", "publishing_preflight"]
    for number, name in enumerate(NAMES, 1):
        assert name.startswith(f"e{number:02}_") or number in (10, 11, 12)
    assert MODULES | {path.stem for path in FOLDER.glob("*.yaml")} == set(NAMES)


def test_the_readme_has_a_section_for_each_in_order_and_names_every_file() -> None:
    headings = re.findall(r"^## (\d+)\. (\w+)$", README, flags=re.MULTILINE)
    assert headings == [(str(number), name) for number, name in enumerate(NAMES, 1)]
    for path in FOLDER.glob("*.json"):
        assert path.name in README or path.name == "catalogue.json"
    for part in ("**Why.**", "**What the ", "**Run it.**", "**Expect.**"):
        assert README.count(part) == len(NAMES), part


@pytest.mark.parametrize("entry", CATALOGUE, ids=NAMES)
def test_the_readme_says_to_run_what_the_catalogue_says(entry: dict[str, Any]) -> None:
    """The commands stand in both, in the catalogue for a copy: they must not drift apart."""
    name = entry["name"]
    section = README.split(f". {name}\n")[1].split("\n## ")[0]
    shown = [
        re.sub(r" --(run-id|by|reason) (\"[^\"]+\"|\S+)|  # exits.*", "", line)
        for line in section.replace(f"examples.{name}:wf", f"{name}.py").splitlines()
    ]
    for command in entry["commands"]:
        assert re.sub(r" --run-id \S+", "", command["command"]) in shown


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_loads_validates_clean_and_declares_its_moves(name: str) -> None:
    """SC-188, SC-190."""
    module = import_module(f"replayt.examples.{name}")
    wf: Workflow = module.wf
    assert wf.name == re.sub(r"^e\d+_", "", name)
    assert wf.check() == []
    assert wf.edges
    drawn = mermaid(wf.initial, list(wf.steps), wf.edges)
    assert drawn.startswith("flowchart TD")
    assert all(state in drawn for state in wf.steps)
    about = module.__doc__ or ""
    assert "Why it exists:" in about or "Why a workflow:" in about
    assert all(state in about for state in wf.steps), "the docstring draws every state"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_text_and_list_that_a_model_fills_in_is_bounded(form: type[BaseModel]) -> None:
    """So that every reply ends, whatever the model."""
    waiting: list[Any] = [form.model_json_schema()]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if node.get("type") == "string" and "enum" not in node and "const" not in node:
            assert "maxLength" in node, node
        if node.get("type") == "array":
            assert "maxItems" in node, node
        waiting += [*node.get("properties", {}).values(), node.get("items")]
        waiting += node.get("$defs", {}).values()


def test_issue_triage_runs_with_its_sample_and_waits_for_a_person() -> None:
    """SC-187."""
    store = MemoryStore()
    mock = MockLLMClient().enqueue(TRIAGE)
    paused = run_with_mock(issue_triage.wf, store, mock, inputs=sample("issue_triage"))
    assert (paused.status, paused.final_state) == ("paused", "review")
    assert [request.approval_id for request in paused.waiting] == ["triage"]
    assert_events(store, paused.run_id, "tool_call", count=1, name="find_owner")

    resolve(store, paused.run_id, "triage", approved=True, by="ada")
    done = Runner(issue_triage.wf, store).resume(paused.run_id)
    assert (done.status, done.final_state) == ("completed", "apply")
    assert done.context["update"] == {
        "number": 482,
        "labels": ["bug", "component:sync", "severity:high"],
        "assignee": "@storage-team",
    }


def test_issue_triage_writes_nothing_when_it_is_rejected() -> None:
    store = MemoryStore()
    mock = MockLLMClient().enqueue(TRIAGE)
    run_id = run_with_mock(issue_triage.wf, store, mock, inputs=sample("issue_triage")).run_id
    resolve(store, run_id, "triage", approved=False)
    done = Runner(issue_triage.wf, store).resume(run_id)
    assert (done.status, done.final_state) == ("completed", "leave_to_person")
    assert_events(store, run_id, "tool_call", count=0, name="update_issue")


def test_a_too_short_issue_asks_for_more_without_a_model() -> None:
    """SC-187. The queue of the mock is empty: any model call would be an error."""
    store = MemoryStore()
    inputs = sample("issue_triage_too_short")
    done = run_with_mock(issue_triage.wf, store, MockLLMClient(), inputs=inputs)
    assert (done.status, done.final_state) == ("completed", "request_more_info")
    assert "at least 40 characters" in done.context["reply"]
    assert_events(store, done.run_id, "llm_request", count=0)


def test_no_answer_of_the_model_leads_around_the_approval() -> None:
    """SC-197. Every combination of what the form lets a model choose ends at the same gate."""
    fields = issue_triage.Triage.model_fields
    choices = [get_args(fields[name].annotation) for name in ("kind", "component", "severity")]
    for kind, component, severity in itertools.product(*choices):
        answer = issue_triage.Triage(
            kind=kind, component=component, severity=severity, summary="x", open_questions=[]
        )
        mock = MockLLMClient().enqueue(answer)
        run = run_with_mock(issue_triage.wf, MemoryStore(), mock, inputs=sample("issue_triage"))
        assert (run.status, run.final_state) == ("paused", "review")


@pytest.mark.parametrize(
    ("reason", "days", "status", "ends_in"),
    [
        ("damaged", 6, "delivered", "refund"),
        ("damaged", 31, "delivered", "deny"),
        ("wrong_item", 30, "delivered", "refund"),
        ("changed_mind", 14, "delivered", "refund"),
        ("changed_mind", 15, "delivered", "deny"),
        ("not_arrived", 3, "delivered", "deny"),
        ("not_arrived", None, "shipped", "deny"),
        ("other", 400, "returned", "refund"),
    ],
)
def test_refund_policy_decides_by_its_rules(
    reason: Any, days: int | None, status: str, ends_in: str
) -> None:
    inputs = sample("refund_policy")
    inputs["order"] |= {"days_since_delivery": days, "status": status}
    mock = MockLLMClient().enqueue(refund_policy.Claim(reason=reason, summary="x"))
    done = run_with_mock(refund_policy.wf, MemoryStore(), mock, inputs=inputs)
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert done.context["decision"]


@pytest.mark.parametrize(("approved", "ends_in"), [(True, "refund"), (False, "deny")])
@pytest.mark.parametrize("reason", get_args(refund_policy.Claim.model_fields["reason"].annotation))
def test_a_large_refund_goes_to_a_manager_whatever_the_letter_says(
    reason: Any, approved: bool, ends_in: str
) -> None:
    store = MemoryStore()
    mock = MockLLMClient().enqueue(refund_policy.Claim(reason=reason, summary="x"))
    paused = run_with_mock(refund_policy.wf, store, mock, inputs=sample("refund_policy_large"))
    assert (paused.status, paused.final_state) == ("paused", "manager_review")
    resolve(store, paused.run_id, "refund", approved=approved)
    assert Runner(refund_policy.wf, store).resume(paused.run_id).final_state == ends_in


@pytest.mark.parametrize(("approved", "ends_in"), [(True, "publish"), (False, "send_back")])
def test_publishing_preflight_shows_the_reviewer_what_the_model_said_once(
    approved: bool, ends_in: str
) -> None:
    """SC-189. On resume the model call is served from the log: the mock has no second answer."""
    store = MemoryStore()
    mock = MockLLMClient().enqueue(LOOK)
    inputs = sample("publishing_preflight")
    paused = run_with_mock(publishing_preflight.wf, store, mock, inputs=inputs)
    assert paused.status == "paused"
    (request,) = paused.waiting
    assert request.approval_id == "publish"
    assert request.details["claims_to_check"] == LOOK.claims_to_check

    resolve(store, paused.run_id, "publish", approved=approved)
    done = Runner(publishing_preflight.wf, store, llm_client=mock).resume(paused.run_id)
    assert (done.status, done.final_state, done.served_calls) == ("completed", ends_in, 1)
    assert_events(store, paused.run_id, "llm_request", count=1)


def test_a_draft_with_leftovers_goes_back_without_model_or_reviewer() -> None:
    inputs = sample("publishing_preflight")
    inputs["draft"]["body"] += " TODO: link to http://old.example/page"
    store = MemoryStore()
    done = run_with_mock(publishing_preflight.wf, store, MockLLMClient(), inputs=inputs)
    assert (done.status, done.final_state) == ("completed", "send_back")
    assert done.context["problems"] == [
        "left over: TODO",
        "link without https: http://old.example/page",
    ]
