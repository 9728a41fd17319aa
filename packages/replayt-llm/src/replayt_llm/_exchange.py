"""One HTTP exchange as data, and what a transport must do. Knows no HTTP library.

An asynchronous client can share everything but the transport and the waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from replayt_core.errors import LLMError, LLMErrorKind


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

    def close(self) -> None:
        """Give connections back."""
        ...
