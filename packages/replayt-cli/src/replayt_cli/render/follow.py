"""A run as text while it is written: a line an event, and at its end what it came to."""

from __future__ import annotations

from collections.abc import Iterable

from replayt_cli.arguments.event_filter import EventFilter
from replayt_cli.render.json import quick_dump
from replayt_cli.render.text import count_of, echo, width
from replayt_cli.render.timeline import event_line, print_summary
from replayt_cli.show.recorded_run import ScannedRun, event_document
from replayt_core import Event, RunState
from replayt_core.timeline import timeline

_SEQ_WIDTH = 4
_KIND_WIDTH = 18


def print_as_it_comes(events: Iterable[Event], state: RunState, wanted: EventFilter) -> int:
    """A line for each event that the filter takes, as soon as it is there; how many there were.

    `state` is folded as far as the event that `events` hands on.
    """
    columns, count = width(), 0
    for entry in timeline(state.run_id, events):
        if wanted.takes(entry.seq, entry.kind, state.state):
            count += 1
            echo(event_line(entry, columns, seq_width=_SEQ_WIDTH, kind_width=_KIND_WIDTH))
    return count


def print_lines(events: Iterable[Event], state: RunState, wanted: EventFilter) -> None:
    """Each event that the filter takes as JSON on a line of its own."""
    for event in events:
        if wanted.takes(event.seq, event.type, state.state):
            echo(quick_dump(event_document(event)))


def print_end(run: ScannedRun, count: int, wanted: EventFilter) -> None:
    """What the run came to, below its `count` events."""
    if wanted.given:
        echo(f"{count} of {count_of(run.events, 'event')}")
    echo()
    print_summary(run)
