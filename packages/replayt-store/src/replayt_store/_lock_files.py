"""Advisory locks on files: taken with patience, freed by the death of the process.

Creating first and locking after lets a second process lock a file that is already removed, so a
lock counts only when the path still leads to the locked file.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from replayt_core.ports.system import Clock
from replayt_store._files import is_regular, is_same_file
from replayt_store._os import System

# A status probe holds a lock for microseconds, an append without a lock for milliseconds.
_PATIENCE = 1.0

_T = TypeVar("_T")


def patiently(attempt: Callable[[], _T | None], clock: Clock) -> _T | None:
    """What `attempt` gives, tried for a second; None when it gave nothing until then."""
    deadline = clock.monotonic() + _PATIENCE
    wait = 0.001
    while True:
        result = attempt()
        if result is not None or clock.monotonic() >= deadline:
            return result
        # Uneven, so that two who wait do not meet again and again.
        clock.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311
        wait = min(wait * 2, 0.02)


def open_locked(
    path: str,
    system: System,
    *,
    make_directory: Callable[[], None],
    refusal: Callable[[], Exception],
) -> int | None:
    """The file, created if need be, opened and locked; None when someone else has the lock.

    Raises what `refusal` gives where something else than a regular file stands. The caller holds
    `GATE` until a fork knows of the descriptor, and then asks `is_same_file`.
    """
    try:
        fd = system.open_append(path)
    except FileNotFoundError:
        make_directory()
        try:
            fd = system.open_new(path)
        except FileExistsError:
            if os.path.islink(path):
                raise refusal() from None
            return None
    except OSError:
        if os.path.islink(path) or os.path.isdir(path):
            raise refusal() from None
        raise
    try:
        if not is_regular(system.fstat(fd)):
            raise refusal()
        mine = system.try_lock(fd)
    except BaseException:
        os.close(fd)
        raise
    if not mine:
        os.close(fd)
        return None
    return fd


def is_locked(path: str, system: System) -> bool:
    """Whether someone holds the lock right now. Creates nothing; the caller holds `GATE`."""
    try:
        fd = system.open_read(path)
    except OSError:
        return False
    mine = False
    try:
        if not is_regular(system.fstat(fd)):
            return False
        mine = system.try_lock(fd, shared=True)
        return not mine
    finally:
        if mine:
            system.unlock_and_close(fd)
        else:
            os.close(fd)


class RunLock:
    """A locked file that is nothing but a lock: it is there as long as it is held."""

    def __init__(self, path: str, fd: int, *, system: System) -> None:
        self._path = path
        self._fd = fd
        self._system = system
        self._mutex = threading.Lock()

    @property
    def in_place(self) -> bool:
        """Whether the lock is on the file that others find."""
        return is_same_file(self._path, self._system.fstat(self._fd))

    def release(self) -> None:
        """Free the lock and remove its file."""
        with self._mutex:
            fd, self._fd = self._fd, -1
        if fd < 0:
            return
        # What was acknowledged stays so, whatever fails from here on.
        with suppress(OSError):
            if is_same_file(self._path, self._system.fstat(fd)):
                self._system.remove_and_close(fd, self._path)
            else:
                self._system.unlock_and_close(fd)

    def forget(self) -> None:
        """In a forked child: close the descriptor, which leaves the parent's lock alone."""
        fd, self._fd = self._fd, -1
        self._mutex = threading.Lock()
        if fd >= 0:
            os.close(fd)
