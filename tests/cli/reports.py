"""Recorded runs for the tests of the report page, and the page taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from replayt_cli.show.recorded_run import RecordedRun
from replayt_core import Event, fold
from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft

Record = tuple[str, dict[str, Any]]
START = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)

GRAPH = {
    "initial": "read",
    "states": ["read", "decide", "pay", "refuse"],
    "edges": [["read", "decide"], ["decide", "pay"], ["decide", "refuse"], ["read", "refuse"]],
}
ERROR = {"type": "TimeoutError", "message": "no answer", "location": "desk.py:12", "kind": "slow"}
NO_DELTA: dict[str, Any] = {"set": {}, "unset": []}
SCHEMA = {"title": "Verdict", "type": "object", "properties": {"action": {"type": "string"}}}
MESSAGES = [
    {"role": "system", "bytes": 9, "sha256": "a" * 64, "content": "Be brief."},
    {
        "role": "user",
        "bytes": 14,
        "sha256": "b" * 64,
        "content": [{"type": "text", "text": "My order broke"}],
        "parts": [{"type": "text", "bytes": 14, "sha256": "b" * 64, "media_type": "text/plain"}],
        "fields": {"name": "kim"},
    },
]
EFFECTIVE = {"provider": "openai", "host": "api.test", "model": "m-1", "schema": SCHEMA}


def every_event() -> list[Record]:
    """A run in which each event type of schema 1 occurs, each with all its optional fields.

    The caller's to change: nothing in it is shared.
    """
    return [(kind, json.loads(json.dumps(payload))) for kind, payload in _every_event()]


def _every_event() -> list[Record]:
    return [
        (
            "run_started",
            {
                "log_schema": 1,
                "workflow_name": "desk",
                "workflow_version": "4",
                "graph": GRAPH,
                "code": {"read": "c" * 64, "pay": None},
                "initial_state": "read",
                "inputs": {"mail": "My order broke", "limit": 100},
                "tags": {"team": "refunds"},
                "log_mode": "full",
                "context": {"mail": "My order broke", "limit": 100},
                "forked_from": {"run_id": "parent", "seq": 4, "hash": "d" * 32},
                "pinned_from": {"head": "e" * 32},
            },
        ),
        ("state_entered", {"state": "read", "visit": 1, "attempt": 1}),
        (
            "llm_request",
            {
                "call": 1,
                "state": "read",
                "effective": {**EFFECTIVE, "temperature": 0.2},
                "overrides": {"temperature": 0.2},
                "messages": MESSAGES,
                "schema_name": "Verdict",
            },
        ),
        ("llm_retry", {"call": 1, "status": 429, "error": None, "delay_seconds": 1.5}),
        ("llm_retry", {"call": 1, "status": None, "error": "connect", "delay_seconds": 0.5}),
        (
            "llm_response",
            {
                "call": 1,
                "state": "read",
                "ok": True,
                "latency_ms": 2400.0,
                "effective": EFFECTIVE,
                "model": "m-1-2026",
                "usage": {"prompt_tokens": 1200, "completion_tokens": 30, "total_tokens": 1230},
                "finish_reason": "stop",
                "request_id": "req-7",
                "reply": {"bytes": 4, "sha256": "f" * 64, "content": "a re"},
            },
        ),
        (
            "structured_output_failed",
            {
                "call": 1,
                "state": "read",
                "schema_name": "Verdict",
                "stage": "schema",
                "fields": ["action: missing"],
                "message": "1 field does not fit",
            },
        ),
        (
            "llm_request",
            {
                "call": 2,
                "state": "read",
                "effective": EFFECTIVE,
                "overrides": {},
                "messages": MESSAGES,
                "schema_name": "Verdict",
                "schema": SCHEMA,
                "repair": {"of_call": 1, "number": 1, "added": MESSAGES[0]},
            },
        ),
        (
            "llm_response",
            {
                "call": 2,
                "state": "read",
                "ok": True,
                "latency_ms": 800.0,
                "effective": EFFECTIVE,
                "usage": None,
                "reply": {"bytes": 4, "sha256": "f" * 64, "preview": "the preview"},
            },
        ),
        (
            "structured_output",
            {"call": 2, "state": "read", "schema_name": "Verdict", "data": {"action": "pay"}},
        ),
        (
            "llm_request",
            {
                "call": 3,
                "state": "read",
                "effective": EFFECTIVE,
                "overrides": {},
                "messages": [{"role": "user", "bytes": 3, "sha256": "9" * 64}],
                "schema_name": None,
            },
        ),
        (
            "llm_response",
            {
                "call": 3,
                "state": "read",
                "ok": False,
                "latency_ms": 10.0,
                "effective": EFFECTIVE,
                "error": {"type": "LLMError", "message": "refused", "kind": "auth", "status": 401},
            },
        ),
        ("tool_call", {"call": 4, "state": "read", "name": "order", "arguments": {"number": 77}}),
        (
            "tool_result",
            {
                "call": 4,
                "state": "read",
                "name": "order",
                "ok": True,
                "result": {"total": 120.5, "lines": ["A-1"]},
                "elapsed_ms": 80.0,
            },
        ),
        ("tool_call", {"call": 5, "state": "read", "name": "stock", "arguments": {}}),
        (
            "tool_result",
            {
                "call": 5,
                "state": "read",
                "name": "stock",
                "ok": False,
                "error": ERROR,
                "elapsed_ms": 5.0,
            },
        ),
        ("step_note", {"state": "read", "kind": "policy", "summary": "above it", "data": {"a": 1}}),
        ("step_error", {"state": "read", "visit": 1, "attempt": 1, "error": ERROR}),
        (
            "retry_scheduled",
            {
                "state": "read",
                "attempt": 2,
                "max_attempts": 3,
                "error": ERROR,
                "delay_seconds": 2.0,
                "context": {"set": {"tries": 1}, "unset": []},
            },
        ),
        ("state_entered", {"state": "read", "visit": 1, "attempt": 2}),
        (
            "state_exited",
            {
                "state": "read",
                "next_state": "decide",
                "context": {"set": {"verdict": {"action": "pay"}}, "unset": ["tries"]},
                "elapsed_ms": 90.0,
            },
        ),
        (
            "transition",
            {
                "from_state": "read",
                "to_state": "decide",
                "reason": "an order is named",
                "because": [
                    {"read": "input", "name": "mail", "seq": 1},
                    {"read": "context", "name": "vip", "seq": None},
                    {"read": "attempt", "name": "attempt", "seq": 20},
                ],
            },
        ),
        ("state_entered", {"state": "decide", "visit": 1, "attempt": 1}),
        (
            "approval_requested",
            {
                "approval_id": "pay-it",
                "state": "decide",
                "visit": 1,
                "summary": "Pay 120.50 back?",
                "details": {"order": 77},
                "digest": "1" * 64,
                "on_approve": None,
                "on_reject": None,
            },
        ),
        (
            "run_paused",
            {
                "state": "decide",
                "reason": "approval",
                "request_seq": 24,
                "context": {"set": {"draft": "soon"}, "unset": []},
            },
        ),
        ("approval_resolved", {"approval_id": "other", "approved": True, "by": "eve"}),
        (
            "approval_resolved",
            {
                "approval_id": "pay-it",
                "request_seq": 24,
                "approved": True,
                "by": "ada",
                "reason": "photo seen",
            },
        ),
        (
            "log_repaired",
            {"bytes": 12, "sha256": "2" * 64, "saved_as": "desk.torn"},
        ),
        (
            "run_resumed",
            {
                "epoch": 2,
                "from_seq": 27,
                "reason": "approval",
                "overrides": {"allow_changed": True},
            },
        ),
        ("approval_applied", {"approval_id": "pay-it", "request_seq": 24, "approved": True}),
        ("run_interrupted", {"state": "decide", "reason": "signal", "signal": "SIGTERM"}),
        ("run_resumed", {"epoch": 3, "from_seq": 31, "reason": "interrupted"}),
        (
            "run_failed",
            {"state": "decide", "error": ERROR, "context": {"set": {"over": True}, "unset": []}},
        ),
        ("run_completed", {"final_state": "decide", "status": "failed"}),
    ]


def events_of(run_id: str, records: Sequence[Record], seconds: float = 1.0) -> list[Event]:
    """The records as chained events, each `seconds` after the one before."""
    events: list[Event] = []
    head, now = first_prev(run_id), START
    for index, (kind, payload) in enumerate(records):
        ts = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        events += seal(run_id, [Draft(kind, payload)], after=index, head=head, ts=ts)
        head, now = line_hash(events[-1].line), now + timedelta(seconds=seconds)
    return events


def recorded(run_id: str, records: Sequence[Record], status: str = "failed") -> RecordedRun:
    """The records as what the report page is made from."""
    events = events_of(run_id, records)
    return RecordedRun(events=events, state=fold(run_id, events), damage=None, status=status)


def write_log(path: Path, records: Sequence[Record]) -> Path:
    """The records as a log of the run that `path` names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = events_of(path.stem, records)
    path.write_bytes(b"".join(event.line + b"\n" for event in events))
    return path


