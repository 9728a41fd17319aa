"""The events of a run as rows: what the SQL views show, and what an index keeps.

`digest` is the cheap pass that an index makes over every run: the summary, the path of states,
the model calls. `records` makes all rows and needs the whole fold. Both are total: a payload that
does not fit gives a row with less in it, or none.

Calls count as in the summary: one that was made again since its end was lost (the same `call` in
the same attempt) is one row, that of the later request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic_core import from_json

from replayt_core._call_rows import (
    LLMCallRow,
    LLMCalls,
    OpenCall,
    Pairs,
    Place,
    ToolCallRow,
    tool_row,
)
from replayt_core._fold import Approval, RunState, apply, new_state
from replayt_core._state_rows import ApprovalRow, StateOutcome, StateRow, TransitionRow
from replayt_core._summary import COUNTS, UNFIT, RunSummary, ends_run, entry_of, millis
from replayt_core.chain import decode, starts_chain
from replayt_core.events import Event, Payload

__all__ = [
    "ApprovalRow",
    "Digest",
    "DigestBuilder",
    "LLMCallRow",
    "Records",
    "StateRow",
    "ToolCallRow",
    "TransitionRow",
    "digest",
    "records",
]

PATH_STATES = 32
PATH_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What an index keeps of a run.

    `path` names the states in order, `a > b > a`; the same state several times in a row is named
    once, and of a long path only the beginning, ending in `…`, is kept.
    """

    summary: RunSummary
    path: str
    llm_calls: tuple[LLMCallRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """All rows of a run, each kind in the order of the log."""

    states: tuple[StateRow, ...]
    transitions: tuple[TransitionRow, ...]
    llm_calls: tuple[LLMCallRow, ...]
    tool_calls: tuple[ToolCallRow, ...]
    approvals: tuple[ApprovalRow, ...]


def digest(run_id: str, events: Iterable[Event]) -> Digest:
    """What an index keeps of the run with these events."""
    builder = DigestBuilder(run_id)
    for event in events:
        builder.feed(event)
    return builder.finish()


class DigestBuilder:
    """Makes a digest from a run that comes in pieces, in order: as events or as lines."""

    def __init__(self, run_id: str) -> None:
        self._summary = RunSummary(run_id)
        self._visits: dict[str, int] = {}
        self._place = Place(None, 0, 0)
        self._path: list[str] = []
        self._calls = LLMCalls()
        self._held: list[Any] = []
        self._empty_first = False

    def feed(self, event: Event) -> None:
        """Take the next event."""
        if event.type in _PARTS:
            self._take(event.type, event.seq, event.ts, event.payload)
        self._stand(event.seq, event.ts, 1)

    def feed_lines(self, data: bytes) -> None:
        """Take the next whole lines, each with its newline; this is what makes an index fast.

        All of them are parsed at once and the chain is not looked at. A batch that is cut short
        waits for its rest. Raises `ValueError` when anything is not the next event of the run; the
        builder is of no use then, and what is wrong `ChainReader` tells.
        """
        if data.startswith(b"\n") and not (self._summary.last_seq or self._held):
            if self._empty_first:
                raise ValueError("not one event a line")
            self._empty_first, data = True, data[1:]
        if self._empty_first and not self._summary.last_seq:
            if not data:
                return
            if starts_chain(decode(data[: data.index(b"\n")])):
                raise ValueError("an empty line before a chained event")
        # Looking for texts that were seen before costs more than making them anew.
        found = from_json(b"[%b]" % data[:-1].replace(b"\n", b","), cache_strings=False)
        # Two lines that are JSON only together, or two events in one line, are no log.
        if len(found) != data.count(b"\n"):
            raise ValueError("not one event a line")
        if self._held:
            found = self._held + found
            self._held = []
        while found and type(found[-1]) is dict and found[-1].get("more") is True:
            self._held.insert(0, found.pop())
        if not found:
            return
        run_id, seq, take, parts = self._summary.run_id, self._summary.last_seq, self._take, _PARTS
        first = seq + 1
        try:
            for event in found:
                seq += 1
                kind, ts, payload = event["type"], event["ts"], event["payload"]
                if (
                    event["seq"] != seq
                    or type(event["seq"]) is not int
                    or event["run_id"] != run_id
                    or type(payload) is not dict
                    or type(kind) is not str
                    or type(ts) is not str
                ):
                    raise ValueError("a line is not the next event")
                if kind in parts:
                    take(kind, seq, ts, payload)
        except (LookupError, TypeError):
            raise ValueError("a line is no event") from None
        self._stand(seq, ts, seq - first + 1)

    def finish(self) -> Digest:
        """The digest of the whole batches that were fed so far."""
        path = " > ".join(self._path[:PATH_STATES])
        if len(self._path) > PATH_STATES or len(path) > PATH_CHARACTERS:
            path = f"{path[:PATH_CHARACTERS]} > …"
        return Digest(summary=self._summary, path=path, llm_calls=self._calls.rows())

    def _take(self, kind: str, seq: int, ts: str, payload: Payload) -> None:
        count, part = _PARTS[kind]
        # Not `suppress`: this is called a million times, and it costs more than what it guards.
        try:  # noqa: SIM105
            count(self._summary, payload, ts)
        except UNFIT:
            pass
        if part is not None:
            try:  # noqa: SIM105
                part(self, seq, ts, payload)
            except UNFIT:
                pass

    def _stand(self, seq: int, ts: str, events: int) -> None:
        summary = self._summary
        summary.last_seq, summary.last_ts = seq, ts
        summary.events += events

    def _entered(self, _seq: int, _ts: str, payload: Payload) -> None:
        name, visit, attempt = entry_of(payload, self._visits)
        self._visits[name] = visit
        self._place = Place(name, visit, attempt)
        self._calls.close()
        path = self._path
        if (not path or path[-1] != name) and len(path) <= PATH_STATES:
            path.append(name)

    def _request(self, seq: int, ts: str, payload: Payload) -> None:
        self._calls.start(OpenCall(seq, ts, payload, self._place))

    def _response(self, seq: int, ts: str, payload: Payload) -> None:
        self._calls.end(seq, ts, payload, self._place)

    def _retry(self, _seq: int, _ts: str, payload: Payload) -> None:
        self._calls.retry(payload)


# What a digest keeps besides the summary.
_BESIDES: dict[str, Callable[[DigestBuilder, int, str, Payload], None]] = {
    "state_entered": DigestBuilder._entered,
    "llm_request": DigestBuilder._request,
    "llm_response": DigestBuilder._response,
    "llm_retry": DigestBuilder._retry,
}
_PARTS = {kind: (count, _BESIDES.get(kind)) for kind, count in COUNTS.items()}


def records(run_id: str, events: Iterable[Event]) -> Records:
    """All rows of the run with these events."""
    state = new_state(run_id)
    builder = _RecordsBuilder()
    for event in events:
        apply(state, event)
        part = builder.PARTS.get(event.type)
        if part is not None:
            try:
                part(builder, event, state)
            except UNFIT:
                continue
    return builder.finish(state)


class _RecordsBuilder:
    """All rows, while the events come in; the fold says where the run stands at each."""

    def __init__(self) -> None:
        self._states: list[StateRow] = []
        self._transitions: list[TransitionRow] = []
        self._llm_calls = LLMCalls()
        self._tool_pairs = Pairs()
        self._tool_calls: list[ToolCallRow] = []
        self._resolved: dict[int, str] = {}

    def finish(self, state: RunState) -> Records:
        self._close_tools()
        return Records(
            states=tuple(self._states),
            transitions=tuple(self._transitions),
            llm_calls=self._llm_calls.rows(),
            tool_calls=tuple(sorted(self._tool_calls, key=lambda row: row.seq)),
            approvals=tuple(self._approval(item) for item in state.approvals.values()),
        )

    def _entered(self, event: Event, state: RunState) -> None:
        if state.entered_seq != event.seq or state.state is None:
            return  # the fold found no state in it
        self._llm_calls.close()
        self._close_tools()
        self._states.append(
            StateRow(
                event.seq,
                event.ts,
                state.state,
                state.visit,
                state.attempt,
                outcome=None,
                ended_ts=None,
                next_state=None,
                elapsed_ms=None,
            )
        )

    def _exited(self, event: Event, state: RunState) -> None:
        self._end_state(
            event,
            state,
            "exited",
            next_state=_text(event.payload.get("next_state")),
            elapsed_ms=millis(event.payload.get("elapsed_ms")),
        )

    def _retried(self, event: Event, state: RunState) -> None:
        self._end_state(event, state, "retried")

    def _failed(self, event: Event, state: RunState) -> None:
        self._end_state(event, state, "failed")

    def _paused(self, event: Event, state: RunState) -> None:
        self._end_state(event, state, "paused")

    def _resumed(self, _event: Event, _state: RunState) -> None:
        if self._states and self._states[-1].outcome == "paused":
            # The attempt goes on.
            self._states[-1] = self._states[-1]._replace(outcome=None, ended_ts=None)

    def _end_state(
        self, event: Event, state: RunState, outcome: StateOutcome, **found: Any
    ) -> None:
        # In older logs a retry enters no state: all attempts of a visit are one row.
        ended = (None,) if state.chained else (None, "retried")
        if self._states and self._states[-1].outcome in ended:
            last = self._states[-1]._replace(outcome=outcome, ended_ts=event.ts, **found)
            self._states[-1] = last

    def _moved(self, event: Event, _state: RunState) -> None:
        payload = event.payload
        if ends_run(payload):
            return
        self._transitions.append(
            TransitionRow(
                event.seq,
                event.ts,
                _text(payload.get("from_state")),
                _text(payload.get("to_state")),
                _text(payload.get("reason")),
                payload.get("because"),
            )
        )

    def _llm_request(self, event: Event, state: RunState) -> None:
        self._llm_calls.start(_opened(event, state))

    def _llm_response(self, event: Event, state: RunState) -> None:
        self._llm_calls.end(*_opened(event, state))

    def _llm_retry(self, event: Event, _state: RunState) -> None:
        self._llm_calls.retry(event.payload)

    def _tool_call(self, event: Event, state: RunState) -> None:
        self._tool_pairs.start(_opened(event, state))

    def _tool_result(self, event: Event, _state: RunState) -> None:
        opened = self._tool_pairs.end(event.payload)
        if opened is not None:
            self._tool_calls.append(tool_row(opened, event.payload))

    def _close_tools(self) -> None:
        self._tool_calls += [tool_row(opened, None) for opened in self._tool_pairs.close()]

    def _answered(self, event: Event, state: RunState) -> None:
        if event.seq not in state.ignored_resolutions:
            self._resolved[event.seq] = event.ts

    def _approval(self, item: Approval) -> ApprovalRow:
        return ApprovalRow(
            item.request_seq,
            item.requested_ts,
            item.approval_id,
            item.state,
            item.visit,
            item.summary,
            item.details,
            item.approved,
            self._resolved.get(item.resolved_seq or 0),
            item.by,
            item.reason,
            item.applied,
        )

    PARTS: ClassVar[dict[str, Callable[[_RecordsBuilder, Event, RunState], None]]] = {
        "state_entered": _entered,
        "state_exited": _exited,
        "retry_scheduled": _retried,
        "run_failed": _failed,
        "run_paused": _paused,
        "run_resumed": _resumed,
        "transition": _moved,
        "llm_request": _llm_request,
        "llm_response": _llm_response,
        "llm_retry": _llm_retry,
        "tool_call": _tool_call,
        "tool_result": _tool_result,
        "approval_resolved": _answered,
    }


def _opened(event: Event, state: RunState) -> OpenCall:
    place = Place(state.state, state.visit, state.attempt)
    return OpenCall(event.seq, event.ts, event.payload, place)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
