"""`ctx.llm`: validated, logged, and never an exception of another kind (SC-46 to SC-58, SC-69)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, Field, JsonValue, SecretStr, field_validator

from replayt_core import (
    DefinitionError,
    LLMError,
    LogMode,
    MemoryStore,
    NotReplayableError,
    RunContext,
    Runner,
)
from replayt_core.payloads import PAYLOADS
from replayt_core.ports.llm import (
    CallSettings,
    ChatRequest,
    ChatResponse,
    LLMClient,
    RetryListener,
    RetryNotice,
    Usage,
)
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import ASK, Killed, log, one_step, only, payloads, run_once, types


class Ticket(BaseModel):
    team: str
    urgent: bool = False


def ask(answer: Any, schema: Any = Ticket, **run: Any) -> Any:
    """What `parse` returned, or the error it raised."""
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        try:
            got.append(ctx.llm.parse(schema, messages=ASK))
        except (LLMError, NotReplayableError) as error:
            got.append(error)

    mock = answer if isinstance(answer, MockLLMClient) else MockLLMClient().enqueue(answer)
    result = run_once(handler, llm_client=mock, **run)
    assert result.status == "completed", result.error
    return got[0]


def text(answer: Any, allow_truncated: bool = False, **run: Any) -> Any:
    """What `complete_text` returned, or the error it raised."""
    got: list[Any] = []

    def handler(ctx: RunContext) -> None:
        try:
            got.append(ctx.llm.complete_text(messages=ASK, allow_truncated=allow_truncated))
        except LLMError as error:
            got.append(error)

    mock = answer if isinstance(answer, MockLLMClient) else MockLLMClient().enqueue(answer)
    assert run_once(handler, llm_client=mock, **run).status == "completed"
    return got[0]


def test_parse_returns_a_validated_instance() -> None:
    """SC-46."""
    assert ask('{"team": "sales", "urgent": true}') == Ticket(team="sales", urgent=True)


def test_parse_sends_the_schema_and_the_messages() -> None:
    """SC-46."""
    mock = MockLLMClient().enqueue(Ticket(team="x"))
    ask(mock)
    (request,) = mock.requests
    assert request.schema is not None
    assert request.schema.name == "Ticket"
    assert "team" in request.schema.json_schema["properties"]  # type: ignore[operator]
    assert list(request.messages) == ASK


def test_prose_and_fences_around_one_object_are_fine() -> None:
    """SC-47."""
    assert ask('Sure:\n```json\n{"team": "a"}\n```').team == "a"


def test_two_objects_are_not_json() -> None:
    """SC-47."""
    assert ask('{"team": "a"} {"team": "b"}').kind == "not_json"


def test_a_reply_without_an_object_fails_with_an_explicit_message() -> None:
    """SC-48."""
    store = MemoryStore()
    error = ask("I would rather not.", store=store)
    assert (error.kind, "no JSON object" in str(error)) == ("not_json", True)
    failed = only(store, "structured_output_failed")
    assert (failed["stage"], failed["schema_name"]) == ("not_json", "Ticket")


def test_a_reply_that_fails_the_schema_fails_the_step_and_the_log_shows_which() -> None:
    """SC-49."""
    store = MemoryStore()
    error = ask('{"urgent": "maybe"}', store=store)
    assert error.kind == "schema"
    assert set(error.fields) == {"team: missing", "urgent: bool_parsing"}
    failed = only(store, "structured_output_failed")
    assert failed["schema_name"] == "Ticket"
    assert failed["stage"] == "schema"
    assert set(failed["fields"]) == set(error.fields)


def test_an_uncaught_failure_of_a_call_fails_the_run_naming_the_schema() -> None:
    """SC-48, SC-49."""
    mock = MockLLMClient().enqueue("{}")
    result = run_once(lambda ctx: ctx.llm.parse(Ticket, messages=ASK), llm_client=mock)
    assert result.status == "failed"
    assert (result.error or {})["type"] == "LLMError"
    assert (result.error or {})["kind"] == "schema"
    assert "Ticket" in (result.error or {})["message"]


def test_a_successful_parse_logs_the_output_with_schema_and_data() -> None:
    """SC-50, SC-69, SC-106: the final output is an event, in the batch of its response."""
    store = MemoryStore()
    ask('{"team": "a"}', store=store)
    assert only(store, "structured_output") == {
        "call": 1,
        "state": "only",
        "schema_name": "Ticket",
        "data": {"team": "a", "urgent": False},
    }
    response = next(event for event in log(store) if event.type == "llm_response")
    assert response.more


def test_complete_text_returns_text() -> None:
    """SC-51."""
    assert text("hello") == "hello"


def test_every_call_logs_one_request_and_one_response() -> None:
    """SC-52, SC-106."""
    store = MemoryStore()
    text("hello", store=store)
    request, response = only(store, "llm_request"), only(store, "llm_response")
    assert (request["call"], response["call"], response["ok"]) == (1, 1, True)
    assert request["state"] == response["state"] == "only"


def test_no_event_type_is_for_tokens() -> None:
    """SC-69: streaming tokens are not events."""
    assert not [name for name in PAYLOADS if "token" in name or "chunk" in name or "delta" in name]


def test_a_response_has_model_latency_usage_and_more() -> None:
    """SC-53."""
    store, clock = MemoryStore(), FrozenClock()

    class Slow(MockLLMClient):
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            clock.tick(0.25)
            return super().complete(request, on_retry=on_retry)

    reply = ChatResponse(
        text="x",
        model="m-1",
        finish_reason="stop",
        usage=Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
        request_id="req-1",
    )
    mock = Slow()
    mock.enqueue(reply)
    text(mock, store=store, clock=clock)
    response = only(store, "llm_response")
    assert response["model"] == "m-1"
    assert response["latency_ms"] == 250.0
    assert response["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }
    assert (response["finish_reason"], response["request_id"]) == ("stop", "req-1")


def test_effective_settings_stand_on_both_events() -> None:
    """SC-54."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        llm = ctx.llm.with_settings(
            model="m", temperature=0.5, max_tokens=9, timeout_seconds=3.0, seed=1
        )
        llm.complete_text(messages=ASK)

    run_once(handler, store=store, llm_client=MockLLMClient().enqueue("x"))
    for kind in ("llm_request", "llm_response"):
        effective = only(store, kind)["effective"]
        assert {name: effective[name] for name in ("model", "temperature", "max_tokens")} == {
            "model": "m",
            "temperature": 0.5,
            "max_tokens": 9,
        }
        assert effective["timeout_seconds"] == 3.0
    assert only(store, "llm_request")["overrides"]["seed"] == 1


