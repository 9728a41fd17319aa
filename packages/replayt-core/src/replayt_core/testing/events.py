"""Assertions on the events of a run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from replayt_core.events import Event
from replayt_core.ports.store import EventStore


def assert_events(
    store: EventStore,
    run_id: str,
    event_type: str,
    *,
    count: int | None = None,
    min_count: int = 1,
    **payload: Any,
) -> list[Event]:
    """The events of one type whose payload has these values.

    Raises `AssertionError` with the counts by type when there are not `count` of them, or, where
    no `count` is given, fewer than `min_count`.
    """
    events = list(store.read(run_id))
    found = [
        event
        for event in events
        if event.type == event_type
        and all(event.payload.get(key) == value for key, value in payload.items())
    ]
    expected = f"exactly {count}" if count is not None else f"at least {min_count}"
    if (len(found) != count) if count is not None else (len(found) < min_count):
        counts = ", ".join(f"{name} {n}" for name, n in Counter(e.type for e in events).items())
        wanted = f" with {payload}" if payload else ""
        raise AssertionError(
            f"run {run_id}: expected {expected} {event_type}{wanted}, found {len(found)}; "
            f"the run has {counts or 'no events'}"
        )
    return found
