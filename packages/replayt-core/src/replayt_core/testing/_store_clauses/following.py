"""Following: a run is read while others write it, each event once."""

from __future__ import annotations

from replayt_core.errors import ConflictError, RunNotFoundError
from replayt_core.ports.store import DeletesRuns, FollowsRuns, RunFollower
from replayt_core.testing._store_case import ContractViolation, StoreCase, clause, require


def _follower(case: StoreCase) -> RunFollower:
    store = case.another()
    require(isinstance(store, FollowsRuns), "the factory gave a store without following this time")
    return store.follow(case.run_id)  # type: ignore[attr-defined, no-any-return]


def _expect(follower: RunFollower, wanted: list[bytes], what: str) -> None:
    found = [event.line for event in follower.new_events()]
    require(found == wanted, f"{what}: {len(found)} events are read, {len(wanted)} were to be")


@clause("following")
def a_follower_reads_each_event_once(case: StoreCase) -> None:
    """A follower reads the whole run, then what was added, byte for byte and each event once."""
    events = case.written(1, 2)
    follower = _follower(case)
    _expect(follower, [event.line for event in events], "a run that is followed")
    _expect(follower, [], "nothing was added")
    for size in (1, 3):
        batch = case.batch(["note"] * size, after=events)
        case.store.append(case.run_id, batch, after=len(events))
        events += batch
        _expect(follower, [event.line for event in batch], f"a batch of {size} was added")
    _expect(follower, [], "nothing was added since")


@clause("following")
def a_followed_run_that_is_deleted_is_gone(case: StoreCase) -> None:
    """A follower of a run that is not there, or not any more, raises `RunNotFoundError`."""
    _is_gone(_follower(case), "a run that never was", RunNotFoundError)
    case.written(1, 2)
    follower = _follower(case)
    require(len(list(follower.new_events())) == 3, "a run of 3 events is followed")
    if isinstance(case.store, DeletesRuns):
        case.store.delete(case.run_id, after=3)
        _is_gone(follower, "a deleted run", RunNotFoundError)
        case.written(1)
        # Where the store cannot tell the two runs apart, the new one is too short for the old.
        _is_gone(follower, "another run in its place", (RunNotFoundError, ConflictError))


def _is_gone(
    follower: RunFollower, what: str, raised: type[Exception] | tuple[type[Exception], ...]
) -> None:
    try:
        found = list(follower.new_events())
    except raised:
        return
    raise ContractViolation(f"{what}: a follower reads {len(found)} events and raises nothing")


CLAUSES = (
    a_follower_reads_each_event_once,
    a_followed_run_that_is_deleted_is_gone,
)
