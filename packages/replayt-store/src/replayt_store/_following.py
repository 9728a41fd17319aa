"""Reading a run while others write it: each call goes on where the one before it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from replayt_core.chain import ChainReader
from replayt_core.errors import ConflictError, DamagedLogError, RunNotFoundError
from replayt_core.events import Event
from replayt_store._problems import read_problem
from replayt_store._scan import Scan

if TYPE_CHECKING:
    from replayt_store._sqlite_reader import LogReader


class LogFollower:
    """Follows a log file by the offset behind its last whole batch.

    The file is opened anew at each call, so that one that was deleted, or put in its place, shows.
    """

    def __init__(self, run_id: str, opened: Callable[[], BinaryIO], shown: str) -> None:
        self._reader = ChainReader(run_id)
        self._opened = opened
        self._shown = shown
        self._end = 0
        self._file: tuple[int, int] | None = None

    def new_events(self) -> Iterator[Event]:
        """What was appended since the last call; see `RunFollower`."""
        run_id = self._reader.run_id
        try:
            with self._opened() as file:
                now = os.fstat(file.fileno())
                if self._file not in (None, (now.st_dev, now.st_ino)):
                    raise _gone(run_id, self._shown)
                self._file = now.st_dev, now.st_ino
                if now.st_size < self._end:
                    raise _taken_back(run_id, self._shown)
                try:
                    yield from self._batches(file)
                except DamagedLogError:
                    if self._is_whole(file):
                        raise _taken_back(run_id, self._shown) from None
                    raise
        except FileNotFoundError:
            raise _gone(run_id, self._shown) from None
        except OSError as error:
            raise read_problem(run_id, self._shown, error) from error

    def _batches(self, file: BinaryIO) -> Iterator[Event]:
        self._reader.drop_batch()  # one that was being written is read again
        scan = Scan(file, self._reader, self._shown, start=self._end)
        for batch in scan.batches():
            self._end = scan.end
            yield from batch

    def _is_whole(self, file: BinaryIO) -> bool:
        """Whether the log is sound, and only does not follow what was read of it before."""
        fresh = Scan(file, ChainReader(self._reader.run_id), self._shown)
        try:
            for _batch in fresh.batches():
                pass
        except DamagedLogError:
            return False
        return True


class SQLiteFollower:
    """Follows a run in a database by the seq of its last row."""

    def __init__(self, run_id: str, reader: LogReader, shown: str) -> None:
        self._reader = ChainReader(run_id)
        self._rows = reader
        self._shown = shown
        self._number: int | None = None

    def new_events(self) -> Iterator[Event]:
        """What was appended since the last call; see `RunFollower`."""
        run_id = self._reader.run_id
        found = self._rows.find(run_id)
        if found is None or self._number not in (None, found.number):
            raise _gone(run_id, self._shown)
        self._number = found.number
        if found.last_seq is not None and found.last_seq < self._reader.seq:
            raise _taken_back(run_id, self._shown)
        if found.last_seq != self._reader.seq:
            self._reader.drop_batch()  # one of which reading a part failed is read again
            yield from self._rows.read_on(self._reader, found, self._reader.seq)


def _gone(run_id: str, shown: str) -> RunNotFoundError:
    return RunNotFoundError(f"run {run_id} ({shown}) is not there, or not any more")


def _taken_back(run_id: str, shown: str) -> ConflictError:
    return ConflictError(
        f"run {run_id} ({shown}) holds no longer what was read of it: an append failed and was "
        "taken back, or somebody changed the log; read the run again"
    )
