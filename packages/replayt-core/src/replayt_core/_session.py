"""What the sync and the async runner share: opening a run, an attempt, and judging its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replayt_core._attempt import Attempt, Services
from replayt_core._error_info import error_info
from replayt_core._fold import Approval, RunState
from replayt_core._journal import CallAnswer, Journal
from replayt_core._machine import MAX_STEPS, record
from replayt_core._outcome import AskedApproval, Interrupted, Outcome, Raised, Returned
from replayt_core._summary import RunSummary
from replayt_core.errors import (
    ApprovalPending,
    ContextInUseError,
    ContextSchemaError,
    DefinitionError,
    LLMError,
    NotReplayableError,
    RunFailed,
)
from replayt_core.events import Draft, ErrorInfo, Event
from replayt_core.tools import Tool
from replayt_core.workflow import Step

NEVER_RETRIED = (
    ContextSchemaError,
    DefinitionError,
    ContextInUseError,
    NotReplayableError,
    RunFailed,
)
"""Failures that another attempt would meet again."""


def is_final(error: Exception) -> bool:
    """Whether another attempt would meet the same failure again."""
    if isinstance(error, LLMError):
        return error.kind == "not_configured"
    return isinstance(error, NEVER_RETRIED)


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

    @property
    def state(self) -> RunState:
        """The fold of what the log holds."""
        return self.services.writer.state

    def record(self, outcome: Outcome, before: Sequence[Draft] = ()) -> list[Event]:
        """Write the events that an outcome becomes, as one batch."""
        drafts = record(self.services.workflow, self.state, outcome, max_steps=self.max_steps)
        return self.services.writer.append([*before, *drafts])

    def open_attempt(self) -> Attempt:
        """The attempt that the run stands in, with what the log holds of it to be served."""
        journal = Journal(self.services.writer, list(self.state.effects), self._answers)
        return Attempt(self.services, journal)

    def step(self) -> Step:
        """The step of the state that the run stands in."""
        return self.services.workflow.steps[self.state.state or ""]

    def returned(self, attempt: Attempt, value: object, elapsed_ms: float) -> Outcome:
        """The outcome of a handler that returned."""
        attempt.journal.require_all_served()
        set_aside = self._close(attempt)
        if set_aside is not None:
            return set_aside
        delta, bad = attempt.data.delta()
        if bad is not None:
            return Raised(error=error_info(bad, self.services.mode), retryable=False, delta=delta)
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
        if isinstance(error, ApprovalPending):
            error = DefinitionError("ApprovalPending was raised by hand; use ctx.request_approval")
        if not isinstance(error, Exception):
            return Interrupted(reason=type(error).__name__)
        retries = self.step().retries.retry_on
        return Raised(
            error=error_info(error, self.services.mode),
            retryable=isinstance(error, retries) and not is_final(error),
            delta=attempt.data.delta()[0],
        )

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
            context=dict(state.context),
            waiting=tuple(state.open_approvals()),
            waiting_call=state.pause.call if state.pause is not None else None,
            summary=state.summary,
            head=state.head,
            served_calls=self.served,
        )
