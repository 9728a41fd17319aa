"""What the exit code of every command means, and which error leads to which.

Nothing but a paused run exits with 2, so a script can tell "waits for a person" from a mistake.
"""

from __future__ import annotations

DONE = 0
"""Done; of a run: completed."""
FAILED = 1
"""The run failed, or a check found something."""
PAUSED = 2
"""The run waits for a person; nothing else is 2."""
USAGE = 64
"""The command line, or a value on it, is wrong."""
DAMAGED = 65
"""A log holds something that is not its next event."""
NOT_FOUND = 66
"""No such run, approval or target."""
CANNOT_WRITE = 74
"""The log, or a file that was asked for, could not be written."""
REFUSED = 75
"""Not now: someone else executes the run, it has ended, the workflow changed, …"""
SIGNAL = 128
"""Ended by a signal: 128 plus its number."""

_BY_STATUS = {"completed": DONE, "failed": FAILED, "paused": PAUSED}

_BY_ERROR = {
    "InvalidRunIdError": USAGE,
    "NotJSONError": USAGE,
    "StoreURLError": USAGE,
    "PricesError": USAGE,
    "QueryRefusedError": USAGE,
    "AnalyticsError": FAILED,
    "DamagedLogError": DAMAGED,
    "RunNotFoundError": NOT_FOUND,
    "ApprovalNotFoundError": NOT_FOUND,
    "RunLockedError": REFUSED,
    "ConflictError": REFUSED,
    "RefusedError": REFUSED,
    "DeterminismError": REFUSED,
    "StoreError": CANNOT_WRITE,
    "OSError": CANNOT_WRITE,
}


def for_status(status: str) -> int:
    """The exit code of a command that executed a run."""
    return _BY_STATUS.get(status, FAILED)


def for_error(error: BaseException) -> int:
    """The exit code of a command that ended in `error`: by its class, the nearest one counts.

    Classes are looked up by name, so that showing the help need not import them.
    """
    own = getattr(error, "exit_code", None)
    if isinstance(own, int) and own != PAUSED:
        return own
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_ERROR:
            return _BY_ERROR[kind.__name__]
    return FAILED
