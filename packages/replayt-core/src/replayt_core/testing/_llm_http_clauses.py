"""Clauses of the client kit for clients that call a server, and for those that can be awaited."""

from __future__ import annotations

import threading
from typing import Any, cast

from replayt_core.errors import LLMError
from replayt_core.ports.llm import AsyncLLMClient, RetryNotice, Usage
from replayt_core.testing._llm_case import (
    HEADER_VALUE,
    SCHEMA,
    LLMCase,
    LLMClause,
    call,
    call_async,
    cancelled,
    clauses_into,
    expect_kind,
    ignore,
    no_retry,
    refused,
    refused_within,
    request,
)
from replayt_core.testing._llm_provider import KEY, Breaks, Refuses, Says, Silence
from replayt_core.testing._store_case import ContractViolation, require

BUSY = Refuses(status=503, retry_after="0")
CALLING: list[LLMClause] = []
_clause = clauses_into(CALLING)


# --- http: what is sent, and when ----------------------------------------------------------------


@_clause("http")
def _messages_are_sent(case: LLMCase) -> None:
    """Every message is sent, in order, with its text as it is."""
    texts = ("first contract text", 'second, with "quotes" and Grüße', "third contract text")
    with case.client(Says()) as (client, provider):
        call(client, request(*texts))
        sent = [value for value in provider.requests[0].values() if value in texts]
        require(sent == list(texts), f"of the messages {sent} were sent")


@_clause("http")
def _the_key_is_sent_in_a_header(case: LLMCase) -> None:
    """The key goes to the provider in a header, not in the body."""
    with case.client(Says()) as (client, provider):
        call(client, request())
        seen = provider.requests[0]
        require(any(KEY in value for value in seen.headers.values()), "no header holds the key")
        require(KEY not in seen.text(), "the body holds the key")


@_clause("http")
def _settings_of_a_call_are_sent(case: LLMCase) -> None:
    """Model, temperature and max_tokens of a call are what the provider is asked for (SC-55)."""
    with case.client(Says()) as (client, provider):
        call(client, request(model="contract-model-7", temperature=0.375, max_tokens=12_345))
        values = provider.requests[0].values()
        for name, value in (("model", "contract-model-7"), ("temperature", 0.375),
                            ("max_tokens", 12_345)):  # fmt: skip
            require(value in values, f"{name} {value!r} was not sent")


@_clause("http")
def _headers_of_a_call_are_sent(case: LLMCase) -> None:
    """`extra_headers` of a call are sent with it, and with no other."""
    with case.client(Says()) as (client, provider):
        call(client, request(extra_headers={"X-Contract": HEADER_VALUE}))
        call(client, request())
        sent = [seen.headers.get("x-contract") for seen in provider.requests]
        require(sent == [HEADER_VALUE, None], f"X-Contract was sent as {sent}")


@_clause("http")
def _a_schema_is_sent(case: LLMCase) -> None:
    """With `schema` the provider is told the shape, in whatever way it takes one."""
    with case.client(Says(text='{"verdict_contract": "good"}')) as (client, provider):
        call(client, request(schema=SCHEMA))
        require("verdict_contract" in provider.requests[0].text(), "the schema was not sent")


@_clause("http")
def _the_timeout_ends_a_call(case: LLMCase) -> None:
    """A provider that says nothing ends as `LLMError` `timeout` when `timeout_seconds` are over."""
    with case.client(Silence()) as (client, _):
        asked = request(timeout_seconds=0.5)
        error = refused_within(case.patience_seconds, client, asked, "a timeout of 0.5 s")
        expect_kind(error, "silence", "timeout")


@_clause("http")
def _retries_stay_within_the_timeout(case: LLMCase) -> None:
    """A retry that would come after `timeout_seconds` is not waited for."""
    with case.client(Refuses(status=429, retry_after="3600")) as (client, _):
        asked, what = request(timeout_seconds=0.5), "a 429 to be repeated in an hour"
        refused_within(case.patience_seconds, client, asked, what)


