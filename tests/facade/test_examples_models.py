"""The tutorial's workflows with a model: every answer enqueued, so every end is known."""

from __future__ import annotations

import asyncio
import json
from typing import Any, get_args

import pytest

import replayt.examples.e03_support_routing as routing
import replayt.examples.e06_sales_call_brief as brief
import replayt.examples.e07_feedback_clustering as clustering
import replayt.examples.e15_async_reviews as reviews
import replayt.examples.e16_crash_and_resume as crash
import replayt.examples.e17_verify_gate as gate
from replayt import MemoryStore, Runner, resolve, verify
from replayt.aio import AsyncRunner
from replayt.persistence import JSONLStore
from replayt.testing import MockLLMClient, assert_events, run_with_mock
from tests.facade.helpers import FOLDER, sample


@pytest.mark.parametrize("plan", get_args(routing.Ticket.model_fields["plan"].annotation))
@pytest.mark.parametrize("topic", get_args(routing.Reading.model_fields["topic"].annotation))
@pytest.mark.parametrize("blocked", [True, False])
def test_support_pages_nobody_without_an_enterprise_contract(
    plan: str, topic: Any, blocked: bool
) -> None:
    inputs = sample("e03_support_routing")
    inputs["ticket"]["plan"] = plan
    reading = routing.Reading(topic=topic, blocked=blocked, summary="503 since 09:40")
    store = MemoryStore()
    done = run_with_mock(routing.wf, store, MockLLMClient().enqueue(reading), inputs=inputs)
    urgent = plan == "enterprise" and (blocked or topic == "outage")
    queue = "page_on_call" if urgent else "billing_queue" if topic == "billing" else "support_queue"
    assert (done.status, done.final_state) == ("completed", queue)
    reasons = [event.payload["reason"] for event in assert_events(store, done.run_id, "transition")]
    assert reasons[-1] == routing.choose_queue(routing.Ticket(**inputs["ticket"]), reading)[1]


def _brief(quote: str) -> brief.Brief:
    return brief.Brief(
        stage="evaluation",
        points=[brief.Point(need="One entry per order", quote=quote)],
        next_steps=[brief.NextStep(owner="us", action="Send a sample export")],
    )


@pytest.mark.parametrize(
    ("quote", "ends_in"),
    [
        ("It costs us about two hours a day.", "file_brief"),
        ("it costs us  about TWO hours a day", "file_brief"),
        ("We lose two days a week.", "check_by_hand"),
    ],
)
def test_a_brief_is_filed_only_with_quotes_that_were_said(quote: str, ends_in: str) -> None:
    mock = MockLLMClient().enqueue(_brief(quote))
    done = run_with_mock(brief.wf, MemoryStore(), mock, inputs=sample("e06_sales_call_brief"))
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert done.context["missing_quotes"] == ([] if ends_in == "file_brief" else [quote])


def test_a_brief_that_does_not_fit_is_asked_for_once_more() -> None:
    store = MemoryStore()
    mock = MockLLMClient().enqueue("{}").enqueue(_brief("It costs us about two hours a day."))
    done = run_with_mock(brief.wf, store, mock, inputs=sample("e06_sales_call_brief"))
    assert done.final_state == "file_brief"
    assert_events(store, done.run_id, "llm_request", count=2)


def test_every_comment_is_sorted_in_a_visit_of_its_own() -> None:
    mock = MockLLMClient().enqueue(clustering.Themes(themes=["Sign-in", "Dark theme"]))
    for number in (1, 2, 1, 0, 4):  # 0 fits nothing, and 4 is the number of no theme
        mock.enqueue(clustering.Choice(theme=number))
    store = MemoryStore()
    inputs = sample("e07_feedback_clustering")
    done = run_with_mock(clustering.wf, store, mock, inputs=inputs)
    assert (done.status, done.final_state) == ("completed", "summarize")
    assert done.context["clusters"] == {"Sign-in": [0, 2], "Dark theme": [1], "other": [3, 4]}
    assert done.context["summary"] == [["Sign-in", 2], ["Dark theme", 1], ["other", 2]]
    assert_events(store, done.run_id, "state_entered", count=5, state="sort_next")


@pytest.mark.parametrize(
    ("risks", "ends_in"),
    [(("low", "medium", "low"), "sign_off"), (("low", "high", "medium"), "negotiate")],
)
def test_three_reviews_run_at_once_and_are_served_in_their_order(
    risks: tuple[Any, ...], ends_in: str
) -> None:
    mock = MockLLMClient()
    for risk in risks:
        mock.enqueue(reviews.Review(risk=risk, findings=["Clause 4"]))
    store = MemoryStore()
    runner = AsyncRunner(reviews.wf, store, llm_client=mock)
    done = asyncio.run(runner.run(sample("e15_async_reviews")))
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert tuple(one["risk"] for one in done.context["reviews"].values()) == risks
    types = [event.type for event in store.read(done.run_id)]
    first = types.index("llm_request")
    assert types[first : first + 3] == ["llm_request"] * 3, "no call waits for another"
    again = verify(reviews.wf, list(store.read(done.run_id)))
    assert (again.difference, again.served_calls) == (None, 3)


