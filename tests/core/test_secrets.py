"""A live API key never reaches a log, an error or a repr (SC-57, R-29 of RELIABILITY b5)."""

from __future__ import annotations

from typing import Any

import pytest

from replayt_core import (
    DefinitionError,
    DeterminismError,
    LLMError,
    LogMode,
    MemoryStore,
    NotReplayableError,
    RunContext,
    Runner,
    ToolError,
    scrub_tokens,
)
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.redaction import Scrubber
from tests.core.helpers import ASK, RUN, Killed, SecretClient, log, one_step, only, run_once

KEY = "live-key-0123456789"


def leaks(store: MemoryStore, secret: str = KEY) -> bool:
    return any(secret.encode() in event.line for event in log(store))


def everywhere(ctx: RunContext) -> str:
    """Put the key wherever a handler can put something."""
    ctx.note(f"kind {KEY}", summary=KEY, data={KEY: [KEY]})
    ctx.because(f"since {KEY}")
    ctx.get("x").append(KEY)
    ctx.data["y"] = {KEY: KEY}
    ctx.tools.register(lambda a: {"got": a, KEY: 1}, name="echo")
    ctx.tools.call("echo", {"a": KEY})
    for wrong in ({"b": KEY}, {KEY: 1}):
        with pytest.raises(ToolError) as caught:
            ctx.tools.call("echo", wrong)
        assert KEY not in str(caught.value)
    llm = ctx.llm.with_settings(model=KEY, extra_headers={KEY: KEY})
    llm.complete_text(messages=[{"role": "user", "content": KEY}])
    with pytest.raises(LLMError) as failed:
        llm.complete_text(messages=[{"role": KEY, "content": "x"}])
    assert KEY not in str(failed.value)
    raise ValueError(f"401 for {KEY}")


@pytest.mark.parametrize("given", [KEY, [KEY, None], [b"live-key"]])
def test_secrets_that_could_not_be_scrubbed_are_refused(given: Any) -> None:
    """House style 5: one text is a list of letters to Python, and none of them is a secret."""

    class Careless(SecretClient):
        def secrets(self) -> Any:
            return given

    store = MemoryStore()
    with pytest.raises(DefinitionError, match=r"Careless\.secrets\(\) has to give several texts"):
        run_once(lambda ctx: None, store=store, llm_client=Careless())
    assert not log(store)


@pytest.mark.parametrize("mode", list(LogMode))
def test_a_live_key_is_scrubbed_from_every_event_in_every_mode(mode: LogMode) -> None:
    """SC-57, R-29: planted in notes, context, calls, headers, replies, inputs, tags and errors."""
    store, client = MemoryStore(), SecretClient(KEY)
    client.enqueue(f"the key is {KEY}").enqueue(LLMError("auth", f"bad key {KEY}", status=401))
    result = run_once(
        everywhere,
        store=store,
        llm_client=client,
        log_mode=mode,
        inputs={"x": [KEY]},
        tags={"t": KEY},
    )
    assert result.status == "failed"
    assert (result.error or {})["message"] == "401 for [secret]"
    assert not leaks(store)
    assert KEY not in repr(result)
    assert KEY not in str(result.context)


def test_the_keys_of_settings_are_known_before_the_first_event() -> None:
    """SC-57."""

    class Settings:
        def client(self) -> Any:
            return SecretClient(KEY)

        def secrets(self) -> list[str]:
            return [KEY]

    store = MemoryStore()
    run_once(lambda ctx: None, store=store, llm_settings=Settings(), inputs={"x": KEY})
    assert not leaks(store)


def test_a_client_adds_its_keys_to_those_of_its_settings() -> None:
    """SC-57: whoever learns of one key forgets no other."""
    other = "another-key-0123456789"

    class Settings:
        def client(self) -> Any:
            return SecretClient(other).enqueue("fine")

        def secrets(self) -> list[str]:
            return [KEY]

    def handler(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)
        ctx.note("n", data=f"{KEY} {other}")

    store = MemoryStore()
    assert run_once(handler, store=store, llm_settings=Settings()).error is None
    assert only(store, "step_note")["data"] == "[secret] [secret]"


def test_a_reply_that_holds_a_key_is_handed_over_as_it_is_logged() -> None:
    """DESIGN 2: live equals served, so the handler gets the reply without the key, too."""

    class Echoes(SecretClient):
        def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
            return ChatResponse(text=f"your key is {KEY}", finish_reason="stop")

    got: list[str] = []
    store = MemoryStore()
    run_once(
        lambda ctx: got.append(ctx.llm.complete_text(messages=ASK)),
        store=store,
        llm_client=Echoes(KEY),
        log_mode=LogMode.full,
    )
    assert got == ["your key is [secret]"]
    assert only(store, "llm_response")["reply"]["content"] == got[0]


@pytest.mark.parametrize("secret", ['quote"and\\slash', "ünïcödé-sëcrët", "tab\tand\nnewline"])
def test_a_key_that_json_escapes_is_scrubbed_too(secret: str) -> None:
    """SC-57."""
    store = MemoryStore()
    run_once(
        lambda ctx: ctx.note("n", data=f"<{secret}>"),
        store=store,
        llm_client=SecretClient(secret),
    )
    assert only(store, "step_note")["data"] == "<[secret]>"


