"""Loading what a query names: from the index where it can, else from the events of the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from replayt_core.chain import decode
from replayt_core.errors import DamagedLogError
from replayt_core.events import Event
from replayt_core.ports.store import EventStore
from replayt_core.records import Records, records
from replayt_store._bulk import CHUNK, Connection, column_types, insert, insert_lines, json_columns
from replayt_store._index_sources import lines_of
from replayt_store.index import RunIndex
from replayt_store.selection import Selection

FROM_INDEX = ("runs", "llm_calls")
FROM_RECORDS = ("states", "transitions", "tool_calls", "approvals")
VIEWS = (*FROM_INDEX, "events", *FROM_RECORDS)
_JSON = ("because", "arguments", "result", "details")
_LINES = 1 << 22


def load_tables(
    connection: Connection,
    names: Collection[str],
    *,
    index: RunIndex,
    store: EventStore,
    selection: Selection,
    check: Callable[[], None],
) -> None:
    """Fill the loaded tables behind these views. `check` is called often, and may raise."""
    types = column_types()
    wanted = {table: tuple(types[table]) for table in FROM_INDEX if table in names}
    for table, pieces in index.columns(selection, wanted).items():
        for arrays in pieces:
            check()
            insert(connection, table, wanted[table], arrays)
    if "events" in names:
        _load_events(connection, index, store, selection, check)
    details = [table for table in FROM_RECORDS if table in names]
    if details:
        _load_records(connection, details, index, store, selection, check)


def _load_events(
    connection: Connection,
    index: RunIndex,
    store: EventStore,
    selection: Selection,
    check: Callable[[], None],
) -> None:
    kept: list[tuple[str, bytes]] = []
    size = 0
    for run_id, last_seq in index.last_seqs(selection):
        for lines in lines_of(store, run_id, last_seq):
            kept.append((run_id, lines))
            size += len(lines)
            if size >= _LINES:
                check()
                _insert_events(connection, kept)
                kept, size = [], 0
    if kept:
        check()
        _insert_events(connection, kept)


def _insert_events(connection: Connection, kept: Sequence[tuple[str, bytes]]) -> None:
    try:
        insert_lines(connection, b"".join(lines for _, lines in kept))
    except Exception:
        # DuckDB would show all that it was given, and does not know whose line it cannot read.
        for run_id, lines in kept:
            for _ in _decoded(run_id, lines):
                pass
        raise


def _load_records(
    connection: Connection,
    tables: Sequence[str],
    index: RunIndex,
    store: EventStore,
    selection: Selection,
    check: Callable[[], None],
) -> None:
    types = column_types()
    waiting: dict[str, list[tuple[object, ...]]] = {table: [] for table in tables}

    def flush(least: int) -> None:
        for table, rows in waiting.items():
            if len(rows) >= least:
                insert(connection, table, tuple(types[table]), json_columns(rows))
                rows.clear()

    for run_id, last_seq in index.last_seqs(selection):
        check()
        found = records(run_id, _events(store, run_id, last_seq))
        for table, rows in waiting.items():
            rows.extend(_rows(run_id, found, table))
        flush(CHUNK)
    flush(1)


def _events(store: EventStore, run_id: str, last_seq: int) -> Iterator[Event]:
    for lines in lines_of(store, run_id, last_seq):
        yield from _decoded(run_id, lines)


def _decoded(run_id: str, lines: bytes) -> Iterator[Event]:
    for line in lines[:-1].split(b"\n"):
        try:
            yield decode(line)
        except ValueError as error:
            raise DamagedLogError(
                f"the log of run {run_id} is damaged, and was not when it was indexed: a line is "
                f"no event ({error}); look at every log again, then ask (`--check`, "
                "`RunIndex.check`)",
                run_id=run_id,
            ) from None


def _rows(run_id: str, found: Records, table: str) -> Iterator[tuple[object, ...]]:
    rows: tuple[Any, ...] = getattr(found, table)
    for row in rows:
        yield (run_id, *(_cell(name, value) for name, value in zip(row._fields, row, strict=True)))


def _cell(name: str, value: object) -> object:
    if name in _JSON:
        return None if value is None else json.dumps(value)
    return value
