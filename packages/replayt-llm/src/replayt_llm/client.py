"""A chat client for every server that speaks the OpenAI-compatible protocol."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from replayt_core.ports import ChatRequest, ChatResponse, RetryListener
from replayt_llm import _wire
from replayt_llm._exchange import Transport
from replayt_llm._retry import post_with_retries
from replayt_llm.settings import LLMSettings


class OpenAICompatClient:
    """Makes model calls as `settings` say. Can be shared by runs and threads.

    Connections are opened at the first call and kept for later ones; `close` gives them back.
    """

    def __init__(
        self,
        settings: LLMSettings,
        *,
        transport: Transport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """The reply to `request`, within its total deadline. `on_retry` is told before each wait.

        Raises `LLMError` by kind.
        """
        made = _wire.plan(self._settings, request)
        reply = post_with_retries(
            _wire.http_call(made, request),
            self._connection(),
            on_retry,
            timeout_seconds=made.timeout_seconds,
            max_retries=self._settings.max_retries,
            monotonic=self._monotonic,
            sleep=self._sleep,
            jitter=self._jitter,
        )
        return _wire.chat_response(reply, made.secrets)

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

    def _connection(self) -> Transport:
        if self._transport is None:
            # Here and not above: httpx takes longer to import than the rest, and many runs of the
            # command line make no call.
            from replayt_llm._transport import HTTPTransport

            self._transport = HTTPTransport()
        return self._transport

    def __repr__(self) -> str:
        return f"OpenAICompatClient({self._settings!r})"
