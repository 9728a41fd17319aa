"""A queue in a SQLite table: at least once, with a visibility timeout and a place for the poisoned.

Why it exists: the pattern is about the worker, and works the same with a hosted queue. This one
needs no server, so that it can be run and tested anywhere.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replayt_core import check_run_id

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, body TEXT NOT NULL, visible_at REAL NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'queued', note TEXT
)
"""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One delivery of a message. `deliveries` counts this one too."""

    id: str
    body: Any
    deliveries: int


class Queue:
    """Messages in one SQLite file, for any number of processes."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        with self._transaction() as table:
            table.execute(SCHEMA)

    def send(self, message_id: str, body: Any) -> bool:
        """Add a message; False, and nothing changes, where its id is known. The id is a run id."""
        with self._transaction() as table:
            added = table.execute(
                "INSERT OR IGNORE INTO messages (id, body, visible_at) VALUES (?, ?, ?)",
                (check_run_id(message_id), json.dumps(body), self._now()),
            )
            return added.rowcount == 1

    def receive(self, visibility_seconds: float) -> Message | None:
        """The next message, which nobody else is given for so long. None: there is none now."""
        with self._transaction() as table:
            row = table.execute(
                "SELECT id, body, deliveries + 1 FROM messages "
                "WHERE state = 'queued' AND visible_at <= ? ORDER BY visible_at, id LIMIT 1",
                (self._now(),),
            ).fetchone()
            if row is None:
                return None
            table.execute(
                "UPDATE messages SET visible_at = ?, deliveries = ? WHERE id = ?",
                (self._now() + visibility_seconds, row[2], row[0]),
            )
        return Message(id=row[0], body=json.loads(row[1]), deliveries=row[2])

    def settle(self, message_id: str, state: str, note: str = "") -> None:
        """Take a message out of the queue, as `done` or as `dead`, with a note for people."""
        with self._transaction() as table:
            table.execute(
                "UPDATE messages SET state = ?, note = ? WHERE id = ? AND state = 'queued'",
                (state, note, message_id),
            )

    def give_back(self, message_id: str) -> None:
        """This delivery does not count: somebody else is at it. It comes again in its time."""
        with self._transaction() as table:
            table.execute(
                "UPDATE messages SET deliveries = deliveries - 1 WHERE id = ?", (message_id,)
            )

    def left(self) -> int:
        """How many messages are neither done nor dead, the invisible ones included."""
        with self._transaction() as table:
            row = table.execute("SELECT count(*) FROM messages WHERE state = 'queued'").fetchone()
            return int(row[0])

    def settled(self) -> dict[str, tuple[str, str]]:
        """State and note of each message that is out of the queue."""
        with self._transaction() as table:
            rows = table.execute("SELECT id, state, note FROM messages WHERE state <> 'queued'")
            return {row[0]: (row[1], row[2]) for row in rows}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # which rolls back what was not committed