def test_with_settings_returns_a_new_bridge_and_leaves_the_old_one() -> None:
    """SC-55: overrides visible in `effective`, merged when chained."""
    store, mock = MemoryStore(), MockLLMClient()
    for _ in range(3):
        mock.enqueue("x")

    def handler(ctx: RunContext) -> None:
        other = ctx.llm.with_settings(model="other")
        assert other is not ctx.llm
        both = other.with_settings(temperature=0.0, extra_headers={"A": "1"})
        more = both.with_settings(extra_headers={"B": "2"})
        for llm in (ctx.llm, other, more):
            llm.complete_text(messages=ASK)

    run_once(handler, store=store, llm_client=mock)
    assert [item["overrides"] for item in payloads(store, "llm_request")] == [
        {},
        {"model": "other"},
        {"model": "other", "temperature": 0.0, "extra_headers": ["A", "B"]},
    ]
    assert [request.settings.model for request in mock.requests] == [None, "other", "other"]
    assert mock.requests[2].settings.extra_headers == {"A": "1", "B": "2"}


def test_header_values_are_never_logged_nor_shown() -> None:
    """SC-56."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.llm.with_settings(extra_headers={"X-Team": "header-value-1"}).complete_text(
            messages=ASK
        )

    run_once(handler, store=store, llm_client=MockLLMClient().enqueue("x"), log_mode="full")
    raw = b"".join(event.line for event in log(store))
    assert b"X-Team" in raw
    assert b"header-value-1" not in raw
    assert "header-value-1" not in repr(CallSettings(extra_headers={"X": "header-value-1"}))


def test_without_any_client_the_error_says_what_to_do_and_is_logged() -> None:
    """SC-58: core's half; replayt-llm adds which variable is not set."""
    store = MemoryStore()

    class NoKey:
        def client(self) -> LLMClient:
            raise LLMError("not_configured", "OPENAI_API_KEY is not set")

    result = run_once(
        lambda ctx: ctx.llm.complete_text(messages=ASK), store=store, llm_settings=NoKey()
    )
    assert result.status == "failed"
    assert "OPENAI_API_KEY is not set" in (result.error or {})["message"]
    response = only(store, "llm_response")
    assert (response["ok"], response["error"]["kind"]) == (False, "not_configured")


