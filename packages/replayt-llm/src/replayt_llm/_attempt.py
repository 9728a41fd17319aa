"""One attempt in a thread of its own: waited for or awaited, for exactly as long as it may take."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from replayt_core.errors import LLMError
from replayt_llm._exchange import HTTPReply


class Attempt:
    """Does `work` once, in `seconds` at most.

    An attempt that is given up is ended by `abandon`; `close` is called when it is over, unless it
    ended well.
    """

    def __init__(
        self,
        work: Callable[[], HTTPReply],
        *,
        seconds: float,
        abandon: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self._work = work
        self._seconds = seconds
        self._abandon = abandon
        self._close = close
        self._reply: HTTPReply | None = None
        self._error: BaseException | None = None
        self._over = False
        self._given_up = False

    def wait(self) -> HTTPReply:
        """The reply. Raises `LLMError`, and what breaks into the waiting."""
        over = threading.Event()
        try:
            self._start(over.set)
            over.wait(self._seconds)
            return self._result()
        except BaseException:  # also Ctrl-C and the step's own timeout
            self._give_up()
            raise

    async def wait_async(self) -> HTTPReply:
        """The same, awaited; cancelling it gives the attempt up."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        def tell() -> None:  # in the attempt's thread
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(wake)

        try:
            self._start(tell)
            # Not wait_for, which could lose a cancellation before Python 3.12.
            await asyncio.wait({over}, timeout=self._seconds)
            return self._result()
        except BaseException:
            self._give_up()
            raise

    def _start(self, tell: Callable[[], object]) -> None:
        """Begin; `tell` is called in the attempt's thread when it is over, however it ended."""
        thread = threading.Thread(
            target=self._run, args=(tell,), name="replayt-llm-call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._over = True
            raise LLMError(
                "other",
                "the system gives no further thread to make the call in: make fewer at once.",
            ) from None

    def _run(self, tell: Callable[[], object]) -> None:
        try:
            self._reply = self._work()
        except BaseException as exc:
            self._error = exc
        self._over = True  # before the look at the other flag: one of the two threads sees both
        if self._given_up or self._error is not None:
            self._close()
        tell()

    def _result(self) -> HTTPReply:
        if self._reply is not None:
            return self._reply
        if self._error is not None:
            raise self._error
        raise LLMError("timeout", f"no complete reply within {self._seconds:g} s.")

    def _give_up(self) -> None:
        self._given_up = True
        self._abandon()
        if self._over:
            self._close()
