"""Volume: one large event, and very many."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import FrameType

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.errors import ConflictError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import LocksRuns
from replayt_core.testing._store_case import TS, StoreCase, clause, require

_LARGE = 10_000_000
_MANY = 100_000
_BATCH = 1_000
_SAMPLES = 5
# Deeper trees and fuller caches cost a little. Reading the run again would cost its 20 MB.
_MORE_CALLS = 200
_MORE_BYTES = 256 * 1024


@clause()
def a_large_event_comes_back(case: StoreCase) -> None:
    """An event of 10 MB keeps its bytes, and what stands around it too."""
    events = case.written(1)
    text = "x\u2028ü\N{GRINNING FACE}" * (_LARGE // 10)
    events += case.sealed([Draft("note", {"text": text})], after=events)
    case.store.append(case.run_id, events[1:], after=1)
    events += case.batch(["note"], after=events)
    case.store.append(case.run_id, events[2:], after=2)
    case.expect(events, "a run with an event of 10 MB", store=case.another())


@clause()
def a_long_run_comes_back(case: StoreCase) -> None:
    """100,000 events are all there, in order, byte for byte, and the end can be read alone."""
    wanted = hashlib.sha256()
    after, last = 0, None
    for batch in _batches(case.run_id, _MANY):
        case.store.append(case.run_id, batch, after=after)
        after, last = batch[-1].seq, batch[-1]
        wanted.update(b"".join(event.line for event in batch))
    found, seq = hashlib.sha256(), 0
    store = case.another()
    for event in store.read(case.run_id):
        seq += 1
        require(event.seq == seq, f"seq {event.seq} is read where {seq} has to be")
        found.update(event.line)
    require(seq == _MANY, f"{seq} of {_MANY} events are read")
    require(found.digest() == wanted.digest(), "the bytes of a long run changed")
    end = [event.seq for event in store.read(case.run_id, after=_MANY - 3)]
    require(end == [_MANY - 2, _MANY - 1, _MANY], f"read(after={_MANY - 3}) gave {end[:5]}")
    require(list(store.read(case.run_id, after=_MANY - 1)) == [last], "the last event is another")
    stale = seal(case.run_id, [Draft("note", {})], after=_MANY - 1, head="", ts=TS)
    try:
        store.append(case.run_id, stale, after=_MANY - 1)
    except ConflictError:
        return
    require(False, "an append to an end of a long run that moved was accepted")


@clause()
def an_append_costs_the_same_in_a_long_run(case: StoreCase) -> None:
    """An append to 100,000 events makes no more calls and moves no more bytes than one to 100.

    Calls of this process are counted, and the bytes that it reads and writes where the system
    tells them. What a server does is not seen.
    """
    short, long = case.new_run_id(), case.run_id
    few, many = _cost(case, short, 100), _cost(case, long, _MANY)
    require(
        many.calls <= 2 * few.calls + _MORE_CALLS,
        f"an append makes {few.calls} calls at 100 events and {many.calls} at {_MANY}",
    )
    require(
        many.bytes <= few.bytes + _MORE_BYTES,
        f"an append moves {few.bytes} bytes at 100 events and {many.bytes} at {_MANY}",
    )


@dataclass(frozen=True, kw_only=True)
class _Cost:
    calls: int
    bytes: int


def _cost(case: StoreCase, run_id: str, events: int) -> _Cost:
    """What the cheapest of some appends costs behind that many events.

    The cheapest, since a store may tidy up now and then.
    """
    store, after, head = case.store, 0, first_prev(run_id)
    costs: list[_Cost] = []
    with store.lock(run_id) if isinstance(store, LocksRuns) else nullcontext():
        for batch in _batches(run_id, events):
            store.append(run_id, batch, after=after)
            after, head = batch[-1].seq, line_hash(batch[-1].line)
        for _ in range(_SAMPLES):
            batch = seal(run_id, [Draft("note", {"n": after})], after=after, head=head, ts=TS)
            costs.append(_measured(partial(store.append, run_id, batch, after=after)))
            after, head = after + 1, line_hash(batch[-1].line)
    return _Cost(calls=min(each.calls for each in costs), bytes=min(each.bytes for each in costs))


def _measured(append: Callable[[], None]) -> _Cost:
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before, moved = sys.getprofile(), _moved_bytes()
    sys.setprofile(count)
    try:
        append()
    finally:
        sys.setprofile(before)
    return _Cost(calls=calls, bytes=_moved_bytes() - moved)


def _moved_bytes() -> int:
    """The bytes that this process has read and written so far; 0 where the system does not say."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            counted = dict(line.split(": ") for line in file)
    except (OSError, ValueError):
        return 0
    return int(counted["rchar"]) + int(counted["wchar"])


def _batches(run_id: str, events: int) -> Iterator[list[Event]]:
    """That many events of a run, in batches, made as they are asked for."""
    head = first_prev(run_id)
    for after in range(0, events, _BATCH):
        numbers = range(after + 1, min(after + _BATCH, events) + 1)
        drafts = [Draft("note" if n > 1 else "run_started", {"n": n}) for n in numbers]
        batch = seal(run_id, drafts, after=after, head=head, ts=TS)
        head = line_hash(batch[-1].line)
        yield batch


CLAUSES = (a_large_event_comes_back, a_long_run_comes_back, an_append_costs_the_same_in_a_long_run)
