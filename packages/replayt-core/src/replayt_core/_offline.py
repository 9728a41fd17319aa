"""Executing one handler offline: every call is served from the log, and nothing is written."""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from replayt_core._attempt import Attempt, Services
from replayt_core._effects import discard_awaitable
from replayt_core._fold import RunState
from replayt_core._hiding import Hiding
from replayt_core._journal import Followed, Journal
from replayt_core._llm_source import LLMSource
from replayt_core._log_writer import LogWriter
from replayt_core._outcome import Outcome
from replayt_core._recovery import require_revealed
from replayt_core._request_notes import RequestNotes
from replayt_core._session import Session
from replayt_core.context import RunContext
from replayt_core.errors import DeterminismError
from replayt_core.events import Draft, Event, Payload
from replayt_core.memory import MemoryStore
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.ports.system import SystemClock
from replayt_core.redaction import LogMode, Scrubber
from replayt_core.tools import Tool
from replayt_core.workflow import Step, Workflow


@dataclass(frozen=True, kw_only=True)
class Executed:
    """What a handler did offline.

    `outcome` is None where it left the log: `beyond` says with what, its journal says where.
    `awaited` tells a handler whose result was awaited, `late` one that used up the time.
    """

    attempt: Attempt
    outcome: Outcome | None
    beyond: tuple[str, Payload] | None
    awaited: bool
    late: bool


@dataclass(frozen=True, kw_only=True)
class Offline:
    """What handlers are executed with: the workflow, its tools, and until when they may take."""

    workflow: Workflow
    tools: Sequence[Tool]
    requests: RequestNotes
    hiding: Hiding = field(default_factory=Hiding)
    deadline: float | None = None

    def execute(
        self, step: Step, state: RunState, end: Sequence[Event], *, followed: Followed
    ) -> Executed:
        """Run the handler of the open attempt, which ended with `end` when it was recorded.

        Raises what a signal raises.
        """
        self.hiding.add(state.redact_keys)
        require_revealed(state, self.hiding)
        follower = _Follower(state, self.hiding)
        services = Services(
            workflow=self.workflow,
            writer=follower,
            mode=LogMode.parse(state.summary.log_mode or LogMode.redacted),
            llm=LLMSource(follower.scrubber, _NoModel()),
            clock=SystemClock(),
            deadline=self.deadline,
            requests=self.requests,
        )
        session = Session(services, self.tools)
        attempt, awaited = self._open(session, followed), _is_async(step)
        value: object = None
        raised: BaseException | None = None
        if not awaited:
            try:
                step.check_context(attempt.data.committed)
                value = step.handler(RunContext(attempt, self.tools))
            except BaseException as error:
                raised = error
            # A plain function may have made a coroutine all the same; nothing of it has run.
            awaited = inspect.isawaitable(value) or _wants_a_loop(raised)
        if awaited:
            discard_awaitable(value)
            from replayt_core._handler_task import run_apart  # it imports asyncio

            attempt = self._open(session, followed)
            ended = run_apart(attempt, step, self.tools)
            value, raised = ended.value, ended.error
        if raised is not None and _ends_the_process(raised, end):
            raise raised
        left = attempt.seconds_left()
        return Executed(
            attempt=attempt,
            outcome=_outcome(session, attempt, value, raised),
            beyond=follower.beyond,
            awaited=awaited,
            late=left is not None and left <= 0,
        )

    def _open(self, session: Session, followed: Followed) -> Attempt:
        services, effects = session.services, list(session.state.effects)
        journal = Journal(services.writer, effects, followed=followed)
        attempt = Attempt(services, journal)
        attempt.deadline = self.deadline  # the step's own time says nothing of this machine
        return attempt


def _outcome(
    session: Session, attempt: Attempt, value: object, raised: BaseException | None
) -> Outcome | None:
    try:
        if raised is None:
            return session.returned(attempt, value, 0.0)
        if isinstance(raised, Exception | KeyboardInterrupt | SystemExit):
            attempt.journal.require_all_served()
        return session.raised(attempt, raised)
    except (_BeyondLog, DeterminismError):
        return None


def _is_async(step: Step) -> bool:
    """Whether the handler says itself that it has to be awaited."""
    handler = step.handler
    called = getattr(handler, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)


def _wants_a_loop(error: BaseException | None) -> bool:
    """Whether a plain handler failed since it makes tasks, for which no loop runs here."""
    return isinstance(error, RuntimeError) and str(error) == "no running event loop"


def _ends_the_process(error: BaseException, end: Sequence[Event]) -> bool:
    """Whether a signal raised it. Of a KeyboardInterrupt only the circumstances tell.

    Python makes one of Ctrl-C in the main thread, as long as nobody handles the signal himself.
    Where the log says that this attempt ended with one, it is the handler's own.
    """
    if hasattr(error, "signum"):
        return True
    if not isinstance(error, KeyboardInterrupt):
        return False
    if end and end[0].type == "run_interrupted" and end[0].payload.get("reason") == _name(error):
        return False
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _name(error: BaseException) -> str:
    return type(error).__name__


class _BeyondLog(BaseException):
    """The handler does something that the log of its invocation does not hold."""


class _Follower(LogWriter):
    """Stands where the log writer stands, and writes nothing."""

    def __init__(self, state: RunState, hiding: Hiding) -> None:
        super().__init__(MemoryStore(), state, SystemClock(), Scrubber(hiding))
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
