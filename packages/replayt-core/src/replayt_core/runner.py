"""`Runner`: drives a workflow's handlers, one attempt after the other, and logs all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any

from replayt_core._attempt import Attempt
from replayt_core._effects import discard_awaitable
from replayt_core._launch import Launcher, resume_options
from replayt_core._machine import next_action
from replayt_core._outcome import Enter, Entered, Execute, Interrupted, Outcome
from replayt_core._session import RunResult, Session
from replayt_core.context import RunContext
from replayt_core.errors import DefinitionError


class Runner(Launcher):
    """Runs one workflow against one store.

    `llm_client` is a client, `llm_settings` anything with `client()`; with neither, an installed
    default is asked for at the first model call. `tools` are functions for all steps.
    `timeout_seconds` is the time of one `run`, `resume` or `fork`: deadlines are checked at calls,
    waits and boundaries, and bound model calls; a run that is over it fails. `budget` is what a run
    may use of models, over all its resumes. `redact_keys` names fields that no log may hold: their
    values stay in this process, and the log has their hashes. A runner keeps nothing between runs.
    """

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
        with self.starting(inputs, run_id, tags) as session:
            return self._drive(session)

    def resume(
        self,
        run_id: str,
        *,
        retry_calls: Sequence[int] = (),
        call_results: Mapping[int, Any] | None = None,
        failed_calls: Sequence[int] = (),
        allow_changed: bool = False,
        retry_failed: bool = False,
        restart_state: bool = False,
        take_over: bool = False,
        supplied: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Take a run up where its log ends: after an answered approval, a crash, a signal.

        Committed states never run again. A state that was cut short starts at its top, and the
        calls it had finished are served from the log. A run that still waits is returned as
        `paused`, and nothing is written. A tool call with an unknown outcome is settled by its
        seq: made again, given its result, or failed. `retry_failed` tries the last state of a
        failed run again; `restart_state` begins the state anew, its calls made again.
        `take_over` is needed where the store has no locks and the log has no end. `supplied` hands
        values in again that the log has hidden: by name, or inside what held them. Raises a
        `RefusedError` where the run must not be taken up; nothing is written then.
        """
        options = resume_options(
            retry_calls=retry_calls,
            call_results=call_results,
            failed_calls=failed_calls,
            allow_changed=allow_changed,
            retry_failed=retry_failed,
            restart_state=restart_state,
            supplied=supplied,
        )
        with self.taking_up(run_id, options, take_over=take_over) as session:
            return self._drive(session)

    def fork(
        self,
        run_id: str,
        at: int | str,
        *,
        changes: Mapping[str, Any] | None = None,
        new_run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Start a new run from a state entry of another, with `changes` made to its context.

        `at` is a seq (the visit it belongs to) or a state (its last visit; `STATE:2`: the
        second). Calls are real and approvals are asked again; nothing is served from the parent.
        The log of a run of replayt 0.1 to 0.4 knows the context only where the run began: to fork
        it elsewhere without `changes` raises `RefusedError`.
        """
        with self.forking(run_id, at, changes, new_run_id, tags) as session:
            return self._drive(session)

    def _drive(self, session: Session) -> RunResult:
        """Do what the machine says until it says stop."""
        while True:
            action = next_action(session.state)
            if isinstance(action, Execute):
                self._execute(session)
            elif isinstance(action, Enter):
                if action.delay_seconds:
                    self._clock.sleep(session.seconds_to_wait(action.delay_seconds))
                session.record(session.overdue() or Entered())
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
        step.check_context(attempt.data.committed)
        value: object = step.handler(RunContext(attempt, session.tools))
        if isawaitable(value):
            discard_awaitable(value)
            raise DefinitionError(
                f"step {step.name!r} is `async def`, or returns something to be awaited; use "
                "AsyncRunner"
            )
        return value
