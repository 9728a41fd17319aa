"""Executing handlers again against the log that they once wrote.

An *invocation* is one run of a handler by one process: it begins where an attempt is entered or
resumed, and ends with a boundary (exit, retry, failure, pause) or is cut short. The invocation is
executed when its end has been read, with every call that the log holds of it served.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from replayt_core._attempt import Attempt, Services
from replayt_core._differences import compare_batches, describe_batch, prompt_differences
from replayt_core._error_info import error_location, shown_path
from replayt_core._fold import EFFECTS, RunState
from replayt_core._journal import Journal
from replayt_core._llm_source import LLMSource
from replayt_core._log_writer import LogWriter
from replayt_core._machine import record
from replayt_core._moves import MOVES, Phase
from replayt_core._outcome import Outcome, OutcomeUnknown
from replayt_core._recovery import workflow_changes
from replayt_core._session import Session
from replayt_core.context import RunContext
from replayt_core.errors import DeterminismError
from replayt_core.events import Draft, Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.ports.system import SystemClock
from replayt_core.redaction import LogMode, Scrubber
from replayt_core.tools import Tool
from replayt_core.workflow import Step, Workflow

_OUT_OF_BAND = frozenset({"approval_resolved", "log_repaired"})
_CUT_SHORT = frozenset({"run_interrupted", "run_resumed"})
_UNLIMITED = 2**63


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


class _BeyondLog(BaseException):
    """The handler does something that the log of its invocation does not hold."""


class _Follower(LogWriter):
    """Stands where the log writer stands, and writes nothing."""

    def __init__(self, state: RunState) -> None:
        super().__init__(MemoryStore(), state, SystemClock(), Scrubber())
        self.beyond: tuple[str, dict[str, Any]] | None = None

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """The handler left the log: remember with what, and unwind it."""
        if self.beyond is None:
            self.beyond = (drafts[0].type, drafts[0].payload)
        raise _BeyondLog


class _NoModel:
    """No call is ever made: every call is served, or ends the following."""

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        raise _BeyondLog


class Reexecution:
    """Takes a log's batches in order, and runs each invocation when its end has been read."""

    def __init__(self, workflow: Workflow, state: RunState, tools: Sequence[Tool]) -> None:
        self._workflow = workflow
        self._state = state
        self._tools = tools
        self._open = False
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
        cut_short = not end or end[0].type in _CUT_SHORT or _timed_out(end)
        if step is None:
            seq = self._state.entered_seq
            self.difference = self._differs(
                seq, "the state", repr(self._state.state), "no such step"
            )
            return
        self.attempts += 1
        follower = _Follower(self._state)
        mode = LogMode.parse(self._state.summary.log_mode or LogMode.redacted)
        services = Services(
            workflow=self._workflow,
            writer=follower,
            mode=mode,
            llm=LLMSource(follower.scrubber, _NoModel()),
            clock=SystemClock(),
        )
        session = Session(services, self._tools)
        attempt, outcome = self._execute(step, session)
        self.served += attempt.journal.served
        self._judge(step, attempt, follower, outcome, end, cut_short)

    def _execute(self, step: Step, session: Session) -> tuple[Attempt, Outcome | BaseException]:
        """What the handler does now: an outcome, or the error that ended the following."""
        attempt = self._open_attempt(session)
        raised: BaseException | None = None
        value: object = None
        try:
            step.check_context(self._state.context)
            value = step.handler(RunContext(attempt, self._tools))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raised = error
        if isinstance(value, Coroutine):
            value.close()  # nothing of it has run: it wants the context of `AsyncRunner`
            from replayt_core._turns import run_apart  # it imports asyncio

            attempt = self._open_attempt(session)
            ended = run_apart(attempt, step, self._tools)
            value, raised = ended.value, ended.error
        try:
            if raised is not None:
                if isinstance(raised, Exception):
                    attempt.journal.require_all_served()
                return attempt, session.raised(attempt, raised)
            return attempt, session.returned(attempt, value, 0.0)
        except (_BeyondLog, DeterminismError) as error:
            return attempt, error

    def _open_attempt(self, session: Session) -> Attempt:
        services = session.services
        journal = Journal(services.writer, list(self._state.effects), following=True)
        attempt = Attempt(services, journal)
        attempt.deadline = None  # how long things take here says nothing of the run
        return attempt

    def _judge(
        self,
        step: Step,
        attempt: Attempt,
        follower: _Follower,
        outcome: Outcome | BaseException,
        end: Sequence[Event],
        cut_short: bool,
    ) -> None:
        journal, state = attempt.journal, self._state
        where = f"state {state.state!r}, visit {state.visit}, attempt {state.attempt}"
        if journal.lost:
            calls = ", ".join(str(seq) for seq in journal.lost)
            self.not_replayable.append(
                f"{where}: the text call at seq {calls} is not replayable in log mode "
                f"{attempt.services.mode.value}"
            )
            return
        divergence = journal.divergence
        if divergence is not None:
            if cut_short and journal.mismatch is None and iscoroutinefunction(step.handler):
                return  # its tasks may wait for what the cut has taken away
            place = error_location(divergence) or _place(step)
            details = prompt_differences(*journal.mismatch) if journal.mismatch else ()
            self.difference = self._differs(
                divergence.seq or state.entered_seq,
                divergence.what,
                divergence.recorded,
                divergence.now,
                place,
                tuple(details),
            )
            return
        if cut_short or (end and isinstance(outcome, OutcomeUnknown)):
            return
        if follower.beyond is not None and not isinstance(outcome, _BeyondLog):
            outcome = _BeyondLog()
        if isinstance(outcome, BaseException):
            asked = follower.beyond or ("nothing", {})
            self.difference = self._differs(
                end[0].seq,
                "the attempt goes on where the log has its end",
                describe_batch([(event.type, event.payload) for event in end]),
                describe_batch([asked]),
                _place(step),
            )
            return
        struck = any(
            event.type == "run_failed"
            and (event.payload.get("error") or {}).get("type") == "MaxStepsError"
            for event in end
        )
        limit = state.summary.states if struck else _UNLIMITED
        drafts = record(self._workflow, state, outcome, max_steps=limit)
        found = compare_batches(end, drafts)
        if found is not None:
            seq, what, recorded, now = found
            self.difference = self._differs(seq, what, recorded, now, _place(step))

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


def _timed_out(end: Sequence[Event]) -> bool:
    """A timeout strikes anywhere, so the attempt is followed only as far as its calls go."""
    # A handler that raised an error of that name itself has a `step_error` before.
    error = end[0].payload.get("error") if end and end[0].type == "run_failed" else None
    return isinstance(error, dict) and error.get("type") == "StepTimeout"


def _place(step: Step) -> str | None:
    code = getattr(step.handler, "__code__", None)
    return f"{shown_path(code.co_filename)}:{code.co_firstlineno}" if code else None
