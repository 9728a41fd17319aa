"""Deletion: conditional, and of one run alone."""

from __future__ import annotations

from replayt_core.errors import ConflictError
from replayt_core.ports.store import DeletesRuns, EventStore
from replayt_core.testing._store_case import ContractViolation, StoreCase, clause, require


def _deletes(store: EventStore) -> DeletesRuns:
    require(isinstance(store, DeletesRuns), "the factory gave a store without deletion this time")
    return store  # type: ignore[return-value]


@clause("deletion")
def a_deleted_run_is_gone(case: StoreCase) -> None:
    """A deleted run reads as nothing, is not listed, and its id can be used again."""
    other = case.new_run_id()
    case.written(1, run_id=other)
    events = case.written(1, 2)
    freed = _deletes(case.store).delete(case.run_id, after=3)
    require(freed >= sum(len(event.line) for event in events), f"{freed} bytes are freed, it says")
    for store in (case.store, case.another()):
        case.expect([], "a deleted run", store=store)
        require(case.run_id not in set(store.run_ids()), "a deleted run is listed")
        require(len(list(store.read(other))) == 1, "deleting one run hit another")
    case.expect(case.written(1), "a run whose id was used before")


@clause("deletion")
def deletion_is_conditional(case: StoreCase) -> None:
    """`delete` raises `ConflictError` when the last seq is another, and keeps every byte."""
    try:
        _deletes(case.store).delete(case.run_id, after=2)
    except ConflictError:
        pass
    else:
        raise ContractViolation("delete(after=2) of an unknown run was accepted")
    events = case.written(1, 2)
    for after in (0, 2, 4):
        try:
            _deletes(case.store).delete(case.run_id, after=after)
        except ConflictError:
            case.expect(events, f"a run after a refused delete(after={after})")
            continue
        raise ContractViolation(f"delete(after={after}) of a run at seq 3 was accepted")


CLAUSES = (
    a_deleted_run_is_gone,
    deletion_is_conditional,
)
