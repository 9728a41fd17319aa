"""A run as its visits, attempts, calls and how each attempt ended: what two runs are compared by.

The fold says where the run stands at each event; here it is only kept what was where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from replayt_core._call_rows import OpenCall, Pairs, Place
from replayt_core._fold import RunState, apply, new_state
from replayt_core._summary import UNFIT
from replayt_core.events import Event, Payload

ItemKind = Literal["llm", "tool", "note", "approval"]
EndKind = Literal["exits", "retries", "fails", "pauses", "cut"]


@dataclass(kw_only=True)
class Item:
    """A call, a note or a request for an approval. `end` is its result, reply or answer."""

    kind: ItemKind
    name: str | None
    seq: int
    payload: Payload
    end: Payload | None = None
    end_seq: int | None = None
    output: Payload | None = None
    output_seq: int | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """What items of two runs are aligned by."""
        return self.kind, self.name

    @cached_property
    def asked(self) -> tuple[str, str | None, str]:
        """The same for two items that asked the same, as far as the log says what they asked."""
        messages = self.payload.get("messages")
        if isinstance(messages, list):
            said: Any = [m.get("sha256") if isinstance(m, dict) else None for m in messages]
        else:
            said = [self.payload.get(name) for name in ("arguments", "summary", "data", "details")]
        return (*self.key, json.dumps(said, sort_keys=True))


@dataclass(slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, and the move where it led to one.

    One that was `cut` has no end of its own: its visit was begun again.
    """

    kind: EndKind
    seq: int
    payload: Payload
    move: Payload | None = None
    move_seq: int | None = None


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One execution of a handler; `items` by seq, in the order of the log."""

    seq: int
    items: dict[int, Item] = field(default_factory=dict)
    end: AttemptEnd | None = None


@dataclass(slots=True, kw_only=True)
class Visit:
    """One arrival in a state."""

    state: str
    visit: int
    seq: int
    last_seq: int
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ReadRun:
    """A run as it is compared. `started` is empty where the log does not begin with it."""

    events: list[Event]
    state: RunState
    started: Payload
    started_seq: int | None
    visits: list[Visit]


def read_run(events: Iterable[Event]) -> ReadRun:
    """The run with these events. Payloads that do not fit are left out."""
    kept = list(events)
    state = new_state(kept[0].run_id if kept else "")
    reader = _Reader()
    for event in kept:
        apply(state, event)
        part = reader.PARTS.get(event.type)
        try:
            if part is not None:
                part(reader, event, state)
        except UNFIT:
            continue
        finally:
            if reader.visits:
                reader.visits[-1].last_seq = event.seq
    reader.answer(state)
    return ReadRun(
        events=kept,
        state=state,
        started=reader.started,
        started_seq=reader.started_seq,
        visits=reader.visits,
    )


class _Reader:
    """What was where, while the events come in."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.started: Payload = {}
        self.started_seq: int | None = None
        self._models = Pairs()
        self._tools = Pairs()
        self._replied: dict[int | None, Item] = {}
        self._approvals: dict[int, Item] = {}

    def answer(self, state: RunState) -> None:
        """Put the answers that the fold has found to the requests."""
        for seq, approval in state.approvals.items():
            item = self._approvals.get(seq)
            if item is not None and not approval.open:
                item.end_seq = approval.resolved_seq
                item.end = {
                    "approved": approval.approved,
                    "by": approval.by,
                    "reason": approval.reason,
                }

    def _start(self, event: Event, _state: RunState) -> None:
        if self.started_seq is None:
            self.started, self.started_seq = event.payload, event.seq

    def _enter(self, event: Event, state: RunState) -> None:
        if state.entered_seq != event.seq or state.state is None:
            return  # the fold found no state in it
        self._models, self._tools, self._replied = Pairs(), Pairs(), {}
        last = self.visits[-1] if self.visits else None
        if last is None or (last.state, last.visit) != (state.state, state.visit):
            last = Visit(state=state.state, visit=state.visit, seq=event.seq, last_seq=event.seq)
            self.visits.append(last)
        elif last.attempts[-1].end is None:
            last.attempts[-1].end = AttemptEnd(kind="cut", seq=event.seq, payload={})
        elif last.attempts[-1].end.kind == "fails":
            last.attempts[-1].end.kind = "retries"  # the run ended so, and was taken up again
        last.attempts.append(Attempt(seq=event.seq))

    def _end(self, event: Event, state: RunState) -> None:
        attempt = self._attempt()
        if attempt is None or (attempt.end is not None and state.chained):
            return  # the run failed between two attempts: it is no attempt that did
        if attempt.end is not None:
            attempt = Attempt(seq=event.seq)  # older logs have no entry of a further attempt
            self.visits[-1].attempts.append(attempt)
        kind = _ENDS[event.type]
        attempt.end = AttemptEnd(kind=kind, seq=event.seq, payload=event.payload)

    def _resume(self, _event: Event, _state: RunState) -> None:
        attempt = self._attempt()
        if attempt is not None and attempt.end is not None and attempt.end.kind == "pauses":
            attempt.end = None  # the attempt goes on

    def _move(self, event: Event, _state: RunState) -> None:
        attempt = self._attempt()
        if attempt is not None and attempt.end is not None and attempt.end.kind == "exits":
            attempt.end.move, attempt.end.move_seq = event.payload, event.seq

    def _ask(self, event: Event, state: RunState) -> None:
        name = event.payload.get("schema_name")
        item = self._item("llm", name, event)
        self._open(self._models, item, event, state)

    def _reply(self, event: Event, _state: RunState) -> None:
        item = self._close(self._models, event)
        if item is not None:
            self._replied[event.payload.get("call")] = item

    def _output(self, event: Event, _state: RunState) -> None:
        item = self._replied.get(event.payload.get("call"))
        name = event.payload.get("schema_name")
        if item is None or item.output is not None or item.name not in (None, name):
            item = self._item("llm", name, event, payload={})  # an output without its request
        item.name = name
        item.output, item.output_seq = event.payload, event.seq

    def _call(self, event: Event, state: RunState) -> None:
        item = self._item("tool", event.payload.get("name"), event)
        self._open(self._tools, item, event, state)

    def _result(self, event: Event, _state: RunState) -> None:
        self._close(self._tools, event)

    def _note(self, event: Event, _state: RunState) -> None:
        self._item("note", event.payload.get("kind"), event)

    def _request(self, event: Event, _state: RunState) -> None:
        item = self._item("approval", event.payload.get("approval_id"), event)
        self._approvals[event.seq] = item

    def _attempt(self) -> Attempt | None:
        return self.visits[-1].attempts[-1] if self.visits else None

    def _item(
        self, kind: ItemKind, name: object, event: Event, payload: Payload | None = None
    ) -> Item:
        item = Item(
            kind=kind,
            name=name if isinstance(name, str) else None,
            seq=event.seq,
            payload=event.payload if payload is None else payload,
        )
        self.visits[-1].attempts[-1].items[event.seq] = item
        return item

    def _open(self, pairs: Pairs, item: Item, event: Event, state: RunState) -> None:
        place = Place(state.state, state.visit, state.attempt)
        replaced = pairs.start(OpenCall(event.seq, event.ts, item.payload, place))
        if replaced is not None:  # made again since its end was lost
            self.visits[-1].attempts[-1].items.pop(replaced.seq, None)

    def _close(self, pairs: Pairs, event: Event) -> Item | None:
        opened = pairs.end(event.payload)
        item = self.visits[-1].attempts[-1].items.get(opened.seq) if opened else None
        if item is not None:
            item.end, item.end_seq = event.payload, event.seq
        return item

    PARTS: ClassVar[dict[str, Callable[[_Reader, Event, RunState], None]]] = {
        "run_started": _start,
        "run_resumed": _resume,
        "state_entered": _enter,
        "state_exited": _end,
        "retry_scheduled": _end,
        "run_failed": _end,
        "run_paused": _end,
        "transition": _move,
        "llm_request": _ask,
        "llm_response": _reply,
        "structured_output": _output,
        "structured_output_failed": _output,
        "tool_call": _call,
        "tool_result": _result,
        "step_note": _note,
        "approval_requested": _request,
    }


_ENDS: dict[str, EndKind] = {
    "state_exited": "exits",
    "retry_scheduled": "retries",
    "run_failed": "fails",
    "run_paused": "pauses",
}
