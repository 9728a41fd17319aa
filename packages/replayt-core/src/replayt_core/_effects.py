"""Effects that a driver performs for a call, so that sync and async share all the rest.

A call is written once, as a generator that yields an effect and is sent its result. `perform` runs
it synchronously; the async driver (`_turns`) awaits the same effects.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from replayt_core._journal import CANCELLED, HANDLER_ENDED, RecordedCall
from replayt_core.errors import DefinitionError
from replayt_core.ports.llm import ChatRequest, LLMClient, RetryListener

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Start:
    """A call is about to be made live; where others are served still, it waits for the log's end.

    There is no result.
    """

    call: int


@dataclass(frozen=True, slots=True)
class Serve:
    """A call is about to be served. There is no result.

    `inline` says that the call, when it was live, did not let other tasks run.
    """

    recorded: RecordedCall
    inline: bool


@dataclass(frozen=True, slots=True)
class Complete:
    """Make a model call; the result is a `ChatResponse`, or None where there is no client."""

    client: LLMClient | None
    request: ChatRequest
    on_retry: RetryListener


@dataclass(frozen=True, slots=True)
class Invoke:
    """Run the body of a tool; the result is what it returns. `waits`: it is `async def`."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    waits: bool


Effect = Start | Serve | Complete | Invoke
Call = Generator[Effect, Any, T]


class CallInterrupted(BaseException):
    """Thrown into a call that was cancelled while its effect was under way; the call logs it.

    `error_type` is what is logged: `CancelledError` where the handler's own code cancelled the
    call (and saw that error), `HandlerEnded` where the handler was over before the call was.
    """

    def __init__(self, *, by_handler: bool) -> None:
        self.error_type = CANCELLED if by_handler else HANDLER_ENDED
        super().__init__(
            "the handler cancelled the call"
            if by_handler
            else "the handler ended while the call was in flight"
        )


class PerformsCalls(Protocol):
    """How an async bridge or tool box gets a call done."""

    async def perform(self, call: Call[T]) -> T:
        """Run a call to its end, awaiting its effects."""
        ...


def perform(call: Call[T]) -> T:
    """Run a call to its end, performing each of its effects here and now."""
    try:
        effect = next(call)
        while True:
            try:
                result = _perform_effect(effect)
            except BaseException as error:
                effect = call.throw(error)
            else:
                effect = call.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _perform_effect(effect: Effect) -> Any:
    if isinstance(effect, Complete):
        if effect.client is None:
            return None
        return effect.client.complete(effect.request, on_retry=effect.on_retry)
    return invoke(effect) if isinstance(effect, Invoke) else None


def invoke(effect: Invoke) -> Any:
    """What a tool's body returns; that it is awaitable has to be declared."""
    value = effect.function(**effect.arguments)
    if isinstance(value, Coroutine) and not effect.waits:
        value.close()
        raise DefinitionError("a tool that returns a coroutine has to be `async def`")
    return value


def discard_awaitable(value: object) -> None:
    """End what nobody is going to await, so that Python does not complain of it."""
    if isinstance(value, Coroutine):
        value.close()
    elif inspect.isawaitable(value):
        cancel = getattr(value, "cancel", None)  # a task or a future
        if callable(cancel):
            cancel()
