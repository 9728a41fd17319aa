"""The journal of one attempt: every effect goes through it, live or served from the log.

Calls are numbered in the order they start. A recorded call is served to the same attempt only,
and only when the handler asks for the same thing; anything else is a `DeterminismError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import to_json

from replayt_core._log_writer import LogWriter
from replayt_core.errors import DeterminismError, RefusedError
from replayt_core.events import Draft, Event, Payload
from replayt_core.redaction import SCRUBBED

CallKind = Literal["llm", "tool"]
Effect = tuple[int, str, Payload]

CANCELLED = "CancelledError"
"""The error type of a call that the handler's own code cancelled."""
HANDLER_ENDED = "HandlerEnded"
"""The error type of a call that was in flight when its handler ended or paused."""


@dataclass(slots=True)
class RecordedCall:
    """A call that the log holds: its request, and its end where it has one.

    `output` is the validated output (or its failure) of a model call, `end_seq` the seq of its end.
    """

    call: int
    kind: CallKind
    seq: int
    request: Payload
    response: Payload | None = None
    output: tuple[str, Payload] | None = None
    end_seq: int = 0

    @property
    def error_type(self) -> str | None:
        """The type of the error that the call ended with."""
        error = (self.response or {}).get("error")
        return error.get("type") if isinstance(error, dict) else None

    @property
    def finished(self) -> bool:
        """Whether the log holds what the call returned.

        A call that its handler did not live to see returned nothing: after a pause it is made
        again, as if it had no end.
        """
        if self.response is None or self.error_type == HANDLER_ENDED:
            return False
        needs_output = self.kind == "llm" and self.request.get("schema_name") is not None
        return not (needs_output and self.response.get("ok") and self.output is None)

    @property
    def servable(self) -> bool:
        """Whether a finished call's reply was kept: text is, in mode `full` only."""
        if self.kind == "tool" or self.output is not None or self.response is None:
            return True
        return not self.response.get("ok") or "content" in self.response.get("reply", {})


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What a person said of a tool call with an unknown outcome."""

    action: Literal["retry", "result", "fail"]
    value: Any = None


@dataclass(frozen=True, slots=True)
class Followed:
    """A process whose handler is executed again: behind which seq it began, how it ended."""

    begin: int
    cut_short: bool


class Journal:
    """Numbers the calls of an attempt, serves those that the log holds, writes the others.

    `followed` is set where a process that is over is followed: a call that was in flight at its
    end is not made again; one that an earlier process left behind is, as it was then. `lost` are
    the calls whose reply was not kept, `withheld` says that the handler was refused one and
    `misled` that it left the log only after that. `made` lists the seqs of recorded calls and
    notes in the order they are made now.
    """

    def __init__(
        self,
        writer: LogWriter,
        effects: Sequence[Effect] = (),
        answers: Mapping[int, CallAnswer] | None = None,
        *,
        followed: Followed | None = None,
    ) -> None:
        self._writer = writer
        self.followed = followed
        self.recorded = recorded_calls(effects)
        self._notes = [(seq, payload) for seq, kind, payload in effects if kind == "step_note"]
        self._next_note = 0
        self.answers = answers or {}
        self.calls = 0
        self.served = 0
        self.divergence: DeterminismError | None = None
        self.mismatch: tuple[RecordedCall, Payload] | None = None
        self.lost: list[int] = []
        self.withheld = False
        self.misled = False
        self.made: list[int] = []
        self.refusal: RefusedError | None = None

    def next_call(self, kind: CallKind, asked: Payload) -> tuple[int, RecordedCall | None]:
        """The number of the call that starts now, and its record where the log has one.

        Raises `DeterminismError` when the log has another call at this place.
        """
        asked = self._writer.scrubber.encode(asked)[1]  # as the log has it
        self.calls += 1
        recorded = self.recorded.get(self.calls)
        if recorded is None:
            return self.calls, None
        self._make(recorded.seq)
        then_asked = self._hidden_by_now(recorded.request)
        if kind == "tool":
            then_arguments = then_asked.get("arguments")
            asked = {**asked, "arguments": as_recorded(then_arguments, asked.get("arguments"))}
        if fingerprint(kind, asked) != fingerprint(recorded.kind, then_asked):
            self.mismatch = (recorded, asked)
            now = describe_call(kind, asked)
            then = describe_call(recorded.kind, recorded.request)
            self.diverge(f"call {self.calls} is not the recorded one", then, now, recorded.seq)
        if self.serves(recorded):
            self.served += 1
            if not recorded.servable:
                self.lost.append(recorded.seq)
        return self.calls, recorded

    def _hidden_by_now(self, recorded: Payload) -> Payload:
        """What was recorded, as it would be now: its attempt may have hidden more names since."""
        return self._writer.scrubber.hiding.hide(recorded)

    def serves(self, recorded: RecordedCall) -> bool:
        """Whether a recorded call is answered from the log."""
        if recorded.finished or self.followed is None:
            return recorded.finished
        return recorded.response is not None and recorded.end_seq > self.followed.begin

    def left_open(self, call: int) -> bool:
        """Whether the followed process made the call, and ended its attempt without its end.

        So it does where its run was cancelled while it paused.
        """
        recorded, followed = self.recorded.get(call), self.followed
        if recorded is None or followed is None or followed.cut_short:
            return False
        return recorded.response is None and recorded.seq > followed.begin

    def border(self) -> int | None:
        """The seq behind which the followed process began, if it was served results before it."""
        if self.followed is None:
            return None
        begin = self.followed.begin
        served = (call.finished and call.end_seq <= begin for call in self.recorded.values())
        return begin if any(served) else None

    def out_of_order(self) -> tuple[int, int] | None:
        """The first recorded call or note that was made too late, and the one it comes before."""
        pairs = zip(self.made[1:], self.made, strict=False)
        return next(((late, early) for late, early in pairs if late < early), None)

    def describe(self, seq: int) -> str:
        """The recorded call or note of that seq, in a line."""
        for call in self.recorded.values():
            if call.seq == seq:
                return describe_call(call.kind, call.request)
        return next(f"note {_short(note)}" for at, note in self._notes if at == seq)

    def _make(self, seq: int) -> None:
        if not self.withheld:  # what a handler does behind a refused reply says nothing of it
            self.made.append(seq)

    def missing_before(self, seq: int) -> tuple[int, str] | None:
        """The first recorded call or note before `seq` that was not made yet: its seq, and what."""
        for number in range(self.calls + 1, len(self.recorded) + 1):
            call = self.recorded.get(number)
            if call is not None and call.seq < seq:
                return call.seq, describe_call(call.kind, call.request)
        if self._next_note < len(self._notes) and self._notes[self._next_note][0] < seq:
            note_seq, note = self._notes[self._next_note]
            return note_seq, f"note {_short(note)}"
        return None

    def diverge(self, message: str, recorded: str, now: str, seq: int | None) -> None:
        """Raise, and remember: a handler that swallows the error does not get away with it."""
        state = self._writer.state
        where = f"run {state.run_id}, state {state.state!r}"
        self.divergence = DeterminismError(
            f"{where}: {message}", recorded=recorded, now=now, seq=seq
        )
        self.divergence.what = message
        self.misled = self.withheld
        raise self.divergence

    def append(self, *drafts: Draft) -> list[Event]:
        """Write events of this attempt."""
        return self._writer.append(drafts)

    def note(self, payload: Payload) -> None:
        """Write a note, or find it in the log."""
        if self._next_note < len(self._notes):
            seq, recorded = self._notes[self._next_note]
            self._next_note += 1
            self._make(seq)
            payload = self._writer.scrubber.encode(payload)[1]
            recorded = self._hidden_by_now(recorded)
            payload = as_recorded(recorded, payload)
            if to_json(recorded) != to_json(payload):
                self.diverge("a note differs", _short(recorded), _short(payload), seq)
            return
        self._next_note += 1
        self.append(Draft("step_note", payload))

    def require_all_served(self) -> None:
        """Note a divergence when the handler ended without asking for all that is recorded."""
        left = self.recorded.get(self.calls + 1)
        if self.divergence is not None or (left is None and self._next_note >= len(self._notes)):
            return
        if left is not None:
            what, seq = describe_call(left.kind, left.request), left.seq
        else:
            seq, note = self._notes[self._next_note]
            what = f"note {_short(note)}"
        with suppress(DeterminismError):
            self.diverge("a recorded effect is not made any more", what, "the handler ended", seq)


def recorded_calls(effects: Sequence[Effect]) -> dict[int, RecordedCall]:
    """The calls among an attempt's effects, by number; a request written again starts anew."""
    calls: dict[int, RecordedCall] = {}
    for seq, kind, payload in effects:
        number = payload.get("call")
        if not isinstance(number, int):
            continue
        if kind in ("llm_request", "tool_call"):
            call_kind: CallKind = "llm" if kind == "llm_request" else "tool"
            calls[number] = RecordedCall(number, call_kind, seq, payload)
        elif number in calls:
            if kind in ("llm_response", "tool_result"):
                calls[number].response = payload
                calls[number].end_seq = seq
            elif kind in ("structured_output", "structured_output_failed"):
                calls[number].output = (kind, payload)
    return calls


