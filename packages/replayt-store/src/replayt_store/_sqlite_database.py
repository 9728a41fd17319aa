"""`Database`: one file, its connections, and what is wrong when SQLite complains.

One connection writes, one reads; both are shared by all threads, one at a time. While a writer is
open, reads go through it. Every use is short, so that no reader keeps the write-ahead log from
being folded back, and none is open while the process forks.

Facts that decide how a file is opened for reading (measured with SQLite 3.40 to 3.50):

- A file that was closed in order has no `-wal` beside it. Opened with `mode=ro` it gets an empty
  `-wal` and a `-shm`, which stay; in a directory that cannot be written, `mode=ro` fails. With
  `immutable=1` nothing is created and no lock taken, so a writer that comes meanwhile has to be
  noticed: by its `-wal`, or by the file's time and size. A time may stand for up to two seconds
  (a kernel's tick, ext4 with small inodes, FAT): a file that changed so lately is opened anew for
  each read.
- With a `-wal` beside it, left by a killed writer or held by a live one, `immutable=1` would miss
  what stands there. `mode=ro` reads it, and creates nothing where `-shm` is there too. Where only
  the `-wal` was copied along, SQLite has to build the `-shm` anew.
- A file in rollback mode (replayt 0.2 wrote those) is read with `mode=ro`, which creates nothing.
  Where a killed writer left a `-journal`, `mode=ro` fails: its half transaction must be undone.

A process must not open and close the file itself while SQLite has it open: closing any descriptor
frees all locks that the process holds on it (POSIX). Where this module does, no connection that
keeps locks can be open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sqlite3 import Connection, Cursor
from typing import TypeVar

from replayt_core.errors import DamagedLogError, StoreError, StoreWriteError
from replayt_core.ports.system import Clock
from replayt_store import _migrations
from replayt_store._files import is_regular, make_directory
from replayt_store._forks import stop_for_fork
from replayt_store._lock_files import patiently
from replayt_store._migrations import Layout
from replayt_store._os import System
from replayt_store._problems import cause, database_problem, only_read

BUSY_SECONDS = 10.0
"""How long a write waits for the writes of others, which take milliseconds each."""

_WAL_KEPT = 16 << 20
_SMALLEST = 512
_COARSEST_TICK = 2_000_000_000
_ATTEMPTS = 20

_T = TypeVar("_T")
# Nobody opens a file for writing while someone looks into its header, or creates it.
_OPENING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A connection, what it found, and the file as it was then."""

    connection: Connection
    cursor: Cursor
    layout: Layout
    file: tuple[int, int]
    # Of a connection that takes no locks: what must not have changed when it has read.
    frozen: tuple[int, ...] | None = None
    # Whether a later change would show; else it is good for one read.
    lasting: bool = True


