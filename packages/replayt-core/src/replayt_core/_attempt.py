"""One attempt: what `ctx`, `ctx.llm` and `ctx.tools` share while a handler runs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import to_json

from replayt_core._context_data import ContextData
from replayt_core._fold import RunState
from replayt_core._journal import Journal, RecordedCall
from replayt_core._llm_source import LLMSource
from replayt_core._log_writer import LogWriter
from replayt_core._outcome import AskedApproval, OutcomeUnknown
from replayt_core._request_notes import RequestNotes
from replayt_core.budget import Budget
from replayt_core.errors import BudgetExceededError, ContextInUseError, StepTimeout
from replayt_core.payloads import Because
from replayt_core.ports.system import Clock
from replayt_core.redaction import LogMode
from replayt_core.workflow import Workflow


class OutcomeUnknownSignal(BaseException):
    """Unwinds a handler whose recorded tool call has no result and may not be made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a run needs from outside, the same for all its attempts."""

    workflow: Workflow
    writer: LogWriter
    mode: LogMode
    llm: LLMSource
    clock: Clock
    deadline: float | None = None
    """When the run has used up its time, on the clock's monotonic scale."""
    budget: Budget | None = None
    requests: RequestNotes | None = None
    """Who hears of model calls that are served: `verify` does."""


@dataclass(frozen=True, slots=True)
class _ToolUse:
    """A tool whose body runs, of which attempt, and inside which other one."""

    attempt: Attempt
    name: str
    key: str
    outer: _ToolUse | None


# Per task, not per attempt: while one task is inside a tool, another may use `ctx`.
_RUNNING: ContextVar[_ToolUse | None] = ContextVar("replayt_running_tool", default=None)


