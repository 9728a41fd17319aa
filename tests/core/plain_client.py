"""A client of the standard library alone, right in every clause; tests break one at a time."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from replayt_core.errors import LLMError, LLMErrorKind
from replayt_core.ports.llm import (
    ChatRequest,
    ChatResponse,
    RetryListener,
    RetryNotice,
    Usage,
)
from replayt_core.testing.llm_contract import Provider

KINDS: dict[int, LLMErrorKind] = {
    400: "bad_request", 401: "auth", 403: "auth", 404: "not_found", 422: "bad_request",
    429: "rate_limit", 500: "server", 503: "server",
}  # fmt: skip
RETRIED = {429, 500, 503}


class PlainClient:
    """Speaks the OpenAI-compatible protocol. Each hook below is one thing that can be wrong."""

    retries = 2
    ends = True
    """Whether every call is over some time."""

    def __init__(self, provider: Provider) -> None:
        self._url = urlsplit(provider.base_url)
        self._key = provider.key

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        deadline = time.monotonic() + self.timeout_of(request)
        for attempt in range(self.retries + 1):
            status, headers, data = self.post(request, deadline)
            if status == 200:
                return self.response(data)
            error = self.error(status, data)
            wait = float(headers.get("Retry-After") or 0.05)
            again = self.is_retried(status, error) and attempt < self.retries
            if not again or time.monotonic() + wait > deadline:
                raise error
            self.tell(on_retry, RetryNotice(delay_seconds=wait, status=status))
            time.sleep(wait)
        raise AssertionError

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        loop, connections = asyncio.get_running_loop(), self._connections()

        def relay(notice: RetryNotice) -> None:
            asyncio.run_coroutine_threadsafe(self._tell(on_retry, notice), loop).result()

        def work() -> ChatResponse:
            _OPEN.connections = connections
            return self.complete(request, on_retry=relay)

        call = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await asyncio.wait({call})
        except asyncio.CancelledError:
            for connection in connections:
                if connection.sock is not None:
                    connection.sock.shutdown(2)
            await asyncio.wait({call})
            call.exception()
            raise
        return call.result()

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        asked = request.settings
        return {
            "model": asked.model or "plain",
            "timeout_seconds": asked.timeout_seconds,
            "extra_headers": [*(asked.extra_headers or {})],
        }

    def secrets(self) -> Sequence[str]:
        return [self._key]

    # What a broken client does otherwise.

    def timeout_of(self, request: ChatRequest) -> float:
        return request.settings.timeout_seconds or 60

    def is_retried(self, status: int, error: LLMError) -> bool:
        return status in RETRIED and error.kind != "quota"

    def tell(self, on_retry: RetryListener, notice: RetryNotice) -> None:
        on_retry(notice)

    def headers(self, request: ChatRequest) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", **(request.settings.extra_headers or {})}

    def body(self, request: ChatRequest) -> dict[str, Any]:
        asked = request.settings
        body: dict[str, Any] = {
            "model": asked.model or "plain",
            "messages": [dict(message) for message in request.messages],
        }
        if asked.temperature is not None:
            body["temperature"] = asked.temperature
        if asked.max_tokens is not None:
            body["max_tokens"] = asked.max_tokens
        if request.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": dict(request.schema.json_schema)},
            }
        return body

    def error(self, status: int, data: bytes) -> LLMError:
        said = json.loads(data)["error"]
        if said["code"] == "insufficient_quota":
            return LLMError("quota", "no credit", status=status)
        return LLMError(KINDS[status], f"answered {status}", status=status)

    def response(self, data: bytes) -> ChatResponse:
        try:
            found = json.loads(data)
            choice = found["choices"][0]
            message = choice["message"]
        except (ValueError, TypeError, LookupError):
            raise LLMError("protocol", "that is no chat completion") from None
        usage = found.get("usage")
        return ChatResponse(
            text=message["content"] or "",
            model=found["model"],
            finish_reason=choice["finish_reason"],
            refusal=message.get("refusal"),
            has_tool_calls=bool(message.get("tool_calls")),
            usage=Usage(**usage) if usage else None,
        )

    def post(self, request: ChatRequest, deadline: float) -> tuple[int, Mapping[str, str], bytes]:
        seconds = max(deadline - time.monotonic(), 0.01)
        connection = http.client.HTTPConnection(self._url.netloc, timeout=seconds)
        self._connections().append(connection)
        body = json.dumps(self.body(request)).encode()
        try:
            connection.request(
                "POST", f"{self._url.path}/chat/completions", body, self.headers(request)
            )
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        except TimeoutError:
            raise LLMError("timeout", "no reply in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise LLMError("protocol", type(error).__name__) from None
        finally:
            connection.close()

    # What cancelling shuts down.

    def _connections(self) -> list[http.client.HTTPConnection]:
        if not hasattr(_OPEN, "connections"):
            _OPEN.connections = []
        found: list[http.client.HTTPConnection] = _OPEN.connections
        del found[:-1]
        return found

    async def _tell(self, on_retry: RetryListener, notice: RetryNotice) -> None:
        self.tell(on_retry, notice)


_OPEN = threading.local()
