"""`LogFile`: one open, locked log. Every byte that gets into a log goes through here.

What it keeps in memory: `seq` and `end` of the last whole batch. What it relies on: nobody writes
without the lock, except bridges that append whole lines. The size tells them apart at each append.

A failed append leaves the file as it was: it is cut back to the last acknowledged byte. Then the
object refuses everything but its release, for after a failed sync nobody knows what the system
still holds; the next opening decides from the file alone.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from replayt_core.chain import ChainReader, line_hash, starts_chain
from replayt_core.errors import ConflictError, DamagedLogError, StoreWriteError
from replayt_core.events import Event
from replayt_core.ports.store import TornTail
from replayt_store._batches import check_batch, line_break
from replayt_store._files import is_same_file
from replayt_store._os import System
from replayt_store._problems import write_problem
from replayt_store._scan import Scan
from replayt_store._sync_mode import SyncMode, waits

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a log ended when this process last wrote or checked it, and the file as it was then."""

    seq: int
    end: int
    head: str
    chained: bool | None
    named: bool
    file: tuple[int, ...]


class LogFile:
    """A log that this object has locked. Safe to use from several threads."""

    def __init__(self, run_id: str, path: str, shown: str, fd: int, *, system: System) -> None:
        self.run_id = run_id
        self.seq = 0
        self._path = path
        self._shown = shown
        self._fd = fd
        self._system = system
        self._mutex = threading.Lock()
        self._end = 0
        self._head: str | None = None
        self._last_line = b""
        self._chained: bool | None = None
        self._ready = False
        self._torn = False
        self._named = False  # whether the name of the file is known to survive power loss
        self._dead = ""

    # --- what a store does with it ------------------------------------------------------------

    def append(self, events: Sequence[Event], *, after: int, sync: SyncMode) -> None:
        """`EventStore.append` for this run."""
        lines = [event.line for event in events]
        lines.append(b"")
        data = b"\n".join(lines)
        check_batch(self.run_id, events, after=after)
        if data.count(b"\n") != len(events):
            raise line_break(self.run_id)
        with self._mutex:
            self._check_alive()
            if not self._ready:
                self._load()
            try:
                now = self._system.fstat(self._fd)
            except OSError as error:
                self._fail(error)
            self._torn = False
            if now.st_size != self._end or not now.st_nlink:
                self._follow(now)
            if self._torn:
                raise self._torn_error(now.st_size)
            if after != self.seq:
                raise ConflictError(
                    f"run {self.run_id} is at seq {self.seq}, not {after}: nothing was written, "
                    "read it again"
                )
            # Until the acknowledgement everything undoes itself, a signal's exception included.
            try:
                written = self._system.write(self._fd, data)
                if written != len(data):
                    self._write_rest(memoryview(data)[written:])
                if waits(sync, events):
                    self._system.sync_data(self._fd)
                    if not self._named:
                        self._system.sync_directory(os.path.dirname(self._path))
                        self._named = True
                if self._chained is None:
                    self._chained = starts_chain(events[0])
                self._end += len(data)
                self.seq = after + len(events)
                self._last_line = events[-1].line
                self._head = None
            except BaseException as error:
                self._take_back(len(data))
                self._fail(error)

    def repair(self) -> TornTail | None:
        """`RepairsRuns.repair` for this run."""
        with self._mutex:
            self._check_alive()
            self._load()
            if not self._torn:
                return None
            try:
                tail = self._put_aside()
                self._system.truncate(self._fd, self._end)
                self._system.sync_data(self._fd)
            except OSError as error:
                self._fail(error)
            self._torn = False
            return tail

    def delete(self, *, after: int) -> int:
        """`DeletesRuns.delete` for this run; its tails that were put aside go with it."""
        with self._mutex:
            self._check_alive()
            with suppress(DamagedLogError):  # what can be read of it says where it ends
                self._load()
            if self.seq != after:
                raise ConflictError(
                    f"run {self.run_id} is at seq {self.seq}, not {after}: nothing was deleted"
                )
            try:
                now = self._system.fstat(self._fd)
                if not is_same_file(self._path, now):
                    raise self._gone()
                freed = now.st_size
                for number in range(1, self._next_tail()):
                    tail = self._tail_path(number)
                    freed += os.lstat(tail).st_size
                    self._system.unlink(tail)
                fd, self._fd = self._fd, -1
                self._dead = "it was deleted"
                self._system.remove_and_close(fd, self._path)
                self._system.sync_directory(os.path.dirname(self._path))
            except OSError as error:
                raise write_problem(self.run_id, self._shown, error) from error
            return freed

    def release(self) -> Position | None:
        """Free the lock; where the log ended, if that is known for certain.

        A file without a byte is no run, so an empty one is removed, whoever left it.
        """
        with self._mutex:
            fd, self._fd = self._fd, -1
            if fd < 0:
                return None
            position, empty = None, False
            # What was acknowledged stays so, whatever fails from here on.
            with suppress(OSError):
                now = self._system.fstat(fd)
                empty = now.st_size == 0 and is_same_file(self._path, now)
                whole = self._ready and not self._dead and not self._torn
                if whole and not empty and now.st_size == self._end:
                    position = self._position(now)
            with suppress(OSError):
                if empty:
                    self._system.remove_and_close(fd, self._path)
                else:
                    self._system.unlock_and_close(fd)
            return position

    def forget(self) -> None:
        """In a forked child: close the descriptor, which leaves the parent's lock alone."""
        fd, self._fd = self._fd, -1
        self._dead = "it belongs to the process that this one was forked from"
        self._mutex = threading.Lock()
        if fd >= 0:
            os.close(fd)

    def start_from(self, position: Position | None) -> None:
        """Trust what this process knew of the log when the file has not changed since."""
        if position and identity(self._system.fstat(self._fd)) == position.file:
            self._set(position.seq, position.end, position.head, position.chained)
            self._named = position.named

    # --- how ----------------------------------------------------------------------------------

    def _position(self, now: os.stat_result) -> Position:
        return Position(
            seq=self.seq,
            end=self._end,
            head=self._current_head(),
            chained=self._chained,
            named=self._named,
            file=identity(now),
        )

    def _check_alive(self) -> None:
        if self._dead:
            raise StoreWriteError(
                f"the log of run {self.run_id} ({self._shown}) is not written through this "
                f"handle any more, since {self._dead}: resume the run"
            )

    def _load(self) -> None:
        """Read the whole log once, to know where it ends."""
        self._set(0, 0, None, None)
        self._ready = False
        self._read_on()
        self._ready = True

    def _set(self, seq: int, end: int, head: str | None, chained: bool | None) -> None:
        self.seq, self._end, self._head, self._chained = seq, end, head, chained
        self._last_line = b""
        self._torn = False
        self._ready = True

    def _read_on(self) -> None:
        """Take what stands behind `end` into account."""
        head = self._current_head() if self.seq else None
        reader = ChainReader(self.run_id, seq=self.seq, head=head, chained=self._chained)
        try:
            with open(self._fd, "rb", closefd=False) as file:
                scan = Scan(file, reader, self._shown, start=self._end)
                try:
                    for _batch in scan.batches():
                        pass
                finally:
                    self._set(reader.seq, scan.end, reader.head, reader.chained)
                    self._torn = scan.torn
        except OSError as error:
            self._fail(error)

    def _current_head(self) -> str:
        if self._head is None:
            self._head = line_hash(self._last_line)
        return self._head

    def _follow(self, now: os.stat_result) -> None:
        """The file is not as this object left it: a bridge wrote, or someone took it away."""
        if not now.st_nlink:
            raise self._gone()
        if now.st_size < self._end:
            self._dead = "the file was cut"
            raise DamagedLogError(
                f"the log of run {self.run_id} ({self._shown}) was cut from {self._end} to "
                f"{now.st_size} bytes by someone else: nothing was written",
                run_id=self.run_id,
                where=f"{self._shown}, byte {now.st_size}",
            )
        self._ready = False  # damage found here is looked for again at the next append
        self._read_on()
        self._ready = True

    def _gone(self) -> StoreWriteError:
        self._dead = "the file was taken away"
        return StoreWriteError(
            f"the log of run {self.run_id} ({self._shown}) was deleted, moved or replaced while "
            "the run was executed: nothing was written; look for it before starting a new run"
        )

    def _torn_error(self, size: int) -> DamagedLogError:
        return DamagedLogError(
            f"the log of run {self.run_id} ({self._shown}) ends in a batch that was cut short, "
            f"{size - self._end} bytes from byte {self._end}: repair it first (`resume` does)",
            run_id=self.run_id,
            where=f"{self._shown}, byte {self._end}",
        )

    def _write_rest(self, rest: memoryview) -> None:
        while rest:
            rest = rest[self._system.write(self._fd, rest) :]

    def _take_back(self, size: int) -> None:
        """Cut what a failed append of `size` bytes left behind the last acknowledged byte."""
        # More than we wrote means that a bridge wrote as well: that is not ours to cut. What cannot
        # be cut is a torn tail, which the next repair puts aside.
        with suppress(OSError):
            if self._system.fstat(self._fd).st_size <= self._end + size:
                self._system.truncate(self._fd, self._end)

    def _fail(self, error: BaseException) -> NoReturn:
        """Never use this handle again, and say why."""
        self._dead = "an earlier call failed"
        if isinstance(error, OSError):
            raise write_problem(self.run_id, self._shown, error) from error
        raise error

    def _put_aside(self) -> TornTail:
        """Copy what stands behind `end` to a file of its own, and sync that."""
        number = self._next_tail()
        path = self._tail_path(number)
        digest, size = hashlib.sha256(), 0
        out = self._system.open_new(path)
        try:
            with open(self._fd, "rb", closefd=False) as file:
                file.seek(self._end)
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[self._system.write(out, rest) :]
            self._system.sync_data(out)
        except BaseException:
            os.close(out)
            self._system.unlink(path)
            raise
        os.close(out)
        self._system.sync_directory(os.path.dirname(path))
        return TornTail(
            bytes=size, sha256=digest.hexdigest(), saved_as=f"{self._shown}.torn-{number}"
        )

    def _tail_path(self, number: int) -> str:
        # It does not end with `.jsonl`, so it is never taken for a run.
        return f"{self._path}.torn-{number}"

    def _next_tail(self) -> int:
        number = 1
        while os.path.lexists(self._tail_path(number)):
            number += 1
        return number


def identity(now: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written, cut, replaced or restored."""
    return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
