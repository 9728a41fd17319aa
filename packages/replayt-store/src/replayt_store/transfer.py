"""Copying runs between stores, making a mirror anew, and saving what a damaged log still holds.

Everything here copies whole batches byte for byte, appends conditionally, and can be interrupted
and run again: what is there already is compared and not written twice.

A run that is being executed is not waited for. What is copied of it is a beginning of whole
batches; the next copy goes on from there. In the target the run is held while it is written, where
the target has locks, so nobody executes half a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from replayt_core.errors import (
    ConflictError,
    DamagedLogError,
    InvalidRunIdError,
    RunNotFoundError,
    StoreError,
    StoreWriteError,
)
from replayt_core.ports.store import DeletesRuns, EventStore, RepairsRuns
from replayt_core.run_ids import check_run_id
from replayt_store._copying import (
    Agreement,
    ReadablePart,
    ReadsRuns,
    agreement,
    copy_behind,
    hold,
    last_event,
    reading,
)

__all__ = [
    "Copied",
    "CopiedRun",
    "Rebuilt",
    "RunProblem",
    "SavedPart",
    "copy_run",
    "copy_runs",
    "rebuild_mirror",
    "save_readable_part",
]

Progress = Callable[[int, int], None]
"""Called after each run with how many are done and how many there are."""


@dataclass(frozen=True, kw_only=True)
class CopiedRun:
    """How a run stands in the target: its last seq there, and how many events were added."""

    run_id: str
    last_seq: int
    added: int


@dataclass(frozen=True, kw_only=True)
class RunProblem:
    """Why a run was passed over, in one line."""

    run_id: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a copy of several runs did. `present` had every event already.

    `empty` were found and hold no event: the first batch was cut short, or the run was deleted
    meanwhile. There is nothing of them to copy.
    """

    runs: int = 0
    events: int = 0
    present: int = 0
    empty: tuple[str, ...] = ()
    problems: tuple[RunProblem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rebuilt(Copied):
    """What was done to a mirror. `replaced` held other bytes; `extra` is not in the primary."""

    replaced: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedPart:
    """What was saved of a log. `problem` is the damage behind it; None when the log is whole."""

    run_id: str
    last_seq: int
    added: int
    problem: str | None


def copy_run(source: EventStore, target: EventStore, run_id: str) -> CopiedRun:
    """Copy a run, or what the target lacks of it.

    A target that already has all of it, or more, is left as it is. Raises `RunNotFoundError`;
    `DamagedLogError` when the source is damaged (nothing is copied: see `save_readable_part`) or
    the target holds other bytes under that id; and what the target raises when it is written.
    """
    _check_whole(source, run_id)
    return _copy(source, target, run_id)


def copy_runs(
    source: EventStore,
    target: EventStore,
    run_ids: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Copied:
    """Copy these runs, or all.

    A run that cannot be copied is passed over and reported; one of these that holds no event is
    such a run, while one that was only found there is not. Raises `StoreWriteError` when the
    target cannot be written at all; run it again once it can.
    """
    tally = _Tally()
    found = run_ids is None
    chosen = list(source.run_ids() if run_ids is None else run_ids)
    for done, run_id in enumerate(chosen, 1):
        with tally.passing_over(run_id):
            if found and _is_empty(source, run_id):
                tally.empty.append(run_id)
            else:
                tally.add(copy_run(source, target, run_id))
        if progress:
            progress(done, len(chosen))
    return Copied(
        runs=tally.runs,
        events=tally.events,
        present=tally.present,
        empty=tuple(tally.empty),
        problems=tuple(tally.problems),
    )


def rebuild_mirror(
    primary: EventStore, mirror: EventStore, progress: Progress | None = None
) -> Rebuilt:
    """Make a mirror hold what its primary holds.

    What it lacks is copied. A run of which it holds other bytes, or a damaged copy, is deleted
    there and copied anew. Nothing else is taken away: a run that the primary lacks (`extra`), that
    is damaged there, or that goes on in the mirror behind the primary's end, stays as it is and is
    reported. Raises `StoreWriteError` when the mirror cannot be written at all.
    """
    tally = _Tally()
    replaced: list[str] = []
    chosen = list(primary.run_ids())
    for done, run_id in enumerate(chosen, 1):
        with tally.passing_over(run_id):
            if _replace(primary, mirror, run_id):
                replaced.append(run_id)
            if _is_empty(primary, run_id):
                tally.empty.append(run_id)
            else:
                tally.add(copy_run(primary, mirror, run_id))
        if progress:
            progress(done, len(chosen))
    return Rebuilt(
        runs=tally.runs,
        events=tally.events,
        present=tally.present,
        empty=tuple(tally.empty),
        problems=tuple(tally.problems),
        replaced=tuple(replaced),
        extra=tuple(sorted(set(mirror.run_ids()) - set(chosen))),
    )


def save_readable_part(store: EventStore, run_id: str, target: EventStore) -> SavedPart:
    """Copy what stands before the damage of a log to another store; the original is kept as it is.

    The lines keep their bytes and with them their run id, so `target` has to be another store: in
    the same one the id is taken. A target that has the part already, or went on from it, is left
    as it is. Raises `RunNotFoundError`, and `DamagedLogError` when nothing can
    be read of the log or the target holds other bytes under that id.
    """
    check_run_id(run_id)
    if target is store:
        raise StoreError(f"the readable part of run {run_id} needs another store to be saved in")
    part = ReadablePart(store)
    with reading(part, run_id) as events:
        if next(events, None) is None:
            if part.damage:
                raise part.damage
            raise _no_such_run(run_id)
    copied = _copy(part, target, run_id)
    problem = str(part.damage) if part.damage else None
    return SavedPart(run_id=run_id, last_seq=copied.last_seq, added=copied.added, problem=problem)


# --- how -----------------------------------------------------------------------------------------


@dataclass
class _Tally:
    runs: int = 0
    events: int = 0
    present: int = 0
    empty: list[str] = field(default_factory=list)
    problems: list[RunProblem] = field(default_factory=list)

    def add(self, copied: CopiedRun) -> None:
        self.runs += copied.added > 0
        self.events += copied.added
        self.present += not copied.added

    @contextmanager
    def passing_over(self, run_id: str) -> Iterator[None]:
        """What concerns one run is kept; a target that cannot be written ends everything."""
        try:
            yield
        except StoreWriteError:
            raise
        except (StoreError, RunNotFoundError, InvalidRunIdError) as error:
            self.problems.append(RunProblem(run_id=run_id, problem=str(error)))


def _is_empty(source: ReadsRuns, run_id: str) -> bool:
    with reading(source, check_run_id(run_id)) as events:
        return next(events, None) is None


def _check_whole(source: ReadsRuns, run_id: str) -> None:
    """Raise before anything is copied of a log that is damaged further on."""
    with reading(source, check_run_id(run_id)) as events:
        if next(events, None) is None:
            raise _no_such_run(run_id)
        for _event in events:
            pass


def _copy(source: ReadsRuns, target: EventStore, run_id: str) -> CopiedRun:
    with hold(target, run_id):
        agreed = _compare(source, target, run_id)
        if agreed.beyond == "other":
            seq = agreed.seq + 1
            raise DamagedLogError(
                f"the target holds another run {run_id}: event {seq} has other bytes there; "
                "nothing was copied",
                run_id=run_id,
                where=f"event {seq}",
            )
        last = agreed.seq
        if agreed.beyond == "nothing":
            last = copy_behind(source, target, run_id, after=last)
    return CopiedRun(run_id=run_id, last_seq=last, added=last - agreed.seq)


def _compare(source: ReadsRuns, target: EventStore, run_id: str) -> Agreement:
    if isinstance(target, RepairsRuns):
        target.repair(run_id)
    return agreement(source, target, run_id)


def _replace(primary: EventStore, mirror: EventStore, run_id: str) -> bool:
    """Delete the mirror's copy where it is none; whether it was."""
    try:
        agreed = _compare(primary, mirror, run_id)
    except DamagedLogError:  # in the primary: `_check_whole` raises it again
        agreed = Agreement(seq=0, beyond="other")
    if agreed.beyond == "more":
        raise ConflictError(
            f"the mirror holds run {run_id} beyond seq {agreed.seq}, where the primary ends: "
            "nothing was changed; copy the run from there, or delete it there"
        )
    if agreed.beyond == "nothing":
        return False
    _check_whole(primary, run_id)
    if not isinstance(mirror, DeletesRuns):
        raise StoreError(
            f"the mirror holds other bytes of run {run_id}, and a {type(mirror).__name__} cannot "
            "delete them"
        )
    last = last_event(mirror, run_id)
    mirror.delete(run_id, after=last.seq if last else 0)
    return True


def _no_such_run(run_id: str) -> RunNotFoundError:
    return RunNotFoundError(f"there is no run {run_id} to copy, or no event of it")
