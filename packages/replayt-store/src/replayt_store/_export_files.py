"""The files that an answer is exported to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from replayt_store._answers import AnalyticsError
from replayt_store._bulk import Connection
from replayt_store._json_values import csv_line, json_record

_FETCH = 2_000


def replaceable(target: Path) -> Path:
    """The file behind a name. Raises `AnalyticsError` where it is there and no regular file.

    A file put in place of a device or a pipe would take it away from everybody else.
    """
    real = Path(os.path.realpath(target))
    if real.exists() and not real.is_file():
        raise AnalyticsError(f"cannot write {target}: it is no regular file: choose another name")
    return real


def write_lines(connection: Connection, part: Path) -> None:
    """Write the kept answer as lines of JSON."""
    columns, types = _columns(connection)
    with part.open("w", encoding="utf-8", newline="\n") as file:
        for row in _rows(connection):
            record = json_record(columns, types, row)
            file.write(json.dumps(record, allow_nan=False) + "\n")


def write_csv(connection: Connection, part: Path) -> None:
    """Write the kept answer as CSV, the names of its columns first.

    DuckDB's own writer has other forms of times, bytes and objects than everything else here.
    """
    columns, _ = _columns(connection)
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(csv_line(columns) + "\n")
        for row in _rows(connection):
            file.write(csv_line(row) + "\n")


def _columns(connection: Connection) -> tuple[Sequence[str], Sequence[str]]:
    """The names and the types of the columns of the kept answer."""
    described = connection.execute("DESCRIBE answer").fetchall()
    names, types = zip(*((str(name), str(kind)) for name, kind, *_ in described), strict=True)
    return names, types


def _rows(connection: Connection) -> Iterator[Sequence[object]]:
    result = connection.execute("SELECT * FROM answer")
    while rows := result.fetchmany(_FETCH):
        yield from rows
