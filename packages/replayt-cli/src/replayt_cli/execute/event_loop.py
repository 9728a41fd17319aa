"""Executing a workflow with `async def` steps: an event loop, and signals that end it in order.

A signal that raised between two tasks would break the loop, and one that raised KeyboardInterrupt
inside a task as well. So it raises in the task that runs, or else the run is cancelled; the
cancellation carries its number, for the log to name it.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from replayt_cli.errors import Terminated
from replayt_cli.execute.signals import OrderlyEnd
from replayt_core import RunResult
from replayt_core.aio import AsyncRunner

Run = Coroutine[Any, Any, RunResult]


class Cancelled(asyncio.CancelledError):
    """The run is cancelled because of a signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum


class AwaitedRunner:
    """An `AsyncRunner` with the methods of a `Runner`: each of them runs an event loop."""

    def __init__(self, runner: AsyncRunner, end: OrderlyEnd) -> None:
        self._runner = runner
        self._end = end

    def check_resume(self, run_id: str, **given: Any) -> None:
        """See `Runner.check_resume`."""
        self._runner.check_resume(run_id, **given)

    def run(self, *args: Any, **given: Any) -> RunResult:
        """See `Runner.run`."""
        return self._await(lambda: self._runner.run(*args, **given))

    def resume(self, *args: Any, **given: Any) -> RunResult:
        """See `Runner.resume`."""
        return self._await(lambda: self._runner.resume(*args, **given))

    def fork(self, *args: Any, **given: Any) -> RunResult:
        """See `Runner.fork`."""
        return self._await(lambda: self._runner.fork(*args, **given))

    def _await(self, begin: Callable[[], Run]) -> RunResult:
        signalled: list[int] = []

        async def main() -> RunResult:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel(signum: int) -> bool:
                running = asyncio.current_task() is not None
                if running or signalled or task is None or task.done():
                    return False
                signalled.append(signum)
                loop.call_soon_threadsafe(task.cancel)
                return True

            with self._end.inside_a_loop(cancel):
                return await _told_of(begin(), signalled, self._end)

        try:
            return asyncio.run(main())
        except asyncio.CancelledError:
            if not signalled:
                raise
            raise Terminated(signalled[0]) from None


@types.coroutine
def _told_of(run: Run, signalled: list[int], end: OrderlyEnd) -> Generator[Any, Any, RunResult]:
    """Await `run`; where it is cancelled because of a signal, it is told which."""
    error: BaseException | None = None
    while True:
        try:
            waits_for = run.send(None) if error is None else run.throw(error)
        except StopIteration as stop:
            result: RunResult = stop.value
            return result
        error = None
        try:
            yield waits_for
        except asyncio.CancelledError as cancelled:
            error = Cancelled(signalled[0]) if signalled else cancelled
            if signalled:
                end.was_raised(signalled[0], error)
        except GeneratorExit:
            run.close()
            raise
        except BaseException as other:
            error = other
