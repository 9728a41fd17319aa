"""The cheap first part of the fold: what a listing shows of a run.

Listings and the index use it alone; `_fold` uses it as part of the whole. It is total: a payload
that does not fit adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from replayt_core.events import Event, Payload

Status = Literal["completed", "failed", "paused", "interrupted", "running"]


@dataclass(slots=True)
class RunSummary:
    """What a listing shows of a run: counts, times, sums, and how it stands."""

    run_id: str
    workflow_name: str | None = None
    workflow_version: str | None = None
    log_mode: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    ended: str | None = None
    paused: bool = False
    state: str | None = None
    error: dict[str, Any] | None = None
    failed_state: str | None = None
    started_ts: str | None = None
    last_ts: str | None = None
    last_seq: int = 0
    events: int = 0
    states: int = 0
    transitions: int = 0
    llm_calls: int = 0
    llm_failures: int = 0
    llm_retries: int = 0
    tool_calls: int = 0
    approvals: int = 0
    retries: int = 0
    latency_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    hosts: set[str] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)

    @property
    def status(self) -> Status:
        """How the run stands as far as its log says: a log without an end is `interrupted`."""
        if self.ended is not None:
            return "completed" if self.ended == "completed" else "failed"
        return "paused" if self.paused else "interrupted"

    def shown_status(self, *, locked: bool) -> Status:
        """The status with what only the lock tells: a run that somebody executes is `running`."""
        status = self.status
        return "running" if locked and status == "interrupted" else status


def summarize(run_id: str, events: Iterable[Event]) -> RunSummary:
    """The summary after `events`, without the rest of the fold."""
    summary = RunSummary(run_id)
    for event in events:
        apply_summary(summary, event)
    return summary


def apply_summary(summary: RunSummary, event: Event) -> None:
    """Take one event into the summary."""
    summary.last_seq = event.seq
    summary.last_ts = event.ts
    summary.events += 1
    count = _COUNTS.get(event.type)
    if count is not None:
        try:
            count(summary, event.payload, event)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return  # `apply` notes the same payload in `problems`


def _sum_started(summary: RunSummary, payload: Payload, event: Event) -> None:
    summary.workflow_name = _text(payload.get("workflow_name"))
    summary.workflow_version = _text(payload.get("workflow_version"))
    summary.log_mode = _text(payload.get("log_mode"))
    summary.started_ts = event.ts
    tags = payload.get("tags")
    if isinstance(tags, dict):
        summary.tags = {str(key): str(value) for key, value in tags.items()}


def _sum_entered(summary: RunSummary, payload: Payload, _event: Event) -> None:
    summary.state = _text(payload.get("state"))
    if payload.get("attempt", 1) == 1:
        summary.states += 1


def _sum_transition(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.transitions += 1


def _sum_request(summary: RunSummary, payload: Payload, _event: Event) -> None:
    summary.llm_calls += 1
    effective = payload.get("effective")
    if isinstance(effective, dict):
        if isinstance(effective.get("host"), str):
            summary.hosts.add(effective["host"])
        if isinstance(effective.get("provider"), str):
            summary.providers.add(effective["provider"])


def _sum_response(summary: RunSummary, payload: Payload, _event: Event) -> None:
    if payload.get("ok") is False:
        summary.llm_failures += 1
    latency = payload.get("latency_ms")
    if isinstance(latency, int | float):
        summary.latency_ms += latency
    usage = payload.get("usage")
    if isinstance(usage, dict):
        summary.prompt_tokens += _count(usage.get("prompt_tokens"))
        summary.completion_tokens += _count(usage.get("completion_tokens"))
        summary.total_tokens += _count(usage.get("total_tokens"))


def _sum_llm_retry(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.llm_retries += 1


def _sum_tool(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.tool_calls += 1


def _sum_approval(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.approvals += 1


def _sum_retry(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.retries += 1


def _sum_paused(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.paused = True


def _sum_resumed(summary: RunSummary, _payload: Payload, _event: Event) -> None:
    summary.paused = False
    summary.ended = summary.error = summary.failed_state = None


def _sum_failed(summary: RunSummary, payload: Payload, _event: Event) -> None:
    error = payload.get("error")
    summary.error = error if isinstance(error, dict) else {"type": "", "message": str(error)}
    summary.failed_state = _text(payload.get("state"))


def _sum_completed(summary: RunSummary, payload: Payload, _event: Event) -> None:
    summary.ended = "completed" if payload.get("status", "completed") == "completed" else "failed"
    summary.state = _text(payload.get("final_state"))


_COUNTS: dict[str, Callable[[RunSummary, Payload, Event], None]] = {
    "run_started": _sum_started,
    "state_entered": _sum_entered,
    "transition": _sum_transition,
    "llm_request": _sum_request,
    "llm_response": _sum_response,
    "llm_retry": _sum_llm_retry,
    "tool_call": _sum_tool,
    "approval_requested": _sum_approval,
    "retry_scheduled": _sum_retry,
    "run_paused": _sum_paused,
    "run_resumed": _sum_resumed,
    "run_failed": _sum_failed,
    "run_completed": _sum_completed,
}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int:
    return value if type(value) is int else 0
