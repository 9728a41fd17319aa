"""`Runner`: drives a workflow's handlers, one attempt after the other, and logs all of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from replayt_core._attempt import Attempt, Services
from replayt_core._fold import fold, new_state
from replayt_core._journal import CallAnswer
from replayt_core._llm_bridge import LLMBridge
from replayt_core._llm_source import LLMSource
from replayt_core._log_writer import LogWriter, hold, repair
from replayt_core._machine import MAX_STEPS, next_action
from replayt_core._outcome import Enter, Entered, Execute, Interrupted, Outcome, Started
from replayt_core._recovery import plan_resume
from replayt_core._session import RunResult, Session
from replayt_core._values import to_json_value
from replayt_core.context import RunContext
from replayt_core.errors import (
    ConflictError,
    DefinitionError,
    RefusedError,
    RunExistsError,
    RunNotFoundError,
)
from replayt_core.ports.llm import LLMClient, LLMClientFactory
from replayt_core.ports.store import EventStore, LocksRuns
from replayt_core.ports.system import Clock, IdSource, SystemClock, UUIDv7Source
from replayt_core.redaction import LogMode, Scrubber
from replayt_core.run_ids import check_run_id
from replayt_core.tools import make_tool
from replayt_core.workflow import Workflow

_RUN_IDS = UUIDv7Source()


class Runner:
    """Runs one workflow against one store.

    `llm_client` is a client, `llm_settings` anything with `client()`; with neither, an installed
    default is asked for at the first model call. `tools` are functions for all steps. A runner
    keeps nothing between runs.
    """

    def __init__(
        self,
        workflow: Workflow,
        store: EventStore,
        *,
        log_mode: LogMode | str = LogMode.redacted,
        llm_settings: LLMClientFactory | None = None,
        llm_client: LLMClient | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        max_steps: int = MAX_STEPS,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        if max_steps < 1:
            raise DefinitionError("Runner: max_steps must be 1 or more")
        self.workflow = workflow
        self.store = store
        self.log_mode = LogMode.parse(log_mode)
        self._llm_settings = llm_settings
        self._llm_client = llm_client
        self._tools = [make_tool(function) for function in tools]
        self._max_steps = max_steps
        self._clock = clock or SystemClock()
        self._ids = ids or _RUN_IDS

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        resume: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Start a run and execute it to its end or its next pause.

        `inputs` become the context of the first step. A used `run_id` is refused with
        `RunExistsError`; with `resume=True` that run goes on, as with `resume()`.
        """
        if resume:
            if run_id is None:
                raise DefinitionError("run(resume=True) needs the run_id of the run to resume")
            return self.resume(run_id)
        self.workflow.startable()
        run_id = check_run_id(self._ids.new_run_id() if run_id is None else run_id)
        started = Started(
            inputs=cast("dict[str, Any]", to_json_value(dict(inputs or {}), "inputs")),
            tags=_checked_tags(tags),
            log_mode=self.log_mode.value,
        )
        with hold(self.store, run_id):
            if next(iter(self.store.read(run_id)), None) is not None:
                raise _exists(run_id)
            writer = LogWriter(self.store, new_state(run_id), self._clock, Scrubber())
            session = self._session(writer)
            try:
                session.record(started, repair(self.store, run_id))
            except ConflictError:
                raise _exists(run_id) from None
            return self._drive(session)

    def resume(
        self,
        run_id: str,
        *,
        retry_calls: Sequence[int] = (),
        call_results: Mapping[int, Any] | None = None,
        failed_calls: Sequence[int] = (),
        allow_changed: bool = False,
        take_over: bool = False,
    ) -> RunResult:
        """Take a run up where its log ends: after an answered approval, a crash, a signal.

        Committed states never run again. A state that was cut short starts at its top, and the
        calls it had finished are served from the log. A run that still waits is returned as
        `paused`, and nothing is written. A tool call with an unknown outcome is settled by its
        seq: made again, given its result, or failed. `take_over` is needed where the store has no
        locks and the log has no end. Raises a `RefusedError` where the run must not be taken up.
        """
        check_run_id(run_id)
        answers = _answers(retry_calls, call_results or {}, failed_calls)
        with hold(self.store, run_id):
            state = fold(run_id, self.store.read(run_id))
            if state.phase == "absent":
                raise RunNotFoundError(f"no run {run_id!r} in this store")
            plan = plan_resume(self.workflow, state, answers=answers, allow_changed=allow_changed)
            writer = LogWriter(self.store, state, self._clock, Scrubber())
            mode = LogMode.parse(state.summary.log_mode or self.log_mode)
            session = self._session(writer, mode, answers)
            if plan is None:
                return session.result()
            if plan.reason == "interrupted" and not (
                take_over or isinstance(self.store, LocksRuns)
            ):
                raise RefusedError(
                    f"run {run_id} has no end and this store has no locks: somebody may be "
                    "executing it; make sure nobody is, then use take_over=True"
                )
            session.record(plan, repair(self.store, run_id))
            return self._drive(session)

    def _session(
        self,
        writer: LogWriter,
        mode: LogMode | None = None,
        answers: Mapping[int, CallAnswer] | None = None,
    ) -> Session:
        services = Services(
            workflow=self.workflow,
            writer=writer,
            mode=mode or self.log_mode,
            llm=LLMSource(writer.scrubber, self._llm_client, self._llm_settings),
            clock=self._clock,
        )
        return Session(services, self._tools, max_steps=self._max_steps, answers=answers)

    def _drive(self, session: Session) -> RunResult:
        """Do what the machine says until it says stop."""
        while True:
            action = next_action(session.state)
            if isinstance(action, Execute):
                self._execute(session)
            elif isinstance(action, Enter):
                if action.delay_seconds:
                    self._wait(session, action.delay_seconds)
                session.record(Entered())
            else:
                return session.result()

    def _execute(self, session: Session) -> None:
        """Run the handler of the open attempt and record what came of it."""
        attempt = session.open_attempt()
        started = self._clock.monotonic()
        error: BaseException | None = None
        outcome: Outcome
        try:
            value = self._call_handler(session, attempt)
        except BaseException as raised:
            error = raised
            outcome = session.raised(attempt, raised)
        else:
            elapsed = max(self._clock.monotonic() - started, 0.0) * 1000
            outcome = session.returned(attempt, value, round(elapsed, 3))
        session.record(outcome)
        if error is not None and isinstance(outcome, Interrupted):
            raise error

    def _call_handler(self, session: Session, attempt: Attempt) -> object:
        step = session.step()
        step.check_context(session.state.context)
        value: object = step.handler(RunContext(attempt, LLMBridge(attempt), session.tools))
        if isinstance(value, Coroutine):
            value.close()
            raise DefinitionError(f"step {step.name!r} is `async def`; Runner runs plain functions")
        return value

    def _wait(self, session: Session, seconds: float) -> None:
        try:
            self._clock.sleep(seconds)
        except BaseException as error:
            session.record(Interrupted(reason=type(error).__name__))
            raise


def _exists(run_id: str) -> RunExistsError:
    return RunExistsError(
        f"run {run_id} exists; a used run id is never started again: choose another, or resume it"
    )


def _answers(
    retries: Sequence[int], results: Mapping[int, Any], failed: Sequence[int]
) -> dict[int, CallAnswer]:
    answers = {seq: CallAnswer("retry") for seq in retries}
    for seq, value in results.items():
        answers[seq] = CallAnswer("result", to_json_value(value, f"result of call {seq}"))
    answers.update({seq: CallAnswer("fail") for seq in failed})
    return answers


def _checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    for key, value in (tags or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise DefinitionError(f"tags are text to text, not {key!r:.60}: {value!r:.60}")
    return cast("dict[str, str]", to_json_value(dict(tags or {}), "tags"))
