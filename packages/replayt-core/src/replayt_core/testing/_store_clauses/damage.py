"""Torn tails and damage: what a crash leaves, and what nobody should have done."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from replayt_core.errors import ConflictError, DamagedLogError
from replayt_core.events import Event
from replayt_core.ports.store import EventStore, ListsRuns, RepairsRuns
from replayt_core.testing._store_case import ContractViolation, StoreCase, clause, require


def _repairs(store: EventStore) -> RepairsRuns:
    require(isinstance(store, RepairsRuns), "the factory gave a store without repair this time")
    return store  # type: ignore[return-value]


@clause("repair")
def a_whole_log_needs_no_repair(case: StoreCase) -> None:
    """`repair` of a whole log, or of an unknown run, returns None and changes nothing."""
    repair = _repairs(case.store).repair
    require(repair(case.run_id) is None, "an unknown run was repaired")
    require(case.run_id not in set(case.store.run_ids()), "repairing a run created it")
    events = case.written(1, 2)
    require(repair(case.run_id) is None, "a whole log was repaired")
    case.expect(events, "a run after `repair`")


@clause("repair", "tear")
def a_torn_tail_is_not_read(case: StoreCase) -> None:
    """What a batch that was cut short left behind is not read, and raises nothing."""
    events, other, others = _torn(case)
    for store in (case.another(), case.store):
        case.expect(events, "a run with a torn tail", store=store)
        require(list(store.read(case.run_id, after=4)) == events[4:], "a torn tail: read(after=4)")
        case.expect(others, "a run beside a torn one", store=store, run_id=other)
        require({case.run_id, other} <= set(store.run_ids()), "a torn run is not listed")


@clause("repair", "tear")
def a_torn_log_is_not_appended_to(case: StoreCase) -> None:
    """`append` behind a torn tail raises `DamagedLogError` and changes nothing."""
    events, _, _ = _torn(case)
    more = case.batch(["note"], after=events)
    for store in (case.another(), case.store):
        try:
            store.append(case.run_id, more, after=len(events))
        except DamagedLogError:
            case.expect(events, "a torn run after a refused append", store=store)
            continue
        raise ContractViolation("an append behind a torn tail was accepted")


@clause("repair", "tear")
def repair_puts_the_tail_aside(case: StoreCase) -> None:
    """`repair` tells size and SHA-256 of the torn tail, once; then the run goes on."""
    events = case.written(1, 3, 1)
    left = case.tear(case.run_id) if case.tear else b""
    store = case.another()
    tail = _repairs(store).repair(case.run_id)
    if tail is None:
        raise ContractViolation("a torn log was not repaired")
    require(tail.bytes == len(left), f"{len(left)} bytes were torn, {tail.bytes} it says")
    require(tail.sha256 == hashlib.sha256(left).hexdigest(), "the SHA-256 of the tail is another")
    require(_repairs(store).repair(case.run_id) is None, "a log was repaired twice")
    case.expect(events, "a repaired run", store=store)
    more = case.batch(["note"], after=events)
    store.append(case.run_id, more, after=len(events))
    case.expect(events + more, "an append after a repair", store=case.another())


@clause("damage", "damage")
def reading_stops_at_damage(case: StoreCase) -> None:
    """The events before the damage are read, then `DamagedLogError` is raised; others are well."""
    events, other, others = _damaged(case)
    for store in (case.another(), case.store):
        require(_readable(store, case.run_id) == events[:2], "the part before the damage changed")
        case.expect(others, "a run beside a damaged one", store=store, run_id=other)
        require({case.run_id, other} <= set(store.run_ids()), "a damaged run is not listed")
        if isinstance(store, ListsRuns):
            listed = {entry.run_id for entry in store.runs()}
            require({case.run_id, other} <= listed, "`runs` leaves out a damaged run, or another")


@clause("damage", "damage")
def a_damaged_log_is_not_appended_to(case: StoreCase) -> None:
    """An append behind the part that can be read is refused, and nothing is written or cut."""
    events, _, _ = _damaged(case)
    more = case.batch(["note"], after=events[:2])
    for store in (case.another(), case.store):
        if isinstance(store, RepairsRuns):
            with suppress(DamagedLogError):
                require(store.repair(case.run_id) is None, "damage was repaired like a torn tail")
        try:
            store.append(case.run_id, more, after=2)
        except (DamagedLogError, ConflictError):
            require(_readable(store, case.run_id) == events[:2], "a refused append changed the log")
            continue
        raise ContractViolation("an append to a damaged log was accepted")


def _torn(case: StoreCase) -> tuple[list[Event], str, list[Event]]:
    """The events of a run with a torn tail, and another run."""
    other = case.new_run_id()
    others = case.written(2, run_id=other)
    events = case.written(1, 3, 1)
    if case.tear:
        case.tear(case.run_id)
    return events, other, others


def _damaged(case: StoreCase) -> tuple[list[Event], str, list[Event]]:
    """The events of a run whose third is damaged, and another run."""
    other = case.new_run_id()
    others = case.written(2, run_id=other)
    events = case.written(1, 1, 2, 1)
    if case.damage:
        case.damage(case.run_id, 3)
    return events, other, others


def _readable(store: EventStore, run_id: str) -> list[Event]:
    """What is read before `DamagedLogError`, which has to come."""
    found: list[Event] = []
    try:
        for event in store.read(run_id):
            found.append(event)
    except DamagedLogError:
        return found
    raise ContractViolation(f"a damaged run reads as {len(found)} events without an error")


CLAUSES = (
    a_whole_log_needs_no_repair,
    a_torn_tail_is_not_read,
    a_torn_log_is_not_appended_to,
    repair_puts_the_tail_aside,
    reading_stops_at_damage,
    a_damaged_log_is_not_appended_to,
)
