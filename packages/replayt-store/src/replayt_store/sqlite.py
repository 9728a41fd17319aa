"""`SQLiteStore`: all runs in one SQLite file.

Several processes may use one file. Who writes to a run holds its lock, an advisory lock on a file
of its own in `<file>.locks/`, which the death of the process frees; readers need none. Network
file systems are not supported: their locks and syncs promise less.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replayt_core.errors import (
    ConflictError,
    DamagedLogError,
    InvalidRunIdError,
    RunLockedError,
    StoreURLError,
    StoreWriteError,
)
from replayt_core.events import Event
from replayt_core.ports.store import RunEntry
from replayt_core.ports.system import Clock, SystemClock
from replayt_core.run_ids import check_run_id
from replayt_store import _sqlite_rows
from replayt_store._batches import check_batch, line_break
from replayt_store._files import make_directory
from replayt_store._following import SQLiteFollower
from replayt_store._forks import GATE, forget_in_child
from replayt_store._lock_files import RunLock, is_locked, open_locked, patiently
from replayt_store._os import System
from replayt_store._problems import not_a_log, write_problem
from replayt_store._sqlite_reader import LogReader

if TYPE_CHECKING:
    from sqlite3 import Cursor
    from types import TracebackType


_REMEMBERED = 1024


@dataclass
class _Hold:
    """A run that this store has locked, and why it is not written any more."""

    lock: RunLock
    dead: str = ""


class SQLiteStore:
    """The runs in a SQLite file. It can lock, list and delete them; its logs cannot be torn.

    Each append is one transaction with `synchronous=FULL` in a write-ahead log: when it returns,
    the batch survives the death of the process and power loss, whatever its events are. The file,
    its `-wal` and its `-shm` have mode 0600, directories that are made for it 0700. Reading creates
    nothing, also where nothing may be written.

    One object may be used from several threads; a lock belongs to the object that took it. The
    file is opened at first use and closed by `close`, at the end of a `with` block, or with the
    object.

    A database of replayt 0.1 to 0.4 is read as logs without a hash chain, and never written. The
    view `events(run_id, seq, type, ts, payload_json)` shows any SQL tool what replayt 0.2 kept in
    a table of that name.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        system: System | None = None,
    ) -> None:
        from replayt_store._sqlite_database import Database  # loads sqlite3

        if os.fspath(file) in ("", ":memory:"):
            raise ValueError(f"{os.fspath(file)!r} names no file; MemoryStore keeps runs in memory")
        self.file = Path(file)
        self._clock: Clock = clock or SystemClock()
        self._system = system or System()
        # A later chdir must not move the runs.
        self._path = os.path.abspath(file)
        self._database = Database(
            self._path, str(self.file), clock=self._clock, system=self._system
        )
        self._reader = LogReader(self._database, str(self.file))
        self._mutex = threading.Lock()
        self._held: dict[str, _Hold] = {}
        # Up to where this object has seen that a log is whole.
        self._checked: dict[str, int] = {}
        forget_in_child(self, SQLiteStore._after_fork)

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.file)!r})"

    def __enter__(self) -> SQLiteStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which makes it whole without its `-wal`. The next use opens it again."""
        self._database.close()

    @property
    def place(self) -> str:
        """The absolute path of the file, which a later `chdir` does not move."""
        return self._path

    def check_writable(self) -> None:
        """Raise what every append would: of a database of replayt 0.1 to 0.4, `StoreWriteError`.

        A file that is no database of runs raises as when it is read. Nothing is made or changed.
        """
        self._database.check_writable()

    # --- EventStore -----------------------------------------------------------------------------

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Add a whole batch to a run whose last seq is `after`; 0 means that it does not exist.

        One transaction a batch. When it returns, the batch survives power loss. A caller that
        holds no lock takes it for this call.

        Raises `ConflictError` (nothing was written), `RunLockedError` (someone else executes the
        run), `DamagedLogError`, `InvalidRunIdError` (also for a new id that differs from an
        existing one in case only), `ValueError` (not numbered `after` + 1, …) and
        `StoreWriteError`. After the last one the outcome is in the log alone: this process does
        not write to the run any more until it has locked it again.
        """
        hold = self._held.get(run_id)
        if hold is not None:
            self._append(hold, run_id, events, after)
            return
        check_run_id(run_id)
        if after and not self._database.exists:  # nothing is made for what must be refused
            check_batch(run_id, events, after=after)
            raise _sqlite_rows.conflict(run_id, 0, after)
        with self._locked(run_id) as hold:
            self._append(hold, run_id, events, after)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after`, in whole batches. An unknown run reads as nothing.

        Raises `DamagedLogError` with file and event after the events that stand before the damage.
        """
        return self._read(check_run_id(run_id), after)

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs, in no particular order."""
        return (entry.run_id for entry in self.runs())

    # --- what a store may do besides --------------------------------------------------------------

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run while it is executed; also a run that does not exist yet.

        Tries for a second, then raises `RunLockedError`. The death of the process frees the lock.
        """
        return self._lock(check_run_id(run_id))

    def locked(self, run_id: str) -> bool:
        """Whether someone executes the run right now, in this process or another."""
        path = self._lock_path(check_run_id(run_id))
        if run_id in self._held:
            return True
        with GATE:
            return is_locked(path, self._system)

    def runs(self) -> Iterator[RunEntry]:
        """One entry a run, in no particular order; `size` is that of its lines.

        It reads no line. Of a database of replayt 0.1 to 0.4 the sizes are not known.
        """
        return self._reader.entries()

    def follow(self, run_id: str) -> SQLiteFollower:
        """Read a run as it is written: each call reads the rows that were added."""
        return SQLiteFollower(check_run_id(run_id), self._reader, str(self.file))

    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run if its last seq is `after`, else raise `ConflictError`; bytes freed.

        Its pages are overwritten and given back to the file system. Of a damaged log the last seq
        may also be that of the last event that `read` yields.
        """
        if self._reader.find(check_run_id(run_id)) is None:
            if after:
                raise ConflictError(f"run {run_id} does not exist, so its last seq is not {after}")
            return 0
        with nullcontext() if run_id in self._held else self._locked(run_id):
            readable = self._reader.readable_end(run_id, after)

            def work(cursor: Cursor) -> int:
                found = _sqlite_rows.find(cursor, run_id)
                last = (found and found.last_seq) or 0
                if found is None or after not in (last, readable):
                    raise _sqlite_rows.conflict(run_id, last, after, "deleted")
                return _sqlite_rows.delete(cursor, found)

            freed = self._database.write(work)
            self._database.shrink()
            self._checked.pop(run_id, None)
            return freed

    # --- how --------------------------------------------------------------------------------------

    def _read(self, run_id: str, after: int) -> Iterator[Event]:
        last_seq = yield from self._reader.read(run_id, after)
        if last_seq:
            self._remember(run_id, last_seq)

    def _append(self, hold: _Hold, run_id: str, events: Sequence[Event], after: int) -> None:
        check_batch(run_id, events, after=after)
        for event in events:
            if b"\n" in event.line:
                raise line_break(run_id)
        if hold.dead:
            raise StoreWriteError(
                f"the log of run {run_id} ({self.file}) is not written through this handle any "
                f"more, since {hold.dead}: resume the run"
            )
        if after and self._checked.get(run_id) != after:
            for _event in self._read(run_id, 0):
                pass
        try:
            self._database.write(
                lambda cursor: _sqlite_rows.append(cursor, run_id, events, after=after)
            )
        except (ConflictError, DamagedLogError, InvalidRunIdError):
            raise
        except BaseException:
            hold.dead = "an earlier call failed"
            raise
        self._remember(run_id, events[-1].seq)

    def _remember(self, run_id: str, seq: int) -> None:
        checked = self._checked
        if run_id not in checked and len(checked) >= _REMEMBERED:
            with self._mutex:
                checked.pop(next(iter(checked)), None)
        checked[run_id] = seq

    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        with self._locked(run_id) as hold:
            self._held[run_id] = hold
            try:
                yield
            finally:
                self._held.pop(run_id, None)

    @contextmanager
    def _locked(self, run_id: str) -> Iterator[_Hold]:
        if run_id in self._held:
            raise self._locked_error(run_id)
        path = self._lock_path(run_id)
        try:
            lock = patiently(lambda: self._try_lock(run_id, path), self._clock)
        except OSError as error:
            raise write_problem(run_id, str(self.file), error) from error
        if lock is None:
            raise self._locked_error(run_id)
        try:
            yield _Hold(lock)
        finally:
            lock.release()

    def _try_lock(self, run_id: str, path: str) -> RunLock | None:
        """The lock; None when someone else has it, or took its file away meanwhile."""
        with GATE:
            fd = open_locked(
                path,
                self._system,
                make_directory=lambda: make_directory(
                    os.path.dirname(path), self._system, sync=False
                ),
                refusal=lambda: not_a_log(run_id, path),
            )
            if fd is None:
                return None
            lock = RunLock(path, fd, system=self._system)
            forget_in_child(lock, RunLock.forget)
        if lock.in_place:
            return lock
        lock.release()
        return None

    def _lock_path(self, run_id: str) -> str:
        return os.path.join(f"{self._path}.locks", run_id)

    def _locked_error(self, run_id: str) -> RunLockedError:
        return RunLockedError(
            f"run {run_id} is being executed ({self.file}.locks/{run_id} is locked): wait until it "
            "has ended, then try again"
        )

    def _after_fork(self) -> None:
        self._mutex = threading.Lock()
        self._held = {}
        self._checked = {}


def open_sqlite(url: str) -> SQLiteStore:
    """The store of a `sqlite:` URL; slashes as SQLAlchemy users know them.

    `sqlite:///runs.db` is the relative file `runs.db`, `sqlite:////srv/runs.db` the absolute one.
    Anything else raises `StoreURLError`.
    """
    _, _, rest = url.partition("://")
    if not rest.startswith("/") or len(rest) == 1 or "?" in rest:
        raise StoreURLError(
            f"{url!r} names no file: write sqlite:///relative/file.db or sqlite:////absolute/file.db"
        )
    if rest == "/:memory:":
        raise StoreURLError(f"{url!r} names no file; MemoryStore keeps runs in memory")
    return SQLiteStore(rest[1:])
