"""A recorded run as the commands that show runs need it: what can be read of it, and its status."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from replayt_core import (
    DamagedLogError,
    Event,
    RunNotFoundError,
    RunState,
    RunSummary,
    fold,
    summarize,
)
from replayt_core.ports import EventStore, LocksRuns

DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """The readable events of a run, their fold, and the damage behind them, if any."""

    events: list[Event]
    state: RunState
    damage: DamagedLogError | None
    status: str


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run in a listing."""

    run_id: str
    summary: RunSummary
    status: str
    problem: str | None


def read_run(store: EventStore, run_id: str) -> RecordedRun:
    """What can be read of a run. Damage is reported, not raised; an unknown run raises."""
    events, damage = _read(store, run_id)
    if not events and damage is None:
        raise RunNotFoundError(f"no run {run_id!r} in this store")
    state = fold(run_id, events)
    return RecordedRun(
        events=events,
        state=state,
        damage=damage,
        status=DAMAGED if damage else shown_status(store, state.summary),
    )


def shown_status(store: EventStore, summary: RunSummary) -> str:
    """The status, with what only the lock can tell: a run without an end may be running."""
    status = summary.status
    if status != "interrupted" or not isinstance(store, LocksRuns):
        return status
    return summary.shown_status(locked=store.locked(summary.run_id))


def newest_first(store: EventStore) -> list[RunRow]:
    """All runs by the time they started, newest first, from their first lines alone.

    The rows are not final: `completed_row` reads the rest of a run. A log that does not even
    start stands where its file was last written, with its problem; first where there is no file.
    """
    rows, times = [], {}
    for run_id in store.run_ids():
        summary, problem = RunSummary(run_id), None
        try:
            first = next(iter(store.read(run_id)), None)
            if first is None:
                continue  # deleted meanwhile, or begun and not yet written
            summary = summarize(run_id, [first])
        except DamagedLogError as error:
            problem = str(error)
        except Exception as error:
            # One bad file never breaks the listing of the others.
            problem = f"cannot be read: {type(error).__name__}: {error}"
        status = DAMAGED if problem else summary.status
        rows.append(RunRow(run_id=run_id, summary=summary, status=status, problem=problem))
        times[run_id] = summary.started_ts or _written(store, run_id)
    return sorted(rows, key=lambda row: (times[row.run_id], row.run_id), reverse=True)


def _written(store: EventStore, run_id: str) -> str:
    """When the log was last written, as the log would say it; after all others if unknown."""
    path = getattr(store, "path", None)
    try:
        seconds = os.stat(path(run_id)).st_mtime if callable(path) else None
    except OSError:
        seconds = None
    if seconds is None:
        return "~"
    when = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds")
    return when.replace("+00:00", "Z")


def completed_row(store: EventStore, row: RunRow) -> RunRow:
    """The row with the whole run behind it."""
    if row.problem is not None:
        return row
    try:
        events, damage = _read(store, row.run_id)
        summary = summarize(row.run_id, events)
        status = DAMAGED if damage else shown_status(store, summary)
        problem = str(damage) if damage else None
    except Exception as error:
        summary, status = row.summary, DAMAGED
        problem = f"cannot be read: {type(error).__name__}: {error}"
    return RunRow(run_id=row.run_id, summary=summary, status=status, problem=problem)


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


def event_document(event: Event) -> dict[str, Any]:
    """An event as JSON, as it stands in the log."""
    document: dict[str, Any] = {
        "ts": event.ts,
        "run_id": event.run_id,
        "seq": event.seq,
        "type": event.type,
        "payload": event.payload,
    }
    if event.prev is not None:
        document["prev"] = event.prev
    if event.more:
        document["more"] = True
    return document


def _read(store: EventStore, run_id: str) -> tuple[list[Event], DamagedLogError | None]:
    """The readable events, and what ended the reading early."""
    events: list[Event] = []
    try:
        for event in store.read(run_id):
            events.append(event)
    except DamagedLogError as damage:
        return events, damage
    return events, None
