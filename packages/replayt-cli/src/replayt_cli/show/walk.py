"""A recorded run as somebody walks through it: where he stands, and what held at that point.

What held comes from the fold alone. Its states at every so many events are kept, so that a step in
either direction folds at most that many.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replayt_core import Event, RunState, apply, new_state
from replayt_core.timeline import TimelineEntry, timeline

EVERY = 500
"""How many events lie between two states of the fold that are kept."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an event changed of one key of the context."""

    key: str
    was: Any = None
    now: Any = None
    was_there: bool
    is_there: bool


@dataclass(frozen=True, kw_only=True)
class Point:
    """An event, and what held right after it."""

    place: int
    total: int
    event: Event
    entry: TimelineEntry
    state: str | None
    visit: int
    attempt: int
    context: dict[str, Any]
    changes: tuple[Change, ...]


class Walk:
    """A place among the events of a run, of which there is at least one; at first the first."""

    def __init__(self, run_id: str, events: Sequence[Event], *, every: int = EVERY) -> None:
        self.place = 0
        self._events = events
        self._every = every
        self._entries = list(timeline(run_id, events))
        self._visits: list[tuple[int, str | None, int]] = []
        self._kept: list[RunState] = []
        state = new_state(run_id)
        for place, event in enumerate(events):
            if place % every == 0:
                self._kept.append(_copied(state))
            apply(state, event)
            if event.type == "state_entered" and state.attempt == 1:
                self._visits.append((place, state.state, state.visit))
        self._folded = 0
        self._state = _copied(self._kept[0])
        self._point: Point | None = None

    @property
    def total(self) -> int:
        """How many events there are."""
        return len(self._events)

    def move(self, by: int) -> bool:
        """Go on by so many events; False, and no further than the end, where there are fewer."""
        wanted = self.place + by
        self.place = min(max(wanted, 0), len(self._events) - 1)
        return self.place == wanted

    def go_to(self, place: int) -> None:
        """Go to an event: 0 is the first, -1 the last."""
        self.place = range(len(self._events))[place]

    def find_seq(self, seq: int) -> int | None:
        """The place of the event with that seq."""
        place = seq - self._events[0].seq
        return place if 0 <= place < len(self._events) else None

    def find_state(self, name: str) -> int | None:
        """The place of the next entry of a state, from the start if there is none further on.

        `STATE:2` is its second visit.
        """
        places = [place for place, state, _ in self._visits if state == name]
        if places:
            return next((place for place in places if place > self.place), places[0])
        visits = (place for place, state, visit in self._visits if name == f"{state}:{visit}")
        return next(visits, None)

    def states(self) -> list[str]:
        """The states that were entered, in the order they first were."""
        return [*dict.fromkeys(state for _, state, _ in self._visits if state is not None)]

    def point(self) -> Point:
        """What held right after the event at the place."""
        if self._point is None or self._point.place != self.place:
            self._point = self._made()
        return self._point

    def _made(self) -> Point:
        event = self._events[self.place]
        before = dict(self._folded_to(self.place).context)
        state = self._folded_to(self.place + 1)
        return Point(
            place=self.place,
            total=len(self._events),
            event=event,
            entry=self._entries[self.place],
            state=state.state,
            visit=state.visit,
            attempt=state.attempt,
            context=dict(state.context),
            changes=tuple(_changes(before, state.context)),
        )

    def _folded_to(self, count: int) -> RunState:
        """The state after so many events."""
        kept = min(count // self._every, len(self._kept) - 1)
        start = kept * self._every
        if not start <= self._folded <= count:
            self._state, self._folded = _copied(self._kept[kept]), start
        while self._folded < count:
            apply(self._state, self._events[self._folded])
            self._folded += 1
        return self._state


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The keys that an event gave another value, or took away."""
    return [
        Change(
            key=key,
            was=before.get(key),
            now=after.get(key),
            was_there=key in before,
            is_there=key in after,
        )
        for key in {**before, **after}
        if (key in before) != (key in after) or not _are_alike(before[key], after[key])
    ]


def _are_alike(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 and true are not."""
    return one is other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _copied(state: RunState) -> RunState:
    """A state to fold on from. The values of the log are shared, for the fold replaces them."""
    shared = [
        state.graph,
        state.code,
        state.inputs,
        state.forked_from,
        state.summary.error,
        state.last_line,
        *state.context.values(),
        *(approval.details for approval in state.approvals.values()),
        # One that was acted on stays as it is.
        *(approval for approval in state.approvals.values() if approval.applied),
        *(() if state.pause is None else (state.pause.delta,)),
    ]
    memo: dict[int, Any] = {id(value): value for value in shared}
    memo[id(state.effects)] = list(state.effects)  # an attempt may have made very many
    return copy.deepcopy(state, memo)
