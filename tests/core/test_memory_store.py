"""`MemoryStore` passes the kit, keeps bytes, and costs the same however long a run is."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.errors import ConflictError, DamagedLogError, InvalidRunIdError, RunLockedError
from replayt_core.events import Draft, Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import DeletesRuns, EventStore, ListsRuns, LocksRuns, RepairsRuns
from replayt_core.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    persistent = False

    def make_store(self, directory: Path) -> EventStore:
        return MemoryStore()


def batch(size: int = 1, *, after: tuple[Event, ...] = (), run_id: str = "r1") -> list[Event]:
    head = line_hash(after[-1].line) if after else first_prev(run_id)
    drafts = [Draft("step_note", {"n": number}) for number in range(size)]
    return seal(run_id, drafts, after=len(after), head=head, ts="2026-01-02T03:04:05Z")


def test_it_offers_everything_but_repair() -> None:
    store = MemoryStore()
    for ability in (EventStore, LocksRuns, ListsRuns, DeletesRuns):
        assert isinstance(store, ability)
    assert not isinstance(store, RepairsRuns)


def test_a_reading_that_began_does_not_see_later_appends() -> None:
    store = MemoryStore()
    events = batch(2)
    store.append("r1", events, after=0)
    reading = store.read("r1")
    store.append("r1", batch(after=tuple(events)), after=2)
    assert [event.seq for event in reading] == [1, 2]


def test_it_keeps_bytes_and_no_events() -> None:
    store = MemoryStore()
    store.append("r1", batch(3), after=0)
    gc.collect()
    held = gc.get_referents(store.__dict__["_runs"]["r1"])
    assert {type(value) for value in held} == {bytes}


def test_an_event_of_another_run_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match="of run r2 stands where"):
        store.append("r1", batch(run_id="r2"), after=0)
    assert list(store.run_ids()) == []


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        MemoryStore().append("r1", [], after=0)


def test_a_batch_that_does_not_chain_is_seen_by_the_reader() -> None:
    store = MemoryStore()
    store.append("r1", batch(2), after=0)
    wrong = seal("r1", [Draft("step_note", {})], after=2, head="0" * 32, ts="t")
    store.append("r1", wrong, after=2)
    events = store.read("r1")
    assert [next(events).seq for _ in range(2)] == [1, 2]
    with pytest.raises(DamagedLogError):
        next(events)


@pytest.mark.parametrize("method", ["read", "lock", "locked"])
def test_bad_run_ids_are_refused_at_the_call(method: str) -> None:
    with pytest.raises(InvalidRunIdError):
        getattr(MemoryStore(), method)("../x")
    with pytest.raises(InvalidRunIdError):
        MemoryStore().delete("../x", after=0)


def test_many_threads_number_one_run_without_gaps() -> None:
    store = MemoryStore()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(30)
        for _ in range(25):
            while True:
                seen = tuple(store.read("r1"))
                try:
                    store.append("r1", batch(after=seen), after=len(seen))
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [event.seq for event in store.read("r1")] == list(range(1, 201))


def test_a_lock_is_per_run_and_per_holder() -> None:
    store = MemoryStore()
    with store.lock("r1"), store.lock("r2"):
        with pytest.raises(RunLockedError, match="r1"), store.lock("r1"):
            pass
        assert store.locked("r1")
    assert not store.locked("r1")
