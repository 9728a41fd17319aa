"""Deleting old runs: first a plan that says what would go and why the rest stays, then the deed.

Age is counted from the last sign of life: the later of the last event and the time of the file. A
run stays when in doubt: when its age is not known, when it is in the future of the clock, when
somebody executes it, when it changed after the plan was made. What has no end (paused, interrupted)
and what cannot be read (damaged) stays unless the policy names that status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Literal

from replayt_core.errors import ConflictError, DamagedLogError, RunLockedError, StoreError
from replayt_core.events import Event
from replayt_core.ports.store import DeletesRuns, EventStore, LocksRuns
from replayt_store.index import IndexedRun, RunIndex

ENDED = frozenset({"completed", "failed"})
"""The statuses of runs that a policy deletes unless it names others."""

DAMAGED = "damaged"

STATUSES = ENDED | {"paused", "interrupted", DAMAGED}
"""What a policy can name. A run that somebody executes (`running`) is never deleted."""

Why = Literal["changed", "running", "damaged", "failed"]
"""Why a planned run was not deleted: it is not as it was when it was chosen (or not there any
more), somebody executes it, its hash chain is broken, or it could not be deleted."""

Progress = Callable[[int, int], None]
"""Hears how many runs are done, of how many."""


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """Which runs may go. A run goes when all of it holds.

    It has shown no sign of life for `older_than`, has one of the `statuses`, has all `tags`, and is
    not among the `keep_last` runs with such a status and tags that were started last.
    """

    older_than: timedelta
    statuses: frozenset[str] = ENDED
    tags: Mapping[str, str] = field(default_factory=dict)
    keep_last: int = 0

    def __post_init__(self) -> None:
        unknown = self.statuses - STATUSES
        if unknown or not self.statuses:
            raise ValueError(
                f"statuses must be some of {', '.join(sorted(STATUSES))}, "
                f"not {', '.join(sorted(unknown)) or 'none'}"
            )
        if self.older_than < timedelta(0) or self.keep_last < 0:
            raise ValueError("older_than and keep_last must not be negative")


@dataclass(frozen=True, kw_only=True)
class ExpiredRun:
    """A run that a plan would delete, as it was when the plan was made.

    `seen` is its last sign of life; `size` is None where the store does not know it.
    """

    run_id: str
    status: str
    workflow: str | None
    last_seq: int
    last_ts: str | None
    seen: datetime
    size: int | None


@dataclass(frozen=True, kw_only=True)
class RetentionPlan:
    """What would go, the longest untouched first, and how many runs stay for which reason.

    The reasons: `other tags`, a status that is not asked for, `running`, `younger`, `age unknown`,
    `among the last`. The first that holds counts.
    """

    expired: tuple[ExpiredRun, ...]
    kept: Mapping[str, int]

    @property
    def size(self) -> int:
        """The bytes that would be freed, as far as they are known."""
        return sum(run.size or 0 for run in self.expired)


@dataclass(frozen=True, kw_only=True)
class SkippedRun:
    """A run of the plan that was not deleted after all; `detail` says it in a sentence."""

    run_id: str
    why: Why
    detail: str


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What came of a plan: the ids that were deleted, the bytes freed, and what was skipped."""

    run_ids: tuple[str, ...]
    size: int
    skipped: tuple[SkippedRun, ...]


def plan(
    index: RunIndex,
    store: EventStore,
    policy: RetentionPolicy,
    *,
    now: datetime,
    progress: Progress | None = None,
) -> RetentionPlan:
    """What `collect` would delete from the store. Deletes nothing.

    Looks at every run's file first, so that the index is not taken at its word; `progress` hears of
    that. `now` has a time zone. Raises `StoreError` for a store that cannot delete.
    """
    _deleting(store)
    index.check(progress)
    expired: list[ExpiredRun] = []
    kept: Counter[str] = Counter()
    matching = 0
    for run in index.runs():
        seen = last_seen(run)
        # A run from the future of this clock is not old, whatever the age.
        old = seen is not None and policy.older_than <= now - seen
        end = _end(run, store, policy, old=old)
        reason = _mismatch(run, end, store, policy)
        if reason is None:
            matching += 1
            if seen is None:
                reason = "age unknown"
            elif not old:
                reason = "younger"
            elif matching <= policy.keep_last:  # they come newest first
                reason = "among the last"
            elif _locked(store, run.run_id):
                reason = "running"
            else:
                expired.append(_expired(run, end, seen))
                continue
        kept[reason] += 1
    expired.sort(key=lambda run: (run.seen, run.run_id))
    return RetentionPlan(expired=tuple(expired), kept=dict(kept))


def collect(
    store: EventStore, planned: RetentionPlan, progress: Progress | None = None
) -> Collected:
    """Delete what was planned, one run after the other; each goes whole or not at all.

    A run is locked while it is deleted, and goes only as it was when the plan was made: one that
    was resumed, answered or locked meanwhile is skipped. So may the whole be interrupted and done
    again at any time. One run that cannot be deleted does not keep the others.
    """
    deleting = _deleting(store)
    deleted: list[str] = []
    skipped: list[SkippedRun] = []
    size = 0
    for done, run in enumerate(planned.expired, 1):
        try:
            freed = _delete(store, deleting, run)
        except _Skipped as skip:
            skipped.append(skip.run)
        else:
            deleted.append(run.run_id)
            size += freed
        if progress is not None:
            progress(done, len(planned.expired))
    return Collected(run_ids=tuple(deleted), size=size, skipped=tuple(skipped))


