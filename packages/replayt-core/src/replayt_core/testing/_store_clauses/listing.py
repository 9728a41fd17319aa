"""Listing, without reading runs whole."""

from __future__ import annotations

from collections.abc import Iterator

from replayt_core.ports.store import ListsRuns
from replayt_core.testing._store_case import TS, StoreCase, clause, require


@clause("listing")
def runs_tells_where_each_ends(case: StoreCase) -> None:
    """`runs` yields each run once, with its last seq; ts and size are right or None."""
    events = case.written(1, 3)
    size = sum(len(event.line) for event in events)
    store = case.store
    require(isinstance(store, ListsRuns), "the factory gave a store without listing this time")
    runs: Iterator[object] = store.runs()  # type: ignore[attr-defined]
    found = [entry for entry in runs if getattr(entry, "run_id", None) == case.run_id]
    require(len(found) == 1, f"`runs` gave {len(found)} entries for one run")
    entry = found[0]
    require(getattr(entry, "last_seq", None) == 4, f"{entry} after 4 events")
    require(getattr(entry, "last_ts", TS) in (None, TS), f"{entry}: the last ts is {TS}")
    kept = getattr(entry, "size", None)
    require(kept is None or kept >= size, f"{entry}: the lines alone have {size} bytes")


CLAUSES = (runs_tells_where_each_ends,)
