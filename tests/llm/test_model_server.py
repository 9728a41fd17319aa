"""The client against a real llama.cpp server over HTTP."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

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


def test_structured_replies_are_valid_for_twenty_seeds(client):
    schema = Ticket.model_json_schema()
    validator = Draft202012Validator(schema)
    for seed in range(20):
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
