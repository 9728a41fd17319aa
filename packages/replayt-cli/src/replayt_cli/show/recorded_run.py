"""A recorded run as the commands that show runs need it: what can be read of it, and its status."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from replayt_cli.render.columns import columns_of
from replayt_cli.render.text import count_of, escape
from replayt_cli.show.run_status import DAMAGED, shown_status
from replayt_core import (
    DamagedLogError,
    Event,
    RunNotFoundError,
    RunState,
    apply,
    fold,
    new_state,
)
from replayt_core.ports import EventStore, LocksRuns

_KINDS = 1_000


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """The readable events of a run, their fold, and the damage behind them, if any."""

    events: list[Event]
    state: RunState
    damage: DamagedLogError | None
    status: str


@dataclass(frozen=True, kw_only=True)
class ScannedRun:
    """What a first pass over a run comes to; of its events only how many there are is kept.

    `kind_width` is how wide the longest event type is shown, `torn_bytes` the size of a batch that
    was cut short at the end of the log, which no reader gets.
    """

    state: RunState
    events: int
    kind_width: int
    torn_bytes: int
    damage: DamagedLogError | None
    status: str
    pinned_from: dict[str, Any] | None

    @property
    def forked_from(self) -> dict[str, Any] | None:
        """The run, seq and hash that the run began from."""
        origin = self.state.forked_from
        return dict(origin) if isinstance(origin, dict) else None


def scan_run(store: EventStore, run_id: str) -> ScannedRun:
    """What can be read of a run, in memory that does not grow with it; see `read_run`."""
    state, damage, origin = new_state(run_id), None, None
    count, size, width = 0, 0, 0
    kinds: set[str] = set()
    try:
        for event in store.read(run_id):
            if event.type == "run_started":
                origin = event.payload.get("pinned_from")
            apply(state, event)
            count += 1
            size += len(event.line) + 1
            if event.type not in kinds and len(kinds) < _KINDS:
                kinds.add(event.type)
                width = max(width, columns_of(escape(event.type)))
    except DamagedLogError as error:
        damage = error
    if not count and damage is None:
        raise nothing_to_show(store, run_id)
    return ScannedRun(
        state=state,
        events=count,
        kind_width=width,
        torn_bytes=0 if damage else torn_bytes(store, run_id, size),
        damage=damage,
        status=DAMAGED if damage else shown_status(store, state.summary),
        pinned_from=origin if isinstance(origin, dict) else None,
    )


def torn_bytes(store: EventStore, run_id: str, read: int) -> int:
    """How much stands in the file of a log behind the `read` bytes that its readers get.

    0 where the store keeps no files, and while somebody writes.
    """
    path = getattr(getattr(store, "primary", store), "path", None)
    if not callable(path) or (isinstance(store, LocksRuns) and store.locked(run_id)):
        return 0
    try:
        behind = max(os.stat(path(run_id)).st_size - read, 0)
        if behind and read:
            with open(path(run_id), "rb") as file:
                behind -= file.read(1) == b"\n"  # replayt 0.4 began its logs with an empty line
        return behind
    except OSError:
        return 0


def read_run(store: EventStore, run_id: str) -> RecordedRun:
    """What can be read of a run. Damage is reported, not raised; an unknown run raises."""
    events, damage = _read(store, run_id)
    if not events and damage is None:
        raise nothing_to_show(store, run_id)
    state = fold(run_id, events)
    return RecordedRun(
        events=events,
        state=state,
        damage=damage,
        status=DAMAGED if damage else shown_status(store, state.summary),
    )


def nothing_to_show(store: EventStore, run_id: str) -> RunNotFoundError:
    """There is no such run, or nothing of it but a batch that was cut short."""
    torn = torn_bytes(store, run_id, 0)
    if not torn:
        return RunNotFoundError(f"no run {run_id!r} in this store")
    return RunNotFoundError(
        f"run {run_id} has no event: its log holds nothing but {count_of(torn, 'byte')} of a batch "
        "that was cut short; `replayt store repair` puts them aside"
    )


def event_document(event: Event) -> dict[str, Any]:
    """An event as JSON, as it stands in the log."""
    document: dict[str, Any] = {
        "ts": event.ts,
        "run_id": event.run_id,
        "seq": event.seq,
        "type": event.type,
        "payload": event.payload,
    }
    if event.prev is not None:
        document["prev"] = event.prev
    if event.more:
        document["more"] = True
    return document


def _read(store: EventStore, run_id: str) -> tuple[list[Event], DamagedLogError | None]:
    """The readable events, and what ended the reading early."""
    events: list[Event] = []
    try:
        for event in store.read(run_id):
            events.append(event)
    except DamagedLogError as damage:
        return events, damage
    return events, None