@_clause("http")
def _a_reply_that_is_none_is_an_error(case: LLMCase) -> None:
    """A broken answer is an `LLMError`, of kind `protocol` or `connection`."""
    page = b"<html>proxy</html>"
    html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
    for what, data in (
        ("a hang-up", b""),
        ("no HTTP", b"SSH-2.0-nonsense\r\n\r\n"),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"),
        ("an HTML page", html % (len(page), page)),
        ("JSON of another shape", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
    ):
        with case.client(Breaks(data=data)) as (client, _):
            error = refused(client, request(timeout_seconds=5), what)
            expect_kind(error, what, "protocol", "connection", "timeout")


@_clause("http")
def _a_retry_is_told_before_it_is_made(case: LLMCase) -> None:
    """`on_retry` is called before each further request: no retry is silent."""
    with case.client(BUSY, BUSY, Says()) as (client, provider):
        seen: list[int] = []

        def on_retry(notice: RetryNotice) -> None:
            require(isinstance(notice, RetryNotice), f"on_retry was given {notice!r:.80}")
            require(notice.delay_seconds >= 0, f"a wait of {notice.delay_seconds} s was told")
            seen.append(len(provider.requests))

        try:
            client.complete(request(), on_retry=on_retry)
        except LLMError as error:
            expect_kind(error, "a 503", "server")
        made = len(provider.requests)
        require(
            seen == list(range(1, made)),
            f"{made} requests were made; on_retry was called after {seen} of them",
        )


@_clause("http")
def _what_on_retry_raises_ends_the_call(case: LLMCase) -> None:
    """What `on_retry` raises ends the call as it is, and nothing more is sent."""

    class Over(Exception):
        pass

    def on_retry(notice: RetryNotice) -> None:
        raise Over

    with case.client(BUSY) as (client, provider):
        try:
            client.complete(request(), on_retry=on_retry)
        except Over:
            require(len(provider.requests) == 1, "a request was sent after on_retry raised")
        except LLMError:
            require(len(provider.requests) == 1, "what on_retry raised was swallowed")
        else:
            raise ContractViolation("a 503 was taken for a reply")


@_clause("http")
def _what_cannot_help_is_not_repeated(case: LLMCase) -> None:
    """A 400, 401, 403 or 404 is asked once: the same request would fail again."""
    for status in (400, 401, 403, 404):
        with case.client(Refuses(status=status)) as (client, provider):
            refused(client, request(), f"a {status}", no_retry)
            require(len(provider.requests) == 1, f"a {status} was asked for again")


# --- async ---------------------------------------------------------------------------------------


@_clause("async")
def _an_awaited_call_gives_the_same(case: LLMCase) -> None:
    """`complete_async` gives the response that `complete` gives."""
    said = Says(text="hello, awaited", usage=Usage(prompt_tokens=3, completion_tokens=2))
    with case.client(said, said) as (client, _):
        one = call(client, request())
        two = call_async(cast(AsyncLLMClient, client), request())
        require(
            (one.text, one.usage, one.finish_reason) == (two.text, two.usage, two.finish_reason),
            f"{one} and, awaited, {two}",
        )


@_clause("async")
def _an_awaited_error_is_the_same(case: LLMCase) -> None:
    """`complete_async` raises the `LLMError` that `complete` raises."""
    import asyncio

    if case.replies == "its own":
        return
    with case.client(Refuses(status=401)) as (client, _):
        waits = cast(AsyncLLMClient, client)
        try:
            asyncio.run(waits.complete_async(request(), on_retry=ignore))
        except LLMError as error:
            expect_kind(error, "a 401, awaited,", "auth")
        else:
            raise ContractViolation("a 401, awaited, was taken for a reply")


@_clause("async")
def _awaited_calls_are_in_flight_together(case: LLMCase) -> None:
    """Calls that are awaited together are made together: the event loop is not held up."""
    import asyncio

    if case.replies != "http":
        return
    with case.client(Says(), together=3) as (client, _):
        waits = cast(AsyncLLMClient, client)

        async def three() -> list[Any]:
            calls = [waits.complete_async(request(), on_retry=ignore) for _ in range(3)]
            return await asyncio.gather(*calls, return_exceptions=True)

        failed = [item for item in asyncio.run(three()) if isinstance(item, BaseException)]
        require(not failed, f"three calls at once: {failed[:1]!r}")


@_clause("async")
def _on_retry_is_called_in_the_loop(case: LLMCase) -> None:
    """`on_retry` of an awaited call is called in the thread of the event loop."""
    import asyncio

    if case.replies != "http":
        return
    with case.client(BUSY, Says()) as (client, _):
        threads: set[int] = set()

        def on_retry(notice: RetryNotice) -> None:
            threads.add(threading.get_ident())

        try:
            asyncio.run(cast(AsyncLLMClient, client).complete_async(request(), on_retry=on_retry))
        except LLMError as error:
            expect_kind(error, "a 503", "server")
        require(threads <= {threading.get_ident()}, "on_retry was called in another thread")


@_clause("async")
def _cancelling_ends_a_call(case: LLMCase) -> None:
    """Cancelling an awaited call ends it: `CancelledError`, and the connection is closed."""
    import asyncio

    if case.replies != "http":
        return
    with case.client(Silence()) as (client, provider):
        ended = asyncio.run(cancelled(cast(AsyncLLMClient, client), provider))
        require(ended, "a cancelled call did not end with CancelledError")
        require(provider.hung_up.wait(10), "the provider still holds the connection after 10 s")
