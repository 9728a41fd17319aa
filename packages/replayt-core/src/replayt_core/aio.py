"""`AsyncRunner`: drives `async def` handlers; the same engine, calls and events as `Runner`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from replayt_core._handler_task import Ended, run_handler
from replayt_core._launch import Launcher, resume_options
from replayt_core._machine import next_action
from replayt_core._outcome import Enter, Entered, Execute, Interrupted, Outcome
from replayt_core._session import RunResult, Session
from replayt_core.context import AsyncRunContext
from replayt_core.errors import DefinitionError
from replayt_core.ports.system import AsyncClock

__all__ = ["AsyncRunContext", "AsyncRunner"]


class AsyncRunner(Launcher):
    """Runs one workflow against one store, with handlers that may await.

    Takes what `Runner` takes. A handler gets an `AsyncRunContext`, whose calls are awaited, several
    at once if need be; a plain function is a handler too. Cancelling `run` writes the run down as
    interrupted, and it can be resumed. A client without `complete_async` is called in a thread.

    Calls are numbered in the order they start, so start them in an order of your own: `gather`,
    `TaskGroup` and a list of tasks do, while `asyncio.as_completed` starts bare coroutines in any.
    """

    async def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        resume: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Start a run and execute it to its end or its next pause; see `Runner.run`."""
        if resume:
            if run_id is None:
                raise DefinitionError("run(resume=True) needs the run_id of the run to resume")
            return await self.resume(run_id)
        with self.starting(inputs, run_id, tags) as session:
            return await self._drive(session)

    async def resume(
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
        """Take a run up where its log ends; see `Runner.resume`.

        Concurrent calls are served in the recorded order; those without a result are made again.
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
            return await self._drive(session)

    async def fork(
        self,
        run_id: str,
        at: int | str,
        *,
        changes: Mapping[str, Any] | None = None,
        new_run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Start a new run from a state entry of another; see `Runner.fork`."""
        with self.forking(run_id, at, changes, new_run_id, tags) as session:
            return await self._drive(session)

    async def _drive(self, session: Session) -> RunResult:
        """Do what the machine says until it says stop."""
        while True:
            action = next_action(session.state)
            if isinstance(action, Execute):
                await self._execute(session)
            elif isinstance(action, Enter):
                if action.delay_seconds:
                    await self._wait(session.seconds_to_wait(action.delay_seconds))
                session.record(session.overdue() or Entered())
            else:
                return session.result()

    async def _execute(self, session: Session) -> None:
        """Run the handler of the open attempt and record what came of it."""
        attempt = session.open_attempt()
        started = self._clock.monotonic()
        ended = await run_handler(attempt, session.step(), session.tools)
        error = _ending(ended)
        outcome: Outcome
        if error is not None:
            outcome = session.raised(attempt, error)
        else:
            elapsed = max(self._clock.monotonic() - started, 0.0) * 1000
            outcome = session.returned(attempt, ended.value, round(elapsed, 3))
        session.record(outcome)
        if ended.cancelled is not None:
            raise ended.cancelled
        if error is not None and isinstance(outcome, Interrupted):
            raise error

    async def _wait(self, seconds: float) -> None:
        clock = self._clock
        if isinstance(clock, AsyncClock):
            await clock.sleep_async(seconds)
        else:
            await asyncio.to_thread(clock.sleep, seconds)


def _ending(ended: Ended) -> BaseException | None:
    """What ended the handler; that its runner was cancelled overrides what it made of it."""
    if ended.cancelled is None or not isinstance(
        ended.error, Exception | asyncio.CancelledError | None
    ):
        return ended.error
    return ended.cancelled
