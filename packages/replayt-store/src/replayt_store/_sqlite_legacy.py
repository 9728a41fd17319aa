"""The database of replayt 0.1 to 0.4: one table of columns, of which the lines are made.

A line is made from its row and nothing else, so it has the same bytes each time. It has no `prev`
and no `log_schema`: such a log is unchained as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic_core import from_json, to_json

from replayt_core.ports.store import RunEntry
from replayt_store._sqlite_rows import CHUNK, PAGE, Found

if TYPE_CHECKING:
    from sqlite3 import Cursor

# As bytes: what is no UTF-8 must not stop the reading of the rows before it.
_ROWS = (
    "SELECT seq, CAST(type AS BLOB), CAST(ts AS BLOB), CAST(payload_json AS BLOB) FROM events"
    " WHERE run_id = ?"
)
_FIRST_ROWS = _ROWS + " ORDER BY seq"
_NEXT_ROWS = _ROWS + " AND seq > ? ORDER BY seq"


def find(cursor: Cursor, run_id: str) -> Found | None:
    """The run, if there is one."""
    row = cursor.execute("SELECT 1 FROM events WHERE run_id = ? LIMIT 1", (run_id,)).fetchone()
    return None if row is None else Found(number=0, last_seq=None)


def lines(
    cursor: Cursor, run_id: str, found: Found, position: int | None
) -> list[tuple[int, bytes | None]]:
    """The next lines behind `position`, each with its seq; None for what makes no line."""
    if position is None:  # with no bound, so that a row without a seq shows as damage
        cursor.execute(_FIRST_ROWS, (run_id,))
    else:
        cursor.execute(_NEXT_ROWS, (run_id, position))
    taken: list[tuple[int, bytes | None]] = []
    size = 0
    for seq, kind, ts, payload in cursor:
        if type(seq) is not int:  # NULL sorts before all numbers, text and blobs behind them
            taken.append(((taken[-1][0] if taken else position or 0) + 1, None))
            break
        line = _line(run_id, seq, kind, ts, payload)
        taken.append((seq, line))
        size += len(line or b"")
        if size >= CHUNK or len(taken) >= PAGE:
            break
    return taken


def entries(cursor: Cursor, position: bytes | None) -> tuple[list[RunEntry], bytes | None]:
    """The next runs behind `position`, and the position behind them; None at the end."""
    # In a query with one max(), SQLite takes the other columns from the row of the maximum. All
    # text sorts before the smallest blob; as bytes an id that is no UTF-8 is a position too.
    rows = cursor.execute(
        "SELECT run_id, max(seq), ts, CAST(run_id AS BLOB) FROM events"
        " WHERE run_id > CAST(? AS TEXT) AND run_id < x'' GROUP BY run_id ORDER BY run_id LIMIT ?",
        (position or b"", PAGE),
    ).fetchall()
    found = [
        RunEntry(
            run_id=run_id,
            last_seq=last_seq if type(last_seq) is int else 0,
            last_ts=ts if isinstance(ts, str) else None,
            size=None,
        )
        for run_id, last_seq, ts, _ in rows
    ]
    return found, cast("bytes", rows[-1][3]) if rows else None


def _line(run_id: str, seq: int, kind: object, ts: object, payload: object) -> bytes | None:
    """The line of a row; None when a column does not hold what it should."""
    if not (isinstance(kind, bytes) and isinstance(ts, bytes) and isinstance(payload, bytes)):
        return None
    try:
        name, time = kind.decode(), ts.decode()
        if not isinstance(from_json(payload), dict):
            return None
    except ValueError:
        return None
    # Outside its strings JSON may hold line breaks, a line may not.
    payload = payload.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    return b'{"ts":%b,"run_id":%b,"seq":%d,"type":%b,"payload":%b}' % (
        to_json(time),
        to_json(run_id),
        seq,
        to_json(name),
        payload,
    )
