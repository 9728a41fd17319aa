"""The statements of a SQLite store: what stands in the tables of `_migrations`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replayt_core.errors import ConflictError, InvalidRunIdError
from replayt_core.events import Event
from replayt_core.ports.store import RunEntry

if TYPE_CHECKING:
    from sqlite3 import Cursor

CHUNK = 1 << 20
"""About how many bytes are read at once: readers hold the database for a moment only."""
PAGE = 1_000
"""How many rows are read at once."""

# The key of a line is `number << 32 | seq`, see `_migrations`.
_SEQ_BITS = 32
_LAST_SEQ = (1 << _SEQ_BITS) - 1


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run in the database. `last_seq` is None where only its rows tell the end."""

    number: int
    last_seq: int | None


def find(cursor: Cursor, run_id: str) -> Found | None:
    """The run, if there is one."""
    number = _number(cursor, run_id)
    last_seq, _ = _end(cursor, number)
    return Found(number=number, last_seq=last_seq) if last_seq else None


def lines(
    cursor: Cursor, run_id: str, found: Found, position: int | None
) -> list[tuple[int, bytes | None]]:
    """The next lines behind `position`, each with its seq; None for what is no line."""
    base = found.number << _SEQ_BITS
    cursor.execute(
        "SELECT id, line FROM lines WHERE id > ? AND id <= ? ORDER BY id",
        (base + (position or 0), base + (found.last_seq or 0)),
    )
    taken: list[tuple[int, bytes | None]] = []
    size = 0
    for key, line in cursor:
        whole = isinstance(line, bytes)
        taken.append((key - base, line if whole else None))
        size += len(line) if whole else 0
        if size >= CHUNK or len(taken) >= PAGE:
            break
    return taken


def entries(cursor: Cursor, position: int | None) -> tuple[list[RunEntry], int | None]:
    """The next runs behind `position`, and the position behind them; None at the end."""
    rows = cursor.execute(
        "SELECT number, run_id, id, ts, bytes"
        " FROM (SELECT number, run_id FROM runs WHERE number > ? ORDER BY number LIMIT ?)"
        " JOIN lines ON id = (SELECT max(id) FROM lines"
        " WHERE id > number << 32 AND id <= (number << 32) + 4294967295) ORDER BY number",
        (position or 0, PAGE),
    ).fetchall()
    found = [
        RunEntry(run_id=run_id, last_seq=key & _LAST_SEQ, last_ts=ts, size=size)
        for _, run_id, key, ts, size in rows
    ]
    return found, rows[-1][0] if rows else None


def append(cursor: Cursor, run_id: str, events: Sequence[Event], *, after: int) -> None:
    """Add the batch if the run's last seq is `after`, else raise `ConflictError`."""
    number = _number(cursor, run_id) if after else _begin(cursor, run_id)
    last_seq, size = _end(cursor, number)
    if last_seq != after:
        raise conflict(run_id, last_seq, after)
    base = number << _SEQ_BITS
    rows = []
    for event in events:
        size += len(event.line)
        rows.append((base + event.seq, event.line, event.ts, size))
    cursor.executemany("INSERT INTO lines (id, line, ts, bytes) VALUES (?, ?, ?, ?)", rows)


def delete(cursor: Cursor, found: Found) -> int:
    """Delete the run; how many bytes its lines had."""
    freed = _end(cursor, found.number)[1]
    base = found.number << _SEQ_BITS
    cursor.execute("DELETE FROM lines WHERE id > ? AND id <= ?", (base, base + _LAST_SEQ))
    cursor.execute("DELETE FROM runs WHERE number = ?", (found.number,))
    return freed


def conflict(
    run_id: str, last_seq: int, after: int, done: str = "written, read it again"
) -> ConflictError:
    """`after` is not where the run ends."""
    return ConflictError(f"run {run_id} is at seq {last_seq}, not {after}: nothing was {done}")


def _number(cursor: Cursor, run_id: str) -> int:
    """The number of the run; 0, which no row has, when there is none."""
    row = cursor.execute("SELECT number FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    return row[0] if row else 0


def _end(cursor: Cursor, number: int) -> tuple[int, int]:
    """The last seq of the run, and how many bytes its lines have."""
    base = number << _SEQ_BITS
    row = cursor.execute(
        "SELECT id, bytes FROM lines WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
        (base, base + _LAST_SEQ),
    ).fetchone()
    return (row[0] - base, row[1]) if row else (0, 0)


def _begin(cursor: Cursor, run_id: str) -> int:
    """The number of a run that has no line yet."""
    there = cursor.execute(
        "SELECT number, run_id FROM runs WHERE run_id = ? COLLATE NOCASE", (run_id,)
    ).fetchone()
    if there is None:
        cursor.execute("INSERT INTO runs (run_id) VALUES (?)", (run_id,))
        return cursor.lastrowid or 0
    if there[1] != run_id:
        raise InvalidRunIdError(
            f"run id {run_id!r} differs from the existing run {there[1]!r} in case only: "
            "choose another"
        )
    return int(there[0])
