"""Logs of every released schema, kept as files: what each folds to is written here by hand.

The files are never edited. A change of the fold that alters one of these states breaks the logs
that users have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replayt_core import RunState, fold, verify
from replayt_core.chain import read_lines

FIXTURES = Path(__file__).parents[1] / "fixtures"

EXPECTED: dict[str, dict[str, Any]] = {
    "schema-1/completed": {
        "status": "completed",
        "final_state": "b",
        "context": {"n": 2},
        "inputs": {"n": 1},
        "visits": {"a": 1, "b": 1},
        "events": 7,
        "states": 2,
        "transitions": 1,
        "tags": {"kind": "fixture"},
        "workflow": ("plain", "2"),
    },
    "schema-1/loop": {
        "status": "completed",
        "context": {"n": 3},
        "inputs": {"drop": True},
        "visits": {"loop": 3},
        "visit": 3,
        "transitions": 2,
    },
    "schema-1/retried": {
        "status": "completed",
        "context": {"tries": 3},
        "visits": {"a": 1},
        "attempt": 3,
        "retries": 2,
        "states": 1,
    },
    "schema-1/failed": {
        "status": "failed",
        "phase": "ended",
        "context": {"before": True},
        "error": "KeyError",
        "failed_state": "a",
    },
    "schema-1/paused": {
        "status": "paused",
        "phase": "paused",
        "state": "ask",
        "context": {},
        "pause": ("approval", 3, {"set": {"draft": "x"}, "unset": []}),
        "approvals": [("ship", "Ship?", {"n": 1}, "yes", "no", None, False)],
    },
    "schema-1/answered": {
        "status": "paused",
        "context": {},
        "approvals": [("ship", "Ship?", {"n": 1}, "yes", "no", True, False)],
    },
    "schema-1/approved": {
        "status": "completed",
        "final_state": "yes",
        "context": {"draft": "x", "shipped": True},
        "epoch": 2,
        "recoveries": 0,
        "pause": None,
        "approvals": [("ship", "Ship?", {"n": 1}, "yes", "no", True, True)],
    },
    "schema-1/rejected": {
        "status": "completed",
        "final_state": "no",
        "context": {"draft": "x"},
        "approvals": [("ship", "Ship?", {"n": 1}, "yes", "no", False, True)],
    },
    "schema-1/called": {
        "status": "completed",
        "context": {"score": 8},
        "llm_calls": 1,
        "tool_calls": 1,
        "effects": 0,
    },
    "schema-1/cut-short": {
        "status": "interrupted",
        "phase": "executing",
        "state": "judge",
        "context": {},
        "effects": 4,
    },
    "schema-1/interrupted": {
        "status": "interrupted",
        "phase": "executing",
        "context": {},
        "events": 3,
    },
    "schema-1/waiting": {
        "status": "interrupted",
        "phase": "backoff",
        "context": {"tries": 1},
        "retry": (2, 2.0),
    },
    "schema-1/guarded": {
        "status": "failed",
        "error": "MaxStepsError",
        "visits": {"a": 2},
        "transitions": 2,
    },
    "schema-1/forked": {
        "status": "completed",
        "context": {"n": 9},
        "inputs": {"n": 1},
        "visits": {"b": 1},
        "forked_from": ("parent", 5),
    },
    "unchained/old-completed": {
        "status": "completed",
        "chained": False,
        "final_state": "done",
        "context": {"text": "Grüße"},
        "visits": {"read": 1, "done": 1},
        "llm_calls": 1,
        "tokens": (10, 5, 15),
        "tags": {"team": "a"},
        "workflow": ("intake", "1"),
    },
    "unchained/old-failed": {
        "status": "failed",
        "chained": False,
        "error": "ValueError",
        "failed_state": "ask",
        "workflow": ("lookup", "3"),
    },
    "unchained/old-cut-short": {
        "status": "interrupted",
        "chained": False,
        "phase": "executing",
        "state": "tell",
        "error": None,
        "failed_state": None,
        "final_state": None,
        "visits": {"ask": 2, "tell": 1},
        "transitions": 1,
        "events": 8,
        "problems": [],
    },
    "unchained/old-empty-first-line": {
        "status": "completed",
        "chained": False,
        "final_state": "pay",
        "visits": {"read": 1, "ask": 2, "pay": 1},
        "events": 21,
        "states": 4,
        "transitions": 2,
        "retries": 1,
        "llm_calls": 1,
        "tool_calls": 1,
        "tokens": (20, 6, 26),
        "tags": {"team": "b"},
        "workflow": ("refund", "2"),
        "log_mode": "structured_only",
        "inputs": {"text": "Grüße\u2028Ende"},
        "approvals": [("pay", "Pay 7?", {"amount": 7}, None, None, True, True)],
        "problems": [],
    },
    "unchained/old-routed": {
        "status": "completed",
        "chained": False,
        "final_state": "drop",
        "visits": {"check": 1, "drop": 1},
        "transitions": 1,
        "approvals": [("trip", "Book?", {}, "book", "drop", False, True)],
        "problems": [],
    },
    "unchained/old-paused": {
        "status": "paused",
        "chained": False,
        "state": "check",
        "tool_calls": 1,
        "approvals": [("travel", "Pay?", None, None, None, None, False)],
    },
}


def shown(state: RunState) -> dict[str, Any]:
    """The parts of a state that the table above names."""
    summary, pause = state.summary, state.pause
    return {
        "status": summary.status,
        "phase": state.phase,
        "state": state.state,
        "final_state": state.final_state,
        "context": state.context,
        "inputs": state.inputs,
        "visits": state.visits,
        "visit": state.visit,
        "attempt": state.attempt,
        "events": summary.events,
        "states": summary.states,
        "transitions": summary.transitions,
        "retries": summary.retries,
        "llm_calls": summary.llm_calls,
        "tool_calls": summary.tool_calls,
        "tokens": (summary.prompt_tokens, summary.completion_tokens, summary.total_tokens),
        "tags": summary.tags,
        "workflow": (summary.workflow_name, summary.workflow_version),
        "log_mode": summary.log_mode,
        "problems": state.problems,
        "error": (summary.error or {}).get("type"),
        "failed_state": summary.failed_state,
        "epoch": state.epoch,
        "recoveries": state.recoveries,
        "chained": state.chained,
        "effects": len(state.effects),
        "retry": (state.retry_attempt, state.retry_delay),
        "pause": (pause.reason, pause.request_seq, pause.delta) if pause else None,
        "approvals": [
            (a.approval_id, a.summary, a.details, a.on_approve, a.on_reject, a.approved, a.applied)
            for a in state.approvals.values()
        ],
        "forked_from": tuple(list((state.forked_from or {}).values())[:2]),
    }


def lines(name: str) -> list[bytes]:
    return (FIXTURES / f"{name}.jsonl").read_bytes().split(b"\n")[:-1]


def test_every_fixture_has_a_state_written_by_hand() -> None:
    found = {str(p.relative_to(FIXTURES).with_suffix("")) for p in FIXTURES.rglob("*.jsonl")}
    assert found == set(EXPECTED)
    assert len(found) >= 12


@pytest.mark.parametrize("name", EXPECTED)
def test_a_log_of_a_released_schema_folds_to_its_state(name: str) -> None:
    """R-5, C14: logs of every released schema are read."""
    run_id = name.partition("/")[2]
    state = fold(run_id, read_lines(run_id, lines(name)))
    now = shown(state)
    assert {key: now[key] for key in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_log_of_a_released_schema_is_whole(name: str) -> None:
    run_id = name.partition("/")[2]
    found = verify(None, read_lines(run_id, lines(name)))
    assert found.damage is None
    # An old log is not judged by the moves of today.
    assert found.ok
    assert bool(found.unchained) is name.startswith("unchained/")
