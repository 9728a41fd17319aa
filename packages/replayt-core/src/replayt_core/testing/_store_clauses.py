"""The clauses of the store kit. The first line of each docstring is the rule, as reported."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from pydantic import JsonValue

from replayt_core.chain import decode
from replayt_core.errors import ConflictError, InvalidRunIdError, RunLockedError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import DeletesRuns, EventStore, LocksRuns, RepairsRuns
from replayt_core.testing._store_case import (
    TS,
    Ability,
    Clause,
    ContractViolation,
    StoreCase,
    require,
)

CLAUSES: list[Clause] = []
"""Every clause, in the order in which they are best read."""


def _clause(ability: Ability = "base") -> Callable[[Callable[[StoreCase], None]], None]:
    def add(check: Callable[[StoreCase], None]) -> None:
        rule = (check.__doc__ or "").partition("\n")[0].rstrip(".")
        CLAUSES.append(
            Clause(name=check.__name__.lstrip("_"), rule=rule, ability=ability, check=check)
        )

    return add


# --- base: EventStore --------------------------------------------------------------------------


@_clause()
def _unknown_run_reads_as_nothing(case: StoreCase) -> None:
    """A run that was never written reads as nothing, and reading does not create it."""
    case.expect([], "an unknown run")
    require(list(case.store.read(case.run_id, after=3)) == [], "an unknown run has events behind 3")
    require(case.run_id not in set(case.store.run_ids()), "reading a run created it")


@_clause()
def _bytes_come_back(case: StoreCase) -> None:
    """What was appended is read back byte for byte, and decoded the same."""
    case.expect(case.written(1, 1), "two appended events")


@_clause()
def _any_text_comes_back(case: StoreCase) -> None:
    """Line separators, control characters, non-BMP text and 100 KB values keep their bytes."""
    values: list[JsonValue] = [
        "\u2028 \u2029 \u0085 \u000b \u000c \u001c \r \n \t \0 \x7f \x1b[2J",
        "Grüße, 東京, \N{GRINNING FACE}, e\u0301, \u202eabc",
        "ü" * 50_000,
        {"": [None, True, -0.5, 1e308, 2**63, "'; DROP TABLE events; --"]},
    ]
    drafts = [Draft("note", {"value": value}) for value in values]
    events = case.sealed(drafts[:1])
    case.store.append(case.run_id, events, after=0)
    more = case.sealed(drafts[1:], after=events)
    case.store.append(case.run_id, more, after=1)
    case.expect(events + more, "values that are hard to keep")


@_clause()
def _order_is_kept(case: StoreCase) -> None:
    """Events are read in the order of their seq, also beyond 9 and 99 of them."""
    case.expect(case.written(*[1] * 105), "105 batches")


@_clause()
def _batches_are_whole(case: StoreCase) -> None:
    """A batch of several events is there as a whole, marks included."""
    case.expect(case.written(3, 1, 5, 2), "batches of 3, 1, 5 and 2 events")


@_clause()
def _read_after(case: StoreCase) -> None:
    """`read(after=n)` yields the events behind n, also from inside a batch and behind the end."""
    events = case.written(1, 3, 1)
    for after in range(7):
        found = list(case.store.read(case.run_id, after=after))
        require(
            found == events[after:],
            f"read(after={after}) of 5 events gave seqs {[event.seq for event in found]}",
        )


@_clause()
def _runs_are_apart(case: StoreCase) -> None:
    """An append to one run changes no other, also where one id begins with the other."""
    longer = f"{case.run_id}-1"
    events = case.written(1, 2)
    case.written(3, run_id=longer)
    case.expect(events, "a run beside another")
    require(len(list(case.store.read(longer))) == 3, "the other run has not its own 3 events")


@_clause()
def _appending_to_an_end_that_moved_is_refused(case: StoreCase) -> None:
    """`after` below the last seq raises `ConflictError`, and nothing is written (SC-102)."""
    events = case.written(1, 1, 1)
    case.refuses(case.batch(["note"], after=events[:2]), after=2, error=ConflictError)


@_clause()
def _starting_an_existing_run_is_refused(case: StoreCase) -> None:
    """`after=0` on a run that exists raises `ConflictError`, and nothing is written."""
    case.written(2)
    case.refuses(case.batch(["run_started"]), after=0, error=ConflictError)


@_clause()
def _appending_behind_a_gap_is_refused(case: StoreCase) -> None:
    """`after` above the last seq raises `ConflictError`, and nothing is written."""
    ahead = case.batch(["run_started", "note", "note"])
    case.refuses(case.batch(["note"], after=ahead), after=3, error=ConflictError)
    require(case.run_id not in set(case.store.run_ids()), "a refused append created the run")
    case.written(1)
    case.refuses(case.batch(["note"], after=ahead), after=3, error=ConflictError)


@_clause()
def _a_refused_run_goes_on(case: StoreCase) -> None:
    """After a refusal the same store takes the right append."""
    events = case.written(1, 1)
    case.refuses(case.batch(["note"], after=events[:1]), after=1, error=ConflictError)
    more = case.batch(["note"], after=events)
    case.store.append(case.run_id, more, after=2)
    case.expect(events + more, "an append after a refused one")


@_clause()
def _wrong_numbers_are_refused(case: StoreCase) -> None:
    """A batch that is not numbered after+1, after+2, … raises `ValueError`; nothing is written."""
    events = case.written(1)
    right = case.batch(["note", "note", "note"], after=events)
    for wrong in (right[1:], [right[0], right[2]], [right[1], right[0]], [right[0], right[0]]):
        case.refuses(wrong, after=1, error=ValueError)


@_clause()
def _run_ids_lists_each_run_once(case: StoreCase) -> None:
    """`run_ids` yields every run once, and nothing else."""
    other = case.new_run_id()
    case.written(2, 1)
    case.written(1, run_id=other)
    found = [run_id for run_id in case.store.run_ids() if run_id in (case.run_id, other)]
    require(sorted(found) == sorted([case.run_id, other]), f"run_ids gave {found}")


@_clause()
def _a_bridge_line_is_kept(case: StoreCase) -> None:
    """An `approval_resolved` line without `prev` is kept, and the next line covers its bytes."""
    events = case.written(1)
    line = (
        f'{{"seq": 2, "run_id": "{case.run_id}", "ts": "{TS}", "type": "approval_resolved", '
        '"payload": {"approval_id": "publish", "approved": true}}'
    )
    events.append(decode(line.encode()))
    case.store.append(case.run_id, events[1:], after=1)
    more = case.batch(["note"], after=events)
    case.store.append(case.run_id, more, after=2)
    case.expect(events + more, "a line without `prev`")


@_clause()
def _bad_run_ids_are_refused(case: StoreCase) -> None:
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


@_clause()
def _the_log_cannot_be_changed_from_outside(case: StoreCase) -> None:
    """Changing a payload that was appended or read changes nothing that is kept."""
    events = case.written(1)
    kept = [decode(event.line) for event in events]
    events[0].payload["n"] = "changed"
    for event in case.store.read(case.run_id):
        event.payload["n"] = "changed"
    case.expect(kept, "a run whose payloads were changed in memory")


@_clause()
def _one_writer_wins_each_seq(case: StoreCase) -> None:
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
                    _append_patiently(store, case.run_id, batch, after=len(seen))
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


def _append_patiently(store: EventStore, run_id: str, batch: list[Event], *, after: int) -> None:
    """Append; a store that locks may make one of two writers wait and then give up.

    The other one may hang in a sync for long where the disk is busy: only a lock that is never
    released is a fault.
    """
    for _ in range(100):
        try:
            return store.append(run_id, batch, after=after)
        except RunLockedError:
            continue
    raise ContractViolation("an append was refused as locked, although nobody holds the run")


# --- persistence -------------------------------------------------------------------------------


@_clause("persistence")
def _reopening_shows_everything(case: StoreCase) -> None:
    """A store that is opened again has every acknowledged event, and takes the next."""
    events = case.written(1, 3)
    again = case.open()
    case.expect(events, "a store opened again", store=again)
    require(case.run_id in set(again.run_ids()), "a store opened again does not list the run")
    more = case.batch(["note"], after=events)
    again.append(case.run_id, more, after=4)
    case.expect(events + more, "the first store after the second wrote")
    case.refuses(case.batch(["note"], after=events), after=4, error=ConflictError)


# --- locking: LocksRuns ------------------------------------------------------------------------


def _locks(store: EventStore) -> LocksRuns:
    require(isinstance(store, LocksRuns), "the factory gave a store without locks this time")
    return store  # type: ignore[return-value]


@_clause("locking")
def _a_lock_excludes_a_second_holder(case: StoreCase) -> None:
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


@_clause("locking")
def _a_lock_is_freed(case: StoreCase) -> None:
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


@_clause("locking")
def _locked_tells(case: StoreCase) -> None:
    """`locked` is true while the run is held and false before and after; it creates nothing."""
    store, other = _locks(case.store), _locks(case.another())
    require(not store.locked(case.run_id), "an unknown run is locked")
    with store.lock(case.run_id):
        require(store.locked(case.run_id) and other.locked(case.run_id), "a held run is not locked")
    require(not store.locked(case.run_id), "a run stayed locked")
    require(not other.locked(case.run_id), "a run stayed locked for a second store")
    require(case.run_id not in set(case.store.run_ids()), "a lock without an append made a run")


@_clause("locking")
def _the_holder_writes(case: StoreCase) -> None:
    """The holder of a lock appends and reads as always, and conflicts stay conflicts."""
    with _locks(case.store).lock(case.run_id):
        events = case.written(1, 2)
        case.expect(events, "a run that is held")
        case.refuses(case.batch(["note"], after=events[:1]), after=1, error=ConflictError)
    case.expect(events, "a run that was held")


# --- repair: RepairsRuns -----------------------------------------------------------------------


@_clause("repair")
def _a_whole_log_needs_no_repair(case: StoreCase) -> None:
    """`repair` of a whole log, or of an unknown run, returns None and changes nothing."""
    store = case.store
    require(isinstance(store, RepairsRuns), "the factory gave a store without repair this time")
    repair = store.repair  # type: ignore[attr-defined]
    require(repair(case.run_id) is None, "an unknown run was repaired")
    require(case.run_id not in set(store.run_ids()), "repairing a run created it")
    events = case.written(1, 2)
    require(repair(case.run_id) is None, "a whole log was repaired")
    case.expect(events, "a run after `repair`")


# --- listing: ListsRuns ------------------------------------------------------------------------


@_clause("listing")
def _runs_tells_where_each_ends(case: StoreCase) -> None:
    """`runs` yields each run once, with its last seq; ts and size are right or None."""
    events = case.written(1, 3)
    size = sum(len(event.line) for event in events)
    runs: Iterator[object] = case.store.runs()  # type: ignore[attr-defined]
    found = [entry for entry in runs if getattr(entry, "run_id", None) == case.run_id]
    require(len(found) == 1, f"`runs` gave {len(found)} entries for one run")
    entry = found[0]
    require(getattr(entry, "last_seq", None) == 4, f"{entry} after 4 events")
    require(getattr(entry, "last_ts", TS) in (None, TS), f"{entry}: the last ts is {TS}")
    kept = getattr(entry, "size", None)
    require(kept is None or kept >= size, f"{entry}: the lines alone have {size} bytes")


# --- deletion: DeletesRuns ---------------------------------------------------------------------


def _deletes(store: EventStore) -> DeletesRuns:
    require(isinstance(store, DeletesRuns), "the factory gave a store without deletion this time")
    return store  # type: ignore[return-value]


@_clause("deletion")
def _a_deleted_run_is_gone(case: StoreCase) -> None:
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


@_clause("deletion")
def _deletion_is_conditional(case: StoreCase) -> None:
    """`delete` raises `ConflictError` when the last seq is another, and keeps every byte."""
    events = case.written(1, 2)
    for after in (0, 2, 4):
        try:
            _deletes(case.store).delete(case.run_id, after=after)
        except ConflictError:
            case.expect(events, f"a run after a refused delete(after={after})")
            continue
        raise ContractViolation(f"delete(after={after}) of a run at seq 3 was accepted")
