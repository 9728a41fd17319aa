"""Executing handlers again against the log that they once wrote.

An *invocation* is one run of a handler by one process: it begins where an attempt is entered or
resumed, and ends with a boundary (exit, retry, failure, pause) or is cut short. The invocation is
executed when its end has been read, with every call that the log holds of it served.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from replayt_core._differences import (
    compare_batches,
    describe_batch,
    error_differences,
    prompt_differences,
)
from replayt_core._error_info import error_location
from replayt_core._fold import EFFECTS, RunState
from replayt_core._journal import Followed, RecordedCall
from replayt_core._machine import record
from replayt_core._moves import MOVES, Phase
from replayt_core._offline import Executed, Offline
from replayt_core._outcome import OutcomeUnknown, Raised
from replayt_core._recovery import workflow_changes
from replayt_core._source import source_place
from replayt_core.errors import DeterminismError
from replayt_core.events import Draft, Event
from replayt_core.workflow import Step

_OUT_OF_BAND = frozenset({"approval_resolved", "log_repaired"})
_CUT_SHORT = frozenset({"run_interrupted", "run_resumed"})
_LIMITS = frozenset({"StepTimeout", "BudgetExceededError"})
"""The error types of runs that were ended from outside their handlers."""
_UNLIMITED = 2**63
_HOW_IT_FAILS = (".error", "how the attempt ends")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first place where the code does something else than the log records.

    `location` is `file:line` of the handler, `details` a diff of what was asked where there is one.
    """

    seq: int
    state: str
    visit: int
    attempt: int
    what: str
    recorded: str
    now: str
    location: str | None
    details: tuple[str, ...] = ()


