"""Running one `async def` handler as a task: in the loop of its runner, or in one of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from replayt_core._attempt import Attempt
from replayt_core._turns import Turns
from replayt_core.context import AsyncRunContext
from replayt_core.tools import Tool
from replayt_core.workflow import Step


@dataclass(frozen=True, slots=True)
class Ended:
    """How a handler ended; `cancelled` is set where its runner was cancelled meanwhile."""

    value: object
    error: BaseException | None
    cancelled: asyncio.CancelledError | None


async def run_handler(attempt: Attempt, step: Step, tools: Iterable[Tool]) -> Ended:
    """Run a handler to its end, and then its calls to theirs."""
    calls = Turns(attempt)
    handler = asyncio.create_task(_call(attempt, step, tools, calls))
    calls.handler = handler
    cancelled: asyncio.CancelledError | None = None
    while not handler.done():
        try:
            await asyncio.wait({handler})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            calls.abandon()
            handler.cancel()
    value: object = None
    failure: BaseException | None = None
    try:
        value = handler.result()
    except BaseException as error:
        failure = error
        if not isinstance(error, Exception) and attempt.pause is None:
            calls.abandon()
    cancelled = await calls.close() or cancelled
    return Ended(value, failure, cancelled)


def run_apart(attempt: Attempt, step: Step, tools: Iterable[Tool]) -> Ended:
    """Run a handler in an event loop of its own, in another thread where one runs already.

    At the deadline of its attempt it is cancelled.
    """

    async def main() -> Ended:
        attempt.move_to_this_thread()
        loop, here = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda _loop, _context: None)
        left = attempt.seconds_left()
        if left is not None and here is not None:
            loop.call_later(left, here.cancel)
        return await run_handler(attempt, step, tools)

    try:
        if not _in_a_loop():
            return asyncio.run(main())
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(main())).result()
    except (KeyboardInterrupt, SystemExit) as error:
        return Ended(None, error, None)  # a loop lets these two through, whichever task raised them


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _call(attempt: Attempt, step: Step, tools: Iterable[Tool], calls: Turns) -> object:
    step.check_context(attempt.data.committed)
    handler = cast("Callable[[AsyncRunContext], object]", step.handler)
    value = handler(AsyncRunContext(attempt, tools, calls))
    return await value if inspect.isawaitable(value) else value
