"""Read what paused runs ask, and answer exactly that.

Why it exists: a page may be open for an hour. In that time someone else may answer, the run may go
on and ask for something else under the same name. So an answer names the request it belongs to, by
its seq and by the digest of what was shown, and both are looked at under the run's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replayt import (
    Approval,
    DamagedLogError,
    Event,
    RefusedError,
    Runner,
    RunResult,
    Workflow,
    fold,
    resolve,
)
from replayt.persistence import JSONLStore


class StaleAnswerError(RefusedError):
    """The run asks for something else than what was shown to whoever answered."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a person had in front of them: one request, by its seq and its digest."""

    run_id: str
    approval_id: str
    seq: int
    digest: str

    def is_what(self, asked: Approval) -> bool:
        """Whether that request is the one that was shown."""
        return (asked.request_seq, asked.digest) == (self.seq, self.digest)


class _AsShown(JSONLStore):
    """`resolve` reads the run under its lock; this compares what it reads with what was shown."""

    def __init__(self, directory: Path, shown: Shown) -> None:
        super().__init__(directory)
        self._shown = shown

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        events = list(super().read(run_id, after=after))
        asked = fold(run_id, events).approvals.values()
        latest = [item for item in asked if item.approval_id == self._shown.approval_id][-1:]
        if latest and not self._shown.is_what(latest[0]):
            raise StaleAnswerError(
                f"run {run_id} asks for something else by now; nothing was answered: look again"
            )
        yield from events


def waiting(store: JSONLStore) -> list[tuple[str, Approval]]:
    """The open requests of all runs that wait, oldest first. Damaged logs are left out."""
    found = []
    for run_id in store.run_ids():
        try:
            state = fold(run_id, store.read(run_id))
        except DamagedLogError:
            continue
        if state.phase == "paused":
            found += [(run_id, asked) for asked in state.open_approvals()]
    return sorted(found, key=lambda item: (item[1].requested_ts, item[0]))


def answer(directory: Path, shown: Shown, *, approved: bool, by: str, reason: str | None) -> None:
    """Write an answer to exactly what was shown.

    Raises `ApprovalConflictError` when someone else was faster and said otherwise,
    `StaleAnswerError` when the run asks for something else by now.
    """
    store = _AsShown(directory, shown)
    resolve(store, shown.run_id, shown.approval_id, approved=approved, by=by, reason=reason)


def resume_answered(workflow: Workflow, store: JSONLStore) -> list[RunResult]:
    """What a worker does, from a timer or a loop: go on with every run that has its answer.

    A run that another worker executes, or that must not be taken up, is left as it is.
    """
    results = []
    for run_id in sorted(store.run_ids()):
        try:
            state = fold(run_id, store.read(run_id))
            if state.summary.workflow_name != workflow.name or state.phase != "paused":
                continue
            pause = state.pause
            request = state.approvals.get(pause.request_seq or 0) if pause else None
            if request is not None and not request.open:
                results.append(Runner(workflow, store).resume(run_id))
        except (DamagedLogError, RefusedError):
            continue
    return results