def test_a_workflow_without_calls_never_asks_for_a_client() -> None:
    """SC-58: asked once, at the first model call."""
    asked: list[int] = []

    class Counts:
        def client(self) -> LLMClient:
            asked.append(1)
            return MockLLMClient().enqueue("x").enqueue("y")

    run_once(lambda ctx: None, llm_settings=Counts())
    assert not asked

    def twice(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)
        ctx.llm.complete_text(messages=ASK)

    run_once(twice, llm_settings=Counts())
    assert asked == [1]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"text": ""}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"text": "", "has_tool_calls": True}, "tool_calls_only"),
        ({"text": "x", "refusal": "no"}, "refusal"),
        ({"text": "x", "finish_reason": "content_filter"}, "content_filter"),
        ({"text": "x", "finish_reason": "length"}, "truncated"),
    ],
)
def test_what_is_no_success_is_an_error_of_its_kind(reply: dict[str, Any], kind: str) -> None:
    """SC-51, SC-52, DESIGN 2: `''` is never a success, and the call has its one end."""
    store = MemoryStore()
    error = text(ChatResponse(**reply), store=store)
    assert isinstance(error, LLMError)
    assert error.kind == kind
    assert only(store, "llm_response")["error"]["kind"] == kind


def test_a_truncated_text_is_taken_when_allowed() -> None:
    """SC-51."""
    reply = ChatResponse(text="half", finish_reason="length")
    assert text(reply, allow_truncated=True) == "half"
    assert text(ChatResponse(text="", finish_reason="length"), allow_truncated=True).kind == (
        "truncated"
    )


@pytest.mark.parametrize("raised", [RuntimeError("boom"), KeyError("x"), ValueError("\ud800")])
def test_whatever_a_client_raises_is_an_llm_error_with_the_original_as_cause(
    raised: Exception,
) -> None:
    """SC-52, DESIGN 2."""
    store = MemoryStore()
    error = text(MockLLMClient().enqueue(raised), store=store)
    assert isinstance(error, LLMError)
    assert error.kind == "other"
    assert error.__cause__ is not None
    assert only(store, "llm_response")["ok"] is False


@pytest.mark.parametrize(
    "reply",
    [
        ChatResponse(text="a\ud800b"),
        ChatResponse(text="ok", model="\udfff"),
        ChatResponse(text="ok", request_id="\ud800", finish_reason="\ud800"),
    ],
)
def test_lone_surrogates_of_a_provider_are_replaced(reply: ChatResponse) -> None:
    """R-24 (RELIABILITY b3): refused from users, replaced from a provider."""
    store = MemoryStore()
    got = text(reply, store=store, log_mode="full")
    assert got == reply.text.replace("\ud800", "\ufffd")
    assert only(store, "llm_response")["reply"]["content"] == got


