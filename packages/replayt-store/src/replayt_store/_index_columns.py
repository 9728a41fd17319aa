"""Columns of an index as JSON arrays, for a database that works by the column."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from replayt_store._index_rows import EVERY_RUN, condition
from replayt_store.selection import Selection

if TYPE_CHECKING:
    from concurrent.futures import Future  # its import takes longer than a listing may

Columns = dict[str, list[list[str]]]
"""Of each table its pieces: the wanted columns, each as a JSON array."""

_PIECE = 10_000
_WITHIN = "run_id >= ? AND run_id < ?"
_OF_RUNS = "run_id IN (SELECT run_id FROM runs WHERE {where})"


class Ahead(NamedTuple):
    """Columns that are being read before they are asked for."""

    selection: Selection
    wanted: Mapping[str, Sequence[str]]
    read: Future[Columns]


def read_columns(
    db: sqlite3.Connection, selection: Selection, wanted: Mapping[str, Sequence[str]]
) -> Columns:
    """The wanted columns of each table for the selected runs, all as of one moment."""
    where, values = condition(selection)
    found: Columns = {table: [] for table in wanted}
    db.execute("BEGIN")
    try:
        for bounds in _pieces(db):
            for table, names in wanted.items():
                arrays = ", ".join(f"json_group_array({name})" for name in names)
                chosen = where
                if table != "runs" and where != EVERY_RUN:
                    chosen = _OF_RUNS.format(where=where)
                sql = f"SELECT {arrays} FROM {table} WHERE {_WITHIN} AND {chosen}"  # noqa: S608
                row = db.execute(sql, [*bounds, *values]).fetchone()
                found[table].append(list(row))
    finally:
        db.execute("COMMIT")
    return found


def _pieces(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """The run ids in ranges of some ten thousand: from the first, up to before the second."""
    first = ""
    while True:
        sql = "SELECT run_id FROM runs WHERE run_id >= ? ORDER BY run_id LIMIT 1 OFFSET ?"
        row = db.execute(sql, (first, _PIECE)).fetchone()
        yield first, "~" if row is None else row[0]  # no run id has a `~`, which sorts last
        if row is None:
            return
        first = row[0]
