"""The files that an answer is exported to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from replayt_store._answers import AnalyticsError
from replayt_store._bulk import Connection
from replayt_store._json_values import json_record

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
    described = connection.execute("DESCRIBE answer").fetchall()
    columns, types = zip(*((str(name), str(kind)) for name, kind, *_ in described), strict=True)
    result = connection.execute("SELECT * FROM answer")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        while rows := result.fetchmany(_FETCH):
            for row in rows:
                record = json_record(columns, types, row)
                file.write(json.dumps(record, allow_nan=False) + "\n")
