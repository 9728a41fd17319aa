"""How a run stands and what its summary says: what a listing shows, without reading its log."""

from __future__ import annotations

from typing import Any

from replayt_core import RunSummary
from replayt_core.ports import EventStore, LocksRuns

DAMAGED = "damaged"


def shown_status(store: EventStore, summary: RunSummary) -> str:
    """The status, with what only the lock can tell: a run without an end may be running."""
    status = summary.status
    if status != "interrupted" or not isinstance(store, LocksRuns):
        return status
    return summary.shown_status(locked=store.locked(summary.run_id))


def summary_document(run_id: str, summary: RunSummary, status: str) -> dict[str, Any]:
    """The summary of a run as JSON: what `inspect` and `runs` print."""
    return {
        "run_id": run_id,
        "status": status,
        "workflow_name": summary.workflow_name,
        "workflow_version": summary.workflow_version,
        "state": summary.state,
        "error": summary.error,
        "event_count": summary.events,
        "state_count": summary.states,
        "transition_count": summary.transitions,
        "llm_calls": summary.llm_calls,
        "llm_failures": summary.llm_failures,
        "llm_retries": summary.llm_retries,
        "tool_calls": summary.tool_calls,
        "approvals": summary.approvals,
        "retries": summary.retries,
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
        "total_tokens": summary.total_tokens,
        "hosts": sorted(summary.hosts),
        "providers": sorted(summary.providers),
        "log_mode": summary.log_mode,
        "started_ts": summary.started_ts,
        "last_ts": summary.last_ts,
        "last_seq": summary.last_seq,
        "tags": summary.tags,
    }
