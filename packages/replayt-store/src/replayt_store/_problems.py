"""Errors of the operating system in the words of this package: what, where, what to do."""

from __future__ import annotations

import errno
import os
from typing import Literal

from replayt_core.errors import DamagedLogError, StoreError, StoreWriteError

_CAUSES = {
    errno.ENOSPC: "the disk is full: free some space, then resume the run if it had begun",
    errno.EROFS: "the file system is read-only: choose another directory",
    errno.EACCES: "permission denied: check who owns the file and its directory",
    errno.EPERM: "permission denied: check who owns the file and its directory",
    errno.EFBIG: "the file has reached the size limit of this process: raise it, then resume",
    errno.EIO: "the disk reports an I/O error: check it, then resume the run if it had begun",
    errno.ENOENT: "the directory is gone: bring it back, or choose another",
    errno.ENOTDIR: "a part of the path is no directory: choose another",
    errno.EMFILE: "too many open files: close some, or raise the limit",
}
if hasattr(errno, "EDQUOT"):
    _CAUSES[errno.EDQUOT] = (
        "the disk quota is used up: free some space, then resume the run if it had begun"
    )


def cause(error: OSError) -> str:
    """What is wrong and what to do about it."""
    known = _CAUSES.get(error.errno) if error.errno is not None else None
    return known or (error.strerror or str(error) or type(error).__name__).lower()


def system_error(text: str) -> OSError:
    """What the operating system said, by its words in another library's error.

    DuckDB tells the number in some places only.
    """
    for number in _CAUSES:
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return OSError(text)


def write_problem(run_id: str, path: str, error: OSError) -> StoreWriteError:
    """The log could not be written."""
    return StoreWriteError(f"cannot write the log of run {run_id} ({path}): {cause(error)}")


def read_problem(run_id: str, path: str, error: OSError) -> StoreError:
    """The log could not be read."""
    return StoreError(f"cannot read the log of run {run_id} ({path}): {cause(error)}")


def not_a_log(run_id: str, path: str) -> DamagedLogError:
    """Something else stands where the log would be: a link, a FIFO, a directory."""
    return DamagedLogError(
        f"{path} is no regular file, so it is not used as the log of run {run_id}: "
        "move it away, or choose another run id",
        run_id=run_id,
        where=path,
    )


def only_read(path: str) -> StoreWriteError:
    """A database of an older release, which is never written."""
    return StoreWriteError(
        f"{path} was written by replayt 0.1 to 0.4 and is only read: copy its runs to a new file "
        f"and go on there (`replayt store copy sqlite:///{path} sqlite:///new.db`)"
    )


# By the text, which has been the same for a decade: Python 3.10 does not tell SQLite's code.
_SQLITE_CAUSES = {
    "database or disk is full": _CAUSES[errno.ENOSPC],
    "disk i/o error": _CAUSES[errno.EIO],
    "readonly database": "the file, its directory or the file system is read-only: check who owns "
    "them, or choose another place",
    "unable to open database file": "the directory is gone or cannot be used, or too many files "
    "are open: check who owns it, or choose another",
    "database is locked": "another process keeps the database locked: wait until it has ended, "
    "then try again",
    "database table is locked": "another process keeps the database locked: wait until it has "
    "ended, then try again",
}
_SQLITE_DAMAGE = (
    *("malformed", "not a database", "file is encrypted", "unsupported file format"),
    # Tables that this package made hold no such surprises.
    *("constraint failed", "no such table", "no such column"),
)


def database_problem(doing: Literal["read", "write"], path: str, error: Exception) -> StoreError:
    """What SQLite complains about: the file is damaged, or cannot be read or written."""
    text = str(error).lower()
    if any(words in text for words in _SQLITE_DAMAGE):
        return DamagedLogError(
            f"{path} is damaged, or no SQLite database ({error}): nothing was written; take a copy "
            "of it, then look at it with `PRAGMA integrity_check`",
            where=path,
        )
    known = next((words for key, words in _SQLITE_CAUSES.items() if key in text), str(error))
    kind = StoreWriteError if doing == "write" else StoreError
    return kind(f"cannot {doing} {path}: {known}")
