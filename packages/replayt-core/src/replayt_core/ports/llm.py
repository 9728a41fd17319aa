"""What an LLM client must do (one method), and what it may do besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, JsonValue

Message = Mapping[str, JsonValue]
"""One chat message: `role` and `content` (text, or a list of content parts)."""


@dataclass(frozen=True, kw_only=True)
class CallSettings:
    """What a handler asked for with `with_settings`; None leaves the client's own setting.

    `timeout_seconds` is the total for the call, transport retries included.
    """

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_seconds: float | None = None
    seed: int | None = None
    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)

    def overrides(self) -> dict[str, JsonValue]:
        """What was asked, for the log: only what is set, and of headers only their names."""
        asked: dict[str, JsonValue] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None:
                continue
            if item.name == "extra_headers":
                value = sorted(value)
            asked[item.name] = value
        return asked


@dataclass(frozen=True, kw_only=True)
class ResponseSchema:
    """The shape a structured reply must have: a name and its JSON Schema.

    `model` is the class that will judge the reply, where core knows it. A client sends the schema;
    one that makes replies up may ask the class what it thinks of them.
    """

    name: str
    json_schema: Mapping[str, JsonValue]
    model: type[BaseModel] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One model call. With `schema` the reply must be one JSON object of that shape."""

    messages: tuple[Message, ...]
    settings: CallSettings = CallSettings()
    schema: ResponseSchema | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChatResponse:
    """A reply as it arrived. Core decides whether it is a success: `''` never is."""

    text: str
    model: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    has_tool_calls: bool = False
    usage: Usage | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RetryNotice:
    """The client waits `delay_seconds` and tries a call again.

    `max_retries` is how often it tries one again at most; None where it does not say.
    """

    delay_seconds: float
    status: int | None = None
    error_kind: str | None = None
    max_retries: int | None = None


RetryListener = Callable[[RetryNotice], None]
"""What a client calls before it waits and tries again."""


@runtime_checkable
class LLMClient(Protocol):
    """Makes model calls."""

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """The reply to `request`. Calls `on_retry` before each transport retry.

        Raises `LLMError` for everything that went wrong, and nothing else.
        """
        ...


@runtime_checkable
class AsyncLLMClient(Protocol):
    """A client whose calls can be awaited: what `AsyncRunner` uses where a client has it.

    A client without it is called in a thread, where cancelling a call does not stop it.
    """

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        """The reply to `request`, as `complete` would give it; cancelling it ends the call.

        `on_retry` is called in the event loop's thread.
        """
        ...


@runtime_checkable
class LLMClientFactory(Protocol):
    """Something that has a client to give, such as settings."""

    def client(self) -> LLMClient:
        """The client; asked once a run, at the first model call."""
        ...


@runtime_checkable
class DescribesRequests(Protocol):
    """A client that can say beforehand what it will use for a request."""

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        """Provider, host, model, sampling, limits, structured mode; header names, never values.

        Raises `LLMError` when the call cannot be made at all, for example without a key.
        """
        ...


@runtime_checkable
class HoldsSecrets(Protocol):
    """Something that knows live secrets, which no event may hold."""

    def secrets(self) -> Sequence[str]:
        """The secrets, in clear."""
        ...
