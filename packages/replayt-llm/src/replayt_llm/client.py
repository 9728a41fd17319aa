"""A chat client for every server that speaks the OpenAI-compatible protocol."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import JsonValue

from replayt_core.ports import ChatRequest, ChatResponse, RetryListener
from replayt_llm import _wire
from replayt_llm._exchange import Exchange, HTTPCall, Transport, perform, perform_async
from replayt_llm._retry import with_retries
from replayt_llm.settings import LLMSettings


class OpenAICompatClient:
    """Makes model calls as `settings` say. Can be shared by runs, threads and event loops.

    Connections are opened at the first call and kept for later ones; `close` gives them back.
    """

    def __init__(
        self,
        settings: LLMSettings,
        *,
        transport: Transport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._guard = threading.Lock()
        self._monotonic = monotonic
        self._sleep = sleep
        self._sleep_async = sleep_async
        self._jitter = jitter

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """The reply to `request`, within its total deadline. `on_retry` is told before each wait.

        Raises `LLMError` by kind.
        """
        steps = self._exchange(request, on_retry)
        return perform(steps, self._connection(), self._sleep)

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        """The same, awaited. Cancelling it ends the call and closes its connection.

        `on_retry` is called in the event loop's thread.
        """
        import asyncio  # who never awaits need not wait for it

        steps = self._exchange(request, on_retry)
        transport = self._transport
        if transport is None:  # the first call imports httpx, which would hold up the loop
            transport = await asyncio.to_thread(self._connection)
        return await perform_async(steps, transport, self._sleep_async or asyncio.sleep)

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        """What a call will use. Raises `LLMError` (`not_configured`) when it cannot be made."""
        return _wire.effective(_wire.plan(self._settings, request))

    def secrets(self) -> Sequence[str]:
        """What must not appear in any event."""
        return self._settings.secrets()

    def close(self) -> None:
        """Close the connections that are kept. A later call opens new ones."""
        if self._transport is not None:
            self._transport.close()

    def _exchange(self, request: ChatRequest, on_retry: RetryListener) -> Exchange[ChatResponse]:
        """The whole call, to be performed; that it can be made is judged at once."""
        made = _wire.plan(self._settings, request)
        return self._steps(made, _wire.http_call(made, request), on_retry)

    def _steps(
        self, made: _wire.Plan, call: HTTPCall, on_retry: RetryListener
    ) -> Exchange[ChatResponse]:
        reply = yield from with_retries(
            call,
            on_retry,
            timeout_seconds=made.timeout_seconds,
            max_retries=self._settings.max_retries,
            monotonic=self._monotonic,
            jitter=self._jitter,
        )
        return _wire.chat_response(reply, made.secrets)

    def _connection(self) -> Transport:
        with self._guard:
            if self._transport is None:
                # Here and not above: httpx takes longer to import than the rest, and many runs of
                # the command line make no call.
                from replayt_llm._transport import HTTPTransport

                self._transport = HTTPTransport()
            return self._transport

    def __repr__(self) -> str:
        return f"OpenAICompatClient({self._settings!r})"