def long_run(turns: int) -> list[Record]:
    """A run of 8 events a turn: two states, a model call and a tool call, some of each failing."""
    records: list[Record] = [every_event()[0]]
    records[0][1].update(
        {
            "graph": {
                "initial": "fetch",
                "states": ["fetch", "label"],
                "edges": [["fetch", "label"], ["label", "fetch"]],
            },
            "initial_state": "fetch",
        }
    )
    for key in ("forked_from", "pinned_from", "context"):
        del records[0][1][key]
    for turn in range(1, turns + 1):
        entered = len(records) + 1
        text = f"Mail {turn}: " + "the parcel came broken and I want my money back. " * 4
        records += [
            ("state_entered", {"state": "label", "visit": turn, "attempt": 1}),
            (
                "llm_request",
                {
                    "call": 1,
                    "state": "label",
                    "effective": EFFECTIVE,
                    "overrides": {},
                    "messages": [
                        {"role": "user", "bytes": len(text), "sha256": "3" * 64, "content": text}
                    ],
                    "schema_name": "Verdict",
                },
            ),
            (
                "llm_response",
                {
                    "call": 1,
                    "state": "label",
                    "ok": turn % 50 != 0,
                    "latency_ms": 700.0,
                    "effective": EFFECTIVE,
                    "usage": {"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 99},
                    "reply": {"bytes": 9, "sha256": "4" * 64, "content": '{"action": "pay"}'},
                    **({} if turn % 50 else {"error": ERROR}),
                },
            ),
            (
                "structured_output",
                {"call": 1, "state": "label", "schema_name": "Verdict", "data": {"action": "pay"}},
            ),
            (
                "tool_call",
                {"call": 2, "state": "label", "name": "file", "arguments": {"number": turn}},
            ),
            (
                "tool_result",
                {
                    "call": 2,
                    "state": "label",
                    "name": "file",
                    "ok": True,
                    "result": {"filed": turn},
                    "elapsed_ms": 3.0,
                },
            ),
            (
                "state_exited",
                {
                    "state": "label",
                    "next_state": "label",
                    "context": {"set": {"last": text, "count": turn}, "unset": []},
                    "elapsed_ms": 900.0,
                },
            ),
            (
                "transition",
                {
                    "from_state": "label",
                    "to_state": "label",
                    "reason": "more mail",
                    "because": [{"read": "call", "name": "Verdict", "seq": entered + 1}],
                },
            ),
        ]
    return records


def text_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every text in a payload."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from text_places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from text_places(item, (*path, index))


def changed(value: Any, path: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """A copy of a payload in which the value at `path` is changed."""
    if not path:
        return change(value)
    if isinstance(value, dict):
        return {
            key: changed(item, path[1:], change) if key == path[0] else item
            for key, item in value.items()
        }
    return [
        changed(item, path[1:], change) if index == path[0] else item
        for index, item in enumerate(value)
    ]


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, its text, its stylesheet."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.style = ""
        self.comments: list[str] = []
        self._texts: list[str] = []
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._in_style = tag == "style"
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        self._part(tag)

    def _part(self, tag: str) -> None:
        if tag not in ("span", "code", "a"):
            self._texts.append(" ")

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        else:
            self._texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        """All text, with runs of white space as one blank."""
        return " ".join("".join(self._texts).split())

    @property
    def policy(self) -> str:
        """The content security policy."""
        return next(
            attrs["content"]
            for tag, attrs in self.elements
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        )
