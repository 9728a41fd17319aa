"""The provider table, tested as data."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest

from replayt_core.errors import LLMError
from replayt_llm import PRESETS, RETIREMENTS, LLMSettings, OpenAICompatClient
from replayt_llm._urls import parse_base_url
from tests.llm.helpers import FakeTransport, ask, no_retry, reply

NAMES = [
    "openai", "azure", "anthropic", "gemini", "groq", "together", "openrouter", "mistral",
    "deepseek", "xai", "ollama", "vllm", "lmstudio", "llamacpp", "offline",
]  # fmt: skip


# What is known of each: base URL, default model, key variables, and what a call of everything that
# can be set sends. None stands for what only the user can know.
Row = tuple[str | None, str | None, tuple[str, ...], dict[str, Any]]
LATE, OLD = "max_completion_tokens", "max_tokens"
ROWS: dict[str, Row] = {
    "openai": ("https://api.openai.com/v1", "gpt-4o-mini", ("OPENAI_API_KEY",),
               {"mode": "json_schema", LATE: 9, "temperature": 0.5, "seed": 3}),
    "azure": (None, None, ("AZURE_OPENAI_API_KEY",),
              {"mode": "json_schema", LATE: 9, "temperature": 0.5, "seed": 3}),
    "anthropic": ("https://api.anthropic.com/v1", "claude-haiku-5-5", ("ANTHROPIC_API_KEY",),
                  {"mode": "prompt", OLD: 9}),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-3.8-flash",
               ("GEMINI_API_KEY", "GOOGLE_API_KEY"), {"mode": "json_schema", OLD: 9, "seed": 3}),
    "groq": ("https://api.groq.com/openai/v1", "openai/gpt-oss-20b", ("GROQ_API_KEY",),
             {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "together": ("https://api.together.xyz/v1", None, ("TOGETHER_API_KEY",),
                 {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "openrouter": ("https://openrouter.ai/api/v1", "openai/gpt-5.4-mini", ("OPENROUTER_API_KEY",),
                   {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3,
                    "provider": {"require_parameters": True}}),
    "mistral": ("https://api.mistral.ai/v1", "mistral-small-2603", ("MISTRAL_API_KEY",),
                {"mode": "json_schema", OLD: 9, "temperature": 0.5, "random_seed": 3}),
    "deepseek": ("https://api.deepseek.com", "deepseek-v4-flash", ("DEEPSEEK_API_KEY",),
                 {"mode": "json_object", OLD: 9, "temperature": 0.5, "seed": 3}),
    "xai": ("https://api.x.ai/v1", "grok-4.7", ("XAI_API_KEY",),
            {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "ollama": ("http://127.0.0.1:11434/v1", "gpt-oss:20b", ("OLLAMA_API_KEY",),
               {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "vllm": ("http://127.0.0.1:8000/v1", None, ("VLLM_API_KEY",),
             {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "lmstudio": ("http://127.0.0.1:1234/v1", None, ("LMSTUDIO_API_KEY",),
                 {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "llamacpp": ("http://127.0.0.1:8080/v1", "default", ("LLAMA_API_KEY",),
                 {"mode": "json_schema", OLD: 9, "temperature": 0.5, "seed": 3}),
    "offline": (None, "offline (no model was called)", (), {}),
}  # fmt: skip
HOSTED = ["openai", "azure", "anthropic", "gemini", "groq", "together", "openrouter", "mistral",
          "deepseek", "xai"]  # fmt: skip
CALLED = [name for name in NAMES if name != "offline"]


@pytest.mark.parametrize("name", NAMES)
def test_sc_63_a_row_is_what_is_known_of_the_provider(name):
    base_url, model, keys, _ = ROWS[name]
    row = PRESETS[name]
    assert (row.base_url, row.default_model, row.key_variables) == (base_url, model, keys)
    assert row.needs_key == (name in HOSTED)


@pytest.mark.parametrize("name", CALLED)
def test_a_call_sends_what_the_provider_takes_and_says_what_it_holds_back(name):
    base_url, model, _, expected = ROWS[name]
    settings = LLMSettings(
        "sk-row-0123456789", base_url or "https://mine.openai.azure.com/openai/v1", model or "m",
        provider=name, temperature=0.5, seed=3, max_tokens=9, token_limit_field=(
            PRESETS[name].token_limit_field
        ),
    )  # fmt: skip
    transport = FakeTransport(reply())
    client = OpenAICompatClient(settings, transport=transport)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    client.complete(ask(schema), on_retry=no_retry)
    sent = dict(transport.sent)
    form = sent.pop("response_format", {"type": "prompt"})["type"]
    messages = sent.pop("messages")
    assert {"mode": form, **sent} == {"model": model or "m", **expected}
    in_words = "JSON Schema" in str(messages)
    assert in_words == (form != "json_schema"), "the schema is always somewhere, and once"
    shown = client.effective(ask(schema))
    assert shown["structured_mode"] == form
    held_back = {"temperature", "seed"} - {
        {"random_seed": "seed"}.get(field, field) for field in expected
    }
    assert set(shown.get("not_sent", ())) == held_back
    for field in held_back:
        assert shown[field] is None
    assert transport.calls[0].url == f"{settings.base_url}/chat/completions"


@pytest.mark.parametrize("name", HOSTED)
def test_the_openai_key_stands_in_where_the_providers_own_is_not_set(name):
    more = {"base_url": "https://mine.openai.azure.com/openai/v1", "model": "mine"}
    both = {"OPENAI_API_KEY": "sk-fallback-key", PRESETS[name].key_variables[0]: "sk-own-key"}
    only = {"OPENAI_API_KEY": "sk-fallback-key"}
    assert LLMSettings.for_provider(name, env=both, **more).api_key == "sk-own-key"
    assert LLMSettings.for_provider(name, env=only, **more).api_key == "sk-fallback-key"
    with pytest.raises(LLMError, match="OPENAI_API_KEY"):
        LLMSettings.for_provider(name, env={}, **more).check()


@pytest.mark.parametrize("name", CALLED)
def test_sc_57_no_row_shows_its_key(name):
    settings = LLMSettings(
        "sk-row-0123456789", "https://u:pw-0123456@h.example/v1?k=q-0123456", "m", provider=name,
        extra_headers={"X-Secret": "h-0123456789"},
    )  # fmt: skip
    shown = f"{settings!r}{settings}{settings.client()!r}{settings.client().effective(ask())}"
    for secret in ("sk-row-0123456789", "pw-0123456", "q-0123456", "h-0123456789"):
        assert secret not in shown


@pytest.mark.parametrize("name", CALLED)
def test_no_row_takes_plain_http_off_loopback(name):
    settings = LLMSettings("sk-row-0123456789", "http://models.example/v1", "m", provider=name)
    with pytest.raises(LLMError, match="plain http") as caught:
        settings.check()
    assert caught.value.kind == "not_configured"
    LLMSettings(base_url="http://[::1]:9/v1", model="m", provider=name).check()
    LLMSettings(
        "k" * 9, "http://models.example/v1", "m", provider=name, allow_insecure_http=True
    ).check()


def test_every_promised_provider_has_a_row():
    assert list(PRESETS) == NAMES
    assert all(row.name == name for name, row in PRESETS.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_row_holds_together(name):
    row = PRESETS[name]
    assert row.structured_mode in ("json_schema", "json_object", "prompt")
    assert row.token_limit_field in ("max_tokens", "max_completion_tokens")
    if row.needs_key:
        assert row.key_variables
        assert all(name.endswith("_API_KEY") for name in row.key_variables)
    if row.base_url is not None:
        url = parse_base_url(row.base_url)
        assert not row.base_url.endswith("/")
        assert url.scheme == "https" or url.loopback
        assert url.loopback != row.needs_key
        assert urlsplit(row.base_url).query == ""


def test_only_the_rows_that_were_run_here_say_so():
    assert {name for name, row in PRESETS.items() if row.tried} == {"llamacpp", "offline"}


def test_sc_60_the_default_model_of_openai_is_gpt_4o_mini():
    assert PRESETS["openai"].default_model == "gpt-4o-mini"
    assert LLMSettings().model == "gpt-4o-mini"


def test_sc_59_the_default_base_url_is_that_of_openai():
    assert LLMSettings().base_url == "https://api.openai.com/v1"


def test_sc_65_ollama_is_on_127_0_0_1_11434():
    assert PRESETS["ollama"].base_url == "http://127.0.0.1:11434/v1"


def test_retirements_are_days_and_name_the_default_model():
    assert RETIREMENTS["gpt-4o-mini"] == "2027-01-14"
    assert all(date.fromisoformat(day) for day in RETIREMENTS.values())


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        PRESETS["openai"] = PRESETS["groq"]  # type: ignore[index]
