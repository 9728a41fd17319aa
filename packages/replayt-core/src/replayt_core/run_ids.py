"""The rule for run ids: safe as a file name on every system, safe on a terminal and in a URL."""

from __future__ import annotations

import re

from replayt_core.errors import InvalidRunIdError

_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_DEVICES = frozenset({"con", "prn", "aux", "nul"}) | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789"
}


def check_run_id(run_id: str) -> str:
    """The id itself. Raises `InvalidRunIdError` when it breaks the rule.

    1 to 128 of `[A-Za-z0-9._-]`, starting alphanumeric, no trailing dot, and no device name that
    Windows reserves (with any extension).
    """
    if not isinstance(run_id, str) or not _SHAPE.fullmatch(run_id):
        problem = "must be 1 to 128 of A-Z a-z 0-9 . _ - and start with a letter or digit"
    elif run_id.endswith("."):
        problem = "must not end with a dot"
    elif run_id.split(".", 1)[0].lower() in _DEVICES:
        problem = "is a device name on Windows"
    else:
        return run_id
    raise InvalidRunIdError(f"run id {run_id!r:.150}: {problem}")
