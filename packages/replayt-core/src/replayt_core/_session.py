"""What the sync and the async runner share: opening a run, an attempt, and judging its end."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replayt_core._attempt import Attempt, Services
from replayt_core._error_info import error_info
from replayt_core._fold import Approval, RunState
from replayt_core._journal import CallAnswer, Journal
from replayt_core._machine import MAX_STEPS, record
from replayt_core._outcome import (
    AskedApproval,
    Interrupted,
    Outcome,
    OverBudget,
    Raised,
    Returned,
    TimedOut,
)
from replayt_core._summary import RunSummary
from replayt_core.errors import (
    ApprovalPending,
    BudgetExceededError,
    ContextInUseError,
    ContextSchemaError,
    DefinitionError,
    LLMError,
    NotReplayableError,
    RunFailed,
    StepTimeout,
)
from replayt_core.events import Draft, Event
from replayt_core.payloads import ErrorInfo
from replayt_core.tools import Tool
from replayt_core.workflow import Step

NEVER_RETRIED = (
    BudgetExceededError,
    ContextSchemaError,
    DefinitionError,
    ContextInUseError,
    NotReplayableError,
    RunFailed,
    StepTimeout,
)
"""Failures that another attempt would meet again."""


def is_final(error: Exception) -> bool:
    """Whether another attempt would meet the same failure again."""
    if isinstance(error, LLMError):
        return error.kind == "not_configured"
    return isinstance(error, NEVER_RETRIED)


def interruption(error: BaseException) -> Interrupted:
    """What is recorded of an error that ends the process: a signal by its name."""
    number = getattr(error, "signum", signal.SIGINT if isinstance(error, KeyboardInterrupt) else 0)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = None
    return Interrupted(reason=type(error).__name__, signal=name)


def timeout_info(message: str) -> ErrorInfo:
    """A timeout as the log keeps it."""
    return {"type": "StepTimeout", "message": message}


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run stands when the runner lets go of it.

    `status` is `completed`, `failed`, `paused` or `interrupted`; `waiting` lists the approvals
    that a paused run waits for, `waiting_call` the tool call whose outcome it has to be told (by
    the seq of its request); `head` is the hash of its last line, to be kept elsewhere.
    """

    run_id: str
    status: str
    final_state: str | None
    error: ErrorInfo | None
    context: dict[str, Any] = field(repr=False)
    waiting: tuple[Approval, ...] = field(repr=False)
    waiting_call: int | None = field(repr=False)
    summary: RunSummary = field(repr=False)
    head: str = field(repr=False)
    served_calls: int = field(default=0, repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: a table, escaped."""
        from replayt_core._result_html import result_html

        return result_html(self)


class Session:
    """One process executing one run: its services and the attempt that is open."""

    def __init__(
        self,
        services: Services,
        tools: Sequence[Tool],
        *,
        max_steps: int = MAX_STEPS,
        answers: Mapping[int, CallAnswer] | None = None,
    ) -> None:
        self.services = services
        self.tools = tools
        self.max_steps = max_steps
        self.served = 0
        self._answers = answers or {}
        self._interrupted = False

    @property
    def state(self) -> RunState:
        """The fold of what the log holds."""
        return self.services.writer.state

    def record(self, outcome: Outcome, before: Sequence[Draft] = ()) -> list[Event]:
        """Write the events that an outcome becomes, as one batch."""
        drafts = record(self.services.workflow, self.state, outcome, max_steps=self.max_steps)
        self._interrupted = self._interrupted or isinstance(outcome, Interrupted)
        return self.services.writer.append([*before, *drafts])

    def unwound(self, error: BaseException) -> None:
        """Write that the process ends, where whatever ends it came from outside the handlers."""
        healthy = self.services.writer.failure is None
        going_on = self.state.phase in ("entering", "executing", "backoff")
        if healthy and going_on and not (isinstance(error, Exception) or self._interrupted):
            self.record(interruption(error))

    def seconds_to_wait(self, wanted: float) -> float:
        """How much of a wait fits into the time of the run."""
        deadline = self.services.deadline
        if deadline is None:
            return wanted
        return max(min(wanted, deadline - self.services.clock.monotonic()), 0.0)

    def overdue(self) -> TimedOut | None:
        """The end of a run that has used up its time between two attempts."""
        deadline = self.services.deadline
        if deadline is None or self.services.clock.monotonic() < deadline:
            return None
        return TimedOut(error=timeout_info("the run has used up its time"))

    def open_attempt(self) -> Attempt:
        """The attempt that the run stands in, with what the log holds of it to be served."""
        journal = Journal(self.services.writer, list(self.state.effects), self._answers)
        return Attempt(self.services, journal)

    def step(self) -> Step:
        """The step of the state that the run stands in."""
        return self.services.workflow.steps[self.state.state or ""]

    def returned(self, attempt: Attempt, value: object, elapsed_ms: float) -> Outcome:
        """The outcome of a handler that returned."""
        if attempt.over_budget is None:
            attempt.journal.require_all_served()
        set_aside = self._close(attempt)
        if set_aside is not None:
            return set_aside
        attempt.learn_hidden()
        delta, bad = attempt.data.delta()
        over_budget = attempt.settled_over_budget()
        if over_budget is not None:
            return OverBudget(error=self._info(over_budget), delta=delta)
        left = attempt.seconds_left()
        if attempt.overdue is not None or (left is not None and left <= 0):
            late = attempt.overdue or f"step {attempt.here!r} has used up its time"
            return TimedOut(error=timeout_info(str(late)), delta=delta)
        if bad is not None:
            return Raised(error=self._info(bad), retryable=False, delta=delta)
        return Returned(
            value=value,
            delta=delta,
            elapsed_ms=elapsed_ms,
            reason=attempt.transition_reason(),
            because=attempt.because,
        )

    def raised(self, attempt: Attempt, error: BaseException) -> Outcome:
        """The outcome of a handler that raised; an `Interrupted` has to be raised on."""
        if isinstance(attempt.pause, AskedApproval):
            attempt.journal.require_all_served()
        set_aside = self._close(attempt)
        if set_aside is not None:
            return set_aside
        over_budget = attempt.settled_over_budget()
        if over_budget is not None and isinstance(error, Exception):
            delta = attempt.data.delta()[0]
            return OverBudget(error=self._info(over_budget), delta=delta)
        if isinstance(error, ApprovalPending):
            error = DefinitionError("ApprovalPending was raised by hand; use ctx.request_approval")
        if attempt.overdue is not None or isinstance(error, StepTimeout):
            late = str(attempt.overdue or error)
            return TimedOut(error=timeout_info(late), delta=attempt.data.delta()[0])
        if not isinstance(error, Exception):
            return interruption(error)
        retries = self.step().retries.retry_on
        attempt.learn_hidden()
        return Raised(
            error=self._info(error),
            retryable=isinstance(error, retries) and not is_final(error),
            delta=attempt.data.delta()[0],
        )

    def _info(self, error: BaseException) -> ErrorInfo:
        return error_info(error, self.services.mode, self.services.writer.scrubber)

    def _close(self, attempt: Attempt) -> Outcome | None:
        """Close the attempt; what overrides whatever its handler returned or raised."""
        attempt.closed = True
        self.served += attempt.journal.served
        failure = self.services.writer.failure
        if failure is not None:
            raise failure
        if attempt.journal.divergence is not None:
            self.record(Interrupted(reason="DeterminismError"))
            raise attempt.journal.divergence
        if attempt.journal.refusal is not None and attempt.pause is not None:
            self.record(attempt.pause)
            raise attempt.journal.refusal
        return attempt.pause

    def result(self) -> RunResult:
        """How the run stands now."""
        state = self.state
        error: Any = state.summary.error
        return RunResult(
            run_id=state.run_id,
            status=state.summary.status,
            final_state=state.final_state if state.phase == "ended" else state.state,
            error=error,
            context=dict(self.services.writer.scrubber.hiding.reveal_known(state.context)),
            waiting=tuple(state.open_approvals()),
            waiting_call=state.pause.call if state.pause is not None else None,
            summary=state.summary,
            head=state.head,
            served_calls=self.served,
        )
