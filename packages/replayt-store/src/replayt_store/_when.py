"""Log timestamps as microseconds since 1970 in UTC, so that they sort and compare as numbers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

UNKNOWN = -(1 << 62)
"""Stands for a time that the log does not tell: before every other."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def micros(ts: str | None) -> int:
    """The time of a log timestamp; `UNKNOWN` when it is none or names no time zone."""
    if ts is None:
        return UNKNOWN
    try:
        # Before Python 3.11 `Z` was not understood.
        moment = datetime.fromisoformat(ts[:-1] + "+00:00" if ts.endswith("Z") else ts)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError, OverflowError):
        return UNKNOWN


def timestamp(moment: int | None) -> str | None:
    """The log timestamp of that time, in UTC."""
    if moment is None or moment == UNKNOWN:
        return None
    try:
        text = (_EPOCH + timedelta(microseconds=moment)).isoformat(timespec="microseconds")
    except OverflowError:
        return None
    return text.replace("+00:00", "Z")