@pytest.mark.parametrize(
    ("approved", "outcome"), [(True, "sent"), (False, "to be written by a person")]
)
def test_the_yaml_workflow_shows_a_person_what_the_model_drafted(
    approved: bool, outcome: str
) -> None:
    pytest.importorskip("yaml")
    from replayt.yaml import load_workflow

    wf = load_workflow(FOLDER / "e14_yaml_reply.yaml")
    assert wf.check() == []
    mock = MockLLMClient()
    mock.enqueue(json.dumps({"problem": "damaged", "summary": "Two cups are broken."}))
    mock.enqueue(json.dumps({"subject": "Your cups", "body": "We are sorry."}))
    store = MemoryStore()
    paused = run_with_mock(wf, store, mock, inputs=sample("e14_yaml_reply"))
    assert (paused.status, paused.final_state) == ("paused", "review")
    assert "(damaged): Two cups are broken." in str(mock.requests[1].messages)
    (asked,) = paused.waiting
    assert (asked.summary, asked.details) == ("Send Your cups?", {"body": "We are sorry."})
    resolve(store, paused.run_id, "reply", approved=approved)
    assert Runner(wf, store).resume(paused.run_id).context["outcome"] == outcome


@pytest.mark.parametrize(
    ("parcel", "ends_in"), [("on_its_way", "ask_to_wait"), ("unknown", "trace_parcel")]
)
def test_the_yaml_workflow_goes_by_the_carrier_and_not_by_the_letter(
    parcel: str, ends_in: str
) -> None:
    pytest.importorskip("yaml")
    from replayt.yaml import load_workflow

    mock = MockLLMClient().enqueue(json.dumps({"problem": "damaged", "summary": "Broken."}))
    inputs = {**sample("e14_yaml_reply"), "parcel": parcel}
    wf = load_workflow(FOLDER / "e14_yaml_reply.yaml")
    done = run_with_mock(wf, MemoryStore(), mock, inputs=inputs)
    assert (done.status, done.final_state) == ("completed", ends_in)


@pytest.mark.parametrize(("billed", "ends_in"), [(86_000, "confirm"), (86_001, "return_to_sender")])
def test_an_invoice_is_paid_only_as_it_was_ordered(billed: int, ends_in: str) -> None:
    inputs = sample("e16_crash_and_resume")
    inputs["invoice"]["billed_cents"] = billed
    store = MemoryStore()
    mock = MockLLMClient().enqueue(crash.Subject(subject="Invoice 2026-0417"))
    done = run_with_mock(crash.wf, store, mock, inputs=inputs)
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert_events(store, done.run_id, "tool_call", count=int(ends_in == "confirm"))


@pytest.mark.parametrize(
    ("customer", "asked", "percent"),
    [
        ({"years": 3, "open_invoices": 0}, 15, 15),
        ({"years": 3, "open_invoices": 0}, 16, None),
        ({"years": 2, "open_invoices": 0}, 15, None),
        ({"years": 9, "open_invoices": 1}, 1, None),
    ],
)
def test_a_discount_is_granted_by_the_books(
    customer: dict[str, int], asked: int, percent: int | None
) -> None:
    inputs = {"letter": "Dear all", "customer": customer, "asked_percent": asked}
    mock = MockLLMClient().enqueue(gate.Request(reason="loyalty", summary="x"))
    done = run_with_mock(gate.wf, MemoryStore(), mock, inputs=inputs)
    assert (done.context["percent"], done.final_state) == (
        percent,
        "refer" if percent is None else "grant",
    )


def test_the_recorded_runs_of_the_gate_hold_and_their_code_is_this_one() -> None:
    """A note means that the module was edited and the runs were not recorded anew."""
    store = JSONLStore(FOLDER / "e17_verify_gate_runs")
    assert sorted(store.run_ids()) == ["discount-granted", "discount-referred"]
    for run_id in store.run_ids():
        found = verify(gate.wf, list(store.read(run_id)))
        assert found.ok
        assert not [note for note in found.notes if "source of step" in str(note)]


def test_the_gate_names_the_run_that_an_edit_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_PERCENT", 10)
    store = JSONLStore(FOLDER / "e17_verify_gate_runs")
    changed = [run for run in store.run_ids() if not verify(gate.wf, list(store.read(run))).ok]
    assert changed == ["discount-granted"]
