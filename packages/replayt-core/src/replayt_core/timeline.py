"""The timeline of a run, for people: one entry an event, made from the events alone.

The fold says where the run stands at each event; this module only puts it into words. It is total:
an event of an unknown type, or whose payload does not fit, is shown as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from replayt_core._fold import RunState, apply, new_state
from replayt_core._summary import ends_run
from replayt_core.events import Event, Payload

__all__ = ["TimelineEntry", "timeline"]

Details = dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One event in words.

    `kind` is the type of the event, `state` where the run stood, `title` one line of plain text,
    `details` what else is worth showing, by label. `offset_seconds` counts from the start of the
    run and is never negative. Titles and details hold text from the log as it is: whoever shows
    them escapes them.
    """

    seq: int
    ts: str
    offset_seconds: float
    kind: str
    state: str | None
    title: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)


def timeline(run_id: str, events: Iterable[Event]) -> Iterator[TimelineEntry]:
    """The entries of a run, in the order of its log."""
    state = new_state(run_id)
    started: datetime | None = None
    offset = 0.0
    for event in events:
        apply(state, event)
        now = _time(event.ts)
        started = started or now
        if now is not None and started is not None:
            offset = max((now - started).total_seconds(), 0.0)
        title, details = _in_words(state, event)
        yield TimelineEntry(
            seq=event.seq,
            ts=event.ts,
            offset_seconds=offset,
            kind=event.type,
            state=_state_of(state, event.payload),
            title=title,
            details=details,
        )


def _in_words(state: RunState, event: Event) -> tuple[str, Details]:
    words = _WORDS.get(event.type)
    if words is not None:
        try:
            title, details = words(state, event.payload, event.seq)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # the payload does not fit: it is shown as it stands
        else:
            return title, {
                name: value for name, value in details.items() if value not in (None, "", {}, [])
            }
    return event.type, dict(event.payload)


def _state_of(state: RunState, payload: Payload) -> str | None:
    name = payload.get("state")
    return name if isinstance(name, str) else state.state


