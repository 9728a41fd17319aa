"""`JSONLStore`: one append-only file a run, one event a line, readable with any text tool.

Several processes may use one directory. Who writes to a run holds its lock, an advisory lock on
the file itself, which the death of the process frees; readers need none. Network file systems are
not supported: their locks and syncs promise less.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import chain, dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from replayt_core.errors import ConflictError, RunLockedError, StoreURLError
from replayt_core.events import Event
from replayt_core.ports.store import RunEntry, RunFollower, TornTail
from replayt_core.ports.system import Clock, SystemClock
from replayt_core.run_ids import check_run_id
from replayt_store import _files
from replayt_store._files import is_same_file
from replayt_store._forks import GATE, forget_in_child
from replayt_store._lock_files import is_locked, open_locked, patiently
from replayt_store._os import System
from replayt_store._problems import not_a_log, read_problem, write_problem
from replayt_store._sync_mode import SYNC_MODES, SyncMode

# What reads and writes logs is imported when a log is read or written: it parses JSON with
# pydantic, which who lists an empty directory need not wait for. Under the gate: a child forked
# while another thread imports would wait for that thread, which it does not have.
if TYPE_CHECKING:
    from replayt_store._log import LogFile, Position

_REMEMBERED = 1024


class JSONLStore:
    """The runs in a directory, as `<run_id>.jsonl`. Implements every ability of a store.

    The directory is created with mode 0700 at the first write, files with 0600; reading creates
    nothing. `sync` says when an append waits for the disk: see `SyncMode`. One object may be used
    from several threads; a lock belongs to the object that took it, and its `append`, `repair`
    and `delete` then work under that lock.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        sync: SyncMode = "durable",
        clock: Clock | None = None,
        system: System | None = None,
    ) -> None:
        if sync not in SYNC_MODES:
            raise ValueError(f"sync must be one of {', '.join(SYNC_MODES)}, not {sync!r}")
        self.directory = Path(directory)
        self.sync: SyncMode = sync
        self._clock: Clock = clock or SystemClock()
        self._system = system or System()
        # A later chdir must not move the runs.
        self._root = os.path.abspath(directory)
        self._mutex = threading.Lock()
        self._held: dict[str, LogFile] = {}
        self._known: dict[str, Position] = {}
        forget_in_child(self, JSONLStore._after_fork)

    def __repr__(self) -> str:
        return f"JSONLStore({str(self.directory)!r}, sync={self.sync!r})"

    @property
    def place(self) -> str:
        """The absolute path of the directory, which a later `chdir` does not move."""
        return self._root

    def path(self, run_id: str) -> Path:
        """Where the log of that run is, or would be."""
        return self.directory / f"{check_run_id(run_id)}.jsonl"

    # --- EventStore -----------------------------------------------------------------------------

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Add a whole batch to a run whose last seq is `after`; 0 means that it does not exist.

        One write a batch. When it returns, the batch survives the death of the process, and power
        loss as `sync` says. A caller that holds no lock takes it for this call.

        Raises `ConflictError` (nothing was written), `RunLockedError` (someone else executes the
        run), `DamagedLogError` (torn or damaged), `InvalidRunIdError` (also for a new id that
        differs from an existing one in case only), `ValueError` (not numbered `after` + 1, …) and
        `StoreWriteError`. After the last one the outcome is in the log alone: this process does
        not write to the run any more until it has locked it again.
        """
        log = self._held.get(run_id)
        if log is not None:
            log.append(events, after=after, sync=self.sync)
            return
        with self._locked_log(check_run_id(run_id)) as log:
            log.append(events, after=after, sync=self.sync)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after`, in whole batches. An unknown run reads as nothing.

        A torn tail is left out: someone may be writing it. Raises `DamagedLogError` with file,
        line and byte after the events that stand before the damage.
        """
        return self._read(check_run_id(run_id), after)

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs, in no particular order. Foreign files are passed over."""
        return _files.run_ids(self._root)

    # --- what a store may do besides --------------------------------------------------------------

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run while it is executed; also a run that does not exist yet.

        Tries for a second, then raises `RunLockedError`. The death of the process frees the lock.
        """
        return self._lock(check_run_id(run_id))

    def locked(self, run_id: str) -> bool:
        """Whether someone executes the run right now, in this process or another."""
        path = self._path(check_run_id(run_id))
        if run_id in self._held:
            return True
        with GATE:
            return is_locked(path, self._system)

    def repair(self, run_id: str) -> TornTail | None:
        """Put a torn tail aside as `<run_id>.jsonl.torn-<n>`, then cut it; None when there is none.

        The copy is written and synced before the cut. Raises `DamagedLogError` on a log that is
        damaged, not torn: that is never cut.
        """
        with self._existing_log(check_run_id(run_id)) as log:
            return log.repair() if log else None

    def runs(self) -> Iterator[RunEntry]:
        """One entry a run, in no particular order, read from the last lines of each file.

        It does not check the chain: of a damaged log it tells the last line that can be read, and
        seq 0 when there is none.
        """
        with GATE:
            from replayt_store._scan import last_batch_end

        for run_id in self.run_ids():
            with suppress(OSError), self._open(run_id) as file:
                size = os.fstat(file.fileno()).st_size
                last = last_batch_end(file, size)
                yield RunEntry(
                    run_id=run_id,
                    last_seq=last.seq if last else 0,
                    last_ts=last.ts if last else None,
                    size=size,
                )

    def follow(self, run_id: str) -> RunFollower:
        """Read a run as it is written: each call reads the bytes that were added."""
        check_run_id(run_id)
        with GATE:
            from replayt_store._following import LogFollower

        return LogFollower(run_id, lambda: self._open(run_id), str(self.path(run_id)))

    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run if its last seq is `after`, else raise `ConflictError`; bytes freed.

        Tails that were put aside go with it. Of a damaged log the last seq is that of the last
        event that `read` yields.
        """
        with self._existing_log(check_run_id(run_id)) as log:
            if log:
                return log.delete(after=after)
        if after:
            raise ConflictError(f"run {run_id} does not exist, so its last seq is not {after}")
        return 0

    # --- how --------------------------------------------------------------------------------------

    def _path(self, run_id: str) -> str:
        return os.path.join(self._root, f"{run_id}.jsonl")

    def _read(self, run_id: str, after: int) -> Iterator[Event]:
        with GATE:
            from replayt_core.chain import ChainReader
            from replayt_store._scan import Scan

        shown = str(self.path(run_id))
        try:
            with self._open(run_id) as file:
                events = chain.from_iterable(Scan(file, ChainReader(run_id), shown).batches())
                yield from dropwhile(lambda event: event.seq <= after, events)
        except FileNotFoundError:
            return
        except OSError as error:
            raise read_problem(run_id, shown, error) from error

    def _open(self, run_id: str) -> BinaryIO:
        path = self._path(run_id)
        try:
            fd = self._system.open_read(path)
        except OSError:
            if os.path.islink(path):
                raise not_a_log(run_id, str(self.path(run_id))) from None
            raise
        if not _files.is_regular(self._system.fstat(fd)):
            os.close(fd)
            raise not_a_log(run_id, str(self.path(run_id)))
        return open(fd, "rb", buffering=1 << 16)

    @contextmanager
    def _lock(self, run_id: str) -> Iterator[None]:
        with self._locked_log(run_id) as log:
            self._held[run_id] = log
            try:
                yield
            finally:
                self._held.pop(run_id, None)

    @contextmanager
    def _existing_log(self, run_id: str) -> Iterator[LogFile | None]:
        """The locked log of a run, ours or for a moment; None when there is no such run."""
        held = self._held.get(run_id)
        if held:
            yield held
        elif not os.path.lexists(self._path(run_id)):
            yield None
        else:
            with self._locked_log(run_id) as log:
                yield log

    @contextmanager
    def _locked_log(self, run_id: str) -> Iterator[LogFile]:
        log = self._acquire(run_id)
        try:
            yield log
        finally:
            position = log.release()
            with self._mutex:
                self._known.pop(run_id, None)
                if position:
                    if len(self._known) >= _REMEMBERED:
                        del self._known[next(iter(self._known))]
                    self._known[run_id] = position

    def _acquire(self, run_id: str) -> LogFile:
        if run_id in self._held:
            raise self._locked_error(run_id)
        try:
            log = patiently(lambda: self._try_acquire(run_id), self._clock)
        except OSError as error:
            raise write_problem(run_id, str(self.path(run_id)), error) from error
        if log is None:
            raise self._locked_error(run_id)
        return log

    def _try_acquire(self, run_id: str) -> LogFile | None:
        """The log, locked; None when someone else has it, or took the file away meanwhile."""
        with GATE:
            from replayt_store._log import LogFile

        path, shown = self._path(run_id), str(self.path(run_id))
        # No fork may fall between the opening and the registration: the child would keep the lock.
        with GATE:
            fd = open_locked(
                path,
                self._system,
                make_directory=self._make_directory,
                refusal=lambda: not_a_log(run_id, shown),
            )
            if fd is None:
                return None
            log = LogFile(run_id, path, shown, fd, system=self._system)
            forget_in_child(log, LogFile.forget)
        try:
            # The file may have been removed between the opening and the lock: then the lock is on
            # something that nobody will read.
            now = self._system.fstat(fd)
            if not is_same_file(path, now):
                log.release()
                return None
            if now.st_size == 0:
                _files.refuse_other_case(self._root, run_id)
            log.start_from(self._known.get(run_id))
        except BaseException:
            log.release()
            raise
        return log

    def _make_directory(self) -> None:
        _files.make_directory(self._root, self._system, sync=self.sync != "os")

    def _locked_error(self, run_id: str) -> RunLockedError:
        return RunLockedError(
            f"run {run_id} is being executed ({self.path(run_id)} is locked): wait until it has "
            "ended, then try again"
        )

    def _after_fork(self) -> None:
        self._mutex = threading.Lock()
        self._held = {}
        self._known = {}


def open_jsonl(url: str) -> JSONLStore:
    """The store of a `jsonl:` URL; slashes as SQLAlchemy users know them.

    `jsonl:///runs` is the relative directory `runs`, `jsonl:////srv/runs` the absolute one, and
    `?sync=always` or `?sync=os` chooses when an append waits for the disk. Anything else raises
    `StoreURLError`.
    """
    from urllib.parse import parse_qsl  # only here, and slow to import

    place, _, query = url.partition("?")
    _, _, rest = place.partition("://")
    if not rest.startswith("/") or len(rest) == 1:
        raise StoreURLError(
            f"{url!r} names no directory: write jsonl:///relative/directory or "
            "jsonl:////absolute/directory"
        )
    sync: SyncMode = "durable"
    for key, value in parse_qsl(query, keep_blank_values=True):
        modes = {mode: mode for mode in SYNC_MODES}
        if key != "sync" or value not in modes:
            raise StoreURLError(f"{url!r}: only ?sync={'|'.join(modes)} can be set, not {key!r}")
        sync = modes[value]
    return JSONLStore(rest[1:], sync=sync)
