"""What `inspect` shows of a run: all of it at once, its events alone, or as they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from replayt_cli import exit_codes
from replayt_cli.arguments.event_filter import (
    EventFilter,
    check_names,
    chosen,
    folded,
    needs_a_look,
)
from replayt_cli.render.follow import print_as_it_comes, print_end, print_lines
from replayt_cli.render.json import print_with_items
from replayt_cli.render.text import complain, hint, is_terminal
from replayt_cli.render.timeline import print_inspection
from replayt_cli.show.answer_commands import next_step
from replayt_cli.show.follow import can_tell_the_end, follow_run
from replayt_cli.show.recorded_run import (
    ScannedRun,
    event_document,
    nothing_to_show,
    scan_run,
)
from replayt_cli.show.run_status import shown_status, summary_document
from replayt_core import DamagedLogError, Event, RunState, new_state
from replayt_core.ports import Clock, EventStore, FollowsRuns


def show_as_text(
    store: EventStore, run_id: str, wanted: EventFilter, *, flags: Sequence[str]
) -> int:
    """The summary of the whole run, and a line for each event that the filter takes.

    `flags` lead another command to the store: a person is told what comes next.
    """
    run = _scanned(store, run_id, wanted)
    print_inspection(run, _again(store, run, wanted), wanted)
    step = next_step(run.state, run.status, flags)
    if step is not None and is_terminal(sys.stdout):  # it belongs to what was printed there
        hint(step)
    return _end(run.damage)


def show_as_json(store: EventStore, run_id: str, wanted: EventFilter) -> int:
    """The same as one document: `summary`, `filter` and `events`."""
    run = _scanned(store, run_id, wanted)
    summary = summary_document(run_id, run.state.summary, run.status)
    summary["waiting"] = [item.approval_id for item in run.state.open_approvals()]
    summary["head"] = run.state.head
    summary["forked_from"] = run.forked_from
    summary["pinned_from"] = run.pinned_from
    summary["torn_bytes"] = run.torn_bytes
    summary["damage"] = str(run.damage) if run.damage else None
    summary["problems"] = [{"seq": seq, "problem": problem} for seq, problem in run.state.problems]
    events = _again(store, run, wanted)
    if wanted.given:
        events = chosen(wanted, new_state(run_id), events)
    document = {"summary": summary, "filter": wanted.document()}
    print_with_items(document, "events", map(event_document, events))
    return _end(run.damage)


def show_lines(store: EventStore, run_id: str, wanted: EventFilter) -> int:
    """The events that the filter takes, each as JSON on a line of its own, and nothing else."""
    _look(store, run_id, wanted)
    state = new_state(run_id)
    try:
        print_lines(folded(state, islice(store.read(run_id), wanted.last)), state, wanted)
    except DamagedLogError as damage:
        return _end(damage)
    _check_events(store, state)
    return _end(None)


def follow_as_text(store: EventStore, run_id: str, wanted: EventFilter, *, clock: Clock) -> int:
    """A line an event as it is written; when the run has ended, what it came to."""
    state = _followed(store, run_id, wanted)
    events = _up_to_damage(follow_run(store, state, clock=clock))
    count = print_as_it_comes(events, state, wanted)
    run = scan_run(store, run_id)
    print_end(run, count, wanted)
    return _end(run.damage)


def follow_lines(store: EventStore, run_id: str, wanted: EventFilter, *, clock: Clock) -> int:
    """Each event as JSON on a line of its own, as it is written."""
    state = _followed(store, run_id, wanted)
    try:
        print_lines(follow_run(store, state, clock=clock), state, wanted)
    except DamagedLogError as damage:
        return _end(damage)
    _check_events(store, state)
    hint(f"run {run_id}: {shown_status(store, state.summary)}")
    return _end(None)


def _scanned(store: EventStore, run_id: str, wanted: EventFilter) -> ScannedRun:
    run = scan_run(store, run_id)
    if run.damage is None:
        check_names(wanted, run.state)
    return run


def _again(store: EventStore, run: ScannedRun, wanted: EventFilter) -> Iterator[Event]:
    """The run read again, as far as before: a log may be long, and may grow meanwhile."""
    most = run.events if wanted.last is None else min(run.events, wanted.last)
    return islice(store.read(run.state.run_id), most)


def _look(store: EventStore, run_id: str, wanted: EventFilter) -> None:
    """Read the log where only that tells whether the names in the filter mean something."""
    if needs_a_look(wanted):
        _scanned(store, run_id, wanted)


def _followed(store: EventStore, run_id: str, wanted: EventFilter) -> RunState:
    _look(store, run_id, wanted)
    if not can_tell_the_end(store):
        hint("this store cannot tell whether somebody executes the run: Ctrl-C ends")
    if not isinstance(store, FollowsRuns):
        hint("this store reads a run from its start: of a long one, new events are shown later")
    return new_state(run_id)


def _check_events(store: EventStore, state: RunState) -> None:
    """Raise where nothing was read: nothing on stdout alone would say that all is well."""
    if not state.last_seq:
        raise nothing_to_show(store, state.run_id)


def _up_to_damage(events: Iterator[Event]) -> Iterator[Event]:
    with suppress(DamagedLogError):  # the summary tells it
        yield from events


def _end(damage: DamagedLogError | None) -> int:
    if damage is None:
        return exit_codes.DONE
    complain(str(damage))
    return exit_codes.DAMAGED