def _time(ts: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(ts.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


# Each event type in words: the title, and the details by label. Empty details are left out.


def _run_started(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return (
        f"run of {payload['workflow_name']}@{payload['workflow_version']} starts",
        {
            "inputs": payload.get("inputs"),
            "context": payload.get("context"),
            "tags": payload.get("tags"),
            "log mode": payload.get("log_mode"),
            "forked from": payload.get("forked_from"),
            "pinned from": payload.get("pinned_from"),
        },
    )


def _run_resumed(state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    why = {"approval": "an approval was answered", "call_answered": "a call was answered"}
    reason = str(payload.get("reason"))
    return (
        f"run is taken up, process {state.epoch}: {why.get(reason, reason)}",
        {"overrides": payload.get("overrides")},
    )


def _state_entered(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    counts = [
        f"{name} {payload[name]}" for name in ("visit", "attempt") if payload.get(name, 1) != 1
    ]
    return f"enter {payload['state']}" + (f" ({', '.join(counts)})" if counts else ""), {}


def _state_exited(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return f"leave {payload['state']}", {**_delta(payload), "took": _millis(payload, "elapsed_ms")}


def _transition(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    if ends_run(payload):
        return f"{payload['from_state']} is the last", {}
    looked_at = [
        _read(item) + (f" (seq {item['seq']})" if item.get("seq") else "")
        for item in payload.get("because") or ()
    ]
    return (
        f"{payload['from_state']} -> {payload['to_state']}",
        {"reason": payload.get("reason"), "looked at": ", ".join(looked_at)},
    )


def _read(item: Mapping[str, JsonValue]) -> str:
    """What was looked at; the attempt, which is one of a kind, is named once."""
    return "attempt" if item["read"] == "attempt" else f"{item['read']} {item['name']}"


def _llm_request(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    effective = payload.get("effective") or {}
    messages = payload.get("messages") or ()
    parts = [str(effective[name]) for name in ("provider", "model") if effective.get(name)]
    # Logs of replayt 0.2 do not say what for.
    wanted = payload.get("schema_name") or ("a text" if "schema_name" in payload else "a reply")
    repair = payload.get("repair")
    ask = f"ask the model for {wanted}"
    if repair:
        ask = f"ask the model again for {wanted} (repair {repair['number']})"
    return (
        ask + (f": {', '.join(parts)}" if parts else ""),
        {
            "host": effective.get("host"),
            "messages": ", ".join(
                f"{item['role']} {item['bytes']} B" for item in messages if "bytes" in item
            ),
            "asked for": payload.get("overrides"),
            "content": [_shown_content(item) for item in messages if "content" in item],
        },
    )


def _shown_content(message: Payload) -> JsonValue:
    """The content of a message; of a part that is no text its kind and size, not what it holds."""
    content: JsonValue = message["content"]
    parts = message.get("parts")
    if not isinstance(content, list) or not isinstance(parts, list):
        return content
    return [
        part["text"] if isinstance(part, dict) and isinstance(part.get("text"), str) else info
        for part, info in zip(content, parts, strict=False)
    ]


def _llm_response(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    if payload.get("ok") is False:
        title = f"model call failed: {_error(payload['error'])}"
    else:
        title = "model replied"
    reply = payload.get("reply") or {}
    return (
        title,
        {
            "took": _millis(payload, "latency_ms"),
            "tokens": payload.get("usage"),
            "finish reason": payload.get("finish_reason"),
            "reply": reply.get("content")
            or reply.get("preview")
            or payload.get("content")
            or payload.get("content_preview"),
        },
    )


def _llm_retry(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    cause = payload.get("status") or payload.get("error") or "no answer"
    return f"model call is tried again after {cause}, in {payload['delay_seconds']} s", {}


def _structured_output(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return f"output {payload['schema_name']}", {"data": payload.get("data")}


def _output_failed(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return (
        f"reply is no {payload['schema_name']}: {payload['stage']}",
        {"fields": payload.get("fields"), "message": payload.get("message")},
    )


def _tool_call(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return f"call tool {payload['name']}", {"arguments": payload.get("arguments")}


def _tool_result(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    took = _millis(payload, "elapsed_ms")
    if payload.get("ok") is False:
        return f"tool {payload['name']} failed: {_error(payload['error'])}", {"took": took}
    result = payload.get("result")
    shown: JsonValue = "null" if result is None else result
    return f"tool {payload['name']} returned", {"result": shown, "took": took}


def _approval_requested(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return (
        f"approval {payload['approval_id']} is asked for",
        {
            "summary": payload.get("summary"),
            "details": payload.get("details"),
            "if approved, go to": payload.get("on_approve"),
            "if rejected, go to": payload.get("on_reject"),
        },
    )


def _approval_resolved(state: RunState, payload: Payload, seq: int) -> tuple[str, Details]:
    ignored = state.ignored_resolutions.get(seq)
    if ignored is not None:
        return f"answer to {payload.get('approval_id')} is ignored", {"because": ignored}
    by = payload.get("by", payload.get("resolver"))
    return (
        f"{payload['approval_id']} is {_answer(payload)}" + (f" by {by}" if by else ""),
        {"reason": payload.get("reason")},
    )


def _approval_applied(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    if "approval_state" in payload:  # as replayt 0.2 to 0.4 wrote it
        return f"run acts on it: {payload['approval_state']} is left", {}
    return f"run acts on it: {payload['approval_id']} is {_answer(payload)}", {}


def _retry_scheduled(state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    if not state.chained:  # `attempt` is the one that failed
        failed = f"attempt {payload['attempt']} of {payload['max_attempts']} failed"
        return f"{failed}: {_error(payload['error'])}", {}
    return (
        f"attempt {payload['attempt']} of {payload['max_attempts']} in "
        f"{payload['delay_seconds']} s",
        _delta(payload),
    )


def _run_paused(state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    request = state.approvals.get(payload.get("request_seq") or 0)
    if request is not None:
        return f"run waits for approval {request.approval_id}", _delta(payload)
    if "approval_id" in payload:
        return f"run waits for approval {payload['approval_id']}", {}
    return f"run waits: {payload['reason']}", {"call": payload.get("call"), **_delta(payload)}


def _run_failed(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return f"run fails in {payload['state']}: {_error(payload['error'])}", _delta(payload)


def _run_interrupted(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return f"process ends, the run does not: {payload['reason']}", {}


def _run_completed(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    final = payload.get("final_state")
    return f"run ends: {payload['status']}" + (f", in {final}" if final else ""), {}


def _step_error(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    error = payload["error"]
    return f"{payload['state']} failed: {_error(error)}", {"at": error.get("location")}


def _step_note(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    summary = payload.get("summary")
    return (
        f"note {payload['kind']}" + (f": {summary}" if summary else ""),
        {"data": payload.get("data")},
    )


def _log_repaired(_state: RunState, payload: Payload, _seq: int) -> tuple[str, Details]:
    return (
        f"a torn end of {payload['bytes']} bytes was put aside",
        {"as": payload.get("saved_as"), "sha256": payload.get("sha256")},
    )


def _delta(payload: Payload) -> Details:
    context = payload.get("context") or {}
    return {"set": context.get("set"), "unset": context.get("unset")}


def _millis(payload: Payload, name: str) -> str | None:
    value = payload.get(name)
    return f"{value:.0f} ms" if isinstance(value, int | float) else None


def _error(error: Any) -> str:
    return f"{error['type']}: {error['message']}"


def _answer(payload: Payload) -> str:
    return "approved" if payload["approved"] else "rejected"


_WORDS: dict[str, Callable[[RunState, Payload, int], tuple[str, Details]]] = {
    "run_started": _run_started,
    "run_resumed": _run_resumed,
    "state_entered": _state_entered,
    "state_exited": _state_exited,
    "transition": _transition,
    "llm_request": _llm_request,
    "llm_response": _llm_response,
    "llm_retry": _llm_retry,
    "structured_output": _structured_output,
    "structured_output_failed": _output_failed,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "approval_requested": _approval_requested,
    "approval_resolved": _approval_resolved,
    "approval_applied": _approval_applied,
    "retry_scheduled": _retry_scheduled,
    "run_paused": _run_paused,
    "run_failed": _run_failed,
    "run_interrupted": _run_interrupted,
    "run_completed": _run_completed,
    "step_error": _step_error,
    "step_note": _step_note,
    "log_repaired": _log_repaired,
}
