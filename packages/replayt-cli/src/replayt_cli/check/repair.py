"""Repairing a log: a torn tail is put aside, of a damaged log the readable part is copied."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timezone

from replayt_core import Event
from replayt_core.chain import line_hash, seal, starts_chain
from replayt_core.events import Draft
from replayt_core.ports import Clock, EventStore, LocksRuns, RepairsRuns, SystemClock, TornTail


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What a repair did: the torn tail it put aside, None where the log had none.

    `last_seq` is where the log ends now, 0 where nothing of the run is left.
    """

    tail: TornTail | None
    last_seq: int


def repair_tail(store: EventStore, run_id: str, *, clock: Clock | None = None) -> Repaired:
    """Put a torn tail aside, and write into the log that it was.

    A log of an older release is not written to. Raises `DamagedLogError` for a log that is damaged,
    not torn, and `RunLockedError` while somebody executes the run.
    """
    with store.lock(run_id) if isinstance(store, LocksRuns) else nullcontext():
        events = list(store.read(run_id))
        tail = store.repair(run_id) if isinstance(store, RepairsRuns) else None
        if tail is None or not events or not starts_chain(events[0]):
            return Repaired(tail=tail, last_seq=len(events))
        _write_down(store, events, tail, clock or SystemClock())
        return Repaired(tail=tail, last_seq=len(events) + 1)


def _write_down(store: EventStore, events: list[Event], tail: TornTail, clock: Clock) -> None:
    last = events[-1]
    payload = {"bytes": tail.bytes, "sha256": tail.sha256, "saved_as": tail.saved_as}
    now = clock.now().astimezone(timezone.utc).isoformat(timespec="microseconds")
    sealed = seal(
        last.run_id,
        [Draft("log_repaired", payload)],
        after=last.seq,
        head=line_hash(last.line),
        ts=now.replace("+00:00", "Z"),
    )
    store.append(last.run_id, sealed, after=last.seq)