class Reexecution:
    """Takes a log's batches in order, and runs each invocation when its end has been read."""

    def __init__(self, offline: Offline, state: RunState) -> None:
        self._offline = offline
        self._workflow = offline.workflow
        self._state = state
        self._open = False
        self._opened_at = 0
        self._changes: list[str] = []
        self.attempts = 0
        self.served = 0
        self.difference: Difference | None = None
        self.not_replayable: list[str] = []

    def take(self, batch: Sequence[Event]) -> None:
        """Take the next batch, before it is applied to the state."""
        if self.difference is not None:
            return
        events = [event for event in batch if event.type not in _OUT_OF_BAND]
        if not events:
            return
        if self._open:
            if all(event.type in EFFECTS for event in events):
                return  # applied to the state, they are what the invocation is served
            self._close(events)
        if self.difference is None:
            self._check_route(events)
        if events[0].type == "run_started":
            self._look_at_workflow(events[0])
        self._open = _opens(events, self._state.phase)
        self._opened_at = events[-1].seq

    def finish(self) -> None:
        """The log has ended; an invocation that is open was cut short."""
        if self._open and self.difference is None:
            self._close([])
            self._open = False

    def notes(self) -> Iterator[str]:
        """Changes that are no difference by themselves."""
        yield from self._changes
        recorded = self._state.code
        for name, code in self._workflow.code().items():
            if name in recorded and recorded[name] != code:
                yield f"the source of step {name!r} has changed since the run"
        yield from self._offline.requests

    def _look_at_workflow(self, started: Event) -> None:
        before = RunState(started.run_id, self._state.summary)
        before.graph = started.payload.get("graph") or {}
        before.summary.workflow_name = started.payload.get("workflow_name")
        before.summary.workflow_version = started.payload.get("workflow_version")
        self._changes = workflow_changes(self._workflow, before)

    def _check_route(self, events: Sequence[Event]) -> None:
        """An answered approval leads where its request said."""
        applied = next((e for e in events if e.type == "approval_applied"), None)
        moved = next((e for e in events if e.type == "transition"), None)
        if applied is None or moved is None:
            return
        approval = self._state.approvals.get(applied.payload.get("request_seq", 0))
        route = None
        if approval is not None:
            route = approval.on_approve if approval.approved else approval.on_reject
        if route != moved.payload.get("to_state"):
            self.difference = self._differs(
                moved.seq,
                "the route of an approval",
                str(moved.payload.get("to_state")),
                str(route),
            )

    def _close(self, end: Sequence[Event]) -> None:
        """Execute the open invocation, whose end is `end` (empty or another process: cut short)."""
        step = self._workflow.steps.get(self._state.state or "")
        cut_short = not end or end[0].type in _CUT_SHORT or _was_cut_off(end)
        if step is None:
            seq = self._state.entered_seq
            self.difference = self._differs(
                seq, "the state", repr(self._state.state), "no such step"
            )
            return
        self.attempts += 1
        followed = Followed(self._opened_at, cut_short)
        done = self._offline.execute(step, self._state, end, followed=followed)
        self.served += done.attempt.journal.served
        self.difference = self._judge(step, done, end, cut_short=cut_short)

    def _judge(
        self, step: Step, done: Executed, end: Sequence[Event], *, cut_short: bool
    ) -> Difference | None:
        """The first thing that the handler does otherwise than its log; None where that is all."""
        journal = done.attempt.journal
        broken_off = self._broken_off(done, end, cut_short=cut_short)
        if broken_off is not None:
            self._name_broken_off(broken_off)
            return None
        disorder = self._disorder(step, done)
        if disorder is not None:
            return disorder
        # A handler may do anything once it was refused a reply: that is no difference.
        if journal.lost and (journal.divergence is None or journal.misled):
            self._name_lost(done)
            return None
        if journal.divergence is not None:
            if cut_short and journal.mismatch is None and done.awaited:
                return None  # its tasks may wait for what the cut has taken away
            return self._diverged(step, done, journal.divergence)
        if done.late:
            return self._late(step, done, end, cut_short=cut_short)
        if cut_short or (end and isinstance(done.outcome, OutcomeUnknown)):
            return None
        return self._compare_ends(step, done, end)

    def _disorder(self, step: Step, done: Executed) -> Difference | None:
        """Calls and notes of a plain handler come one after the other, so their order counts.

        Those of tasks may change places where a resume made calls again.
        """
        if done.awaited:
            return None
        journal = done.attempt.journal
        found = journal.out_of_order()
        if found is not None:
            late, early = found
            first, second = journal.describe(late), journal.describe(early)
            return self._differs(
                late,
                "the order of calls and notes",
                f"{first}, then {second}",
                f"{second}, then {first}",
                source_place(step.handler),
            )
        left = journal.missing_before(_UNLIMITED)
        if done.beyond is None or left is None or journal.divergence or journal.withheld:
            return None
        seq, what = left
        now = describe_batch([done.beyond])
        return self._differs(
            seq, "another effect than the recorded one", what, now, source_place(step.handler)
        )

    def _broken_off(
        self, done: Executed, end: Sequence[Event], *, cut_short: bool
    ) -> RecordedCall | None:
        """The call that ended in no `Exception`, and whose handler went on all the same.

        What it raised (`SystemExit`, Ctrl-C) is not in the log, so nobody can raise it again.
        """
        journal, unknown = done.attempt.journal, done.attempt.pause
        if done.awaited or journal.divergence is not None:
            return None
        if done.beyond is not None:
            call = journal.recorded.get(done.beyond[1].get("call") or 0)
        elif isinstance(unknown, OutcomeUnknown):
            call = next((c for c in journal.recorded.values() if c.seq == unknown.call), None)
        else:
            return None
        if call is None or call.response is not None or call.seq <= self._opened_at:
            return None
        went_on = any(
            seq > call.seq and kind != "llm_retry" for seq, kind, _ in self._state.effects
        )
        return call if went_on or (end and not cut_short) else None

    def _name_broken_off(self, call: RecordedCall) -> None:
        state = self._state
        self.not_replayable.append(
            f"state {state.state!r}, visit {state.visit}, attempt {state.attempt}: the {call.kind} "
            f"call at seq {call.seq} was broken off by what is no Exception; the log does not hold "
            "it, so what the handler did next is not replayable"
        )

    def _name_lost(self, done: Executed) -> None:
        state = self._state
        calls = ", ".join(str(seq) for seq in done.attempt.journal.lost)
        self.not_replayable.append(
            f"state {state.state!r}, visit {state.visit}, attempt {state.attempt}: the text call "
            f"at seq {calls} is not replayable in log mode {done.attempt.services.mode.value}"
        )

    def _diverged(self, step: Step, done: Executed, error: DeterminismError) -> Difference:
        mismatch = done.attempt.journal.mismatch
        return self._differs(
            error.seq or self._state.entered_seq,
            error.what,
            error.recorded,
            error.now,
            error_location(error) or source_place(step.handler),
            tuple(prompt_differences(*mismatch) if mismatch else ()),
        )

    def _late(
        self, step: Step, done: Executed, end: Sequence[Event], *, cut_short: bool
    ) -> Difference | None:
        left = done.attempt.journal.missing_before(_UNLIMITED)
        if cut_short and (left is None or done.awaited):
            return None  # it did what is recorded, and nobody knows how long it would have taken
        return self._differs(
            end[0].seq if end else self._state.last_seq,
            "the time for executing this run again is used up",
            _described(end) if end else "cut short",
            f"the handler of {self._state.state!r} has not ended",
            source_place(step.handler),
        )

    def _compare_ends(self, step: Step, done: Executed, end: Sequence[Event]) -> Difference | None:
        state = self._state
        if done.outcome is None or done.beyond is not None:
            return self._differs(
                end[0].seq,
                "the attempt goes on where the log has its end",
                _described(end),
                describe_batch([done.beyond or ("nothing", {})]),
                source_place(step.handler),
            )
        struck = any(
            event.type == "run_failed"
            and (event.payload.get("error") or {}).get("type") == "MaxStepsError"
            for event in end
        )
        limit = state.summary.states if struck else _UNLIMITED
        hide = done.attempt.hiding.hide
        drafts = [
            Draft(draft.type, hide(draft.payload))
            for draft in record(self._workflow, state, done.outcome, max_steps=limit)
        ]
        found = compare_batches(end, drafts)
        if found is None:
            return None
        place = source_place(step.handler)
        details: tuple[str, ...] = ()
        if isinstance(done.outcome, Raised) and found[1].endswith(_HOW_IT_FAILS):
            place = done.outcome.error.get("location") or place
            details = tuple(error_differences(end, done.outcome.error))
        return self._differs(*found, place, details)

    def _differs(
        self,
        seq: int,
        what: str,
        recorded: str,
        now: str,
        location: str | None = None,
        details: tuple[str, ...] = (),
    ) -> Difference:
        state = self._state
        return Difference(
            seq=seq,
            state=state.state or "",
            visit=state.visit,
            attempt=state.attempt,
            what=what,
            recorded=recorded,
            now=now,
            location=location,
            details=details,
        )


def _opens(events: Sequence[Event], before: Phase) -> bool:
    """Whether an attempt is open for a handler after this batch."""
    last = events[-1].type
    if last in ("state_entered", "approval_applied"):
        return True
    # A run taken up between two attempts, or two states, has no attempt open.
    return last == "run_resumed" and MOVES[before].get(last) == "executing"


def _described(end: Sequence[Event]) -> str:
    return describe_batch([(event.type, event.payload) for event in end])


def _was_cut_off(end: Sequence[Event]) -> bool:
    """A limit strikes anywhere, so the attempt is followed only as far as its calls go."""
    # A handler that raised an error of that name itself has a `step_error` before.
    error = end[0].payload.get("error") if end and end[0].type == "run_failed" else None
    return isinstance(error, dict) and error.get("type") in _LIMITS
