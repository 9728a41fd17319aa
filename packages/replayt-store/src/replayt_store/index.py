"""`RunIndex`: one row a run, made by the summary part of the fold, so that listings are immediate.

The index is a cache beside the logs: it can be deleted at any time, is made anew when it is damaged
or of another version, and lives in memory where it cannot be written. It takes no lock of a run
and is never the reason why a command fails or waits. Its file has mode 0600, since it holds parts
of the logs.

It does not check the hash chain: `verify` does. A log whose lines do not parse or are not numbered
is `damaged`, and its row covers what stands before.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

from replayt_core.ports.store import EventStore, ListsRuns
from replayt_store._index_columns import Ahead, Columns, read_columns
from replayt_store._index_database import IndexDatabase, Result
from replayt_store._index_parts import Part, read_stale
from replayt_store._index_rows import CALL_COLUMNS, COLUMNS, IndexedRun, condition, indexed_run
from replayt_store._index_sources import FileSource, ListedSource, PlainSource, Source, reading
from replayt_store.jsonl import JSONLStore
from replayt_store.selection import Selection

__all__ = ["IndexedRun", "Progress", "Refreshed", "RunIndex"]

Progress = Callable[[int, int], None]
"""Called with how many of how many runs are done."""

_PAGE = 500
_COLUMNS = ", ".join(COLUMNS)
_LOOKED_NS = COLUMNS.index("looked_ns")
_SORTED_AT = COLUMNS.index("sorted_at")
_PUT_RUN = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_PUT_CALL = f"INSERT OR REPLACE INTO llm_calls VALUES ({', '.join('?' * len(CALL_COLUMNS))})"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a look at the store came to: how many runs it has, were read, are gone."""

    runs: int
    read: int
    removed: int


class _Looked(NamedTuple):
    """The runs that one look has read, and those that it found gone."""

    read: Collection[str]
    gone: Collection[str]


