"""What differs between POSIX and Windows: flags, locks, syncs. Nothing else asks for the platform.

`System` is also where tests inject faults: a store takes one as an argument.

Both halves promise the same: `open_*` never follows a link in the last path component and never
waits (a FIFO would), descriptors are not inherited by started programs, and a lock belongs to the
open file, so that closing the file or the death of the process frees it.
"""

from __future__ import annotations

import os
import stat
import sys
import time

if sys.platform == "win32":
    import msvcrt

    _COMMON = os.O_BINARY | os.O_NOINHERIT
    # One byte far behind the end of any log: Windows locks keep readers out of what is locked.
    # The C runtime passes a 32-bit offset on, so that this is as far as it goes.
    _LOCK_AT = 0x7FFF_FFFE
else:
    import fcntl

    _COMMON = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class System:
    """The calls that a JSONL store makes to the operating system."""

    def open_read(self, path: str) -> int:
        """Open an existing file for reading."""
        return self._open(path, os.O_RDONLY)

    def open_append(self, path: str) -> int:
        """Open an existing file for reading and for writing at its end."""
        return self._open(path, os.O_RDWR | os.O_APPEND)

    def open_new(self, path: str) -> int:
        """Create a file that only its owner may read; `FileExistsError` when there is one."""
        return self._open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)

    def fstat(self, fd: int) -> os.stat_result:
        """`os.fstat`."""
        return os.fstat(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write at the end; how many bytes the system took."""
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(fd, size)

    def now_ns(self) -> int:
        """The time of day that files which change now are given, in nanoseconds."""
        return time.time_ns()

    def unlink(self, path: str) -> None:
        """Remove a file that nobody needs to keep locked."""
        os.unlink(path)

    if sys.platform == "win32":

        def _open(self, path: str, flags: int) -> int:
            fd = os.open(path, flags | _COMMON, 0o600)
            try:
                # There is no O_NOFOLLOW; a link shows as such to lstat only.
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    raise OSError(f"a symbolic link: {path}")
            except BaseException:
                os.close(fd)
                raise
            return fd

        def try_lock(self, fd: int, *, shared: bool = False) -> bool:
            """Lock the open file, or say that someone else has; there are no shared locks."""
            os.lseek(fd, _LOCK_AT, os.SEEK_SET)
            try:
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except OSError:
                return False
            finally:
                os.lseek(fd, 0, os.SEEK_SET)
            return True

        def unlock_and_close(self, fd: int) -> None:
            """Free the lock, then the file."""
            try:
                os.lseek(fd, _LOCK_AT, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
            finally:
                os.close(fd)

        def remove_and_close(self, fd: int, path: str) -> None:
            """Remove a locked file. An open file cannot be removed here, so it is closed first."""
            self.unlock_and_close(fd)
            os.unlink(path)

        def sync_data(self, fd: int) -> None:
            """Return when the bytes survive power loss."""
            os.fsync(fd)

        def sync_directory(self, path: str) -> None:
            """Nothing to do: NTFS journals names, and a directory cannot be opened for a sync."""

    else:

        def _open(self, path: str, flags: int) -> int:
            return os.open(path, flags | _COMMON, 0o600)

        def try_lock(self, fd: int, *, shared: bool = False) -> bool:
            """Lock the open file, or say that someone else has. Probes share, executors do not."""
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def unlock_and_close(self, fd: int) -> None:
            """Free the lock, then the file."""
            try:
                fcntl.flock(fd, fcntl.LOCK_UN)
            finally:
                os.close(fd)

        def remove_and_close(self, fd: int, path: str) -> None:
            """Remove a locked file while it is still locked, so that nobody's file is hit."""
            try:
                os.unlink(path)
            finally:
                self.unlock_and_close(fd)

        def sync_data(self, fd: int) -> None:
            """Return when the bytes survive power loss."""
            if sys.platform == "darwin":
                # fsync only hands the bytes to the drive there.
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            else:
                os.fdatasync(fd)

        def sync_directory(self, path: str) -> None:
            """Return when the names in a directory survive power loss."""
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
