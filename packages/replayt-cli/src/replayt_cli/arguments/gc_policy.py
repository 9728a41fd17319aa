"""The policy that the options of `gc` mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from replayt_cli.errors import UsageError
from replayt_store.retention import ENDED, STATUSES, RetentionPolicy

_AGE = re.compile(r"([0-9]{1,9})([dhms])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SHOWN = ("completed", "failed", "paused", "interrupted", "damaged")


def policy_of(
    older_than: str, statuses: Sequence[str] | None, tags: Mapping[str, str], keep_last: int
) -> RetentionPolicy:
    """The policy. Raises `UsageError` for an age or a status that is none."""
    for status in statuses or ():
        if status == "running":
            raise UsageError("--status running: a run that somebody executes is never deleted")
        if status not in STATUSES:
            raise UsageError(f"--status {status!r:.40} is none of {', '.join(_SHOWN)}")
    return RetentionPolicy(
        older_than=read_age(older_than),
        statuses=frozenset(statuses) if statuses else ENDED,
        tags=dict(tags),
        keep_last=keep_last,
    )


def read_age(text: str) -> timedelta:
    """A time span such as `90d`."""
    match = _AGE.fullmatch(text)
    if match is not None:
        try:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            pass
    raise UsageError(
        f"--older-than {text!r:.40} is no age: use a whole number of days, hours, minutes or "
        "seconds, such as 90d, 24h, 60m or 30s"
    )
