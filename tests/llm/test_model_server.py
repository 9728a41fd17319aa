"""The client against a real llama.cpp server over HTTP."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from replayt_core import MemoryStore, RunContext, Runner, Workflow, verify
from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest
from replayt_llm import LLMSettings
from tests.llm.helpers import ask, no_retry


class Item(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=12)]
    count: Annotated[int, Field(ge=0, le=20)]


class Ticket(BaseModel):
    category: Literal["bug", "question", "praise"]
    summary: Annotated[str, Field(max_length=30)]
    urgent: bool
    items: Annotated[list[Item], Field(max_length=3)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{2}$")]
    note: Annotated[str, Field(max_length=10)] | None = None


@pytest.fixture
def client(model_server):
    made = LLMSettings(
        base_url=model_server.base_url, provider="llamacpp", max_tokens=600, timeout_seconds=60
    ).client()
    yield made
    made.close()


def test_sc_46_structured_replies_are_valid_100_of_100(client):
    schema = Ticket.model_json_schema()
    validator = Draft202012Validator(schema)
    for seed in range(100):
        response = client.complete(ask(schema, seed=seed, temperature=1.0), on_retry=no_retry)
        validator.validate(json.loads(response.text))
        Ticket.model_validate_json(response.text)
        assert response.finish_reason == "stop"


def test_the_same_seed_gives_the_same_text(client):
    texts = {client.complete(ask(seed=5, max_tokens=20), on_retry=no_retry).text for _ in range(3)}
    assert len(texts) == 1


def test_sc_53_usage_and_model_come_from_the_server(client):
    response = client.complete(ask(seed=1, max_tokens=12), on_retry=no_retry)
    assert response.usage is not None
    assert response.usage.prompt_tokens > 0
    assert 0 < response.usage.completion_tokens <= 12
    assert (
        response.usage.total_tokens
        == response.usage.prompt_tokens + response.usage.completion_tokens
    )
    assert response.model == "tiny-random"
    assert response.request_id


def test_a_reply_cut_at_the_token_limit_says_length(client):
    schema = Ticket.model_json_schema()
    response = client.complete(ask(schema, seed=1, max_tokens=5), on_retry=no_retry)
    assert response.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_a_prompt_longer_than_the_context_is_a_bad_request_that_says_so(client):
    request = ChatRequest(messages=({"role": "user", "content": "word " * 30_000},))
    with pytest.raises(LLMError) as caught:
        client.complete(request, on_retry=no_retry)
    assert (caught.value.kind, caught.value.status) == ("bad_request", 400)
    assert "longer than the model's context" in caught.value.message


def test_a_schema_that_is_none_is_refused_with_a_status(client):
    with pytest.raises(LLMError) as caught:
        client.complete(ask({"type": "no-such-type"}), on_retry=no_retry)
    assert caught.value.status in (400, 500)


# --- through a runner ---------------------------------------------------------------------------


def asking(model: type[BaseModel], how_often: int = 1, **settings: Any) -> Workflow:
    """A workflow of `how_often` structured calls; its context holds what came of each."""
    wf = Workflow("asking")
    wf.set_initial("ask")

    @wf.step("ask")
    def ask_model(ctx: RunContext) -> None:
        kinds = []
        for seed in range(how_often):
            llm = ctx.llm.with_settings(seed=seed, **settings)
            try:
                llm.parse(model, messages=[{"role": "user", "content": ctx.get("text")}])
                kinds.append("ok")
            except LLMError as error:
                kinds.append(error.kind)
        ctx.set("kinds", kinds)

    return wf


def payloads(store: MemoryStore, kind: str) -> list[Any]:
    return [event.payload for event in store.read("r1") if event.type == kind]


def test_sc_50_sc_52_every_structured_call_of_a_run_is_valid_and_logged(model_server):
    """100 of 100 by `ctx.llm.parse`, and the run verifies from its log alone."""
    store, wf = MemoryStore(), asking(Ticket, 100, temperature=1.0)
    settings = LLMSettings(base_url=model_server.base_url, provider="llamacpp", max_tokens=600)
    result = Runner(wf, store, llm_settings=settings).run({"text": "hello"}, run_id="r1")
    assert result.context["kinds"] == ["ok"] * 100
    assert len(payloads(store, "structured_output")) == 100
    responses = payloads(store, "llm_response")
    assert all(payload["effective"]["structured_mode"] == "json_schema" for payload in responses)
    assert sum(payload["usage"]["total_tokens"] for payload in responses) > 1_000
    assert verify(wf, store.read("r1")).ok


@pytest.mark.parametrize(
    ("text", "settings", "kind", "status"),
    [("hello", {"max_tokens": 4}, "truncated", None),
     ("word " * 30_000, {}, "bad_request", 400)],
)  # fmt: skip
def test_sc_67_what_the_server_cannot_do_has_its_kind_in_the_log(
    model_server, text, settings, kind, status
):
    store = MemoryStore()
    where = LLMSettings(base_url=model_server.base_url, provider="llamacpp", max_tokens=600)
    wf = asking(Ticket, **settings)
    result = Runner(wf, store, llm_settings=where).run({"text": text}, run_id="r1")
    assert result.context["kinds"] == [kind]
    [response] = payloads(store, "llm_response")
    assert (response["error"]["kind"], response["error"]["status"]) == (kind, status)
    if kind == "truncated":
        assert response["usage"]["completion_tokens"] == 4


def test_sc_57_a_wrong_key_is_auth_in_the_log_and_nowhere_to_be_seen(keyed_model_server):
    store = MemoryStore()
    where = LLMSettings("sk-wrong-0123456789", keyed_model_server.base_url, provider="llamacpp")
    result = Runner(asking(Ticket), store, llm_settings=where).run({"text": "x"}, run_id="r1")
    assert result.context["kinds"] == ["auth"]
    assert not any(b"sk-wrong" in event.line for event in store.read("r1"))


@pytest.mark.parametrize("mode", ["json_object", "prompt"])
def test_the_other_structured_modes_get_a_reply(model_server, mode):
    made = LLMSettings(
        base_url=model_server.base_url, provider="llamacpp", structured_mode=mode, max_tokens=40
    ).client()
    response = made.complete(ask(Ticket.model_json_schema(), seed=1), on_retry=no_retry)
    made.close()
    assert response.usage is not None
    assert response.usage.prompt_tokens > 200  # the schema is in the prompt


def test_sc_66_sc_57_without_its_key_the_server_answers_401(keyed_model_server):
    for key, works in ((None, False), ("sk-wrong-0123456789", False), ("right", True)):
        api_key = keyed_model_server.api_key if key == "right" else key
        made = LLMSettings(
            api_key, keyed_model_server.base_url, provider="llamacpp", max_tokens=5
        ).client()
        try:
            if works:
                assert made.complete(ask(), on_retry=no_retry).text is not None
                continue
            with pytest.raises(LLMError) as caught:
                made.complete(ask(), on_retry=no_retry)
            assert (caught.value.kind, caught.value.status) == ("auth", 401)
            assert "sk-wrong" not in caught.value.message
        finally:
            made.close()


def test_the_openai_row_works_on_a_server_of_ones_own(model_server):
    env = {"OPENAI_BASE_URL": model_server.base_url}
    made = LLMSettings.from_env(env, max_tokens=300, seed=3).client()
    response = made.complete(ask(Ticket.model_json_schema()), on_retry=no_retry)
    made.close()
    Ticket.model_validate_json(response.text)