class RunIndex:
    """The index of one store; use it as a context manager, from one thread at a time.

    `refresh`, `check` or `rebuild` bring it up to date; what it tells is as of then, or newer when
    another process refreshed the same index meanwhile.
    """

    def __init__(self, source: Source, path: str | None = None, *, readers: int = 0) -> None:
        """Prefer `RunIndex.of`. `path` is the SQLite file; without one it lives in memory."""
        self._source = source
        self._readers = readers
        self._database = IndexDatabase(path)
        self._ahead: Ahead | None = None

    @classmethod
    def of(cls, store: EventStore, *, readers: int = 0) -> RunIndex:
        """The index of a store.

        That of a `JSONLStore` is `.index/runs.sqlite3` in its directory, that of a `SQLiteStore`
        is its file with `.index` added, that of a `MirrorStore` is its primary's. For any other
        store it lives in memory, and a store that cannot list its runs is read whole each time.

        Where many runs of a `JSONLStore` are to be read, some 32 MiB or more, up to `readers`
        further processes help; none of them outlives the call. Otherwise this process alone reads.
        """
        store = reading(store)
        if isinstance(store, JSONLStore):
            path = os.path.join(store.place, ".index", "runs.sqlite3")
            return cls(FileSource(store), path, readers=readers)
        if isinstance(store, ListsRuns):
            from replayt_store.sqlite import SQLiteStore

            beside = f"{store.place}.index" if isinstance(store, SQLiteStore) else None
            return cls(ListedSource(store, store), beside)
        return cls(PlainSource(store))

    def __enter__(self) -> RunIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index file."""
        self._drop_ahead()
        self._database.close()

    def _drop_ahead(self) -> None:
        """Wait until nobody reads ahead any more, and forget what was read."""
        if self._ahead is not None:
            self._ahead.read.exception()  # interrupted, it is waited for again when this is closed
            self._ahead = None

    # --- bringing it up to date -------------------------------------------------------------------

    def refresh(self, progress: Progress | None = None) -> Refreshed:
        """Read what has changed, and look at little to find out.

        Trusted are the directory's own time of change and, for a run that was completed, the file
        it was read from. An edit of a completed log is not seen: `check` sees it.
        """
        self._drop_ahead()
        return self._kept(lambda: self._refresh(progress))

    def check(self, progress: Progress | None = None) -> Refreshed:
        """Look at the time and size of every run, and read what has changed."""
        self._drop_ahead()
        return self._checked(progress)

    def rebuild(self, progress: Progress | None = None) -> Refreshed:
        """Forget everything and read every run."""
        self._drop_ahead()
        self._database.empty()
        return self._checked(progress)

    def _checked(self, progress: Progress | None = None) -> Refreshed:
        return self._kept(lambda: self._refresh_listed(self._source.place(), progress, each=True))

    def _kept(self, look: Callable[[], _Looked]) -> Refreshed:
        """Look, and look again when the file was lost meanwhile and rows with it."""
        read, gone = set[str](), set[str]()
        while True:
            losses = self._database.losses
            looked = look()
            runs = self._database.read(_count)
            # What the first look has read, the second may find, and is told of all the same.
            read.update(looked.read)
            gone.update(looked.gone)
            if self._database.losses == losses:
                return Refreshed(runs=runs, read=len(read), removed=len(gone))

    def _refresh(self, progress: Progress | None) -> _Looked:
        place = self._source.place()
        if place is not None and place == self._database.read(_stored_place):
            return self._refresh_watched(place, progress)
        return self._refresh_listed(place, progress, each=False)

    def _refresh_watched(self, place: str, progress: Progress | None) -> _Looked:
        """No file came or went: only runs without an end, or just written, can differ."""
        watched = self._database.read(_watched)
        looked = {run_id: self._source.changed(run_id, mark) for run_id, mark in watched.items()}
        gone = [run_id for run_id, changed in looked.items() if changed is None]
        stale = [run_id for run_id, changed in looked.items() if changed]

        def after(db: sqlite3.Connection) -> None:
            # Another process may have been here: then nobody knows any more what the mark covers.
            if _stored_place(db) != place:
                _set_place(db, None)

        if stale or gone:
            self._read_and_write(stale, progress, after, lambda db: self._remove(db, gone))
        return _Looked(stale, gone)

    def _refresh_listed(
        self, place: str | None, progress: Progress | None, *, each: bool
    ) -> _Looked:
        known = self._database.read(_known)
        listing = self._source.listing(known, each=each)
        stale = [run_id for run_id, changed in listing.items() if changed]
        if not each:
            same = listing.keys() - set(stale)
            watched = [run_id for run_id in self._database.read(_watched) if run_id in same]
            stale += [run_id for run_id in watched if self._source.changed(run_id, known[run_id])]
        gone = known.keys() - listing.keys()

        def after(db: sqlite3.Connection) -> None:
            _set_place(db, None)

        def last(db: sqlite3.Connection) -> None:
            # Also what another process wrote meanwhile, from an older listing than this one.
            kept = {run_id for (run_id,) in db.execute("SELECT run_id FROM runs")}
            self._remove(db, (kept | gone) - listing.keys())
            _set_place(db, place)

        if stale or gone or (known and place != self._database.read(_stored_place)):
            self._read_and_write(stale, progress, after, last)
        return _Looked(stale, gone)

    def _read_and_write(
        self,
        stale: Sequence[str],
        progress: Progress | None,
        after: Callable[[sqlite3.Connection], None],
        last: Callable[[sqlite3.Connection], None],
    ) -> None:
        """Read outside of any transaction, write in short ones.

        The mark of the directory says that the rows are those of its files. It is unset while rows
        are written and set in the last transaction alone, so that whoever dies in between, or
        meets another process, leaves an index that is looked through again.
        """
        run_ids = sorted(stale)  # since inserting at the end of a table is cheap
        done = 0

        def read() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(run_ids))

        with closing(read_stale(self._source, run_ids, self._readers, read)) as parts:
            for part in parts:
                self._database.write(partial(_put, part=part, after=after))

        def finish(db: sqlite3.Connection) -> None:
            after(db)
            last(db)

        self._database.write(finish)

    def _remove(self, db: sqlite3.Connection, run_ids: Iterable[str]) -> None:
        """Remove rows of runs that are not there any more, looking again."""
        for run_id in run_ids:
            if self._source.gone(run_id):
                for table in ("runs", "llm_calls", "empty_logs"):
                    db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608

    # --- what it tells ----------------------------------------------------------------------------

    def count(self, selection: Selection | None = None) -> int:
        """How many runs there are, or how many of them are selected."""
        if selection is None:
            return self._told(_count)
        where, values = condition(selection)
        if selection.statuses and "completed" not in selection.statuses:
            where += " AND watched"  # as it is of all these: their own index counts them
        sql = f"SELECT count(*) FROM runs WHERE {where}"  # noqa: S608
        return self._told(lambda db: int(db.execute(sql, values).fetchone()[0]))

    def endings(self, ends: Collection[str]) -> dict[str, int]:
        """How many run ids end in each of these texts, which are of one length; 0 is left out."""
        size = max(map(len, ends), default=0)
        sql = (
            f"SELECT substr(run_id, -{size}), count(*) FROM runs "  # noqa: S608
            f"WHERE substr(run_id, -{size}) IN ({', '.join('?' * len(ends))}) GROUP BY 1"
        )
        return dict(self._told(lambda db: db.execute(sql, tuple(ends)).fetchall()))

    def get(self, run_id: str) -> IndexedRun | None:
        """That run, or None."""
        found = self._rows(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", [run_id])  # noqa: S608
        return indexed_run(found[0]) if found else None

    def runs(
        self, selection: Selection | None = None, *, limit: int | None = None
    ) -> Iterator[IndexedRun]:
        """The selected runs, newest first: by the time of their first event, then by id.

        Where nobody knows that time, the time of the file counts.

        They are read page by page; a run that is written meanwhile comes once, or not at all.
        """
        where, values = condition(selection or Selection())
        sql = (
            f"SELECT {_COLUMNS} FROM runs WHERE {where} AND (sorted_at, run_id) < (?, ?) "  # noqa: S608
            "ORDER BY sorted_at DESC, run_id DESC LIMIT ?"
        )
        newest: tuple[object, object] = (1 << 62, "")
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            rows = self._rows(sql, [*values, *newest, size])
            yield from map(indexed_run, rows)
            if len(rows) < size:
                return
            left = None if left is None else left - size
            newest = (rows[-1][_SORTED_AT], rows[-1][0])

    def last_seqs(self, selection: Selection) -> Iterator[tuple[str, int]]:
        """Id and last seq of the selected runs that have events, by id."""
        where, values = condition(selection)
        sql = f"SELECT run_id, last_seq FROM runs WHERE {where} AND events ORDER BY run_id"  # noqa: S608
        return ((run_id, last_seq) for run_id, last_seq in self._rows(sql, values))

    def columns(self, selection: Selection, wanted: Mapping[str, Sequence[str]]) -> Columns:
        """Columns of `runs` and `llm_calls` for the selected runs, all as of one moment.

        They come in pieces. In a piece each column is a JSON array: SQLite writes it and DuckDB
        reads it, so that the values never become Python objects.
        """
        ahead = self._ahead
        if ahead is not None and (ahead.selection, ahead.wanted) == (selection, wanted):
            try:
                return ahead.read.result()
            finally:
                self._drop_ahead()  # Ctrl-C ends the waiting and not the reading
        self._drop_ahead()
        return self._columns(selection, wanted)

    def prefetch(self, selection: Selection, wanted: Mapping[str, Sequence[str]]) -> None:
        """Begin to read, in a thread, what `columns` will be asked for; ask nothing else before.

        SQLite reads without Python's lock, so whoever asks can prepare meanwhile.
        """
        if self._ahead is None:
            from concurrent.futures import ThreadPoolExecutor  # a listing does without

            threads = ThreadPoolExecutor(1, "replayt prefetch")
            read = threads.submit(self._columns, selection, wanted)
            threads.shutdown(wait=False)
            self._ahead = Ahead(selection, wanted, read)

    def _columns(self, selection: Selection, wanted: Mapping[str, Sequence[str]]) -> Columns:
        return self._told(lambda db: read_columns(db, selection, wanted))

    def _rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._told(lambda db: db.execute(sql, values).fetchall())

    def _told(self, use: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `use` finds; when the file is lost meanwhile, what it finds after another look."""
        losses = self._database.losses
        found = self._database.read(use)
        if self._database.losses != losses:
            self._checked()
            found = self._database.read(use)
        return found


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM runs").fetchone()[0])


