"""The tutorial's workflows without a model: their rules as functions, and where each leads."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from replayt import MemoryStore, Runner, resolve
from replayt.examples import (
    e01_hello_world,
    e02_intake_normalization,
    e04_procurement_tools,
    e05_vendor_lookup_retries,
    e08_travel_approval,
    e09_incident_response,
    e13_sdk_in_a_step,
)
from replayt.testing import FrozenClock, assert_events
from tests.facade.helpers import sample


def test_hello_world_greets_who_is_new_and_who_is_known() -> None:
    known = Runner(e01_hello_world.wf, MemoryStore()).run(sample("e01_hello_world"))
    assert (known.final_state, known.context["greeting"]) == ("welcome_back", "Welcome back, Ada!")
    new = Runner(e01_hello_world.wf, MemoryStore()).run({"name": "Ada"})
    assert (new.final_state, new.context["greeting"]) == ("welcome", "Hello, Ada!")
    nobody = Runner(e01_hello_world.wf, MemoryStore()).run({})
    assert (nobody.status, "'name'" in str(nobody.error)) == ("failed", True)


@pytest.mark.parametrize(
    ("typed", "code", "is_"),
    [
        ("(030) 901 820", "+49", "+4930901820"),
        ("0033 1 40 20 50 50", "", "+33140205050"),
        ("+44 20 7946 0000", "+49", "+442079460000"),
        ("030 901 820", "", None),
        ("call me", "+49", None),
        ("", "+49", None),
    ],
)
def test_intake_writes_phone_numbers_in_one_way(typed: str, code: str, is_: str | None) -> None:
    assert e02_intake_normalization.normalize_phone(typed, code) == is_


def test_intake_accepts_what_it_can_clean_and_sends_the_rest_back() -> None:
    wf = e02_intake_normalization.wf
    clean = Runner(wf, MemoryStore()).run(sample("e02_intake_normalization"))
    assert clean.final_state == "accept"
    assert clean.context["contact"] == {
        "name": "Grace Hopper",
        "email": "grace.hopper@navy.example",
        "country": "DE",
        "phone": "+4930901820",
    }
    back = Runner(wf, MemoryStore()).run(sample("e02_intake_normalization_unusable"))
    assert back.final_state == "send_back"
    assert back.context["problems"] == [
        "'grace at navy.example' is no email address",
        "'Atlantis' is no country that we deliver to",
    ]


@pytest.mark.parametrize(
    ("changes", "ends_in", "calls"),
    [
        ({}, "order", 3),
        ({"department": "support"}, "ask_for_budget", 2),
        ({"department": "nobody's"}, "ask_for_budget", 2),
        ({"item": "desk"}, "not_in_catalogue", 1),
    ],
)
def test_procurement_orders_only_within_the_budget(
    changes: dict[str, Any], ends_in: str, calls: int
) -> None:
    store = MemoryStore()
    inputs = sample("e04_procurement_tools")
    inputs["request"] |= changes
    done = Runner(e04_procurement_tools.wf, store).run(inputs)
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert_events(store, done.run_id, "tool_call", count=calls)
    assert ("order" in done.context) == (ends_in == "order")
    if ends_in == "order":
        assert done.context["order"]["total_cents"] == 4 * 21_900


@pytest.mark.parametrize(
    ("vendor", "ends_in"),
    [
        ("Northwind Paper", "onboard"),
        ("Gone & Sons", "ask_for_papers"),
        ("Nobody Ltd", "ask_for_papers"),
    ],
)
def test_vendor_lookup_needs_two_attempts_and_an_answer_is_never_retried(
    vendor: str, ends_in: str
) -> None:
    """Users of 0.2 know `lookup_attempts` 2."""
    store = MemoryStore()
    runner = Runner(e05_vendor_lookup_retries.wf, store, clock=FrozenClock())
    done = runner.run({"inquiry": {"vendor": vendor}})
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert done.context["lookup_attempts"] == 2
    assert_events(store, done.run_id, "retry_scheduled", count=1)


@pytest.mark.parametrize(
    ("cents", "days", "flags"),
    [
        (150_000, 14, []),
        (150_001, 14, ["high_cost"]),
        (150_000, 13, ["late_notice"]),
        (150_001, 13, ["high_cost", "late_notice"]),
    ],
)
def test_travel_flags_start_exactly_at_their_limits(
    cents: int, days: int, flags: list[str]
) -> None:
    asked = date(2026, 2, 20)
    trip = e08_travel_approval.Trip(
        traveller="Ada",
        destination="Lyon",
        requested_on=asked,
        departs_on=asked + timedelta(days=days),
        flight_cents=cents - 100,
        hotel_cents=100,
    )
    assert e08_travel_approval.flags_of(trip) == flags


@pytest.mark.parametrize(("approved", "ends_in"), [(True, "book"), (False, "decline")])
def test_a_flagged_trip_waits_for_a_manager(approved: bool, ends_in: str) -> None:
    """Users of 0.2 know the flags `high_cost` and `late_notice`."""
    store = MemoryStore()
    paused = Runner(e08_travel_approval.wf, store).run(sample("e08_travel_approval"))
    assert (paused.status, paused.final_state) == ("paused", "manager_review")
    assert paused.context["flags"] == ["high_cost", "late_notice"]
    resolve(store, paused.run_id, "trip", approved=approved, by="grace")
    done = Runner(e08_travel_approval.wf, store).resume(paused.run_id)
    assert (done.status, done.final_state) == ("completed", ends_in)
    assert ("booking" in done.context) == approved


def test_a_routine_trip_asks_nobody() -> None:
    store = MemoryStore()
    done = Runner(e08_travel_approval.wf, store).run(sample("e08_travel_approval_routine"))
    assert (done.status, done.final_state) == ("completed", "book")
    assert_events(store, done.run_id, "approval_requested", count=0)


@pytest.mark.parametrize(
    ("service", "rate", "minutes", "severity", "stands_in"),
    [
        ("checkout", 0.2, 5, "sev1", "propose_rollback"),
        ("checkout", 0.2, 4, "sev2", "propose_rollback"),
        ("search", 0.05, 0, "sev2", "hand_over"),
        ("search", 0.04, 90, "sev3", "open_ticket"),
        ("reports", 1.0, 90, "sev3", "open_ticket"),
        ("unheard of", 1.0, 90, "sev3", "open_ticket"),
    ],
)
def test_an_alert_is_graded_by_rules(
    service: str, rate: float, minutes: int, severity: str, stands_in: str
) -> None:
    alert = {"service": service, "error_rate": rate, "minutes": minutes}
    result = Runner(e09_incident_response.wf, MemoryStore()).run({"alert": alert})
    assert (result.context["severity"], result.final_state) == (severity, stands_in)


@pytest.mark.parametrize(("approved", "ends_in"), [(True, "roll_back"), (False, "hand_over")])
def test_a_rollback_waits_for_the_person_on_call(approved: bool, ends_in: str) -> None:
    """Users of 0.2 know `sev1`."""
    store = MemoryStore()
    paused = Runner(e09_incident_response.wf, store).run(sample("e09_incident_response"))
    assert (paused.status, paused.context["severity"]) == ("paused", "sev1")
    assert_events(store, paused.run_id, "tool_call", count=0, name="start_rollback")
    resolve(store, paused.run_id, "rollback", approved=approved, by="ada")
    done = Runner(e09_incident_response.wf, store).resume(paused.run_id)
    assert done.final_state == ends_in
    assert_events(store, paused.run_id, "tool_call", count=int(approved), name="start_rollback")


def test_an_sdk_that_cannot_be_asked_leaves_the_message_to_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the SDK is installed or not: without a key it opens no connection."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    store = MemoryStore()
    done = Runner(e13_sdk_in_a_step.wf, store).run(sample("e13_sdk_in_a_step"))
    assert (done.status, done.final_state) == ("completed", "sort_by_hand")
    (result,) = assert_events(store, done.run_id, "tool_result", count=1)
    assert result.payload["ok"] is False