def test_a_secret_inside_another_leaves_no_remainder() -> None:
    """SC-57: the longest first."""
    scrubber = Scrubber()
    scrubber.add(["abcdefgh"])
    scrubber.add(["abcdefgh-12345"])
    assert scrubber.text("x abcdefgh-12345 y") == "x [secret] y"


@pytest.mark.parametrize(
    ("secret", "data"),
    [("12345678", {"n": 912345678, "t": "12345678"}), ("nvapi-abcdef", "\nvapi-abcdef")],
)
def test_a_secret_that_looks_like_json_breaks_no_line(secret: str, data: Any) -> None:
    """SC-57, SC-94: numbers stay, and no escape is cut in two."""
    store = MemoryStore()
    result = run_once(
        lambda ctx: ctx.note("n", data=data), store=store, llm_client=SecretClient(secret)
    )
    assert result.error is None
    if isinstance(data, dict):
        assert only(store, "step_note")["data"] == {"n": 912345678, "t": "[secret]"}
    else:
        assert only(store, "step_note")["data"] == data


def test_a_call_that_held_a_key_is_served_and_its_difference_hides_it() -> None:
    """SC-57, DESIGN 5: the fingerprint is that of what was logged."""
    bodies: list[str] = []

    def send(text: str) -> None:
        bodies.append(text)

    def calls(argument: str) -> Any:
        def handler(ctx: RunContext) -> None:
            ctx.tools.register(send)
            ctx.tools.call("send", {"text": argument})
            if "run_resumed" not in [event.type for event in log(store)]:
                raise Killed

        return handler

    store, client = MemoryStore(), SecretClient(KEY)
    with pytest.raises(Killed):
        run_once(calls(KEY), store=store, llm_client=client)
    with pytest.raises(DeterminismError) as caught:
        Runner(one_step(calls(KEY + "!")), store, llm_client=client).resume(RUN)
    assert KEY not in str(caught.value)
    assert Runner(one_step(calls(KEY)), store, llm_client=client).resume(RUN).status == "completed"
    assert bodies == [KEY]
    assert not leaks(store)


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefghijklmnop1234",
        "sk-proj-abc_DEF-1234567890",
        "gsk_abcdefghijklmnop1234",
        "AIzaSyA1234567890abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrst123",
        "xoxb-1234567890-abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdefgh.ijklmnop",
    ],
)
def test_what_looks_like_a_key_is_scrubbed_from_errors(text: str) -> None:
    """SC-57, R-29."""
    secret = text.removeprefix("Bearer ")
    assert secret not in scrub_tokens(f"HTTP 401: {text} is wrong")

    def handler(ctx: RunContext) -> None:
        raise ValueError(f"HTTP 401: {text}")

    assert secret not in (run_once(handler).error or {})["message"]


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2pass@host/v1",
        "https://hunter2pass@host/v1",
        "https://host/v1?api_key=hunter2pass",
        "https://host/v1#token=hunter2pass",
        "HTTPS://user:hunter2pass@host",
        "postgres://u:hunter2pass@db:5432/x",
    ],
)
def test_urls_in_errors_lose_user_password_and_query(url: str) -> None:
    """R-29 (RELIABILITY b5): userinfo and query of every URL in every error."""

    def handler(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)

    client = SecretClient()
    client.enqueue(LLMError("connection", f"no answer from {url} (tried twice)"))
    store = MemoryStore()
    result = run_once(handler, store=store, llm_client=client)
    message = (result.error or {})["message"]
    assert "hunter2pass" not in message
    assert "tried twice" in message
    assert not leaks(store, "hunter2pass")


def test_setting_a_live_key_is_refused_where_it_is_set() -> None:
    """DESIGN 2: `ctx.set` of a live API key is refused, alone and inside other values."""
    refused: list[str] = []

    def handler(ctx: RunContext) -> None:
        for value in (KEY, {"nested": [f"Bearer {KEY}"]}):
            with pytest.raises(NotReplayableError) as caught:
                ctx.set("k", value)
            refused.append(str(caught.value))

    store = MemoryStore()
    result = Runner(one_step(handler), store, llm_client=SecretClient(KEY)).run(run_id=RUN)
    assert (result.status, result.context, len(refused)) == ("completed", {}, 2)
    assert not any(KEY in text for text in refused)


@pytest.mark.parametrize("secret", [KEY, "sk-pattern-only-0123456789abcdef"])
@pytest.mark.parametrize("before", [180, 190, 199])
def test_no_part_of_a_key_stands_at_the_cut_of_a_preview(secret: str, before: int) -> None:
    """SC-73: scrubbed first, then cut; half a key would match nothing."""
    store = MemoryStore()
    client = SecretClient(KEY)
    client.enqueue("x" * (before - 1) + " " + secret)

    def handler(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)

    Runner(one_step(handler), store, llm_client=client).run(run_id=RUN)
    preview = only(store, "llm_response")["reply"]["preview"]
    assert len(preview) <= 200
    assert secret[:4] not in preview


def test_no_part_of_a_key_stands_at_the_cut_of_an_error() -> None:
    """SC-57: messages are bounded at 2,000 characters, after scrubbing."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        raise ValueError("x" * 1_990 + KEY)

    result = Runner(one_step(handler), store, llm_client=SecretClient(KEY)).run(run_id=RUN)
    assert KEY[:6] not in str(result.error)
    assert not leaks(store, KEY[:6])
