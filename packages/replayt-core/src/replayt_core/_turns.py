"""The calls of an `async def` handler: awaited live, and handed over one at a time.

Which task of a handler wakes next is decided by which result it gets next, so that order has to be
the same live and served. Hence one turnstile for both, for results and for cancelled calls alike.
Live, they are logged and handed over in the order they arrive; served, each waits until it is the
next event of the log: every call and note before it was made. In both cases the event loop gets
some turns between two hand-overs, in which whatever the last one set off comes to rest. When the
log runs out, calls whose result it lacks are made again in `call` order.

A handler that waits for something else than the log hands over would wait for ever. Where all that
it awaits, through tasks and `gather`, are calls in here, that is certain and found at once. Behind
anything else (a lock, a timer, a thread, `TaskGroup`, `asyncio.wait`) it is found by patience.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import suppress
from typing import Any, TypeVar

from replayt_core._attempt import Attempt
from replayt_core._effects import (
    Call,
    CallInterrupted,
    Complete,
    Effect,
    Invoke,
    Serve,
    Start,
    invoke,
)
from replayt_core._journal import CANCELLED, HANDLER_ENDED, RecordedCall, describe_call
from replayt_core._live_effects import carry_out, stop
from replayt_core.errors import DeterminismError

T = TypeVar("T")
Waiter = asyncio.Future[BaseException | None]

SETTLE_TURNS = 30
STALL_TURNS = 100
POLL_SECONDS = 0.02
_UNWRITTEN = sys.maxsize
"""Where the request stands that the log does not hold yet: behind everything."""
_NEVER = _UNWRITTEN + 1
"""Where nothing stands: such a call waits until its handler is over."""


class _Closed(BaseException):
    """The handler is over: whoever still waits for a call stops waiting."""


_PATIENCE_FOLLOWING = 10.0
"""Verify makes no call, so what has not moved for this long waits for what the log lacks."""


class Turns:
    """The calls of one attempt that are under way, and whose turn it is."""

    patience_seconds = 300.0

    def __init__(self, attempt: Attempt) -> None:
        self.handler: asyncio.Task[object] | None = None
        self._attempt = attempt
        self._journal = attempt.journal
        if self._journal.followed is not None:
            self.patience_seconds = _PATIENCE_FOLLOWING
        self._loop = asyncio.get_running_loop()
        finished = [call for call in self._journal.recorded.values() if call.finished]
        finished.sort(key=lambda call: call.end_seq)
        self._results = {call.call: call for call in finished}
        self._serving: dict[int, tuple[RecordedCall, Waiter]] = {}
        self._cancelled: set[int] = set()
        self._inline: set[int] = set()
        self._border = self._journal.border()
        self._starting: dict[int, tuple[int, Waiter]] = {}
        self._arrived: deque[Waiter] = deque()
        self._waiters: dict[Waiter, None] = {}  # a set would wake them in random order
        self._calls: set[asyncio.Future[None]] = set()
        self._in_flight = 0
        self._abandoned = False
        self._timer: asyncio.Handle | None = None
        self._turns = 0
        self._last_move = 0.0

    async def perform(self, call: Call[T]) -> T:
        """Run a call to its end, awaiting its effects."""
        if self._abandoned:
            call.close()
            raise asyncio.CancelledError
        over = self._loop.create_future()
        self._calls.add(over)
        try:
            if self._journal.divergence is not None:
                raise self._journal.divergence
            effect = next(call)
            while True:
                try:
                    result = await self._perform_effect(effect)
                except BaseException as error:
                    effect = call.throw(error)
                else:
                    effect = call.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        except (CallInterrupted, _Closed) as signal:
            raise asyncio.CancelledError from signal
        finally:
            call.close()
            self._calls.discard(over)
            over.cancel()

    def abandon(self) -> None:
        """The run is being given up: calls in flight get no end in the log."""
        self._abandoned = True

    async def close(self) -> asyncio.CancelledError | None:
        """Cancel the calls that are under way, and wait until each has its end in the log."""
        self._attempt.closed = True
        cancelled: asyncio.CancelledError | None = None
        while self._calls:
            for waiter in self._waiters:
                _wake(waiter, _Closed())
            try:
                await asyncio.wait(self._calls.copy())
            except asyncio.CancelledError as error:
                cancelled = error
                self.abandon()
        if self._timer is not None:
            self._timer.cancel()
        return cancelled

    async def _perform_effect(self, effect: Effect) -> Any:
        if isinstance(effect, Start):
            left_open = self._journal.left_open(effect.call)
            return await self._start(effect.call, _NEVER if left_open else _UNWRITTEN)
        if isinstance(effect, Serve):
            return await self._serve(effect.recorded, inline=effect.inline)
        if isinstance(effect, Invoke) and not effect.waits:
            return invoke(effect)
        return await self._live(effect)

    async def _start(self, call: int, seq: int = _UNWRITTEN) -> None:
        """Wait until everything that the log has before `seq` was handed over."""
        if seq != _NEVER and not self._held_up(seq):
            return
        waiter: Waiter = self._loop.create_future()
        self._starting[call] = (seq, waiter)
        try:
            await self._wait(waiter)
        finally:
            del self._starting[call]

    def _held_up(self, seq: int) -> bool:
        return (
            any(result.end_seq < seq for result in self._results.values())
            or any(other <= seq for other, _ in self._starting.values())
            or (seq == _UNWRITTEN and self._lags_behind())
        )

    def _lags_behind(self) -> bool:
        """Whether a process that is followed has not yet made all that the log holds of it.

        Its first call beyond the log unwinds the task that makes it, and that may wake others.
        """
        if self._journal.followed is None:
            return False
        return self._journal.missing_before(_UNWRITTEN) is not None

    async def _serve(self, recorded: RecordedCall, *, inline: bool) -> None:
        """Wait until the recorded result is the next event of the log."""
        try:
            if inline:
                self._inline.add(recorded.call)
            await self._start(recorded.call, recorded.seq)  # as it did in a resume
            if not inline:
                await self._until_served(recorded)
        finally:
            self._inline.discard(recorded.call)
            self._serving.pop(recorded.call, None)
            self._results.pop(recorded.call, None)
            self._cancelled.discard(recorded.call)

    async def _until_served(self, recorded: RecordedCall) -> None:
        cancelled: asyncio.CancelledError | None = None
        while True:
            waiter: Waiter = self._loop.create_future()
            self._serving[recorded.call] = (recorded, waiter)
            try:
                await self._wait(waiter)
            except asyncio.CancelledError as error:
                ended = recorded.error_type in (CANCELLED, HANDLER_ENDED)
                if not ended or self._gives_up():
                    raise
                self._cancelled.add(recorded.call)  # the handler hears of it in its turn
                cancelled = cancelled or error
            else:
                if cancelled is not None:
                    raise cancelled
                return

    async def _live(self, effect: Complete | Invoke) -> Any:
        """Have the effect done by a task of its own, and wait for its turn to be handed over."""
        done: Waiter = self._loop.create_future()
        task = self._loop.create_task(carry_out(effect, self._attempt.services.writer))
        task.add_done_callback(lambda _: _wake(done))
        self._in_flight += 1
        try:
            await self._wait(done, moves=False)
            await self._arrive()
        except (asyncio.CancelledError, _Closed) as error:
            await stop(task)
            if self._abandoned:
                raise asyncio.CancelledError from None
            by_handler = (
                isinstance(error, asyncio.CancelledError) and await self._cancelled_in_turn()
            )
            raise CallInterrupted(by_handler=by_handler) from error
        finally:
            self._in_flight -= 1
        if task.cancelled():
            raise RuntimeError("the call was cancelled from inside")
        return task.result()

    async def _arrive(self) -> None:
        """Wait for the turn of a result that has arrived."""
        arrived: Waiter = self._loop.create_future()
        self._arrived.append(arrived)
        try:
            await self._wait(arrived)
        finally:
            if arrived in self._arrived:
                self._arrived.remove(arrived)

    async def _cancelled_in_turn(self) -> bool:
        """Wait until the handler may hear that its call is cancelled; False where it ends before.

        That wakes a task like any result, so it has its place among them. Where the handler pauses,
        a `TaskGroup` cancels what is in flight: after the answer nobody would cancel it again.
        """
        while not self._gives_up():
            try:
                await self._arrive()
            except asyncio.CancelledError:
                continue
            except _Closed:
                return False
            return True
        return False

    def _gives_up(self) -> bool:
        """Whether whoever is cancelled now is so because the handler or its run ends."""
        return self._abandoned or self._attempt.pause_signal is not None

    async def _wait(self, waiter: Waiter, *, moves: bool = True) -> None:
        if self._attempt.closed:
            raise _Closed
        if moves:
            self._keep_turning()
        self._waiters[waiter] = None
        try:
            error = await waiter
        finally:
            del self._waiters[waiter]
        if error is not None:
            raise error

    # Whose turn it is.

    def _keep_turning(self) -> None:
        """Count the turns of the loop from now, unless they are being counted."""
        if self._timer is None or isinstance(self._timer, asyncio.TimerHandle):
            if self._timer is not None:
                self._timer.cancel()
            self._moved()
            self._timer = self._loop.call_soon(self._turn)

    def _moved(self) -> None:
        self._turns = 0
        self._last_move = self._loop.time()

    def _turn(self) -> None:
        self._timer = None
        if not (self._serving or self._starting or self._arrived):
            return
        self._turns += 1
        if self._journal.divergence is not None:
            self._fail_all(self._journal.divergence)
            return
        if self._turns >= SETTLE_TURNS:
            due = self._due()
            for waiter in due:
                _wake(waiter)
            if due:
                self._moved()
        if self._turns < STALL_TURNS:
            self._timer = self._loop.call_soon(self._turn)
        elif self._stalled():
            if self.handler is not None and self._was_cancelled():
                self.abandon()
                self.handler.cancel()
                return
            self._diverge()
        else:
            self._timer = self._loop.call_later(POLL_SECONDS, self._turn)

    def _due(self) -> list[Waiter]:
        """Who may go on now."""
        until = self._next_hand_over()
        starters = sorted(call for call, (seq, _) in self._starting.items() if seq < until)
        if starters and self._lags_behind():
            starters = [call for call in starters if self._starting[call][0] != _UNWRITTEN]
        if starters:
            return [self._starting[call][1] for call in starters]
        if self._results:
            result = self._next_result()
            _, waiter = self._serving.get(result.call, (None, None))
            if waiter is None or self._waits_for_cancel(result):
                return []  # not asked for yet, or not cancelled
            return [] if self._journal.missing_before(result.end_seq) else [waiter]
        return [self._arrived.popleft()] if self._arrived else []

    def _next_hand_over(self) -> int:
        """The seq before which whoever waits to start may start now."""
        border = self._border
        for result in self._results.values():
            if border is None or result.end_seq <= border:
                return result.end_seq
            self._border = None
            # What the process had to make itself it began all at once, when it had all that was
            # there before it; a call that returns without waiting held up none of the others.
            if result.call not in self._inline:
                return result.end_seq
        return _NEVER

    def _waits_for_cancel(self, recorded: RecordedCall) -> bool:
        """Whether only the handler can end the call: it cancelled it when it was recorded."""
        return recorded.error_type == CANCELLED and recorded.call not in self._cancelled

    def _next_result(self) -> RecordedCall:
        return next(iter(self._results.values()))

    # A handler that waits for what never comes.

    def _was_cancelled(self) -> bool:
        """Whether the log tells of a run that was cancelled while it paused."""
        left_open = any(seq == _NEVER for seq, _ in self._starting.values())
        return left_open and self._attempt.pause is not None

    def _stalled(self) -> bool:
        if self._in_flight:
            return False
        if self._loop.time() - self._last_move > self.patience_seconds:
            return True
        return self.handler is not None and self._only_waits_here(self.handler)

    def _only_waits_here(self, future: Any) -> bool:
        """Whether nothing but a hand-over could end `future`. In doubt, no."""
        if isinstance(future, asyncio.Task):
            # Not public, but in all Pythons there are; without it only patience is left.
            return self._only_waits_here(getattr(future, "_fut_waiter", None))
        children = [child for child in getattr(future, "_children", ()) if not child.done()]
        if children:
            return all(map(self._only_waits_here, children))
        if any(future is waiter for _, waiter in self._starting.values()):
            return True
        return any(
            future is waiter and not self._waits_for_cancel(recorded)
            for recorded, waiter in self._serving.values()
        )

    def _diverge(self) -> None:
        waiting = [describe_call(call.kind, call.request) for call, _ in self._serving.values()]
        waiting += [f"call {call}" for call in sorted(self._starting)]
        recorded, seq = "the handler ended without waiting for it", None
        if self._results:
            result = self._next_result()
            missing = self._journal.missing_before(result.end_seq)
            seq, recorded = missing or (
                result.end_seq,
                f"the end of {describe_call(result.kind, result.request)}",
            )
        with suppress(DeterminismError):
            self._journal.diverge(
                "the handler waits for something else than what comes next",
                recorded,
                "the handler waits for " + "; ".join(waiting),
                seq,
            )
        if self._journal.divergence is not None:
            self._fail_all(self._journal.divergence)

    def _fail_all(self, error: BaseException) -> None:
        for waiter in self._waiters:
            _wake(waiter, error)


def _wake(waiter: Waiter, error: BaseException | None = None) -> None:
    if not waiter.done():
        waiter.set_result(error)
