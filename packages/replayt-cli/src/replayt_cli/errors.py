"""What the command line itself raises; everything else comes from the packages below.

::

    ReplaytError
    └── CommandError        a command cannot do what was asked; `exit_code` says how it ends
        ├── UsageError      the command line is wrong (64)
        ├── NotFoundError   no such target or run (66)
        ├── TargetError     the target's own code failed while it was loaded (1)
        └── OutputError     a file that was asked for could not be written (74)

Outside the tree, because no `except Exception` may swallow them: `OutputClosed`, `Terminated`.
"""

from __future__ import annotations

from replayt_cli import exit_codes
from replayt_core.errors import ReplaytError


class CommandError(ReplaytError):
    """A command cannot do what was asked: one line that says what, where, and what to do."""

    exit_code = exit_codes.FAILED


class UsageError(CommandError):
    """The command line is wrong; nothing was done."""

    exit_code = exit_codes.USAGE


class NotFoundError(CommandError):
    """There is no such target or run."""

    exit_code = exit_codes.NOT_FOUND


class TargetError(CommandError):
    """The target's own code raised while it was loaded."""


class OutputError(CommandError):
    """A file that was asked for could not be written."""

    exit_code = exit_codes.CANNOT_WRITE


class OutputClosed(BaseException):
    """Whoever read our output has gone; there is nobody to tell anything."""


class Terminated(BaseException):
    """A signal asked the process to end. Handlers unwind, the log says `run_interrupted`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum
