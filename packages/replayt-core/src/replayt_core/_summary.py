"""The cheap first part of the fold: what a listing shows of a run.

Listings and the index use it alone; `_fold` uses it as part of the whole. It is total: a payload
that does not fit adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from replayt_core.events import Event, Payload

UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading a payload raises that does not fit."""

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
    unanswered: set[int] = field(default_factory=set, repr=False, compare=False)
    """Calls of this attempt without an end: one that is made again counts once."""

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
    count = COUNTS.get(event.type)
    if count is not None:
        try:
            count(summary, event.payload, event.ts)
        except UNFIT:
            return  # `apply` notes the same payload in `problems`


def _sum_started(summary: RunSummary, payload: Payload, ts: str) -> None:
    summary.workflow_name = _text(payload.get("workflow_name"))
    summary.workflow_version = _text(payload.get("workflow_version"))
    summary.log_mode = _text(payload.get("log_mode", _mode_of_old(payload)))
    summary.started_ts = ts
    tags = payload.get("tags")
    if isinstance(tags, dict):
        summary.tags = {str(key): str(value) for key, value in tags.items()}


def _mode_of_old(payload: Payload) -> Any:
    """The log mode where replayt 0.4 wrote it down."""
    runtime = payload.get("runtime")
    engine = runtime.get("engine") if isinstance(runtime, dict) else None
    return engine.get("log_mode") if isinstance(engine, dict) else None


def _sum_entered(summary: RunSummary, payload: Payload, _ts: str) -> None:
    if summary.paused or summary.ended is not None:  # logs of 0.1 to 0.4 say `run_resumed` nowhere
        _sum_resumed(summary, payload, _ts)
    summary.state = _text(payload.get("state"))
    summary.unanswered.clear()
    if payload.get("attempt", 1) == 1:
        summary.states += 1


def _sum_transition(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.transitions += not ends_run(payload)


def _sum_request(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.llm_calls += _is_new(summary, payload)
    effective = payload.get("effective")
    if isinstance(effective, dict):
        if isinstance(effective.get("host"), str):
            summary.hosts.add(effective["host"])
        if isinstance(effective.get("provider"), str):
            summary.providers.add(effective["provider"])


def _sum_response(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.unanswered.discard(_call(payload))
    if payload.get("ok") is False:
        summary.llm_failures += 1
    summary.latency_ms += millis(payload.get("latency_ms")) or 0.0
    usage = payload.get("usage")
    if isinstance(usage, dict):
        summary.prompt_tokens += tokens(usage.get("prompt_tokens")) or 0
        summary.completion_tokens += tokens(usage.get("completion_tokens")) or 0
        summary.total_tokens += tokens(usage.get("total_tokens")) or 0


def _sum_llm_retry(summary: RunSummary, _payload: Payload, _ts: str) -> None:
    summary.llm_retries += 1


def _sum_tool(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.tool_calls += _is_new(summary, payload)


def _sum_tool_result(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.unanswered.discard(_call(payload))


def _sum_approval(summary: RunSummary, _payload: Payload, _ts: str) -> None:
    summary.approvals += 1


def _sum_retry(summary: RunSummary, _payload: Payload, _ts: str) -> None:
    summary.retries += 1


def _sum_paused(summary: RunSummary, _payload: Payload, _ts: str) -> None:
    summary.paused = True


def _sum_resumed(summary: RunSummary, _payload: Payload, _ts: str) -> None:
    summary.paused = False
    summary.ended = summary.error = summary.failed_state = None


def _sum_failed(summary: RunSummary, payload: Payload, _ts: str) -> None:
    error = payload.get("error")
    summary.error = error if isinstance(error, dict) else {"type": "", "message": str(error)}
    summary.failed_state = _text(payload.get("state"))


def _sum_completed(summary: RunSummary, payload: Payload, _ts: str) -> None:
    summary.ended = "completed" if payload.get("status", "completed") == "completed" else "failed"
    summary.state = _text(payload.get("final_state"))


def entry_of(payload: Payload, visits: Mapping[str, int]) -> tuple[str, int, int]:
    """State, visit and attempt of a `state_entered`; older logs number neither."""
    name = str(payload["state"])
    attempt = int(payload.get("attempt", 1))
    return name, int(payload.get("visit", visits.get(name, 0) + (attempt == 1))), attempt


def ends_run(payload: Payload) -> bool:
    """Whether a `transition` leads nowhere: older logs have one where a handler returned ''."""
    return payload.get("to_state") == ""


COUNTS: dict[str, Callable[[RunSummary, Payload, str], None]] = {
    "run_started": _sum_started,
    "state_entered": _sum_entered,
    "transition": _sum_transition,
    "llm_request": _sum_request,
    "llm_response": _sum_response,
    "llm_retry": _sum_llm_retry,
    "tool_call": _sum_tool,
    "tool_result": _sum_tool_result,
    "approval_requested": _sum_approval,
    "retry_scheduled": _sum_retry,
    "run_paused": _sum_paused,
    "run_resumed": _sum_resumed,
    "run_failed": _sum_failed,
    "run_completed": _sum_completed,
}
"""What each event type adds, given its payload and time."""


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _call(payload: Payload) -> int:
    """The number of a call; 0, which no call has, where the log gives none."""
    call = payload.get("call")
    return call if type(call) is int else 0


def _is_new(summary: RunSummary, payload: Payload) -> bool:
    """Whether this is another call, not one that is made again since its end was lost."""
    call = _call(payload)
    if call in summary.unanswered:
        return False
    if call:
        summary.unanswered.add(call)
    return True


# What a payload says in numbers, or None where it says nothing that can be summed.


def tokens(value: Any) -> int | None:
    """A count of tokens. Beyond 2^53 it is no count, and other programs would round it."""
    return value if type(value) is int and 0 <= value < _EXACT else None


def millis(value: Any) -> float | None:
    """A duration in milliseconds."""
    if type(value) in (int, float) and 0 <= value < _EXACT:
        return float(value)
    return None


_EXACT = 1 << 53
