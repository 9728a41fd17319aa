"""A run as it happens: a line for each finished visit, and one for what is going on now.

All of it is made from the events that are in the log, by the fold and by the rows of calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from replayt_cli.render.columns import columns_of
from replayt_cli.render.figures import (
    duration,
    figures,
    model_of,
    names_of,
    seconds_of,
    tool_of,
)
from replayt_cli.render.text import count_of, cut, one_line
from replayt_core import Event, apply, new_state
from replayt_core.records import Records, records
from replayt_store.prices import Prices

_NAME_COLUMNS = 24
_LEAST_COLUMNS = 8
_MOST_COLUMNS = 32
_TAKEN_UP = {
    "approval": "after an approval",
    "call_answered": "after word of a call",
    "retry_failed": "to try a failed state again",
    "interrupted": "after an interruption",
}


class Line(NamedTuple):
    """A line for a terminal: a name in a style, the columns behind it."""

    name: str
    style: str
    rest: str = ""


class LiveView:
    """What is to be shown of one run. `history` are the events it had before this process."""

    def __init__(
        self, run_id: str, prices: Prices | None = None, history: Iterable[Event] = ()
    ) -> None:
        self._state = new_state(run_id)
        self._prices = prices
        self._attempt: list[Event] = []
        self._rows: Records | None = None
        self._served = 0
        self._begun_ts = ""
        self._taken_up_seq = 0
        self._since = 0.0
        self._name_columns = _LEAST_COLUMNS
        for event in history:
            self._keep(event)

    def take(self, event: Event, at: float) -> Line | None:
        """Take an event in; the line that it leads to, if any.

        `at` is when it came, on a clock that never goes back.
        """
        state, kind, payload = self._state, event.type, event.payload
        self._since = at
        where, executing = self._name(), state.phase == "executing"
        self._keep(event)
        if kind == "run_started":
            return Line(f"run {state.run_id}", "bold", self._workflow() + self._parent())
        if kind == "run_resumed":
            self._taken_up()
            why = _TAKEN_UP.get(str(payload.get("reason")), str(payload.get("reason")))
            return Line(
                f"run {state.run_id}", "bold", f"{self._workflow()} goes on {one_line(why)}"
            )
        if kind == "log_repaired":
            size = count_of(int(payload["bytes"]), "byte")
            return Line("log", "warning", f"  a torn end of {size} was put aside")
        if kind in _ENDS and (executing or kind == "run_failed"):
            return self._ended(where, event, executing)
        return None

    def now(self, at: float) -> str | None:
        """What is going on and since when, in one line; None where nothing is."""
        state, seconds = self._state, max(at - self._since, 0.0)
        if state.phase == "backoff":
            return f"{self._name()}: {self._next_attempt(self._attempt[-1], waited=seconds)}"
        what = self.what()
        if what is None:
            return None
        retry = self._model_retry(waited=seconds)
        return f"{what}, {retry or seconds_of(int(seconds))}"

    def what(self) -> str | None:
        """What is going on: the state, and the calls that are open."""
        if self._state.phase != "executing":
            return None
        calls = self._calls()
        waiting = [model_of(call) for call in calls.llm_calls if call.ok is None]
        tools = [tool_of(call) for call in calls.tool_calls if call.ok is None]
        parts = []
        if waiting:
            parts.append(f"waiting for model {names_of(waiting)}")
        if tools:
            parts.append(f"tool {names_of(tools)}")
        if not parts and self._served and self._attempt[-1].type == "run_resumed":
            parts.append(f"{count_of(self._served, 'call')} served from the log")
        return f"{self._name()}: {', '.join(parts)}" if parts else self._name()

    def _model_retry(self, *, waited: float) -> str | None:
        """Which retry of a model call comes next, and when; None where no client waits for one."""
        last = self._attempt[-1]
        if last.type != "llm_retry":
            return None
        left = float(last.payload["delay_seconds"]) - waited
        if left <= 0:
            return None
        number = 0
        for event in reversed(self._attempt):
            # A call that is made again, in another process, has all its retries before it again.
            if event.payload.get("call") == last.payload["call"]:
                if event.type == "llm_request":
                    break
                number += event.type == "llm_retry"
        return f"retry {number}{_of(last.payload.get('max_retries'))} in {seconds_of(ceil(left))}"

    def _ended(self, where: str, event: Event, executing: bool) -> Line:
        """The line of an attempt that is over."""
        payload, style, parts = event.payload, "ok", []
        took = payload.get("elapsed_ms") if event.type == "state_exited" else None
        if took is None and executing:
            took = _millis_between(self._begun_ts, event.ts)
        if event.type == "run_failed":
            style = "failed"
            parts.append(f"failed: {_error(payload.get('error'))}")
        elif event.type == "retry_scheduled":
            style = "warning"
            parts.append(f"{self._next_attempt(event)}: {_error(payload.get('error'))}")
        elif event.type == "run_paused":
            style = "paused"
            parts.append(self._waits())
        elif event.type == "run_interrupted":
            style = "interrupted"
            parts.append(f"interrupted by {one_line(str(payload.get('signal') or 'its code'))}")
        if executing:
            parts += self._figures(served=event.type != "run_interrupted")
        # Lines below one with a number stay in its columns.
        self._name_columns = max(self._name_columns, min(columns_of(where), _MOST_COLUMNS))
        gap = " " * max(self._name_columns - columns_of(where), 0)
        shown = "" if took is None else duration(float(took))
        return Line(where, style, f"{gap}{shown:>8}  {'; '.join(parts)}".rstrip())

    def _next_attempt(self, scheduled: Event, *, waited: float = 0.0) -> str:
        state = self._state
        of = _of(scheduled.payload.get("max_attempts"))
        left = max(state.retry_delay - waited, 0.0)
        return f"attempt {state.retry_attempt}{of} in {seconds_of(ceil(left) if waited else left)}"

    def _waits(self) -> str:
        pause = self._state.pause
        asked = self._state.approvals.get((pause.request_seq if pause else None) or 0)
        if asked is not None:
            return f"waits for approval {one_line(asked.approval_id)}"
        return f"waits for word of call {pause.call}" if pause else "waits"

    def _figures(self, *, served: bool) -> list[str]:
        """What the attempt did in this process, and what the log served it."""
        first = self._taken_up_seq
        made = self._calls()
        parts = figures(
            [call for call in made.llm_calls if call.seq > first],
            [call for call in made.tool_calls if call.seq > first],
            [event for event in self._attempt if event.type == "llm_retry" and event.seq > first],
            self._prices,
        )
        if served and self._served:
            parts.append(f"{count_of(self._served, 'call')} served from the log")
        return parts

    def _calls(self) -> Records:
        if self._rows is None:
            self._rows = records(self._state.run_id, self._attempt)
        return self._rows

    def _keep(self, event: Event) -> None:
        apply(self._state, event)
        if event.type == "state_entered":
            self._attempt, self._served, self._taken_up_seq = [], 0, 0
            self._begun_ts = event.ts
            self._name_columns = max(self._name_columns, self._widest())
        self._attempt.append(event)
        self._rows = None

    def _taken_up(self) -> None:
        """Calls of this attempt that an earlier process finished are served, not made."""
        before = records(self._state.run_id, filter(_handed_over, self._attempt))
        ends = [call.ok for call in before.llm_calls] + [call.ok for call in before.tool_calls]
        self._served = sum(ok is not None for ok in ends)
        self._taken_up_seq, self._begun_ts = self._attempt[-1].seq, self._attempt[-1].ts

    def _widest(self) -> int:
        names = self._state.graph.get("states", ())
        widest = max((columns_of(one_line(str(name))) for name in names), default=0)
        return min(widest, _NAME_COLUMNS)

    def _name(self) -> str:
        """The state, with its visit and attempt where they are not the first."""
        state = self._state
        counts = [
            f"{word} {number}"
            for word, number in (("visit", state.visit), ("attempt", state.attempt))
            if number > 1
        ]
        name = cut(one_line(state.state or "run"), _NAME_COLUMNS)
        return f"{name} ({', '.join(counts)})" if counts else name

    def _parent(self) -> str:
        parent = self._state.forked_from
        return f"  forked from {one_line(str(parent.get('run_id')))}" if parent else ""

    def _workflow(self) -> str:
        summary = self._state.summary
        return f"  {one_line(f'{summary.workflow_name}@{summary.workflow_version}')}"


_ENDS = {"state_exited", "retry_scheduled", "run_failed", "run_paused", "run_interrupted"}


def _handed_over(event: Event) -> bool:
    """Not the end of a call that its handler did not live to see: that one is made again."""
    error = event.payload.get("error")
    return not (isinstance(error, dict) and error.get("type") == "HandlerEnded")


def _of(most: Any) -> str:
    return f" of {most}" if type(most) is int else ""


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return one_line(str(error))
    return one_line(f"{error.get('type') or 'error'}: {error.get('message')}")


def _millis_between(first: str, last: str) -> float | None:
    try:
        begun, ended = (datetime.fromisoformat(ts.replace("Z", "+00:00")) for ts in (first, last))
        return max((ended - begun).total_seconds(), 0.0) * 1_000
    except (TypeError, ValueError):
        return None
