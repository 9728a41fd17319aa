"""Appending: conditional, numbered, all or nothing."""

from __future__ import annotations

import threading

from replayt_core.errors import ConflictError, InvalidRunIdError
from replayt_core.events import Draft, Event
from replayt_core.testing._store_case import (
    ContractViolation,
    StoreCase,
    append_patiently,
    clause,
    require,
)


@clause()
def appending_to_an_end_that_moved_is_refused(case: StoreCase) -> None:
    """`after` below the last seq raises `ConflictError`, and nothing is written (SC-102)."""
    events = case.written(1, 1, 1)
    case.refuses(case.batch(["note"], after=events[:2]), after=2, error=ConflictError)


@clause()
def starting_an_existing_run_is_refused(case: StoreCase) -> None:
    """`after=0` on a run that exists raises `ConflictError`, and nothing is written."""
    case.written(2)
    case.refuses(case.batch(["run_started"]), after=0, error=ConflictError)


@clause()
def appending_behind_a_gap_is_refused(case: StoreCase) -> None:
    """`after` above the last seq raises `ConflictError`, and nothing is written."""
    ahead = case.batch(["run_started", "note", "note"])
    case.refuses(case.batch(["note"], after=ahead), after=3, error=ConflictError)
    require(case.run_id not in set(case.store.run_ids()), "a refused append created the run")
    case.written(1)
    case.refuses(case.batch(["note"], after=ahead), after=3, error=ConflictError)


@clause()
def a_refused_run_goes_on(case: StoreCase) -> None:
    """After a refusal the same store takes the right append."""
    events = case.written(1, 1)
    case.refuses(case.batch(["note"], after=events[:1]), after=1, error=ConflictError)
    more = case.batch(["note"], after=events)
    case.store.append(case.run_id, more, after=2)
    case.expect(events + more, "an append after a refused one")


@clause()
def wrong_numbers_are_refused(case: StoreCase) -> None:
    """A batch that is not numbered after+1, after+2, … raises `ValueError`; nothing is written."""
    events = case.written(1)
    right = case.batch(["note", "note", "note"], after=events)
    for wrong in (right[1:], [right[0], right[2]], [right[1], right[0]], [right[0], right[0]]):
        case.refuses(wrong, after=1, error=ValueError)


@clause()
def bad_run_ids_are_refused(case: StoreCase) -> None:
    """A run id that breaks the rule raises `InvalidRunIdError` in every method (SC-32)."""
    for bad in ("", "..", "../x", "a/b", "a\\b", "a\nb", "é", "-a", "a.", "CON", "x" * 129):
        event = case.batch(["run_started"], run_id=bad)
        for what, call in (
            ("read", lambda bad=bad: list(case.store.read(bad))),
            ("append", lambda bad=bad, event=event: case.store.append(bad, event, after=0)),
        ):
            try:
                call()
            except InvalidRunIdError:
                continue
            raise ContractViolation(f"{what} accepted the run id {bad[:20]!r}")


@clause()
def one_writer_wins_each_seq(case: StoreCase) -> None:
    """Of two writers that append the same seq at once, exactly one succeeds (SC-97)."""
    rounds = 12
    events = case.written(1)
    barrier = threading.Barrier(2)
    won: list[tuple[int, Event]] = []
    lost: list[BaseException] = []

    def write(name: int) -> None:
        try:
            store = case.another()
            for _ in range(rounds):
                barrier.wait(120)
                seen = list(store.read(case.run_id))
                batch = case.sealed([Draft("note", {"by": name})], after=seen)
                barrier.wait(120)
                try:
                    append_patiently(store, case.run_id, batch, after=len(seen))
                except ConflictError:
                    continue
                won.append((name, batch[0]))
        except BaseException as error:
            lost.append(error)
            barrier.abort()

    threads = [threading.Thread(target=write, args=(name,)) for name in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    unexpected = [error for error in lost if not isinstance(error, threading.BrokenBarrierError)]
    require(not lost, f"a writer failed: {unexpected[:1] or lost[:1]}")
    seqs = sorted(event.seq for _, event in won)
    require(seqs == list(range(2, rounds + 2)), f"acknowledged seqs: {seqs}")
    case.expect(events + sorted((event for _, event in won), key=lambda e: e.seq), "two writers")


CLAUSES = (
    appending_to_an_end_that_moved_is_refused,
    starting_an_existing_run_is_refused,
    appending_behind_a_gap_is_refused,
    a_refused_run_goes_on,
    wrong_numbers_are_refused,
    bad_run_ids_are_refused,
    one_writer_wins_each_seq,
)
