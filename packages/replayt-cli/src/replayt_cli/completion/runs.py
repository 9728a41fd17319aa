"""The runs that a reference on the command line may mean, newest first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, Any

from replayt_cli.arguments.options import READ_SQLITE
from replayt_cli.completion.patience import Patience, TimeUp
from replayt_cli.completion.words import Candidate, CommandLine, arguments_of
from replayt_cli.show.run_list import SHORT_SIZES, short_ids

if TYPE_CHECKING:
    from replayt_core.ports import EventStore
    from replayt_store.index import IndexedRun, RunIndex

_MOST = 50
_PLACES = 5
_COPIED_FROM = "FROM_URL"


def newest_runs(store: EventStore, word: str, patience: Patience) -> Iterator[Candidate]:
    """`@last` and the short ids of the newest runs; whole ids where the word begins one.

    Where the index cannot be brought up to date in time, the ids alone, the greatest first: then
    names are listed and no log is read.
    """
    from replayt_store.index import RunIndex

    with RunIndex.of(store) as index:
        try:
            index.refresh(patience.progress)
        except TimeUp:
            beginning = (run_id for run_id in store.run_ids() if run_id.startswith(word))
            for run_id in nlargest(_MOST, beginning):
                yield Candidate(value=run_id)
            return
        yield from _indexed(store, index, word)


def workflows(store: EventStore, word: str, patience: Patience) -> Iterator[Candidate]:
    """The workflows of the newest runs."""
    from replayt_store.index import RunIndex

    with RunIndex.of(store) as index:
        index.refresh(patience.progress)
        names = (run.summary.workflow_name for run in islice(index.runs(limit=_MOST), _MOST))
        for name in dict.fromkeys(names):
            if name is not None and name.startswith(word):
                yield Candidate(value=name)


def run_named(store: EventStore, line: CommandLine, command: Any, patience: Patience) -> str:
    """The id of the run that the line names. Raises `LookupError` where it names none yet."""
    from replayt_cli.arguments.run_reference import find_run
    from replayt_store.index import RunIndex

    places = [i for i, item in enumerate(arguments_of(command)) if "RUN" in str(item.metavar)]
    reference = line.arguments[places[0]]
    if reference.startswith("@"):
        with RunIndex.of(store) as index:
            index.refresh(patience.progress)
    return find_run(store, reference)


def store_of(command: Any, line: CommandLine) -> EventStore:
    """The store that the options before the word mean."""
    from replayt_cli.arguments.store_choice import choose_store, open_url

    arguments = arguments_of(command)
    if arguments and arguments[0].metavar == _COPIED_FROM and line.arguments:
        return open_url(line.arguments[0])
    given = {name: _expanded(values[-1]) for name, values in line.options.items() if values}
    reads = any(getattr(item, "help", None) == READ_SQLITE for item in command.params)
    source = given.get("--sqlite") if reads else None
    return choose_store(given.get("--log-dir"), given.get("--store"), source=source).open()


def _indexed(store: EventStore, index: RunIndex, word: str) -> Iterator[Candidate]:
    newest = list(islice(index.runs(limit=_MOST), _MOST))
    if word.startswith("@") or not word:
        places = _PLACES if word else 1
        for place, run in enumerate(newest[:places], 1):
            name, which = (
                ("@last", "the newest") if place == 1 else (f"@-{place}", f"newest but {place - 1}")
            )
            if name.startswith(word):
                yield Candidate(value=name, help=f"{which}: {_about(store, run)}")
    fitting = _fitting(store, index, newest, word)
    short = short_ids([run.run_id for run in fitting], index.endings)
    found = [(short[run.run_id], run) for run in fitting if short[run.run_id].startswith(word)]
    if not found:
        found = [(run.run_id, run) for run in fitting if run.run_id.startswith(word)]
    for name, run in found:
        yield Candidate(value=name, help=_about(store, run))


def _fitting(
    store: EventStore, index: RunIndex, newest: Sequence[IndexedRun], word: str
) -> list[IndexedRun]:
    """The runs that the word may mean: of the newest, and where it says more, of all."""
    found = {run.run_id: run for run in newest if _fits(run.run_id, word)}
    if word and len(newest) == _MOST:
        others = (each for each in store.run_ids() if each not in found and _fits(each, word))
        # The greatest are the newest: ids that are made for runs begin with the time.
        for run_id in nlargest(_MOST - len(found), others):
            run = index.get(run_id)
            if run is not None:
                found[run_id] = run
    return list(found.values())


def _fits(run_id: str, word: str) -> bool:
    """Whether the word begins the id, or the end of it that may be its short id."""
    return run_id.startswith(word) or any(run_id[-size:].startswith(word) for size in SHORT_SIZES)


def _about(store: EventStore, run: IndexedRun) -> str:
    """What is known of a run: a log without its beginning does not tell the workflow."""
    from replayt_cli.render.text import one_line, short_time
    from replayt_cli.show.run_status import shown_status

    summary = run.summary
    parts = [run.status if run.problem else shown_status(store, summary)]
    if summary.workflow_name is not None:
        parts.append(f"{summary.workflow_name}@{summary.workflow_version}")
    if summary.last_ts is not None:
        parts.append(short_time(summary.last_ts))
    return one_line(", ".join(parts))


def _expanded(value: str) -> str:
    """The value as the shell would pass it: a completion sees the line as it was typed."""
    return os.path.expandvars(os.path.expanduser(value))