class Judging(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def judge(cls, value: int) -> int:
        raise KeyError("a bug in a validator")


def test_a_validator_that_raises_something_else_ends_the_call_all_the_same() -> None:
    """SC-49, SC-52: every started call ends in exactly one response."""
    store = MemoryStore()
    error = ask('{"x": 1}', Judging, store=store)
    assert (error.kind, "KeyError" in str(error)) == ("schema", True)
    assert len(payloads(store, "llm_response")) == 1


def test_a_client_whose_settings_cannot_be_described_is_an_llm_error() -> None:
    """DESIGN 2: `LLMError`, whatever went wrong."""

    class Broken(MockLLMClient):
        def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
            raise RuntimeError("no settings")

    assert text(Broken().enqueue("x")).kind == "other"


class Secretive(BaseModel):
    shown: int
    token: SecretStr


class Forgetful(BaseModel):
    shown: int
    hidden: int = Field(default=0, exclude=True)


class Grows(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def grow(cls, value: int) -> int:
        return value + 1


@pytest.mark.parametrize(
    ("schema", "reply", "field"),
    [
        (Secretive, '{"shown": 1, "token": "abc"}', "token"),
        (Forgetful, '{"shown": 1, "hidden": 2}', "hidden"),
        (Grows, '{"n": 1}', "n"),
    ],
)
def test_an_output_that_would_not_come_back_fails_naming_the_fields(
    schema: Any, reply: str, field: str
) -> None:
    """DESIGN 2: `NotReplayableError`: live would differ from served."""
    store = MemoryStore()
    error = ask(reply, schema, store=store)
    assert isinstance(error, NotReplayableError)
    assert field in str(error)
    failed = only(store, "structured_output_failed")
    assert (failed["stage"], failed["fields"]) == ("not_replayable", [field])


class Aliased(BaseModel):
    order_id: int = Field(alias="orderId")
    at: list[tuple[int, str]] = []


def test_an_output_is_logged_by_alias_and_comes_back_equal() -> None:
    """SC-50, DESIGN 2."""
    store = MemoryStore()
    got = ask('{"orderId": 5, "at": [[1, "a"]]}', Aliased, store=store)
    assert got == Aliased(orderId=5, at=[(1, "a")])
    assert only(store, "structured_output")["data"] == {"orderId": 5, "at": [[1, "a"]]}


def test_retries_of_the_transport_are_events() -> None:
    """SC-106, DESIGN 3: no retry is silent."""
    store = MemoryStore()

    class Retries(MockLLMClient):
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            on_retry(RetryNotice(delay_seconds=1.5, status=429))
            on_retry(RetryNotice(delay_seconds=3.0, error_kind="connection", max_retries=2))
            return super().complete(request, on_retry=on_retry)

    mock = Retries()
    mock.enqueue("x")
    text(mock, store=store)
    told = {"call": 1, "status": None, "error": "connection", "delay_seconds": 3.0}
    assert payloads(store, "llm_retry") == [
        # How many there may be stands there where the client says it, and else not at all.
        {"call": 1, "status": 429, "error": None, "delay_seconds": 1.5},
        {**told, "max_retries": 2},
    ]


@pytest.mark.parametrize(
    "messages",
    [[], "hello", {"role": "user"}, ["hello"], [{"content": "x"}], [{"role": 5}]],
)
def test_messages_that_are_none_are_a_definition_error_and_nothing_is_logged(
    messages: Any,
) -> None:
    """SC-51."""
    store = MemoryStore()
    result = run_once(
        lambda ctx: ctx.llm.complete_text(messages=messages),
        store=store,
        llm_client=MockLLMClient().enqueue("x"),
    )
    assert (result.error or {})["type"] == DefinitionError.__name__
    assert "llm_request" not in types(store)


def test_content_parts_are_messages_too() -> None:
    """SC-51: a list of parts goes out as it is and is hashed as JSON."""
    store, mock = MemoryStore(), MockLLMClient().enqueue("x")
    parts = [{"role": "user", "content": [{"type": "text", "text": "ü"}]}]
    run_once(lambda ctx: ctx.llm.complete_text(messages=parts), store=store, llm_client=mock)
    assert list(mock.requests[0].messages) == parts
    assert only(store, "llm_request")["messages"][0]["bytes"] > 0


def test_parse_takes_a_model_class() -> None:
    """SC-46."""
    result = run_once(
        lambda ctx: ctx.llm.parse(dict, messages=ASK),  # type: ignore[type-var]
        llm_client=MockLLMClient().enqueue("x"),
    )
    assert (result.error or {})["type"] == DefinitionError.__name__


def test_a_failed_call_is_rebuilt_from_the_log_when_served() -> None:
    """DESIGN 2: a handler that catches takes the same branch."""
    seen: list[tuple[str, str, int | None]] = []

    def handler(ctx: RunContext) -> None:
        try:
            ctx.llm.complete_text(messages=ASK)
        except LLMError as error:
            seen.append((error.kind, str(error), error.status))
        if len(seen) == 1:
            raise Killed

    store = MemoryStore()
    mock = MockLLMClient().enqueue(LLMError("rate_limit", "slow down", status=429))
    with pytest.raises(Killed):
        run_once(handler, store=store, llm_client=mock)
    Runner(one_step(handler), store, llm_client=mock).resume("r1")
    assert seen == [("rate_limit", "slow down", 429)] * 2
    assert len(mock.requests) == 1


def test_the_log_mode_reaches_the_schema_text() -> None:
    """SC-71: the schema stands in `effective` in mode full, elsewhere its hash."""
    for mode in LogMode:
        store = MemoryStore()
        ask('{"team": "a"}', store=store, log_mode=mode)
        effective = only(store, "llm_request")["effective"]
        assert len(effective["schema_sha256"]) == 64
        assert ("schema" in effective) == (mode is LogMode.full)


def test_a_model_without_a_json_schema_is_refused_before_anything_is_asked() -> None:
    """House style 5: Pydantic's own error is mapped, and no attempt would end otherwise."""

    class Odd(BaseModel):
        call: Callable[[], int]

    store, mock = MemoryStore(), MockLLMClient().enqueue("{}")
    error = run_once(
        lambda ctx: ctx.llm.parse(Odd, messages=ASK), store=store, llm_client=mock
    ).error
    assert error is not None
    assert error["type"] == "DefinitionError"
    assert error["message"].startswith("ctx.llm.parse: Odd has no JSON schema")
    assert mock.requests == []
    assert "llm_request" not in types(store)
