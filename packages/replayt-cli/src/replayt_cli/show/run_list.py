"""Which runs a listing shows: chosen by the index, their status completed by the locks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from replayt_cli.analyse.fresh_index import fresh_index
from replayt_cli.show.run_status import DAMAGED, shown_status
from replayt_core import RunSummary, StoreError
from replayt_core.ports import EventStore
from replayt_store.index import RunIndex
from replayt_store.selection import Selection

if TYPE_CHECKING:
    from replayt_cli.show.waiting import Waiting

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHORT_SIZES = (8, 12)
"""How long a short id may be."""
_WITHOUT_END = ("interrupted", "running")


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run in a listing; `short_id` is the end of a generated id, as long as it has to be.

    `waiting` is what a paused run waits for, where the listing was asked for it.
    """

    run_id: str
    short_id: str
    summary: RunSummary
    status: str
    problem: str | None
    waiting: Waiting | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The newest runs that were asked for, and how many more there are behind a limit."""

    rows: tuple[RunRow, ...]
    older: int
    older_damaged: int


def list_runs(
    store: EventStore, *, tags: Mapping[str, str], status: str | None, limit: int
) -> Listing:
    """The newest runs with all these tags and, where one is given, that status."""
    recorded = "interrupted" if status in _WITHOUT_END else status
    selection = Selection(
        tags=tags, statuses=frozenset() if recorded is None else frozenset({recorded})
    )
    with fresh_index(store) as index:
        looked_at, chosen = 0, []
        most = None if status in _WITHOUT_END else limit
        for run in index.runs(selection, limit=most):
            looked_at += 1
            shown = run.status if run.problem else shown_status(store, run.summary)
            if status in (None, shown):
                chosen.append((run, shown))
            if len(chosen) == limit:
                break
        short = short_ids([run.run_id for run, _ in chosen], index.endings)
        rows = tuple(
            RunRow(
                run_id=run.run_id,
                short_id=short[run.run_id],
                summary=run.summary,
                status=shown,
                problem=run.problem,
            )
            for run, shown in chosen
        )
        older = index.count(selection) - looked_at
        return Listing(rows=rows, older=older, older_damaged=_damaged(index, selection, rows))


def with_waiting(store: EventStore, listing: Listing) -> Listing:
    """The listing of paused runs with what each of them waits for, which only its log tells.

    A run that has gone on meanwhile is left out.
    """
    from replayt_cli.show.waiting import read_waiting  # it reads logs, which needs the fold

    rows = []
    for row in listing.rows:
        try:
            waiting = read_waiting(store, row.run_id)
        except StoreError as error:
            rows.append(replace(row, problem=" ".join(str(error).split())))
            continue
        if waiting is not None:
            rows.append(replace(row, waiting=waiting))
    return replace(listing, rows=tuple(rows))


def _damaged(index: RunIndex, selection: Selection, rows: Iterable[RunRow]) -> int:
    """How many damaged runs match and are not among the rows."""
    if selection.statuses - {DAMAGED}:
        return 0
    damaged = Selection(tags=selection.tags, statuses=frozenset({DAMAGED}))
    return index.count(damaged) - sum(row.status == DAMAGED for row in rows)


def short_ids(
    run_ids: Sequence[str], endings: Callable[[Collection[str]], Mapping[str, int]]
) -> dict[str, str]:
    """The end of each UUID, as long as it takes to be unique; other ids stay whole.

    The end, since the first digits of ids of the same minute are the same. `endings` counts how
    many ids of the store end in each of some texts.
    """
    short = {run_id: run_id for run_id in run_ids}
    for size in SHORT_SIZES:
        ends = {run_id: run_id[-size:] for run_id, shown in short.items() if _UUID.fullmatch(shown)}
        if ends:
            counts = endings(frozenset(ends.values()))
            short |= {run_id: end for run_id, end in ends.items() if counts[end] == 1}
    return short
