"""Rows into DuckDB by the column: one JSON array of text a column, which DuckDB parses itself.

Parameters that are lists of text take DuckDB 1.5 half a minute for 50,000 of them, and inserting
row by row takes longer still; this takes 0.1 s in every version, and needs no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
    _insert(connection, table, columns, arrays, column_types()[table])


def load_columns(
    connection: Connection,
    wanted: Mapping[str, Sequence[str]],
    loaded: Mapping[str, Iterable[Sequence[str]]],
) -> None:
    """Fill loaded tables, which are empty, with the columns that are wanted; the others are NULL.

    `loaded` has pieces of each table: the wanted columns, each as a JSON array. They are inserted
    in two threads: parsing is most of the work, and DuckDB lets go of Python meanwhile.
    """
    for table, columns in wanted.items():
        _narrow(connection, table, columns)
    waiting = [(table, arrays) for table, pieces in loaded.items() for arrays in pieces]

    def load(own: Connection) -> None:
        while True:
            try:
                table, arrays = waiting.pop()
            except IndexError:
                return
            _insert(own, f"{table}_columns", wanted[table], arrays, column_types()[table])

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


def _narrow(connection: Connection, table: str, columns: Sequence[str]) -> None:
    """Let a loaded table keep some columns and read the others as NULL.

    Filling a column with nothing takes DuckDB nearly as long as filling it.
    """
    types = column_types()[table]
    kept = ", ".join(f'"{name}" {types[name]}' for name in columns)
    shown = ", ".join(
        f'"{name}"' if name in columns else f'NULL::{kind} AS "{name}"'
        for name, kind in types.items()
    )
    connection.execute(f"DROP TABLE loaded.{table}")
    connection.execute(f"CREATE TABLE loaded.{table}_columns ({kept})")
    connection.execute(
        f"CREATE VIEW loaded.{table} AS SELECT {shown} FROM loaded.{table}_columns"  # noqa: S608
    )


def _insert(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    arrays: Sequence[str],
    types: Mapping[str, str],
) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(
        f"""unnest(from_json(${number}, '["{types[name]}"]'))"""
        for number, name in enumerate(columns, 1)
    )
    connection.execute(f"INSERT INTO loaded.{table} ({names}) SELECT {values}", list(arrays))


def insert_lines(connection: Connection, lines: bytes) -> None:
    """Add whole log lines, each with its newline, to the loaded events."""
    (statement,) = statements("load_events")
    connection.execute(statement, [lines[:-1].decode()])
