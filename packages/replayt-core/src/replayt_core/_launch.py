"""What every runner shares: its settings, and how a run is begun, taken up or forked.

Each way in holds the run's lock, checks everything before anything is written, and hands out the
session that a driver then drives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from replayt_core._attempt import Services
from replayt_core._fold import RunState, fold, new_state
from replayt_core._fork import find_fork_point
from replayt_core._hiding import Hiding, check_redact_keys
from replayt_core._journal import CallAnswer
from replayt_core._llm_source import LLMSource
from replayt_core._log_writer import LogWriter, hold, repair
from replayt_core._machine import MAX_STEPS
from replayt_core._outcome import Started
from replayt_core._recovery import (
    ResumeOptions,
    check_answerable,
    plan_resume,
    require_revealed,
)
from replayt_core._session import Session
from replayt_core._values import to_json_value
from replayt_core.budget import Budget
from replayt_core.errors import (
    ConflictError,
    DefinitionError,
    RefusedError,
    RunExistsError,
    RunNotFoundError,
    VisitNotFoundError,
)
from replayt_core.ports.llm import LLMClient, LLMClientFactory
from replayt_core.ports.store import EventStore, LocksRuns
from replayt_core.ports.system import Clock, IdSource, SystemClock, UUIDv7Source
from replayt_core.redaction import LogMode, Scrubber
from replayt_core.run_ids import check_run_id
from replayt_core.tools import make_tool
from replayt_core.workflow import Workflow

_RUN_IDS = UUIDv7Source()


class Launcher:
    """The settings of a runner, and the ways into a run. It keeps nothing between runs."""

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
        timeout_seconds: float | None = None,
        budget: Budget | None = None,
        redact_keys: Sequence[str] = (),
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
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise DefinitionError("Runner: timeout_seconds must be above 0")
        self._timeout = timeout_seconds
        if budget is not None and not isinstance(budget, Budget):
            raise DefinitionError(f"Runner: budget is a Budget, not a {type(budget).__name__}")
        self._budget = budget
        self._redact_keys = check_redact_keys(redact_keys)
        _check_mode(self.log_mode, self._redact_keys)
        self._clock = clock or SystemClock()
        self._ids = ids or _RUN_IDS

    def check_resume(
        self,
        run_id: str,
        *,
        approval_id: str | None = None,
        approved: bool = True,
        allow_changed: bool = False,
        restart_state: bool = False,
        supplied: Mapping[str, Any] | None = None,
    ) -> None:
        """Raise what a resume would raise once `approval_id` is answered; nothing is written.

        Ask it before an answer is given, so that none is spent on a run that is then refused.
        """
        check_run_id(run_id)
        state = fold(run_id, self.store.read(run_id))
        if state.phase == "absent":
            raise RunNotFoundError(f"no run {run_id!r} in this store")
        options = ResumeOptions(
            allow_changed=allow_changed,
            restart_state=restart_state,
            supplied=_json_object(supplied, "supplied"),
        )
        check_answerable(self.workflow, state, options, approval_id=approval_id, approved=approved)
        mode = LogMode.parse(state.summary.log_mode or self.log_mode)
        require_revealed(state, self._hiding(state, mode, options))

    @contextmanager
    def starting(
        self,
        inputs: Mapping[str, Any] | None,
        run_id: str | None,
        tags: Mapping[str, str] | None,
    ) -> Iterator[Session]:
        """A new run, its first batch written."""
        self.workflow.startable()
        started = Started(
            inputs=_json_object(inputs, "inputs"),
            tags=_checked_tags(tags, self._redact_keys),
            log_mode=self.log_mode.value,
            redact_keys=self._redact_keys,
        )
        with self._begun(run_id, started, Hiding(self._redact_keys)) as session:
            yield session

    @contextmanager
    def forking(
        self,
        run_id: str,
        at: int | str,
        changes: Mapping[str, Any] | None,
        new_run_id: str | None,
        tags: Mapping[str, str] | None,
    ) -> Iterator[Session]:
        """A new run that begins at a state entry of another; nothing is served from that one."""
        check_run_id(run_id)
        self.workflow.startable()
        point = find_fork_point(run_id, self.store.read(run_id), at)
        if point.state not in self.workflow.steps:
            raise VisitNotFoundError(
                f"run {run_id} cannot be forked at {point.state!r}: workflow "
                f"{self.workflow.name!r} has no such step"
            )
        names = point.redact_keys | frozenset(self._redact_keys)
        _check_mode(self.log_mode, names)
        new = _json_object(changes, "the changed context")
        if not point.context_known and not new:
            raise RefusedError(
                f"run {run_id} was written by an older release (its log is unchained), which does "
                f"not say what the context held at {point.state!r}: fork at {point.begun_at!r}, "
                "where it began, or say what it lacks with changes (--set key=JSON)"
            )
        hiding = Hiding(names, new)
        started = Started(
            inputs=hiding.reveal_known(point.inputs),
            tags=_checked_tags(tags, names),
            log_mode=self.log_mode.value,
            state=point.state,
            redact_keys=tuple(sorted(names)),
            context=hiding.reveal({**point.context, **new}),
            forked_from={"run_id": run_id, "seq": point.seq, "hash": point.hash},
        )
        hiding.trust(point.inputs)
        with self._begun(new_run_id, started, hiding) as session:
            yield session

    @contextmanager
    def taking_up(
        self, run_id: str, options: ResumeOptions, *, take_over: bool
    ) -> Iterator[Session]:
        """A run that goes on; where it still waits for a person, nothing is written."""
        check_run_id(run_id)
        with hold(self.store, run_id):
            state = fold(run_id, self.store.read(run_id))
            if state.phase == "absent":
                raise RunNotFoundError(f"no run {run_id!r} in this store")
            plan = plan_resume(self.workflow, state, options)
            mode = LogMode.parse(state.summary.log_mode or self.log_mode)
            hiding = self._hiding(state, mode, options)
            if plan is not None:
                require_revealed(state, hiding)
                plan = replace(plan, redact_keys=tuple(sorted(hiding.names - state.redact_keys)))
            writer = LogWriter(self.store, state, self._clock, Scrubber(hiding))
            session = self._session(writer, mode, options.answers)
            if plan is None:
                yield session
                return
            if plan.reason == "interrupted" and not (
                take_over or isinstance(self.store, LocksRuns)
            ):
                raise RefusedError(
                    f"run {run_id} has no end and this store has no locks: somebody may be "
                    "executing it; make sure nobody is, then use take_over=True (--take-over)"
                )
            session.record(plan, repair(self.store, run_id))
            with _unwinding(session):
                yield session

    @contextmanager
    def _begun(self, run_id: str | None, started: Started, hiding: Hiding) -> Iterator[Session]:
        run_id = check_run_id(self._ids.new_run_id() if run_id is None else run_id)
        with hold(self.store, run_id):
            if next(iter(self.store.read(run_id)), None) is not None:
                raise _exists(run_id)
            writer = LogWriter(self.store, new_state(run_id), self._clock, Scrubber(hiding))
            session = self._session(writer, self.log_mode)
            try:
                session.record(started, repair(self.store, run_id))
            except ConflictError:
                raise _exists(run_id) from None
            with _unwinding(session):
                yield session

    def _hiding(self, state: RunState, mode: LogMode, options: ResumeOptions) -> Hiding:
        names = state.redact_keys | frozenset(self._redact_keys)
        _check_mode(mode, names)
        return Hiding(names, options.supplied)

    def _session(
        self,
        writer: LogWriter,
        mode: LogMode,
        answers: Mapping[int, CallAnswer] | None = None,
    ) -> Session:
        services = Services(
            workflow=self.workflow,
            writer=writer,
            mode=mode,
            llm=LLMSource(writer.scrubber, self._llm_client, self._llm_settings),
            clock=self._clock,
            deadline=None if self._timeout is None else self._clock.monotonic() + self._timeout,
            budget=self._budget,
        )
        return Session(services, self._tools, max_steps=self._max_steps, answers=answers)


@contextmanager
def _unwinding(session: Session) -> Iterator[None]:
    """Whatever ends the process between two handlers is written down too."""
    try:
        yield
    except BaseException as error:
        session.unwound(error)
        raise


def resume_options(
    *,
    retry_calls: Sequence[int] = (),
    call_results: Mapping[int, Any] | None = None,
    failed_calls: Sequence[int] = (),
    allow_changed: bool = False,
    retry_failed: bool = False,
    restart_state: bool = False,
    supplied: Mapping[str, Any] | None = None,
) -> ResumeOptions:
    """The options of a resume, with what was said of calls gathered by seq."""
    answers = {seq: CallAnswer("retry") for seq in retry_calls}
    for seq, value in (call_results or {}).items():
        answers[seq] = CallAnswer("result", to_json_value(value, f"result of call {seq}"))
    answers.update({seq: CallAnswer("fail") for seq in failed_calls})
    return ResumeOptions(
        answers=answers,
        allow_changed=allow_changed,
        retry_failed=retry_failed,
        restart_state=restart_state,
        supplied=_json_object(supplied, "supplied"),
    )


def _check_mode(mode: LogMode, names: Collection[str]) -> None:
    if names and mode is LogMode.full:
        raise DefinitionError(
            "redact_keys hides fields, and log mode full keeps messages and replies as they are: "
            "use log mode redacted or structured_only"
        )


def _exists(run_id: str) -> RunExistsError:
    return RunExistsError(
        f"run {run_id} exists; a used run id is never started again: choose another, or resume it"
    )


def _json_object(value: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise DefinitionError(f"{what}: a mapping of names to values, not a {type(value).__name__}")
    return cast("dict[str, Any]", to_json_value(dict(value or {}), what))


def _checked_tags(tags: Mapping[str, str] | None, hidden: Collection[str]) -> dict[str, str]:
    if tags is not None and not isinstance(tags, Mapping):
        raise DefinitionError(f"tags: a mapping of text to text, not a {type(tags).__name__}")
    for key, value in (tags or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise DefinitionError(f"tags are text to text, not {key!r:.60}: {value!r:.60}")
        if key in hidden:
            raise DefinitionError(
                f"tags: {key!r:.60} is one of redact_keys, and a run is found by its tags, so the "
                "log keeps them as they are: leave it out"
            )
    return cast("dict[str, str]", to_json_value(dict(tags or {}), "tags"))
