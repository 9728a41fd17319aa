"""One HTTP exchange as data, and who performs it. Knows no HTTP library.

A model call is written once, as a generator of what has to be done: send, or wait. `perform` does
it here and now, `perform_async` awaits it; there is no second copy of a call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from replayt_core.errors import LLMError, LLMErrorKind

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class HTTPCall:
    """A request to make. `where` names it in messages; `url` may hold a query and is not shown."""

    url: str = field(repr=False)
    where: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    loopback: bool
    method: Literal["GET", "POST"] = "POST"
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class HTTPReply:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class NotSentError(LLMError):
    """No connection came about, so the server has not seen the request: safe to repeat."""

    def __init__(self, message: str, *, kind: LLMErrorKind = "connection") -> None:
        super().__init__(kind, message)


class Transport(Protocol):
    """Makes one attempt."""

    def send(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The complete reply within `seconds`. Raises `LLMError`, or `NotSentError`."""
        ...

    async def send_async(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The same, awaited; cancelling it ends the attempt."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


@dataclass(frozen=True, slots=True)
class Send:
    """Make one attempt; the result is its `HTTPReply`, or the `LLMError` that it raised."""

    call: HTTPCall
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass. There is no result."""

    seconds: float


Exchange = Generator[Send | Wait, Any, T]


def perform(steps: Exchange[T], transport: Transport, sleep: Callable[[float], None]) -> T:
    """Do each step of an exchange, in this thread, and return what it makes of them."""
    try:
        step = next(steps)
        while True:
            try:
                result: HTTPReply | None = None
                if isinstance(step, Wait):
                    sleep(step.seconds)
                else:
                    result = transport.send(step.call, seconds=step.seconds)
            except LLMError as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def perform_async(
    steps: Exchange[T], transport: Transport, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """Await each step of an exchange and return what it makes of them."""
    try:
        step = next(steps)
        while True:
            try:
                result: HTTPReply | None = None
                if isinstance(step, Wait):
                    await sleep(step.seconds)
                else:
                    result = await transport.send_async(step.call, seconds=step.seconds)
            except LLMError as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
