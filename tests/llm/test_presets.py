"""The provider table, tested as data."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlsplit

import pytest

from replayt_llm import PRESETS, RETIREMENTS, LLMSettings
from replayt_llm._urls import parse_base_url

NAMES = [
    "openai", "azure", "anthropic", "gemini", "groq", "together", "openrouter", "mistral",
    "deepseek", "xai", "ollama", "vllm", "lmstudio", "llamacpp", "offline",
]  # fmt: skip


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
