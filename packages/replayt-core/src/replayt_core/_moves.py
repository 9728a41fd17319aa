"""The table of legal moves: in which phase a run may see which event, and what follows.

The fold reads it to know the phase, the machine to refuse what would be illegal, verify to judge a
log. Nothing else decides what may follow what.
"""

from __future__ import annotations

from typing import Literal

Phase = Literal[
    "absent",  # no event yet
    "entering",  # the next thing is a state entry
    "executing",  # an attempt is open
    "leaving",  # the handler has returned; the move follows
    "backoff",  # a failed attempt waits for its retry
    "paused",  # the run waits for a person
    "failed",  # `run_failed` stands; the end follows
    "ended",  # `run_completed` stands
]

MOVES: dict[Phase, dict[str, Phase]] = {
    "absent": {
        "run_started": "entering",
    },
    "entering": {
        "state_entered": "executing",
        "run_failed": "failed",
        "run_interrupted": "entering",
        "run_resumed": "entering",
    },
    "executing": {
        "llm_request": "executing",
        "llm_retry": "executing",
        "llm_response": "executing",
        "structured_output": "executing",
        "structured_output_failed": "executing",
        "tool_call": "executing",
        "tool_result": "executing",
        "step_note": "executing",
        "approval_requested": "executing",
        "approval_applied": "executing",
        "step_error": "executing",
        "state_exited": "leaving",
        "state_entered": "executing",  # the next attempt, after a resume that starts anew
        "retry_scheduled": "backoff",
        "run_paused": "paused",
        "run_failed": "failed",
        "run_interrupted": "executing",
        "run_resumed": "executing",
    },
    "leaving": {
        "transition": "entering",
        "run_completed": "ended",
    },
    "backoff": {
        "state_entered": "executing",
        "run_failed": "failed",
        "run_interrupted": "backoff",
        "run_resumed": "backoff",
    },
    "paused": {
        "run_resumed": "executing",
    },
    "failed": {
        "run_completed": "ended",
    },
    "ended": {
        "run_resumed": "entering",  # only after a failure
    },
}

ANYWHERE = frozenset({"approval_resolved", "log_repaired"})
"""A person's answer may arrive at any time, and a repair precedes whatever comes next."""
