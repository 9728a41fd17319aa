"""Locks: who executes a run keeps others out."""

from __future__ import annotations

from replayt_core.errors import ConflictError, RunLockedError
from replayt_core.ports.store import EventStore, LocksRuns
from replayt_core.testing._processes import Line, Worker
from replayt_core.testing._store_case import (
    ContractViolation,
    StoreCase,
    append_patiently,
    clause,
    require,
)


def _locks(store: EventStore) -> LocksRuns:
    require(isinstance(store, LocksRuns), "the factory gave a store without locks this time")
    return store  # type: ignore[return-value]


@clause("locking")
def a_lock_excludes_a_second_holder(case: StoreCase) -> None:
    """A second `lock` of a held run raises `RunLockedError`; other runs stay free."""
    store = _locks(case.store)
    with store.lock(case.run_id):
        for second in (store, _locks(case.another())):
            try:
                with second.lock(case.run_id):
                    pass
            except RunLockedError:
                continue
            raise ContractViolation("a held run was locked a second time")
        with store.lock(case.new_run_id()):
            pass


@clause("locking")
def a_lock_is_freed(case: StoreCase) -> None:
    """A lock is free again when its holder leaves, also by an exception."""
    store = _locks(case.store)
    try:
        with store.lock(case.run_id):
            raise LookupError
    except LookupError:
        pass
    for again in (store, _locks(case.another())):
        try:
            with again.lock(case.run_id):
                pass
        except RunLockedError as error:
            raise ContractViolation("a run stayed locked behind an exception") from error


@clause("locking")
def locked_tells(case: StoreCase) -> None:
    """`locked` is true while the run is held and false before and after; it creates nothing."""
    store, other = _locks(case.store), _locks(case.another())
    require(not store.locked(case.run_id), "an unknown run is locked")
    with store.lock(case.run_id):
        require(store.locked(case.run_id) and other.locked(case.run_id), "a held run is not locked")
    require(not store.locked(case.run_id), "a run stayed locked")
    require(not other.locked(case.run_id), "a run stayed locked for a second store")
    require(case.run_id not in set(case.store.run_ids()), "a lock without an append made a run")


@clause("locking")
def the_holder_writes(case: StoreCase) -> None:
    """The holder of a lock appends and reads as always, and conflicts stay conflicts."""
    with _locks(case.store).lock(case.run_id):
        events = case.written(1, 2)
        case.expect(events, "a run that is held")
        case.refuses(case.batch(["note"], after=events[:1]), after=1, error=ConflictError)
    case.expect(events, "a run that was held")


@clause("locking", "persistence")
def a_lock_keeps_other_writers_out(case: StoreCase) -> None:
    """While a run is held, `append` by anybody else raises `RunLockedError`, and writes nothing."""
    events = case.written(1)
    more = case.batch(["note"], after=events)
    other = case.open()
    with _locks(case.store).lock(case.run_id):
        try:
            other.append(case.run_id, more, after=1)
        except RunLockedError:
            case.expect(events, "a held run, after a refused append")
        else:
            raise ContractViolation("a run that someone else holds was appended to")
    append_patiently(other, case.run_id, more, after=1)
    case.expect(events + more, "a run that is free again")


@clause("locking", "persistence", "processes")
def a_lock_dies_with_its_holder(case: StoreCase) -> None:
    """A lock keeps other processes out, and is free once the process that holds it is dead."""

    def hold(line: Line) -> None:
        with _locks(case.open()).lock(case.run_id):
            line.say("held")
            line.hear()

    with Worker(hold) as holder:
        holder.line.hear()
        try:
            with _locks(case.store).lock(case.run_id):
                pass
        except RunLockedError:
            pass
        else:
            raise ContractViolation("a run that another process holds was locked")
        require(_locks(case.store).locked(case.run_id), "a run held elsewhere is not `locked`")
        holder.kill()
    for store in (_locks(case.store), _locks(case.open())):
        try:
            with store.lock(case.run_id):
                pass
        except RunLockedError as error:
            raise ContractViolation("a run stayed locked by a process that is dead") from error


CLAUSES = (
    a_lock_excludes_a_second_holder,
    a_lock_is_freed,
    locked_tells,
    the_holder_writes,
    a_lock_keeps_other_writers_out,
    a_lock_dies_with_its_holder,
)
