"""What a clause of the client kit works with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from replayt_core.errors import LLMError
from replayt_core.ports.llm import (
    AsyncLLMClient,
    CallSettings,
    ChatRequest,
    ChatResponse,
    LLMClient,
    Message,
    ResponseSchema,
    RetryListener,
    RetryNotice,
)
from replayt_core.testing._llm_provider import Encoder, Provider, Turn
from replayt_core.testing._store_case import ContractViolation, require

ClientFactory = Callable[[Provider], LLMClient]
"""Makes the client to check, for the provider that it is to call."""

Replies = Literal["http", "by hand", "its own"]
"""Where a client's replies come from: it calls the provider over HTTP; it plays the provider's
turns itself, as a fake does; or it makes its replies up."""

LLMAbility = Literal["base", "provider", "http", "describing", "secrets", "async"]

SCHEMA = ResponseSchema(
    name="Verdict",
    json_schema={
        "type": "object",
        "properties": {"verdict_contract": {"type": "string"}},
        "required": ["verdict_contract"],
        "additionalProperties": False,
    },
)
PATIENCE_SECONDS = 10.0
"""After which a call with a timeout of half a second counts as endless: a busy machine is none."""
HEADER_VALUE = "header-value-contract-0123456789"


class LLMCase:
    """Makes clients for the provider that a clause describes, and calls them."""

    def __init__(
        self,
        factory: ClientFactory,
        *,
        replies: Replies,
        encode: Encoder,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.replies = replies
        self.patience_seconds = patience_seconds
        self._factory = factory
        self._encode = encode

    @contextmanager
    def client(self, *turns: Turn, together: int = 1) -> Iterator[tuple[LLMClient, Provider]]:
        """A client, and the provider that does these turns."""
        provider = Provider(turns, together=together)
        with provider.listening(self._encode):
            client = self._factory(provider)
            try:
                yield client, provider
            finally:
                close = getattr(client, "close", None)
                if callable(close):
                    close()


def request(
    *texts: str, schema: ResponseSchema | None = None, timeout_seconds: float = 20, **asked: Any
) -> ChatRequest:
    """A request with these user messages, else one that says hello."""
    messages: tuple[Message, ...] = tuple(
        {"role": "user", "content": text} for text in texts or ("hello",)
    )
    settings = CallSettings(timeout_seconds=timeout_seconds, **asked)
    return ChatRequest(messages=messages, settings=settings, schema=schema)


def no_retry(notice: RetryNotice) -> None:
    """For calls in which nothing has to be repeated."""
    raise ContractViolation(f"on_retry was called with {notice} though nothing failed")


def ignore(notice: RetryNotice) -> None:
    """For calls that may be repeated."""


def call(client: LLMClient, asked: ChatRequest, on_retry: RetryListener = no_retry) -> ChatResponse:
    """The response; raises `ContractViolation` for whatever else comes of the call."""
    try:
        return _checked(client.complete(asked, on_retry=on_retry))
    except LLMError as error:
        raise ContractViolation(f"a good reply was refused: {error.kind}, {error}") from error


def call_async(client: AsyncLLMClient, asked: ChatRequest) -> ChatResponse:
    """The same, awaited."""
    import asyncio

    try:
        return _checked(asyncio.run(client.complete_async(asked, on_retry=no_retry)))
    except LLMError as error:
        raise ContractViolation(f"a good reply was refused: {error.kind}, {error}") from error


def refused(
    client: LLMClient, asked: ChatRequest, what: str, on_retry: RetryListener = ignore
) -> LLMError:
    """The `LLMError` of a call that has to fail; anything else breaks the contract."""
    try:
        response = client.complete(asked, on_retry=on_retry)
    except LLMError as error:
        return error
    except Exception as error:
        name = type(error).__name__
        raise ContractViolation(f"{what} raised {name} ({error}), not LLMError") from error
    raise ContractViolation(f"{what} was taken for a reply: {response!r:.200}")


def refused_within(seconds: float, client: LLMClient, asked: ChatRequest, what: str) -> LLMError:
    """The same, of a call that must not take longer than that."""
    outcome: list[LLMError | ContractViolation] = []

    def work() -> None:
        try:
            outcome.append(refused(client, asked, what))
        except ContractViolation as violation:
            outcome.append(violation)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise ContractViolation(f"{what}: the call was not over after {seconds:g} s")
    if isinstance(outcome[0], ContractViolation):
        raise outcome[0]
    return outcome[0]


def expect_kind(error: LLMError, what: str, *kinds: str) -> None:
    """The error is of one of these kinds."""
    require(error.kind in kinds, f"{what} is of kind {error.kind!r}, not {' or '.join(kinds)}")


async def cancelled(client: AsyncLLMClient, provider: Provider) -> bool:
    """Whether a call ends with `CancelledError` when it is cancelled in mid-flight."""
    import asyncio

    pending = asyncio.ensure_future(client.complete_async(request(), on_retry=ignore))
    await asyncio.to_thread(provider.arrived.wait, 20)
    pending.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await pending
    return pending.cancelled()


@dataclass(frozen=True, kw_only=True)
class LLMClause:
    """One rule: `check` raises when the client breaks it."""

    name: str
    rule: str
    ability: LLMAbility
    check: Callable[[LLMCase], None]


def clauses_into(
    clauses: list[LLMClause],
) -> Callable[[LLMAbility], Callable[[Callable[[LLMCase], None]], None]]:
    """A decorator that makes a clause of a function and adds it to a list."""

    def of(ability: LLMAbility) -> Callable[[Callable[[LLMCase], None]], None]:
        def add(check: Callable[[LLMCase], None]) -> None:
            rule = (check.__doc__ or "").partition("\n")[0].rstrip(".")
            name = check.__name__.lstrip("_")
            clauses.append(LLMClause(name=name, rule=rule, ability=ability, check=check))

        return add

    return of


def _checked(response: Any) -> ChatResponse:
    require(
        isinstance(response, ChatResponse) and isinstance(response.text, str),
        f"the call returned {response!r:.120}, no ChatResponse with a text",
    )
    checked: ChatResponse = response
    return checked
