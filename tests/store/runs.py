"""Logs of runs for the tests of listings and queries, made from drafts without a workflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replayt_core import Event, RunSummary, summarize
from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports.store import EventStore
from replayt_store import JSONLStore
from replayt_store._index_sources import GRANULARITY_NS, FileSource
from replayt_store.index import RunIndex

START: dict[str, Any] = {"log_schema": 1, "workflow_name": "w", "workflow_version": "1"}
END = ("run_completed", {"status": "completed", "final_state": "a"})


def started(day: int = 1, **more: Any) -> tuple[str, dict[str, Any]]:
    return ("run_started", {**START, "tags": {}, **more})


def entered(state: str = "a", attempt: int = 1) -> tuple[str, dict[str, Any]]:
    return ("state_entered", {"state": state, "visit": 1, "attempt": attempt})


def asked(call: int = 1, model: str = "m") -> tuple[str, dict[str, Any]]:
    return ("llm_request", {"call": call, "state": "a", "effective": {"model": model}})


def replied(call: int = 1, latency: float = 10.0, sent: int = 3, back: int = 2) -> Any:
    usage = {"prompt_tokens": sent, "completion_tokens": back, "total_tokens": sent + back}
    return ("llm_response", {"call": call, "ok": True, "latency_ms": latency, "usage": usage})


def failed(state: str = "a") -> list[tuple[str, dict[str, Any]]]:
    return [
        ("run_failed", {"state": state, "error": {"type": "E", "message": "no"}}),
        ("run_completed", {"status": "failed", "final_state": state}),
    ]


def append(
    store: EventStore, run_id: str, *drafts: tuple[str, dict[str, Any]], day: int = 1
) -> list[Event]:
    """Append the drafts as one batch; all events of the run."""
    events = list(store.read(run_id))
    head = line_hash(events[-1].line) if events else first_prev(run_id)
    made = [Draft(kind, payload) for kind, payload in drafts]
    ts = f"2026-01-{day:02}T00:00:00.000000Z"
    more = seal(run_id, made, after=len(events), head=head, ts=ts)
    store.append(run_id, more, after=len(events))
    return [*events, *more]


def completed(store: EventStore, run_id: str, *, day: int = 1, **more: Any) -> None:
    """A whole run of one state and one model call."""
    append(store, run_id, started(**more), entered(), asked(), replied(), END, day=day)


def summaries(store: EventStore) -> dict[str, RunSummary]:
    """The reference: every run read and summarised."""
    return {run_id: summarize(run_id, store.read(run_id)) for run_id in store.run_ids()}


def listed(index: RunIndex) -> dict[str, RunSummary]:
    return {run.run_id: run.summary for run in index.runs()}


class CountingSource(FileSource):
    """Notes which runs are read and which are looked at; its clock is ahead by `ahead` seconds."""

    def __init__(self, store: JSONLStore, *, ahead: float = 60.0) -> None:
        import time

        super().__init__(store, now_ns=lambda: time.time_ns() + int(ahead * 1e9))
        self.read_ids: list[str] = []
        self.looked: list[str] = []

    def read(self, run_id: str) -> Any:
        self.read_ids.append(run_id)
        return super().read(run_id)

    def changed(self, run_id: str, mark: str) -> bool | None:
        self.looked.append(run_id)
        return super().changed(run_id, mark)


def settled_index(store: JSONLStore, path: Path | None = None) -> tuple[RunIndex, CountingSource]:
    """An index whose clock says that every file was written long ago."""
    assert GRANULARITY_NS < 60e9
    source = CountingSource(store)
    return RunIndex(source, None if path is None else str(path)), source


def ids(items: Sequence[Any]) -> list[str]:
    return [item.run_id for item in items]