def as_recorded(recorded: Any, now: Any) -> Any:
    """`now` with the recorded values wherever they differ by scrubbed secrets alone.

    Who reads a log need not know the secrets that its writer knew: they are neither a difference
    nor anything to show.
    """
    if not isinstance(recorded, dict) or not isinstance(now, dict):
        return now
    return {
        key: recorded[key]
        if key in recorded and _same_but_scrubbed(recorded[key], value)
        else value
        for key, value in now.items()
    }


def _same_but_scrubbed(recorded: Any, now: Any) -> bool:
    kept, asked = to_json(_sorted(recorded)), to_json(_sorted(now))
    mark = SCRUBBED.encode()
    if mark not in kept or mark in asked:  # who scrubs now too knows the secrets: compare exactly
        return False
    # A secret stands inside one JSON text, so it holds no bare quote.
    pattern = rb'[^"]+'.join(re.escape(part) for part in kept.split(mark))
    return re.fullmatch(pattern, asked) is not None


def fingerprint(kind: CallKind, asked: Payload) -> object:
    """What the handler asked, and nothing that environment or libraries filled in."""
    if kind == "tool":
        return kind, asked.get("name"), to_json(_sorted(asked.get("arguments")))
    messages = [(item.get("role"), item.get("sha256")) for item in asked.get("messages", ())]
    overrides = to_json(_sorted(asked.get("overrides") or {}))
    # How a repair is worded is not the handler's: it may change with a release.
    repair = (asked.get("repair") or {}).get("number")
    return kind, messages, overrides, asked.get("schema_name"), repair


def describe_call(kind: CallKind, asked: Payload) -> str:
    """A call in one line, for the error that names both."""
    if kind == "tool":
        return f"tool {asked.get('name')} {_short(asked.get('arguments'))}"
    messages = ", ".join(
        f"{item.get('role')} {item.get('bytes')} B {str(item.get('sha256'))[:12]}"
        for item in asked.get("messages", ())
    )
    schema = asked.get("schema_name")
    settings = asked.get("overrides") or {}
    asks = f"llm {schema or 'text'} [{messages}]"
    if asked.get("repair"):
        asks += f", repair {asked['repair'].get('number')}"
    return f"{asks} with {_short(settings)}" if settings else asks


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _short(value: Any, limit: int = 300) -> str:
    text = to_json(value).decode()
    return text if len(text) <= limit else text[:limit] + "…"
