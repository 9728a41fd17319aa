"""Rows into DuckDB by the column: one JSON array of text a column, which DuckDB parses itself.

Parameters that are lists of text take DuckDB 1.5 half a minute for 50,000 of them, and inserting
row by row takes longer still; this takes 0.1 s in every version, and needs no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol

from replayt_store._sql import statements

CHUNK = 10_000


class Connection(Protocol):
    """A DuckDB connection, as far as it is used here."""

    def execute(self, query: str, parameters: object = None) -> Any:
        """Run a statement."""
        ...

    def cursor(self) -> Connection:
        """Another connection to the same database."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


@cache
def column_types() -> Mapping[str, Mapping[str, str]]:
    """The columns of each loaded table and their types, as `tables.sql` declares them."""
    found: dict[str, dict[str, str]] = {}
    for statement in statements("tables"):
        head, _, body = statement.partition("(\n")
        if head.startswith("CREATE TABLE loaded."):
            lines = body.rstrip(") \n").splitlines()
            pairs = [line.strip().rstrip(",").split(" ") for line in lines]
            table = head.removeprefix("CREATE TABLE loaded.").strip()
            found[table] = {name.strip('"'): kind for name, kind in pairs}
    return found


def json_columns(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as columns, each a JSON array."""
    return [json.dumps(column) for column in zip(*rows, strict=True)]


def insert(
    connection: Connection, table: str, columns: Sequence[str], arrays: Sequence[str]
) -> None:
    """Add rows to a loaded table, column by column; columns that are not named stay NULL."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = _values(table, columns)
    connection.execute(f"INSERT INTO loaded.{table} ({names}) SELECT {values}", list(arrays))


def load_columns(
    connection: Connection,
    wanted: Mapping[str, Sequence[str]],
    loaded: Mapping[str, Sequence[Sequence[str]]],
) -> None:
    """Put pieces of some columns in the place of loaded tables; the other columns are NULL.

    A piece is the wanted columns of a table, each as a JSON array. Each becomes a table of its own,
    in two threads: parsing is most of the work, and DuckDB lets go of Python meanwhile. Filling the
    loaded table instead takes half as long again, and nearly as long for every column that stays
    empty.
    """
    waiting = [
        (f"loaded.{table}_{number}", _values(table, wanted[table]), arrays)
        for table, pieces in loaded.items()
        for number, arrays in enumerate(pieces)
    ]

    def load(own: Connection) -> None:
        while True:
            try:
                table, values, arrays = waiting.pop()
            except IndexError:
                return
            own.execute(f"CREATE TABLE {table} AS SELECT {values}", list(arrays))

    second = connection.cursor()
    try:
        with ThreadPoolExecutor(1, "replayt load") as threads:
            other = threads.submit(load, second)
            try:
                load(connection)
            except BaseException:
                waiting.clear()
                raise
            other.result()
    finally:
        second.close()
    for table, pieces in loaded.items():
        _put_together(connection, table, wanted[table], len(pieces))


def _put_together(connection: Connection, table: str, columns: Sequence[str], pieces: int) -> None:
    """Let a loaded table be its pieces, one below the other."""
    shown = ", ".join(
        f'"{name}"' if name in columns else f'NULL::{kind} AS "{name}"'
        for name, kind in column_types()[table].items()
    )
    all_of_them = " UNION ALL ".join(f"FROM loaded.{table}_{number}" for number in range(pieces))
    connection.execute(f"DROP TABLE loaded.{table}")
    connection.execute(
        f"CREATE VIEW loaded.{table} AS SELECT {shown} FROM ({all_of_them})"  # noqa: S608
    )


def _values(table: str, columns: Sequence[str]) -> str:
    """What makes columns of the parameters, which are JSON arrays."""
    types = column_types()[table]
    return ", ".join(
        f"""unnest(from_json(${number}, '["{types[name]}"]')) AS "{name}\""""
        for number, name in enumerate(columns, 1)
    )


def insert_lines(connection: Connection, lines: bytes) -> None:
    """Add whole log lines, each with its newline, to the loaded events."""
    (statement,) = statements("load_events")
    connection.execute(statement, [lines[:-1].decode()])
