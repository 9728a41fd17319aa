"""The values that no parameter lists: what is in the logs, or comes with a package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from replayt_cli.completion.patience import Patience
from replayt_cli.completion.words import Candidate, CommandLine

if TYPE_CHECKING:
    from replayt_core import Event

_HELP_COLUMNS = 80


def look_up(kind: str, command: Any, line: CommandLine, word: str) -> Iterable[Candidate]:
    """The values of that kind that begin with `word`, which a shell can be handed.

    The store is the one that the line names, or the configuration, or the default; the run too.
    Raises `TimeUp` where it takes too long, and whatever reading raises.
    """
    found = _look_up(kind, command, line, word, Patience())
    return [each for each in found if each.value.isprintable() and each.value.startswith(word)]


def _look_up(
    kind: str, command: Any, line: CommandLine, word: str, patience: Patience
) -> Iterable[Candidate]:
    if kind == "EXAMPLE":
        return _examples()
    if kind == "TYPE":
        return _types()
    from replayt_cli.completion import runs

    store = runs.store_of(command, line)
    if kind == "RUN":
        return runs.newest_runs(store, word, patience)
    if kind == "WORKFLOW":
        return runs.workflows(store, word, patience)
    run_id = runs.run_named(store, line, command, patience)
    events = patience.over(store.read(run_id))
    return _states(events) if kind == "STATE" else _waited_for(kind, run_id, events)


def _waited_for(kind: str, run_id: str, events: Iterable[Event]) -> Iterator[Candidate]:
    """The open approvals of a paused run, or the call that it waits for word of."""
    from replayt_cli.render.text import cut, one_line
    from replayt_cli.show.waiting import waiting_of

    waiting = waiting_of(run_id, events)
    if waiting is None:
        return
    if kind == "CALL":
        if waiting.call is not None:
            yield Candidate(value=str(waiting.call.seq), help=one_line(waiting.call.tool))
        return
    for approval in waiting.approvals:
        if approval.open:
            about = cut(one_line(approval.summary), _HELP_COLUMNS)
            yield Candidate(value=approval.approval_id, help=about)


def _states(events: Iterable[Event]) -> Iterator[Candidate]:
    """The states that a run has entered, in the order of their first visits."""
    from replayt_cli.render.text import count_of

    visits: dict[str, int] = {}
    for event in events:
        if event.type == "state_entered":
            name = str(event.payload.get("state"))
            visits[name] = max(visits.get(name, 0), _visit(event))
    for name, count in visits.items():
        yield Candidate(value=name, help=count_of(count, "visit"))


def _visit(event: Event) -> int:
    visit = event.payload.get("visit")
    return visit if type(visit) is int else 1


def _types() -> Iterator[Candidate]:
    from replayt_core.payloads import PAYLOADS

    for name in PAYLOADS:
        yield Candidate(value=name)


def _examples() -> Iterator[Candidate]:
    from replayt_cli.project.bundled_examples import load_examples

    for example in load_examples():
        yield Candidate(value=example.name, help=example.title)
