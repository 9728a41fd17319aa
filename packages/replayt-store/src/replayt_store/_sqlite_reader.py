"""Reading a SQLite store: what its rows say, followed by the chain."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from replayt_core.chain import ChainReader
from replayt_core.errors import DamagedLogError, StoreError
from replayt_core.events import Event
from replayt_core.ports.store import RunEntry
from replayt_store import _sqlite_legacy, _sqlite_rows
from replayt_store._files import is_run_id
from replayt_store._sqlite_rows import Found

if TYPE_CHECKING:
    from sqlite3 import Cursor

    from replayt_store._migrations import Layout
    from replayt_store._sqlite_database import Database


class LogReader:
    """The logs in a database, of whatever layout it is."""

    def __init__(self, database: Database, shown: str) -> None:
        self._database = database
        self._shown = shown

    def find(self, run_id: str) -> Found | None:
        """The run, if there is one."""
        nothing: Found | None = None
        return self._database.read(
            lambda cursor, layout: _rows(layout).find(cursor, run_id), nothing=nothing
        )

    def entries(self) -> Iterator[RunEntry]:
        """One entry a run; what no run can be called is passed over."""
        entries, position = self._next_entries(None)
        while position is not None:
            for entry in entries:
                if is_run_id(entry.run_id):
                    yield entry
            entries, position = self._next_entries(position)

    def read(self, run_id: str, after: int) -> Generator[Event, None, int]:
        """The events behind `after`, in whole batches; returns the last seq of the whole log."""
        found = self.find(run_id)
        if found is None:
            return 0
        return (yield from self.read_on(ChainReader(run_id), found, after))

    def read_on(self, reader: ChainReader, found: Found, after: int) -> Generator[Event, None, int]:
        """As `read`, from where `reader` stands."""
        run_id = reader.run_id
        position = reader.seq or None
        while rows := self._next_lines(run_id, found, position):
            lines = _lines(run_id, reader.next_seq, rows, numbered=found.last_seq is not None)
            try:
                for batch in reader.feed_all(lines):
                    if batch[-1].seq > after:
                        yield from (event for event in batch if event.seq > after)
            except DamagedLogError as damage:
                raise self._damaged(run_id, reader.next_seq, str(damage)) from None
            position = rows[-1][0]
        if found.last_seq is not None and reader.seq != found.last_seq:
            raise self._early_end(run_id, found, reader.seq)
        return reader.seq

    def readable_end(self, run_id: str, after: int) -> int | None:
        """Where reading ends in a damaged log; None when it is whole, or `after` is its end."""
        found = self.find(run_id)
        if found is None or found.last_seq in (None, after):
            return None
        seq = 0
        try:
            for event in self.read(run_id, 0):
                seq = event.seq
        except DamagedLogError:
            return seq
        return None

    def _next_entries(self, position: Any) -> tuple[list[RunEntry], Any]:
        nothing: tuple[list[RunEntry], Any] = ([], None)
        return self._database.read(
            lambda cursor, layout: _rows(layout).entries(cursor, position), nothing=nothing
        )

    def _next_lines(
        self, run_id: str, found: Found, position: int | None
    ) -> list[tuple[int, bytes | None]]:
        nothing: list[tuple[int, bytes | None]] = []
        return self._database.read(
            lambda cursor, layout: _rows(layout).lines(cursor, run_id, found, position),
            nothing=nothing,
        )

    def _early_end(self, run_id: str, found: Found, seq: int) -> StoreError:
        """The lines end before the run does: it is damaged, or was deleted while it was read."""
        now = self.find(run_id)
        if now is None or now.number != found.number:
            return StoreError(f"run {run_id} ({self._shown}) was deleted while it was read")
        return self._damaged(run_id, seq + 1, "is missing, or its batch was cut short")

    def _damaged(self, run_id: str, seq: int, problem: str) -> DamagedLogError:
        where = f"{self._shown}, run {run_id}, event {seq}"
        if not problem.startswith("the log of run"):
            problem = f"the log of run {run_id} is damaged: event {seq} {problem}"
        return DamagedLogError(
            f"{problem} ({where}). What stands before it can be read; nothing is appended",
            run_id=run_id,
            where=where,
        )


class _Rows(Protocol):
    """How a layout is read: the functions that both modules of statements have."""

    def find(self, cursor: Cursor, run_id: str, /) -> Found | None: ...

    def lines(
        self, cursor: Cursor, run_id: str, found: Found, position: int | None, /
    ) -> list[tuple[int, bytes | None]]: ...

    def entries(self, cursor: Cursor, position: Any, /) -> tuple[list[RunEntry], Any]: ...


def _lines(
    run_id: str, seq: int, rows: list[tuple[int, bytes | None]], *, numbered: bool
) -> Iterator[bytes]:
    """The lines of rows from that seq on. Where rows have the seq as their number it must fit."""
    for number, line in rows:
        if line is None or (numbered and number != seq):
            raise DamagedLogError(
                f"the log of run {run_id} is damaged: event {seq} is no line, or is not there",
                run_id=run_id,
                where=f"event {seq}",
            )
        yield line
        seq += 1


def _rows(layout: Layout) -> _Rows:
    return _sqlite_legacy if layout == "legacy" else _sqlite_rows