# --- what stays -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _End:
    """How a run stands, and the last event that can be read of it."""

    status: str
    seq: int
    ts: str | None


def _end(run: IndexedRun, store: EventStore, policy: RetentionPolicy, *, old: bool) -> _End:
    """What the index says; where damaged runs are to go, an old one is read to its end.

    For the index does not look at the hash chain.
    """
    known = _End(status=run.status, seq=run.summary.last_seq, ts=run.summary.last_ts)
    if DAMAGED not in policy.statuses or run.status == DAMAGED or not old:
        return known
    last, damage = _last_event(store, run.run_id, after=0)
    if damage is None:
        return known
    return _End(status=DAMAGED, seq=last.seq if last else 0, ts=last.ts if last else None)


def _mismatch(run: IndexedRun, end: _End, store: EventStore, policy: RetentionPolicy) -> str | None:
    """Why the policy does not speak of this run, if so."""
    if not policy.tags.items() <= run.summary.tags.items():
        return "other tags"
    if end.status in policy.statuses:
        return None
    running = end.status == "interrupted" and _locked(store, run.run_id)
    return "running" if running else end.status


def last_seen(run: IndexedRun) -> datetime | None:
    """The last sign of life of a run: the later of its last event and the time of its file.

    Its start counts, too: where the clock was set back meanwhile, that is the later one.
    """
    times = (run.summary.started_ts, run.summary.last_ts, run.written_ts)
    return max(filter(None, map(_moment, times)), default=None)


def _moment(ts: str | None) -> datetime | None:
    """The time that a log says; without a zone it is UTC, and what is no time is None."""
    if ts is None:
        return None
    try:
        moment = datetime.fromisoformat(ts.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            return moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


# --- what goes ------------------------------------------------------------------------------------


def _expired(run: IndexedRun, end: _End, seen: datetime) -> ExpiredRun:
    name = run.summary.workflow_name
    return ExpiredRun(
        run_id=run.run_id,
        status=end.status,
        workflow=None if name is None else f"{name}@{run.summary.workflow_version}",
        last_seq=end.seq,
        last_ts=end.ts,
        seen=seen,
        size=run.size,
    )


class _Skipped(Exception):
    """Carries the run that was not deleted."""

    def __init__(self, run_id: str, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.run = SkippedRun(run_id=run_id, why=why, detail=detail)


def _delete(store: EventStore, deleting: DeletesRuns, run: ExpiredRun) -> int:
    """Delete a run that is as it was planned; the bytes freed. Raises `_Skipped`."""
    running = f"run {run.run_id} is being executed"
    try:
        if _locked(store, run.run_id):  # `lock` would wait for it
            raise _Skipped(run.run_id, "running", running)
        _check_unchanged(store, run)
        with _lock(store, run.run_id):
            return deleting.delete(run.run_id, after=run.last_seq)
    except RunLockedError:
        raise _Skipped(run.run_id, "running", running) from None
    except ConflictError:
        raise _changed(run) from None
    except _Skipped:
        raise
    except Exception as error:
        # One run that cannot be deleted does not keep the others.
        known = isinstance(error, StoreError)
        detail = str(error) if known else f"{type(error).__name__}: {error}"
        raise _Skipped(run.run_id, "failed", detail) from error


def _check_unchanged(store: EventStore, run: ExpiredRun) -> None:
    """Raise `_Skipped` unless the run ends as planned.

    The seq alone does not tell: somebody else may have deleted the run, and its id been used again.
    """
    last, damage = _last_event(store, run.run_id, after=max(run.last_seq - 1, 0))
    if damage is not None and run.status != DAMAGED:
        detail = f"{damage}; it goes when damaged runs are asked for"
        raise _Skipped(run.run_id, "damaged", detail)
    # Of a run that is damaged from its first line nothing can be read, now as then.
    found = (last.seq, last.ts) if last is not None else (0, None)
    if found != (run.last_seq, run.last_ts):
        raise _changed(run)


def _last_event(
    store: EventStore, run_id: str, *, after: int
) -> tuple[Event | None, DamagedLogError | None]:
    """The last event behind `after` that can be read, and the damage behind it, if any."""
    last: Event | None = None
    try:
        for last in store.read(run_id, after=after):  # noqa: B007 - the last one counts
            pass
    except DamagedLogError as damage:
        return last, damage
    return last, None


def _changed(run: ExpiredRun) -> _Skipped:
    return _Skipped(run.run_id, "changed", f"run {run.run_id} is not as it was when it was chosen")


def _deleting(store: EventStore) -> DeletesRuns:
    if not isinstance(store, DeletesRuns):
        raise StoreError(
            f"{type(store).__name__} cannot delete runs: it has no `delete`, so use its own tools"
        )
    return store


def _locked(store: EventStore, run_id: str) -> bool:
    return isinstance(store, LocksRuns) and store.locked(run_id)


def _lock(store: EventStore, run_id: str) -> AbstractContextManager[None]:
    return store.lock(run_id) if isinstance(store, LocksRuns) else nullcontext()