class Database:
    """A SQLite file that need not exist. Safe to use from several threads."""

    def __init__(self, path: str, shown: str, *, clock: Clock, system: System) -> None:
        self._path = path
        self._shown = shown
        self._clock = clock
        self._system = system
        self._mutex = threading.RLock()
        self._writer: _Opened | None = None
        self._reader: _Opened | None = None
        # A connection that is never closed is a warning, and leaves its `-wal` behind.
        self._open: dict[str, Connection] = {}
        weakref.finalize(self, _close_all, self._open)
        stop_for_fork(self)

    def read(self, work: Callable[[Cursor, Layout], _T], *, nothing: _T) -> _T:
        """What `work` reads; `nothing` when there is no database. Creates nothing.

        `work` may run more than once.
        """
        problem: StoreError | None = None
        with self._mutex:
            for _ in range(_ATTEMPTS):
                opened = None
                try:
                    opened = self._for_reading()
                    if opened is None:
                        return nothing
                    result = nothing
                    if opened.layout != "empty":
                        # Closed, since a query that was not read to its end is a reader still.
                        with closing(opened.connection.cursor()) as cursor:
                            result = work(cursor, opened.layout)
                except sqlite3.Error as error:
                    problem = database_problem("read", self._shown, error)
                    problem.__cause__ = error
                    if opened is not None and self._is_current(opened):
                        break
                except OSError as error:
                    raise StoreError(f"cannot read {self._shown}: {cause(error)}") from error
                else:
                    if self._is_current(opened):
                        # Of an empty one, the first writer may come at any time.
                        if opened.layout == "empty" or not opened.lasting:
                            self._drop()
                        return result
                self._drop()
            self._drop()
        raise problem or StoreError(
            f"cannot read {self._shown}: it changes all the time, try again"
        )

    def write(self, work: Callable[[Cursor], _T]) -> _T:
        """What `work` gives, all of it in one transaction that survives power loss."""
        with self._mutex:
            cursor = self._for_writing()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                result = work(cursor)
                cursor.execute("COMMIT")
                return result
            except sqlite3.Error as error:
                # After a failed sync nobody knows what the system still holds: begin anew.
                self._drop()
                raise database_problem("write", self._shown, error) from error
            except BaseException:
                with suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
                raise

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system, if that can be done now."""
        with self._mutex:
            try:
                # It frees a page a step, and `execute` makes one step of what has no columns.
                self._for_writing().executescript("PRAGMA incremental_vacuum")
            except (sqlite3.Error, StoreError):
                self._drop()

    @property
    def exists(self) -> bool:
        """Whether there is anything under the path."""
        return self._writer is not None or os.path.lexists(self._path)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._mutex:
            self._drop()

    def stop_for_fork(self) -> None:
        """Close the file, and keep it closed until `go_on`."""
        self._mutex.acquire()
        self._drop()

    def go_on(self) -> None:
        """The fork is over."""
        self._mutex.release()

    # --- writing ------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise what a write would be refused with; nothing is made or changed."""
        layout: Layout | None = self.read(lambda _cursor, layout: layout, nothing=None)
        if layout == "legacy":
            raise only_read(self._shown)

    def _for_writing(self) -> Cursor:
        opened = self._writer
        if opened is not None:
            if _identity(self._path) == opened.file:
                return opened.cursor
            self._drop()
            raise StoreWriteError(
                f"{self._shown} was deleted, moved or replaced while it was written: nothing more "
                "is written; look for it before starting anew"
            )
        try:
            # Whatever is refused is refused without a change to it.
            found = self._for_reading()
            if found is not None and found.layout == "legacy":
                raise only_read(self._shown)
            self._drop()
            with _OPENING:
                self._writer = self._open_writer()
        except sqlite3.Error as error:
            raise database_problem("write", self._shown, error) from error
        except OSError as error:
            raise StoreWriteError(f"cannot write {self._shown}: {cause(error)}") from error
        return self._writer.cursor

    def _open_writer(self) -> _Opened:
        if not os.path.lexists(self._path):
            self._create()
        connection = self._connect("mode=rw")
        try:
            if self._layout(connection) == "empty":
                # Heard only before the first table; deleted runs then give their space back.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            mode = self._log_ahead(connection)
            if mode != "wal":
                raise StoreWriteError(
                    f"{self._shown}: this place does not allow a write-ahead log (journal mode "
                    f"{mode!r}); choose a local file system"
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
            # What was deleted must not be left in the file.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            if _migrations.layout(connection, self._shown) != "legacy":
                _migrations.migrate(connection)
            connection.execute("COMMIT")
            # The `-wal` is there now. SQLite syncs its name too, and passes over an error of that.
            self._system.sync_directory(os.path.dirname(self._path))
            file = _identity(self._path)
        except BaseException:
            connection.close()
            raise
        if file is None:
            connection.close()
            raise FileNotFoundError(2, os.strerror(2))
        self._open["writer"] = connection
        return _Opened(
            connection=connection, cursor=connection.cursor(), layout="current", file=file
        )

    def _log_ahead(self, connection: Connection) -> str:
        """Ask for a write-ahead log; the mode that SQLite gives.

        For a file that has none yet SQLite does not wait, lest two who come at once wait for each
        other.
        """

        def ask() -> str:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            return mode

        def ask_once() -> str | None:
            try:
                return ask()
            except sqlite3.OperationalError as error:
                if "database is locked" not in str(error):
                    raise
                return None

        return patiently(ask_once, self._clock) or ask()

    def _create(self) -> None:
        """Make an empty file, private from its first byte: SQLite gives its mode to the others."""
        directory = os.path.dirname(self._path)
        make_directory(directory, self._system, sync=True)
        try:
            os.close(self._system.open_new(self._path))
        except FileExistsError:
            return
        self._system.sync_directory(directory)

    # --- reading ------------------------------------------------------------------------------

    def _for_reading(self) -> _Opened | None:
        for opened in (self._writer, self._reader):
            if opened is not None and self._is_current(opened):
                return opened
        self._drop()
        with _OPENING:
            found = self._look()
            if found is None:
                return None
            wal = _size(self._path + "-wal")
            live = wal > 0 or (wal == 0 and _size(self._path + "-shm") >= 0)
            frozen = None if live or not self._in_wal_mode() else found
            lasting = not frozen or self._system.now_ns() - max(found[3:]) > _COARSEST_TICK
            # What a process left in the middle of a transaction has to be undone by the next one.
            undo = not live and not frozen and _size(self._path + "-journal") > 0
        connection = self._connect(
            "mode=ro&immutable=1" if frozen else "mode=rw" if undo else "mode=ro"
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            layout = self._layout(connection)
        except BaseException:
            connection.close()
            raise
        self._open["reader"] = connection
        self._reader = _Opened(
            connection=connection,
            cursor=connection.cursor(),
            layout=layout,
            file=(found[0], found[1]),
            frozen=frozen,
            lasting=lasting,
        )
        return self._reader

    def _look(self) -> tuple[int, ...] | None:
        """The file as it is now; None when there is none, or nothing in it."""
        try:
            now = os.lstat(self._path)
        except FileNotFoundError:
            return None
        if not is_regular(now):
            raise self._irregular()
        if now.st_size == 0:
            return None
        if now.st_size < _SMALLEST:
            # SQLite would take it for empty, and write over it.
            raise DamagedLogError(
                f"{self._shown} is no SQLite database: choose another file", where=self._shown
            )
        return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)

    def _in_wal_mode(self) -> bool:
        fd = self._system.open_read(self._path)
        try:
            header = os.read(fd, 20)
        finally:
            os.close(fd)
        return header[18:20] != b"\1\1"

    def _is_current(self, opened: _Opened) -> bool:
        if opened.frozen is None:
            return _identity(self._path) == opened.file
        return self._look() == opened.frozen and _size(self._path + "-wal") <= 0

    # --- both ---------------------------------------------------------------------------------

    def _connect(self, mode: str) -> Connection:
        if os.path.lexists(self._path) and not is_regular(os.lstat(self._path)):
            raise self._irregular()
        connection = sqlite3.connect(
            f"{Path(self._path).as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # One text that is no UTF-8 must not keep anybody from the other runs.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    def _layout(self, connection: Connection) -> Layout:
        """What the database is, seen at one moment: someone may be making its tables."""
        connection.execute("BEGIN")
        try:
            return _migrations.layout(connection, self._shown)
        finally:
            connection.execute("ROLLBACK")

    def _irregular(self) -> DamagedLogError:
        return DamagedLogError(
            f"{self._shown} is no regular file, so it is not used as a database: move it away, or "
            "choose another",
            where=self._shown,
        )

    def _drop(self) -> None:
        self._writer = self._reader = None
        _close_all(self._open)


def _close_all(connections: dict[str, Connection]) -> None:
    while connections:
        connection = connections.popitem()[1]
        with suppress(sqlite3.Error):
            connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        now = os.lstat(path)
    except OSError:
        return None
    return (now.st_dev, now.st_ino)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return -1
