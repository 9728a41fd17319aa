"""What paused runs ask, and going on with those that have their answer.

Why it exists: the page that asks people and the worker that has the workflow's code are two
programs, which know each other by the log alone. The answer itself is `replayt.resolve`.
"""

from __future__ import annotations

from replayt import Approval, DamagedLogError, RefusedError, Runner, RunResult, Workflow, fold
from replayt.persistence import JSONLStore


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
