"""Rows into DuckDB by the column: one JSON array of text a column, which DuckDB parses itself.

Parameters that are lists of text take DuckDB 1.5 half a minute for 50,000 of them, and inserting
row by row takes longer still; this takes 0.1 s in every version, and needs no file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

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


class Piece(NamedTuple):
    """Rows of a table to be loaded: the names of some columns, and each as a JSON array."""

    table: str
    columns: Sequence[str]
    arrays: Sequence[str]


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
    types = column_types()[table]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(
        f"""unnest(from_json(${number}, '["{types[name]}"]'))"""
        for number, name in enumerate(columns, 1)
    )
    connection.execute(f"INSERT INTO loaded.{table} ({names}) SELECT {values}", list(arrays))


def insert_all(connection: Connection, pieces: Iterable[Piece]) -> None:
    """Add all pieces, in two threads: parsing is most of the work, and DuckDB lets go of Python."""
    waiting = list(pieces)
    problems: list[BaseException] = []

    def load(own: Connection) -> None:
        try:
            while not problems:
                try:
                    piece = waiting.pop()
                except IndexError:
                    return
                insert(own, *piece)
        except BaseException as problem:
            problems.append(problem)

    second = connection.cursor()
    thread = threading.Thread(target=load, args=(second,), name="replayt load")
    thread.start()
    try:
        load(connection)
    finally:
        thread.join()
        second.close()
    if problems:
        raise problems[0]


def insert_lines(connection: Connection, lines: bytes) -> None:
    """Add whole log lines, each with its newline, to the loaded events."""
    (statement,) = statements("load_events")
    connection.execute(statement, [lines[:-1].decode()])
