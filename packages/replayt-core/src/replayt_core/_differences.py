"""Comparing what an attempt does now with what the log records of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pydantic_core import to_json

from replayt_core._journal import RecordedCall, as_recorded
from replayt_core.events import Draft, Event, Payload
from replayt_core.payloads import ErrorInfo

_COMPARED: dict[str, tuple[str, ...]] = {
    "state_exited": ("next_state", "context"),
    "transition": ("from_state", "to_state"),
    "state_entered": ("state", "visit", "attempt"),
    "step_error": ("state", "error"),
    "retry_scheduled": ("state", "attempt", "max_attempts", "error", "context"),
    "run_failed": ("state", "error", "context"),
    "run_completed": ("final_state", "status"),
    "approval_requested": (
        "approval_id",
        "summary",
        "details",
        "on_approve",
        "on_reject",
    ),
    "run_paused": ("state", "reason", "context"),
}
"""What is compared of each event of a boundary; all else is time, chance or environment."""

Found = tuple[int, str, str, str]


def compare_batches(recorded: Sequence[Event], now: Sequence[Draft]) -> Found | None:
    """The first difference of two boundaries as (seq, what, recorded, now), or None."""
    moves_then = [(event.type, event.payload) for event in recorded]
    moves_now = [(draft.type, draft.payload) for draft in now]
    if [kind for kind, _ in moves_then] != [kind for kind, _ in moves_now]:
        found = _first_cause(recorded, now)
        if found is not None:
            return found
        seq = recorded[0].seq
        return seq, "how the attempt ends", describe_batch(moves_then), describe_batch(moves_now)
    for event, draft in zip(recorded, now, strict=True):
        for name in _COMPARED.get(event.type, ()):
            found = _compare_field(event, name, draft.payload.get(name))
            if found is not None:
                return found
    return None


def _first_cause(recorded: Sequence[Event], now: Sequence[Draft]) -> Found | None:
    """Both exit, and one of them ends the run: the difference is where they go."""
    if recorded[0].type == now[0].type == "state_exited":
        return _compare_field(recorded[0], "next_state", now[0].payload.get("next_state"))
    return None


def _compare_field(event: Event, name: str, now: Any) -> Found | None:
    then = event.payload.get(name)
    if name == "error":
        then, now = _kind(then), _kind(now)
    if name == "context":
        return _compare_deltas(event.seq, then or {}, now or {})
    if event.type == "approval_requested":
        now = as_recorded({name: then}, {name: as_recorded(then, now)})[name]
    if to_json(then) == to_json(now):
        return None
    return event.seq, f"{event.type}.{name}", _short(then), _short(now)


def _compare_deltas(seq: int, then: Payload, now: Payload) -> Found | None:
    set_then, set_now = then.get("set", {}), now.get("set", {})
    for key in [*set_then, *(key for key in set_now if key not in set_then)]:
        left = _short(set_then[key]) if key in set_then else "not written"
        right = _short(set_now[key]) if key in set_now else "not written"
        both = key in set_then and key in set_now
        if not both or to_json(set_then[key]) != to_json(set_now[key]):
            return seq, f"the context key {key!r}", left, right
    if sorted(then.get("unset", ())) != sorted(now.get("unset", ())):
        return seq, "the removed keys", _short(then.get("unset")), _short(now.get("unset"))
    return None


def describe_batch(moves: Sequence[tuple[str, Payload]]) -> str:
    """A boundary, or what a handler asks for instead of one, in a line."""
    return ", ".join(_describe(kind, payload) for kind, payload in moves) or "nothing"


def _describe(kind: str, payload: Payload) -> str:
    if kind == "state_exited":
        target = payload.get("next_state")
        return "returns None" if target is None else f"returns {target!r}"
    if kind in ("step_error", "run_failed"):
        return f"{kind} {_kind(payload.get('error'))}"
    if kind in ("tool_call", "llm_request"):
        return f"{kind} {payload.get('name') or payload.get('schema_name') or 'text'}"
    if kind == "approval_requested":
        return f"asks for approval {payload.get('approval_id')!r}"
    if kind == "run_interrupted":
        return f"is interrupted by {payload.get('reason')}"
    if kind == "step_note":
        return f"notes {payload.get('kind')!r}"
    return kind


def _kind(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    kind = error.get("kind")
    return f"{error.get('type')} ({kind})" if kind else str(error.get("type"))


def error_differences(recorded: Sequence[Event], now: ErrorInfo) -> Iterator[str]:
    """What is raised now, and what was raised then where something was."""
    then = next((event.payload["error"] for event in recorded if "error" in event.payload), None)
    if isinstance(then, dict):
        yield f"raised then: {_raised(then)}"
    yield f"raised now:  {_raised(now)}"


def _raised(error: Mapping[str, Any]) -> str:
    text = " ".join(str(error.get("message") or "").split())
    shown = text if len(text) <= 300 else text[:300] + "…"
    return f"{_kind(error)}: {shown}" if shown else _kind(error)


def prompt_differences(recorded: RecordedCall, asked: Payload) -> Iterator[str]:
    """Which part of a call differs: prompts line by line where the log mode kept them."""
    if recorded.kind == "tool" or "messages" not in asked:
        then, now = recorded.request.get("arguments"), asked.get("arguments")
        if isinstance(then, dict) and isinstance(now, dict):
            for key in sorted({*then, *now}):
                if then.get(key) != now.get(key):
                    yield f"argument {key}: recorded {_short(then.get(key))}"
                    yield f"argument {key}: now      {_short(now.get(key))}"
        return
    messages_then, messages_now = recorded.request.get("messages", []), asked["messages"]
    if len(messages_then) != len(messages_now):
        yield f"messages: recorded {len(messages_then)}, now {len(messages_now)}"
    for index, (then, now) in enumerate(zip(messages_then, messages_now, strict=False)):
        if (then.get("role"), then.get("sha256")) != (now.get("role"), now.get("sha256")):
            yield from _message_difference(index, then, now)


def _message_difference(index: int, then: Payload, now: Payload) -> Iterator[str]:
    old, new = then.get("content"), now.get("content")
    if isinstance(old, str) and isinstance(new, str):
        yield f"messages[{index}] ({now.get('role')}):"
        lines = difflib.unified_diff(
            old.splitlines(), new.splitlines(), "recorded", "now", lineterm="", n=2
        )
        yield from (f"  {line}" for line in lines)
        return
    for when, message in (("recorded", then), ("now     ", now)):
        digest = str(message.get("sha256"))[:12]
        yield (
            f"messages[{index}] {when}: {message.get('role')}, {message.get('bytes')} bytes, "
            f"sha256 {digest}"
        )
    parts_then, parts_now = then.get("parts") or [], now.get("parts") or []
    for number, (old, new) in enumerate(zip_longest(parts_then, parts_now), 1):
        if old != new:
            yield f"messages[{index}] part {number}: recorded {_part(old)}, now {_part(new)}"


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return "nothing"
    kind = " ".join(str(part[name]) for name in ("type", "media_type") if part.get(name))
    return f"{kind or 'a part'} of {part.get('bytes')} bytes, sha256 {str(part.get('sha256'))[:12]}"


def _short(value: Any, limit: int = 200) -> str:
    text = to_json(value, inf_nan_mode="null").decode()
    return text if len(text) <= limit else text[:limit] + "…"
