"""Which runs a listing, statistics or a query is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Selection"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs; everything that is set must match. As it is made, it selects every run.

    `tags` must all be there with those values, `workflow` is the name, `statuses` are those of
    `IndexedRun.status`, and `since` takes runs whose last event is at or after that log timestamp.
    A `since` that is no timestamp with a time zone raises `ValueError` where it is used.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    workflow: str | None = None
    statuses: frozenset[str] = frozenset()
    since: str | None = None