def _stored_place(db: sqlite3.Connection) -> str | None:
    (mark,) = db.execute("SELECT mark FROM place").fetchone()
    return None if mark is None else str(mark)


def _set_place(db: sqlite3.Connection, mark: str | None) -> None:
    db.execute("UPDATE place SET mark = ?", (mark,))


def _known(db: sqlite3.Connection) -> dict[str, str]:
    return dict(
        db.execute("SELECT run_id, mark FROM runs UNION ALL SELECT run_id, '' FROM empty_logs")
    )


def _watched(db: sqlite3.Connection) -> dict[str, str]:
    return dict(
        db.execute(
            "SELECT run_id, mark FROM runs WHERE watched "
            "UNION ALL SELECT run_id, '' FROM empty_logs"
        )
    )


def _put(db: sqlite3.Connection, part: Part, after: Callable[[sqlite3.Connection], None]) -> None:
    """Write runs that were read, but for those that another process has read later."""
    ids = part.run_ids()
    there = dict(
        db.execute(
            "SELECT run_id, looked_ns FROM runs WHERE run_id BETWEEN ? AND ?", (min(ids), max(ids))
        )
    )
    runs, calls = part.runs, part.calls
    gone = [(run_id,) for run_id in part.absent]
    if there:
        now = time.time_ns()
        # A time that lies ahead was written before the clock was set back.
        newer = {run_id for run_id, looked_ns in there.items() if looked_ns <= now}
        runs = [row for row in runs if row[0] not in newer or there[row[0]] <= row[_LOOKED_NS]]
        kept = {row[0] for row in runs}
        calls = [row for row in calls if row[0] in kept]
        old = [*kept & there.keys(), *part.absent]
        db.executemany("DELETE FROM llm_calls WHERE run_id = ?", [(run_id,) for run_id in old])
        db.executemany("DELETE FROM runs WHERE run_id = ?", gone)
    if db.execute("SELECT 1 FROM empty_logs LIMIT 1").fetchone():
        db.executemany("DELETE FROM empty_logs WHERE run_id = ?", [(run_id,) for run_id in ids])
    db.executemany("INSERT INTO empty_logs VALUES (?)", gone)
    db.executemany(_PUT_RUN, runs)
    db.executemany(_PUT_CALL, calls)
    after(db)
