"""Clauses of the client kit for any client. A docstring's first line is the rule, as reported."""

from __future__ import annotations

import copy
import json
import threading
from typing import cast

from replayt_core.errors import LLMError
from replayt_core.ports.llm import (
    DescribesRequests,
    HoldsSecrets,
    LLMClient,
    Usage,
)
from replayt_core.testing._llm_case import (
    HEADER_VALUE,
    SCHEMA,
    LLMCase,
    LLMClause,
    call,
    clauses_into,
    expect_kind,
    ignore,
    no_retry,
    refused,
    request,
)
from replayt_core.testing._llm_provider import KEY, Refuses, Says
from replayt_core.testing._store_case import ContractViolation, require

ANY_CLIENT: list[LLMClause] = []
_clause = clauses_into(ANY_CLIENT)


# --- base: any client, wherever its replies come from --------------------------------------------


@_clause("base")
def _a_call_returns_a_response(case: LLMCase) -> None:
    """`complete` returns a `ChatResponse` whose text is a `str`."""
    with case.client(Says()) as (client, _):
        require(isinstance(client, LLMClient), f"{type(client).__name__} has no `complete`")
        call(client, request())


@_clause("base")
def _a_structured_reply_is_one_object(case: LLMCase) -> None:
    """With `schema` the text is one JSON object that has the schema's required fields."""
    said = '{"verdict_contract": "good"}'
    with case.client(Says(text=said)) as (client, _):
        text = call(client, request(schema=SCHEMA)).text
        try:
            value = json.loads(text)
        except ValueError:
            raise ContractViolation(f"the text is no JSON: {text!r:.120}") from None
        require(
            isinstance(value, dict) and isinstance(value.get("verdict_contract"), str),
            f"the text is no object with the required field: {text!r:.120}",
        )


@_clause("base")
def _the_request_stays_as_it_is(case: LLMCase) -> None:
    """A call changes nothing in the request that it was given."""
    with case.client(Says(text='{"verdict_contract": "good"}')) as (client, _):
        asked = request("one", "two", schema=SCHEMA, seed=3, extra_headers={"X-A": HEADER_VALUE})
        before = copy.deepcopy(asked)
        call(client, asked)
        require(asked == before, "the request was changed")


@_clause("base")
def _a_client_makes_many_calls(case: LLMCase) -> None:
    """One client makes call after call, and in several threads."""
    with case.client(*[Says()] * 12) as (client, _):
        for _ in range(4):
            call(client, request())
        problems: list[Exception] = []

        def work() -> None:
            try:
                for _ in range(2):
                    call(client, request())
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        require(not problems, f"a call in a thread failed: {problems[:1]}")


# --- provider: what a provider said is what the caller gets ---------------------------------------


@_clause("provider")
def _a_text_arrives_whole(case: LLMCase) -> None:
    """The text of a reply arrives as it was said: any letters, lines, and 100 KB of it."""
    for text in (
        "hello",
        " leading, trailing \n\n",
        'Grüße, 東京, \N{GRINNING FACE}, \u2028 \\ " \t',
        "x" * 100_000,
    ):
        with case.client(Says(text=text)) as (client, _):
            got = call(client, request()).text
            require(got == text, f"{text!r:.60} arrived as {got!r:.60}")


@_clause("provider")
def _the_finish_reason_is_told(case: LLMCase) -> None:
    """A reply that was cut says `length`, or `content_filter`; core relies on these words."""
    for reason in ("stop", "length", "content_filter"):
        with case.client(Says(text="cut", finish_reason=reason)) as (client, _):
            try:
                got = client.complete(request(), on_retry=ignore).finish_reason
            except LLMError as error:
                kind = {"length": "truncated"}.get(reason, reason)
                expect_kind(error, f"a reply that ended with {reason}", kind)
                continue
            require(got == reason, f"finish_reason {reason!r} arrived as {got!r}")


@_clause("provider")
def _a_refusal_is_told(case: LLMCase) -> None:
    """A refusal arrives as `refusal`, or as `LLMError` of that kind, never as a plain text."""
    with case.client(Says(text="", refusal="I will not")) as (client, _):
        try:
            response = client.complete(request(), on_retry=ignore)
        except LLMError as error:
            expect_kind(error, "a refusal", "refusal")
            return
        require(response.refusal == "I will not", f"refusal arrived as {response.refusal!r}")


@_clause("provider")
def _nothing_is_made_of_an_empty_reply(case: LLMCase) -> None:
    """An empty reply stays empty, or is an `LLMError` of kind `empty`."""
    with case.client(Says(text="")) as (client, _):
        try:
            text = client.complete(request(), on_retry=ignore).text
        except LLMError as error:
            expect_kind(error, "an empty reply", "empty")
            return
        require(text == "", f"an empty reply arrived as {text!r:.60}")


