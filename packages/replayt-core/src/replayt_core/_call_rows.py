"""The rows of model and tool calls: which end belongs to which start.

A call that was made again since its end was lost (the same `call` in the same attempt) is one
row, that of the later request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from replayt_core._summary import millis, tokens
from replayt_core.events import Payload


class LLMCallRow(NamedTuple):
    """A model call; `seq` is that of its request. `ok` is None while it has no end.

    `model` is the one that was asked for, `reply_model` what the provider called it.
    """

    seq: int
    ts: str
    state: str | None
    visit: int
    attempt: int
    call: int | None
    provider: str | None
    host: str | None
    model: str | None
    reply_model: str | None
    schema_name: str | None
    ok: bool | None
    latency_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    finish_reason: str | None
    error_kind: str | None
    retries: int


class ToolCallRow(NamedTuple):
    """A tool call; `seq` is that of its `tool_call`. `ok` is None while it has no end."""

    seq: int
    ts: str
    state: str | None
    visit: int
    attempt: int
    call: int | None
    name: str | None
    arguments: Any
    ok: bool | None
    result: Any
    error_type: str | None
    elapsed_ms: float | None


class Place(NamedTuple):
    """Where a run stands: state, visit, attempt."""

    state: str | None
    visit: int
    attempt: int


class OpenCall(NamedTuple):
    """A call that was started: the event, and the place it was started from."""

    seq: int
    ts: str
    payload: Payload
    place: Place


class Pairs:
    """Which start an end belongs to: by the number of the call, without one by their order."""

    def __init__(self) -> None:
        self._numbered: dict[int, OpenCall] = {}
        self._unnumbered: list[OpenCall] = []

    def start(self, opened: OpenCall) -> OpenCall | None:
        """Remember a start; the one that it replaces, if it is made again."""
        call = _call(opened.payload)
        if call is None:
            self._unnumbered.append(opened)
            return None
        replaced = self._numbered.get(call)
        self._numbered[call] = opened
        return replaced

    def end(self, payload: Payload) -> OpenCall | None:
        """The start of what ends here."""
        call = _call(payload)
        if call is None:
            return self._unnumbered.pop(0) if self._unnumbered else None
        return self._numbered.pop(call, None)

    def get(self, payload: Payload) -> OpenCall | None:
        """The start of what goes on here."""
        call = _call(payload)
        if call is None:
            return self._unnumbered[0] if self._unnumbered else None
        return self._numbered.get(call)

    def close(self) -> list[OpenCall]:
        """Forget the starts of an attempt that is over: those that have no end."""
        if not self._numbered and not self._unnumbered:
            return []
        left = [*self._numbered.values(), *self._unnumbered]
        self._numbered, self._unnumbered = {}, []
        return left


class LLMCalls:
    """The rows of model calls, while their events come in."""

    def __init__(self) -> None:
        self._pairs = Pairs()
        self._rows: list[LLMCallRow] = []
        self._retries: dict[int, int] = {}

    def start(self, opened: OpenCall) -> None:
        """A request."""
        replaced = self._pairs.start(opened)
        if replaced is not None and replaced.seq in self._retries:
            self._retries[opened.seq] = self._retries.pop(replaced.seq)

    def retry(self, payload: Payload) -> None:
        """The transport tries it again."""
        opened = self._pairs.get(payload)
        if opened is not None:
            self._retries[opened.seq] = self._retries.get(opened.seq, 0) + 1

    def end(self, seq: int, ts: str, payload: Payload, place: Place) -> None:
        """A response. One whose request is not in the log makes a row: no token is lost."""
        opened = self._pairs.end(payload) or OpenCall(seq, ts, payload, place)
        self._rows.append(self._row(opened, payload))

    def close(self) -> None:
        """The attempt is over."""
        for opened in self._pairs.close():
            self._rows.append(self._row(opened, None))

    def rows(self) -> tuple[LLMCallRow, ...]:
        """The rows of all requests so far."""
        self.close()
        return tuple(sorted(self._rows))

    def _row(self, opened: OpenCall, end: Payload | None) -> LLMCallRow:
        asked = opened.payload.get
        effective = _mapping(asked("effective")).get
        answer = _NOTHING if end is None else end
        usage = _mapping(answer.get("usage")).get
        place = opened.place
        texts: tuple[Any, ...] = (
            asked("state", place.state),
            effective("provider"),
            effective("host"),
            effective("model"),
            answer.get("model"),
            asked("schema_name"),
            answer.get("finish_reason"),
        )
        if not _TEXTS.issuperset(map(type, texts)):
            texts = tuple(map(_text, texts))
        state, provider, host, model, reply_model, schema_name, finish_reason = texts
        return LLMCallRow(
            opened.seq,
            opened.ts,
            state,
            place.visit,
            place.attempt,
            _call(opened.payload),
            provider,
            host,
            model,
            reply_model,
            schema_name,
            None if end is None else answer.get("ok") is not False,
            millis(answer.get("latency_ms")),
            tokens(usage("prompt_tokens")),
            tokens(usage("completion_tokens")),
            tokens(usage("total_tokens")),
            finish_reason,
            _text(_mapping(answer["error"]).get("kind")) if "error" in answer else None,
            self._retries.get(opened.seq, 0),
        )


_NOTHING: Payload = {}
_TEXTS = {str, type(None)}


def tool_row(opened: OpenCall, end: Payload | None) -> ToolCallRow:
    payload, place = opened.payload, opened.place
    answer: Payload = {} if end is None else end
    error = _mapping(answer.get("error"))
    return ToolCallRow(
        opened.seq,
        opened.ts,
        _text(payload.get("state")) or place.state,
        place.visit,
        place.attempt,
        _call(payload),
        _text(payload.get("name")),
        payload.get("arguments"),
        None if end is None else answer.get("ok") is not False,
        answer.get("result"),
        # What `ToolError.error_type` is: the class that the tool raised.
        _text(error.get("kind")) or _text(error.get("type")),
        millis(answer.get("elapsed_ms")),
    )


def _call(payload: Payload) -> int | None:
    call = payload.get("call")
    return call if type(call) is int and call else None


def _mapping(value: Any) -> Payload:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
