"""From one store to another: how far they agree on a run, and copying what one of them lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

from replayt_core.errors import DamagedLogError
from replayt_core.events import Event
from replayt_core.ports.store import EventStore, LocksRuns

_CHUNK_EVENTS = 1000
_CHUNK_BYTES = 1 << 20


class ReadsRuns(Protocol):
    """The reading half of a store."""

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after`."""
        ...


class ReadablePart:
    """A store read up to the damage; `damage` is what the last reading to the end met there."""

    def __init__(self, store: ReadsRuns) -> None:
        self._store = store
        self.damage: DamagedLogError | None = None

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after` that stand before the damage."""
        try:
            with reading(self._store, run_id, after=after) as events:
                yield from events
        except DamagedLogError as damage:
            self.damage = damage


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a copy is its original: the last seq at which both hold the same bytes.

    `beyond` says what the copy holds behind that: nothing, events that the original lacks, or
    other bytes than the original's.
    """

    seq: int
    beyond: Literal["nothing", "more", "other"]


def agreement(original: ReadsRuns, copy: ReadsRuns, run_id: str, *, after: int = 0) -> Agreement:
    """Compare what both hold behind `after`, event by event; memory stays flat."""
    seq = after
    with reading(original, run_id, after=after) as ours, reading(copy, run_id, after=after) as its:
        for event in its:
            expected = next(ours, None) or _written_since(original, run_id, after=seq)
            if expected is None:
                return Agreement(seq=seq, beyond="more")
            if expected.line != event.line:
                return Agreement(seq=seq, beyond="other")
            seq = event.seq
    return Agreement(seq=seq, beyond="nothing")


def copy_behind(original: ReadsRuns, copy: EventStore, run_id: str, *, after: int) -> int:
    """Append to the copy what the original holds behind `after`; the last seq of the copy then.

    Whole batches, several of them in one append. Raises what the two stores raise, so
    `ConflictError` when the copy does not end at `after`.
    """
    with reading(original, run_id, after=after) as events:
        for chunk in _chunks(events):
            copy.append(run_id, chunk, after=after)
            after = chunk[-1].seq
    return after


def last_event(store: ReadsRuns, run_id: str) -> Event | None:
    """The last event that can be read; of a damaged log the last one before the damage."""
    last = None
    with reading(ReadablePart(store), run_id) as events:
        for event in events:
            last = event
    return last


@contextmanager
def reading(store: ReadsRuns, run_id: str, *, after: int = 0) -> Iterator[Iterator[Event]]:
    """The events behind `after`. What the reading holds open is closed at the end."""
    events = store.read(run_id, after=after)
    try:
        yield events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


def hold(store: EventStore, run_id: str) -> AbstractContextManager[None]:
    """The run's lock where the store has locks."""
    return store.lock(run_id) if isinstance(store, LocksRuns) else nullcontext()


def _written_since(original: ReadsRuns, run_id: str, *, after: int) -> Event | None:
    """A copy that seems to be ahead may have been written after the original was read."""
    with reading(original, run_id, after=after) as events:
        return next(events, None)


def _chunks(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Whole batches, as many together as make one worthwhile append."""
    chunk: list[Event] = []
    size = 0
    for event in events:
        chunk.append(event)
        size += len(event.line)
        if not event.more and (size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_EVENTS):
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
