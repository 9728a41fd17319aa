"""Which events of a run are shown: by type, by the state whose visit they belong to, by seq."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from replayt_cli.errors import UsageError
from replayt_core import Event, RunState, apply
from replayt_core.payloads import PAYLOADS

_RANGE = re.compile(r"(?P<first>[0-9]{1,15})?(?P<dots>\.\.)?(?P<last>[0-9]{1,15})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """What an event must be to be shown: all of what is given, and anything where nothing is.

    An event belongs to the visit of the state that was entered last, as for `fork --at SEQ`.
    """

    types: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    first: int = 1
    last: int | None = None

    @property
    def given(self) -> bool:
        """Whether anything is left out."""
        return self != EventFilter()

    def takes(self, seq: int, kind: str, state: str | None) -> bool:
        """Whether an event is shown: its seq, its type, and the state whose visit it belongs to."""
        return (
            self.first <= seq
            and (self.last is None or seq <= self.last)
            and (not self.types or kind in self.types)
            and (not self.states or state in self.states)
        )

    def document(self) -> dict[str, Any] | None:
        """The filter as JSON; None where there is none."""
        if not self.given:
            return None
        return {
            "types": list(self.types),
            "states": list(self.states),
            "first_seq": self.first,
            "last_seq": self.last,
        }


def event_filter(
    types: Sequence[str] | None, states: Sequence[str] | None, seqs: str | None
) -> EventFilter:
    """What `--type`, `--state` and `--seq` mean together."""
    first, last = _range(seqs)
    return EventFilter(types=tuple(types or ()), states=tuple(states or ()), first=first, last=last)


def needs_a_look(wanted: EventFilter) -> bool:
    """Whether only the log can tell that the names of the filter mean something."""
    return bool(wanted.states) or not set(wanted.types) <= PAYLOADS.keys()


def check_names(wanted: EventFilter, state: RunState) -> None:
    """Raise `UsageError` for a type of no schema and not in the log, and for a state of no run.

    `state` is what the log comes to.
    """
    for kind in wanted.types:
        if kind not in PAYLOADS and kind not in state.unknown:
            raise _unknown("event type", kind, [*PAYLOADS, *state.unknown])
    declared = state.graph.get("states")
    if not isinstance(declared, list):
        return  # of a log that does not say which states there are, none is wrong
    there = [*state.visits, *(name for name in declared if isinstance(name, str))]
    for name in wanted.states:
        if name not in there:
            raise _unknown("state", name, there)


def folded(state: RunState, events: Iterable[Event]) -> Iterator[Event]:
    """The events; `state` is folded as far as each when it is handed on."""
    for event in events:
        apply(state, event)
        yield event


def chosen(wanted: EventFilter, state: RunState, events: Iterable[Event]) -> Iterator[Event]:
    """The events that the filter takes; `state` is folded along."""
    for event in folded(state, events):
        if wanted.takes(event.seq, event.type, state.state):
            yield event


def _range(text: str | None) -> tuple[int, int | None]:
    """The first and the last seq of `A..B`, `A..`, `..B` or `A`."""
    if text is None:
        return 1, None
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found["first"] or found["last"]):
        raise UsageError(f"--seq {text!r:.60} is no range: write A..B, A.., ..B, or one number")
    first = int(found["first"] or 1)
    last = int(found["last"]) if found["last"] else None
    if not found["dots"]:
        # One number: what the pattern splits in two is one all the same.
        first = last = int(text)
    if last is not None and last < first:
        raise UsageError(f"--seq {text.strip()} takes nothing: its end is before its start")
    return first, last


def _unknown(what: str, name: str, known: Sequence[str]) -> UsageError:
    near = get_close_matches(name, known, n=1)
    if near:
        return UsageError(f"no {what} {name!r:.80} in this run: did you mean {near[0]!r:.80}?")
    return UsageError(
        f"no {what} {name!r:.80} in this run; there are {', '.join(dict.fromkeys(known))}"
    )