class Attempt:
    """The open attempt: its journal, its copy of the context, and what it has looked at."""

    def __init__(self, services: Services, journal: Journal) -> None:
        state = services.writer.state
        self.services = services
        self.journal = journal
        self.state: RunState = state
        self.hiding = services.writer.scrubber.hiding
        self.data = ContextData(self.hiding.reveal(state.context))
        self.reason: str | None = None
        self.pause: AskedApproval | OutcomeUnknown | None = None
        self.pause_signal: BaseException | None = None
        self.closed = False
        self.here = state.state
        self.deadline = self._earliest_deadline()
        self.overdue: StepTimeout | None = None
        self.over_budget: BudgetExceededError | None = None
        self._budget_problem = ""
        self._thread = threading.get_ident()
        self._looked: dict[tuple[str, str, int | None], Because] = {}
        self._tool_uses: dict[str, int] = {}

    def move_to_this_thread(self) -> None:
        """The handler will run in the calling thread."""
        self._thread = threading.get_ident()

    def require_open(self, what: str, *, in_tool: bool = False) -> None:
        """Raises where using `what` could not be replayed."""
        if self.closed:
            raise ContextInUseError(
                f"{what}: step {self.here!r} is over; keep no ctx beyond its handler"
            )
        if self.pause_signal is not None:
            raise self.pause_signal
        if self.over_budget is not None:
            raise self.over_budget
        self.check_deadline()
        if threading.get_ident() != self._thread:
            raise ContextInUseError(
                f"{what}: called from another thread than the handler's; its order could not be "
                "replayed"
            )
        use = None if in_tool else self.tool_use()
        if use is not None:
            raise ContextInUseError(
                f"{what}: used inside the tool {use.name!r}; a served result does not run the "
                "tool's body, so do this in the handler"
            )

    def check_deadline(self) -> None:
        """Raises `StepTimeout` when the step or its run has used up its time."""
        left = self.seconds_left()
        if left is not None and left <= 0:
            self.overdue = self.overdue or StepTimeout(f"step {self.here!r} has used up its time")
            raise self.overdue

    def check_budget(self) -> None:
        """Raises `BudgetExceededError` where the run has used more than its budget."""
        budget = self.services.budget
        if budget is not None:
            self._fail_over_budget(budget.excess(self.state.account))

    def check_budget_for_call(self, recorded: RecordedCall | None) -> None:
        """The same where a call may not be made; one that was begun before is in the account."""
        budget = self.services.budget
        if budget is not None:
            new_calls = 1 if recorded is None else 0
            self._fail_over_budget(budget.forbids_call(self.state.account, new_calls))

    def _fail_over_budget(self, problem: str | None) -> None:
        if problem is None:
            return
        self._budget_problem = problem
        self.over_budget = self._budget_error()
        raise self.over_budget

    def settled_over_budget(self) -> BudgetExceededError | None:
        """What the run fails with: its account holds the calls that ended since the refusal."""
        if self.over_budget is None:
            return None
        return self._budget_error().with_traceback(self.over_budget.__traceback__)

    def _budget_error(self) -> BudgetExceededError:
        account = self.state.account
        return BudgetExceededError(
            f"run {self.state.run_id}: {self._budget_problem}: {account}; to go on, resume it with "
            "--retry-failed and a larger budget",
            account=cast("dict[str, int]", account.described()),
        )

    def learn_hidden(self) -> None:
        """Know what the attempt has put under hidden names: an error may name it before a delta."""
        if self.hiding.names:
            self.hiding.learn(self.data.delta()[0])

    def seconds_left(self) -> float | None:
        """How long the attempt may still take; None without a limit."""
        if self.deadline is None:
            return None
        return self.deadline - self.services.clock.monotonic()

    def _earliest_deadline(self) -> float | None:
        services = self.services
        step = services.workflow.steps.get(self.here or "")
        if step is None or step.timeout is None:
            return services.deadline
        own = services.clock.monotonic() + step.timeout
        return own if services.deadline is None else min(own, services.deadline)

    def look(self, kind: Any, name: str, seq: int | None) -> None:
        """Remember that the handler looked at something: the provenance of its move."""
        if self.tool_use() is not None:
            return
        self._looked.setdefault((kind, name, seq), {"read": kind, "name": name, "seq": seq})

    def look_at_key(self, key: str) -> None:
        """Remember a read of the context; what the attempt wrote itself is no reason.

        Nor is what a tool's body reads: a served call does not run it.
        """
        if self.data.is_own(key) or self.tool_use() is not None:
            return
        seq = self.state.written_by.get(key)
        self.look("input" if seq == 1 and key in self.state.inputs else "context", key, seq)

    @property
    def because(self) -> list[Because]:
        """Everything the attempt has looked at, in order."""
        return list(self._looked.values())

    def transition_reason(self) -> str:
        """What `ctx.because` said, or a sentence made of what was looked at."""
        if self.reason:
            return self.reason
        if not self._looked:
            return "unconditional"
        return "after " + ", ".join(
            kind if kind == name else f"{kind} {name}" for kind, name, _ in self._looked
        )

    def idempotency_key(self) -> str:
        """The key of this visit; inside a tool body that of this use of the tool."""
        use = self.tool_use()
        if use is not None:
            return use.key
        return hash_parts(self.state.run_id, self.state.state, self.state.visit)

    def use_tool(self, name: str, arguments: Any) -> str:
        """Count a call, live or served, and get its idempotency key."""
        use = hash_parts(name, arguments)
        count = self._tool_uses.get(use, 0) + 1
        self._tool_uses[use] = count
        state = self.state
        return hash_parts(state.run_id, state.state, state.visit, name, arguments, count)

    def tool_use(self) -> _ToolUse | None:
        """The tool of this attempt inside whose body the calling code runs, or None."""
        use = _RUNNING.get()
        while use is not None and use.attempt is not self:
            use = use.outer
        return use

    @contextmanager
    def inside_tool(self, name: str, key: str) -> Iterator[None]:
        """The body of a tool: `ctx` is read-only, and its idempotency key is that of the call."""
        outer = _RUNNING.get()
        _RUNNING.set(_ToolUse(self, name, key, outer))
        try:
            yield
        finally:
            _RUNNING.set(outer)


def hash_parts(*parts: Any) -> str:
    """SHA-256 over parts as a JSON array, so that no two lists of parts run into one text."""
    return hashlib.sha256(to_json(list(parts))).hexdigest()
