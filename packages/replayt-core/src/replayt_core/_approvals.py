"""Answering an approval: the one public way into a paused run's log."""

from __future__ import annotations

from replayt_core._fold import RunState, fold
from replayt_core._log_writer import LogWriter, hold, repair
from replayt_core._values import to_json_value
from replayt_core.errors import (
    ApprovalConflictError,
    ApprovalNotFoundError,
    RefusedError,
    RunNotFoundError,
)
from replayt_core.events import Draft
from replayt_core.ports.store import EventStore
from replayt_core.ports.system import Clock, SystemClock
from replayt_core.redaction import Scrubber
from replayt_core.run_ids import check_run_id


def resolve(
    store: EventStore,
    run_id: str,
    approval_id: str,
    *,
    approved: bool,
    by: str | None = None,
    reason: str | None = None,
    request_seq: int | None = None,
    clock: Clock | None = None,
) -> None:
    """Answer the open request `approval_id` of a run; `Runner.resume` then acts on it.

    `request_seq` says which `approval_requested` the person had before them: when the run has asked
    again since, the answer is refused. Giving the same answer again changes nothing as long as it
    has not been used. Raises `RunNotFoundError`, `ApprovalNotFoundError`, `ApprovalConflictError`
    when it was answered otherwise, used, or asked anew, `RunLockedError` while the run is executed.
    Nothing is written on a refusal.
    """
    if not isinstance(approved, bool):
        raise TypeError(f"approved must be True or False, not {approved!r:.60}")
    check_run_id(run_id)
    with hold(store, run_id):
        state = fold(run_id, store.read(run_id))
        if state.phase == "absent":
            raise RunNotFoundError(f"no run {run_id!r} in this store")
        if not state.chained:
            raise RefusedError(
                f"run {run_id} was written by an older release (its log is unchained); it can be "
                "shown, not answered"
            )
        found = open_request(state, approval_id, approved, request_seq)
        if found is None:
            return
        writer = LogWriter(store, state, clock or SystemClock(), Scrubber())
        payload = {
            "approval_id": approval_id,
            "request_seq": found,
            "approved": approved,
            "by": to_json_value(by, "by"),
            "reason": to_json_value(reason, "reason"),
        }
        writer.append([*repair(store, run_id), Draft("approval_resolved", payload)])


def open_request(
    state: RunState, approval_id: str, approved: bool, request_seq: int | None = None
) -> int | None:
    """The seq of the request to answer; None where the same answer stands and is not used."""
    asked = [item for item in state.approvals.values() if item.approval_id == approval_id]
    if not asked:
        names = ", ".join(repr(item.approval_id) for item in state.approvals.values()) or "none"
        raise ApprovalNotFoundError(
            f"run {state.run_id} has no approval {approval_id!r:.120}; requested so far: {names}"
        )
    latest = asked[-1].request_seq
    if request_seq not in (None, latest):
        raise ApprovalConflictError(
            f"run {state.run_id} asks for approval {approval_id!r:.120} at seq {latest} now, "
            f"not at seq {request_seq}: look at what it shows, then answer that"
        )
    for request in asked:
        if request.open:
            return request.request_seq
    last = asked[-1]
    if last.approved is approved and not last.applied:
        return None
    answer = "approved" if last.approved else "rejected"
    used = ", and the run has acted on it" if last.applied else ""
    raise ApprovalConflictError(
        f"approval {approval_id!r:.120} of run {state.run_id} is {answer} already{used}"
    )
