"""The runs that a reference on the command line may mean, newest first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from replayt_cli.arguments.options import READ_SQLITE
from replayt_cli.completion.words import Candidate, CommandLine

if TYPE_CHECKING:
    from replayt_core.ports import EventStore
    from replayt_store.index import IndexedRun, RunIndex

_MOST = 50
_PLACES = 5
_PATIENCE_SECONDS = 1.0
_COPIED_FROM = "FROM_URL"


class _TimeUp(Exception):
    """Nobody waits longer for a completion."""


def run_candidates(command: Any, line: CommandLine, word: str) -> Iterator[Candidate]:
    """The runs of the store that the line names, or the configuration, or the default."""
    return newest_runs(store_of(command, line), word)


def newest_runs(
    store: EventStore, word: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Candidate]:
    """`@last` and the short ids of the newest runs; whole ids where the word begins one."""
    from replayt_store.index import RunIndex

    with RunIndex.of(store) as index:
        try:
            index.refresh(_until(clock() + _PATIENCE_SECONDS, clock))
        except _TimeUp:
            yield from _listed(store, word)
            return
        yield from _indexed(store, index, word)


def store_of(command: Any, line: CommandLine) -> EventStore:
    """The store that the options before the word mean."""
    from replayt_cli.arguments.store_choice import choose_store, open_url

    arguments = [item for item in command.params if item.param_type_name == "argument"]
    if arguments and arguments[0].metavar == _COPIED_FROM and line.arguments:
        return open_url(line.arguments[0])
    given = {name: _expanded(values[-1]) for name, values in line.options.items() if values}
    reads = any(getattr(item, "help", None) == READ_SQLITE for item in command.params)
    source = given.get("--sqlite") if reads else None
    return choose_store(given.get("--log-dir"), given.get("--store"), source=source).open()


def _indexed(store: EventStore, index: RunIndex, word: str) -> Iterator[Candidate]:
    from replayt_cli.show.run_list import short_ids

    newest = list(islice(index.runs(limit=_MOST), _MOST))
    if word.startswith("@") or not word:
        places = _PLACES if word else 1
        for place, run in enumerate(newest[:places], 1):
            name, which = (
                ("@last", "the newest") if place == 1 else (f"@-{place}", f"newest but {place - 1}")
            )
            if name.startswith(word):
                yield Candidate(value=name, help=f"{which}: {_about(store, run)}")
    short = short_ids([run.run_id for run in newest], index.endings)
    found = [(short[run.run_id], run) for run in newest if short[run.run_id].startswith(word)]
    if not found:
        found = [(run.run_id, run) for run in newest if run.run_id.startswith(word)]
    for name, run in found:
        yield Candidate(value=name, help=_about(store, run))


def _listed(store: EventStore, word: str) -> Iterator[Candidate]:
    """The ids alone, where reading what the index lacks would take too long."""
    from replayt_core.ports import ListsRuns

    if not isinstance(store, ListsRuns):
        return
    entries = sorted(store.runs(), key=lambda entry: entry.last_ts or "", reverse=True)
    for entry in entries[:_MOST]:
        if entry.run_id.startswith(word):
            yield Candidate(value=entry.run_id)


def _about(store: EventStore, run: IndexedRun) -> str:
    from replayt_cli.render.text import one_line, short_time
    from replayt_cli.show.recorded_run import shown_status

    summary = run.summary
    status = run.status if run.problem else shown_status(store, summary)
    name = f"{summary.workflow_name}@{summary.workflow_version}"
    return one_line(f"{status}, {name}, {short_time(summary.last_ts)}")


def _until(end: float, clock: Callable[[], float]) -> Callable[[int, int], None]:
    def look_at_the_clock(done: int, of: int) -> None:
        if clock() > end and done < of:
            raise _TimeUp

    return look_at_the_clock


def _expanded(value: str) -> str:
    """The value as the shell would pass it: a completion sees the line as it was typed."""
    return os.path.expandvars(os.path.expanduser(value))
