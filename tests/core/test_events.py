"""Which events exist, and which are decision points (DESIGN sections 3 and 4)."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from replayt_core.chain import first_prev, seal
from replayt_core.events import DECISION_POINTS, Draft, is_decision_point
from replayt_core.payloads import PAYLOADS


@pytest.mark.parametrize("kind", sorted(PAYLOADS))
def test_every_payload_type_is_one_that_pydantic_can_validate(kind: str) -> None:
    schema = TypeAdapter(PAYLOADS[kind]).json_schema()
    assert schema["type"] == "object"


@pytest.mark.parametrize(
    "kind",
    [
        *("run_started", "run_resumed", "state_entered", "state_exited", "transition"),
        *("tool_call", "tool_result", "retry_scheduled", "run_paused", "run_failed"),
        *("approval_requested", "approval_resolved", "approval_applied"),
        *("run_interrupted", "run_completed", "log_repaired"),
    ],
)
def test_what_decides_is_synced(kind: str) -> None:
    assert kind in DECISION_POINTS


def test_model_traffic_is_synced_with_what_follows_it() -> None:
    followed = {"llm_request", "llm_response", "llm_retry", "step_error", "step_note"}
    structured = {"structured_output", "structured_output_failed"}
    assert set(PAYLOADS) - DECISION_POINTS == followed | structured
    assert set(PAYLOADS) >= DECISION_POINTS


def test_one_decision_makes_its_batch_a_decision() -> None:
    def batch(*kinds: str) -> bool:
        drafts = [Draft(kind, {}) for kind in kinds]
        return is_decision_point(seal("r", drafts, after=0, head=first_prev("r"), ts="t"))

    assert batch("llm_response", "state_exited", "step_note")
    assert not batch("llm_response", "structured_output")
