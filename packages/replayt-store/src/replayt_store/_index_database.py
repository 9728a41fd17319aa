"""The SQLite file of an index: a cache that may be deleted, damaged or locked at any time.

It is used as long as that works. When it cannot be created or written, what is there is copied
into memory and the work goes on; when it is no database of this version, it is made anew.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TypeVar
from urllib.parse import quote

from replayt_store._index_rows import SCHEMA

APPLICATION_ID = 0x72706C79
VERSION = 1
# Others write a few hundred rows at a time; whoever holds the lock longer is not waited for.
PATIENCE_SECONDS = 0.5

_MADE = {statement for statement in SCHEMA if statement.startswith("CREATE ")}

Result = TypeVar("Result")


class IndexDatabase:
    """The database of one index; `path` is None for one in memory."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._in_file = False  # while nothing was kept yet, memory serves instead of a file
        self.losses = 0
        """How often what was kept had to be given up: rows may be missing since."""

    @property
    def shared(self) -> bool:
        """Whether other processes see what is written."""
        return self._path is not None

    def read(self, use: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `use` finds. It is called again, on an empty index, when the file is damaged."""
        try:
            return use(self._open(create=False))
        except sqlite3.Error as error:
            self._recover(error)
            return use(self._open(create=False))

    def write(self, use: Callable[[sqlite3.Connection], None]) -> None:
        """One short transaction; called again on another database when this one fails."""
        for _ in range(3):
            connection = self._open(create=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    use(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                if not self.shared:
                    raise
                self._recover(error)
            else:
                return

    def empty(self) -> None:
        """Forget everything."""
        self.write(_make_tables)

    def __del__(self) -> None:
        # Python 3.13 complains of a connection that is merely forgotten.
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        self._in_file = False

    def _open(self, *, create: bool) -> sqlite3.Connection:
        """The connection. Reading creates no file: until something is kept, memory serves."""
        waits = create and self._path is not None and not self._in_file
        if self._connection is not None and not waits:
            return self._connection
        self.close()
        if self._path is not None and (create or os.path.lexists(self._path)):
            try:
                self._connection = _open_file(self._path)
                self._in_file = True
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
        if self._connection is None:
            self._connection = _in_memory()
        return self._connection

    def _recover(self, error: Exception) -> None:
        """After an error of the file: a new file when it is damaged, else what it holds, kept here.

        It is never the end of anything: the logs are the truth.
        """
        self.close()
        self.losses += 1
        path, self._path = self._path, None
        if path is None:
            return
        # Exactly this class: its descendants say that the file is busy, full or not to be written.
        if type(error) is sqlite3.DatabaseError:
            with suppress(OSError, sqlite3.Error):
                for suffix in ("-wal", "-shm", ""):
                    with suppress(FileNotFoundError):
                        os.unlink(path + suffix)
                self._connection = _open_file(path)
                self._path, self._in_file = path, True
            return
        self._connection = _copy(path)


def _open_file(path: str) -> sqlite3.Connection:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is no regular file")
    finally:
        os.close(fd)
    # The files beside it get the mode of this one.
    connection = sqlite3.connect(
        path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = OFF")
        if not _is_current(connection):
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            if not _is_current(connection):
                _make_tables(connection)
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_current(connection: sqlite3.Connection) -> bool:
    """Whether it is an index of this version, with its tables as they are made here."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    made = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql}
    if made and application != APPLICATION_ID:
        raise sqlite3.NotSupportedError("somebody else's database")
    return (application, version) == (APPLICATION_ID, VERSION) and made == _MADE


def _make_tables(connection: sqlite3.Connection) -> None:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in tables:
        connection.execute(f"DROP TABLE {name}")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make_tables(connection)
    return connection


def _copy(path: str) -> sqlite3.Connection | None:
    """A copy in memory of an index that cannot be written; None when it cannot be read either."""
    if not os.path.isfile(path):
        return None
    # On a read-only file system WAL files cannot be made, and nobody else makes any.
    for mode in ("mode=ro", "immutable=1"):
        if mode == "immutable=1" and not _is_read_only(path):
            return None
        try:
            name = quote(os.fsencode(path))  # as bytes, which need not be UTF-8
            source = sqlite3.connect(f"file:{name}?{mode}", uri=True, timeout=0)
            with closing(source):
                if not _is_current(source):
                    return None
                copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                source.backup(copy)
                return copy
        except sqlite3.Error:
            continue
    return None


if sys.platform == "win32":

    def _is_read_only(path: str) -> bool:
        return False

else:

    def _is_read_only(path: str) -> bool:
        try:
            return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            return False