@_clause("provider")
def _tool_calls_are_told(case: LLMCase) -> None:
    """A reply of tool calls alone has `has_tool_calls` and no text, or is an `LLMError`."""
    with case.client(Says(text="", tool_calls=True, finish_reason="tool_calls")) as (client, _):
        try:
            response = client.complete(request(), on_retry=ignore)
        except LLMError as error:
            expect_kind(error, "a reply of tool calls", "tool_calls_only", "empty")
            return
        flag = response.has_tool_calls
        require(
            flag and response.text == "",
            f"tool calls arrived as {response.text!r:.60}, has_tool_calls={flag}",
        )


@_clause("provider")
def _usage_is_what_was_counted(case: LLMCase) -> None:
    """Usage has the provider's numbers; what it did not count is None, not 0."""
    counted = Usage(prompt_tokens=11, completion_tokens=7, total_tokens=18)
    with case.client(Says(usage=counted)) as (client, _):
        got = call(client, request()).usage
        require(
            got is not None and (got.prompt_tokens, got.completion_tokens) == (11, 7),
            f"usage of 11 and 7 tokens arrived as {got}",
        )
    with case.client(Says()) as (client, _):
        got = call(client, request()).usage
        require(
            got is None or (got.prompt_tokens, got.total_tokens) == (None, None),
            f"usage that nobody counted arrived as {got}",
        )


@_clause("provider")
def _errors_are_llm_errors_by_kind(case: LLMCase) -> None:
    """A provider's refusal is an `LLMError` of the kind that its status means, and nothing else."""
    kinds = {
        400: ("bad_request",),
        401: ("auth",),
        403: ("auth",),
        404: ("not_found",),
        422: ("bad_request",),
        429: ("rate_limit",),
        500: ("server",),
        503: ("server",),
    }
    for status, allowed in kinds.items():
        with case.client(Refuses(status=status, retry_after="0")) as (client, _):
            error = refused(client, request(timeout_seconds=2), f"a {status}")
            expect_kind(error, f"a {status}", *allowed)
            require(error.status == status, f"a {status} arrived with status {error.status}")


@_clause("provider")
def _an_account_without_credit_is_quota(case: LLMCase) -> None:
    """A 429 that says `insufficient_quota` is of kind `quota`, and is not asked again."""
    with case.client(Refuses(status=429, code="insufficient_quota")) as (client, provider):
        error = refused(client, request(), "a 429 without credit", no_retry)
        expect_kind(error, "a 429 without credit", "quota")
        if case.replies == "http":
            require(len(provider.requests) == 1, f"it was asked {len(provider.requests)} times")


# --- describing ----------------------------------------------------------------------------------


@_clause("describing")
def _what_is_used_is_described(case: LLMCase) -> None:
    """`effective` is JSON, names the model, and follows the settings of the call (SC-54)."""
    with case.client(Says()) as (client, _):
        shown = cast(DescribesRequests, client).effective(request(timeout_seconds=7))
        json.dumps(dict(shown), allow_nan=False)
        require(bool(shown.get("model")), f"no model is named: {dict(shown)}")
        require(shown.get("timeout_seconds") == 7, f"a timeout of 7 s is not shown: {dict(shown)}")


@_clause("describing")
def _values_of_headers_are_not_described(case: LLMCase) -> None:
    """`effective` names headers and shows neither their values nor the key (SC-56)."""
    with case.client(Says()) as (client, _):
        asked = request(extra_headers={"X-Contract": HEADER_VALUE})
        text = json.dumps(dict(cast(DescribesRequests, client).effective(asked)))
        require(HEADER_VALUE not in text, "the value of a header is described")
        require(KEY not in text, "the key is described")


# --- secrets -------------------------------------------------------------------------------------


@_clause("provider")
def _no_error_shows_the_key(case: LLMCase) -> None:
    """Neither an error nor a `repr` shows the key, though the provider echoes it (SC-57)."""
    for status in (400, 401, 403, 500):
        with case.client(Refuses(status=status, message=f"wrong key {KEY}", retry_after="0")) as (
            client,
            _,
        ):
            error = refused(client, request(timeout_seconds=2), f"a {status}")
            if case.replies == "by hand":
                continue  # it says what it was told to say
            for shown in (str(error), repr(error), repr(vars(error))):
                require(KEY not in shown, f"the error of a {status} shows the key")
            require(KEY not in f"{client!r} {client}", "the repr of the client shows the key")


@_clause("secrets")
def _secrets_are_named(case: LLMCase) -> None:
    """`secrets` names the key, so that core can keep it out of every event."""
    with case.client(Says()) as (client, _):
        named = list(cast(HoldsSecrets, client).secrets())
        require(all(isinstance(item, str) and item for item in named), "a secret is no text")
        if case.replies == "http":
            require(KEY in named, "the key is not among the secrets")
