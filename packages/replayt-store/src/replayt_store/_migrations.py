"""The tables of a SQLite store, built by numbered steps that are only ever added to.

`user_version` is the number of steps that a file has seen. A file of a later version than this
package knows is neither read nor written: what it holds may mean something else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from replayt_core.errors import DamagedLogError, StoreError

if TYPE_CHECKING:
    from sqlite3 import Connection

APPLICATION_ID = 0x7265_706C
"""`repl` in ASCII: what the header of a file says of whose it is."""

Layout = Literal["empty", "current", "legacy"]
"""No table yet; ours; or the one table of replayt 0.1 to 0.4."""

_LEGACY_COLUMNS = {"run_id", "seq", "type", "ts", "payload_json"}


def m001_runs_and_lines(connection: Connection) -> None:
    """A row for each run, a row for each line, and the table of 0.2 as a view.

    The key of a line is `number << 32 | seq`, so that the lines of a run lie together and need no
    index; `bytes` counts the lines of the run up to this one. So where a run ends is told by its
    last line alone, and an append changes one page: half the cost of keeping the end in `runs`.
    """
    connection.execute(
        "CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE)"
    )
    # Two ids that differ in case only would be one file in a JSONL store.
    connection.execute("CREATE UNIQUE INDEX runs_in_any_case ON runs (run_id COLLATE NOCASE)")
    connection.execute(
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, line BLOB NOT NULL, ts TEXT NOT NULL,"
        " bytes INTEGER NOT NULL)"
    )
    # A damaged line shows with NULLs: it must not keep anybody from the others.
    connection.execute(
        "CREATE VIEW events AS"
        " SELECT run_id, seq, json_extract(text, '$.type') AS type,"
        " json_extract(text, '$.ts') AS ts, json_extract(text, '$.payload') AS payload_json"
        " FROM (SELECT runs.run_id AS run_id, lines.id & 4294967295 AS seq,"
        " CASE WHEN json_valid(CAST(lines.line AS TEXT)) THEN CAST(lines.line AS TEXT) END AS text"
        " FROM runs JOIN lines ON lines.id > runs.number << 32"
        " AND lines.id <= (runs.number << 32) + 4294967295)"
    )


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (m001_runs_and_lines,)
"""Every step, in order. A released step is never changed."""


def layout(connection: Connection, shown: str) -> Layout:
    """What the database is. Raises when it is someone else's, or of a later version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION_ID:
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{shown} was written by a later replayt-store (its tables have version {version}, "
                f"this one knows {len(MIGRATIONS)}): update replayt-store"
            )
        return "current"
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if application == 0 and version == 0:
        if not names:
            return "empty"
        columns = {row[1] for row in connection.execute("PRAGMA table_info(events)")}
        if columns >= _LEGACY_COLUMNS:
            return "legacy"
    raise DamagedLogError(
        f"{shown} is a SQLite database, but none of replayt: choose another file", where=shown
    )


def migrate(connection: Connection) -> None:
    """Bring the tables up to date, inside the caller's transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        step(connection)
        connection.execute(f"PRAGMA user_version = {number}")
    if version < len(MIGRATIONS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
