"""Where settings come from, what they refuse, and what they never show."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import pytest

from replayt_core.errors import LLMError
from replayt_core.ports import HoldsSecrets, LLMClient, LLMClientFactory
from replayt_llm import (
    PRESETS,
    LLMSettings,
    OfflineClient,
    OpenAICompatClient,
    client_factory_from_env,
)
from tests.llm.helpers import ask, no_retry

KEY = "sk-planted-0123456789"


def refused(call) -> LLMError:
    with pytest.raises(LLMError) as caught:
        call()
    assert caught.value.kind == "not_configured"
    return caught.value


# --- where they come from ------------------------------------------------------------------------


def test_sc_58_a_missing_key_is_told_at_the_call_and_not_before():
    client = LLMSettings.from_env({}).client()
    error = refused(lambda: client.complete(ask(), on_retry=no_retry))
    assert "OPENAI_API_KEY is not set" in error.message
    assert "OPENAI_API_KEY is not set" in refused(lambda: client.effective(ask())).message


def test_sc_58_another_providers_missing_key_names_both_variables():
    error = refused(LLMSettings.from_env({"REPLAYT_PROVIDER": "groq"}).check)
    assert "OPENAI_API_KEY is not set" in error.message
    assert "GROQ_API_KEY" in error.message


@pytest.mark.parametrize("name", [name for name, row in PRESETS.items() if row.needs_key])
def test_a_provider_that_needs_a_key_says_so(name):
    settings = LLMSettings(provider=name, base_url="https://example.com/v1", model="m")
    assert "is not set" in refused(settings.check).message


def test_sc_59_openai_base_url_overrides_the_preset():
    env = {"OPENAI_BASE_URL": "https://gateway.example/v1", "OPENAI_API_KEY": KEY}
    assert LLMSettings.from_env(env).base_url == "https://gateway.example/v1"
    assert LLMSettings.from_env({**env, "REPLAYT_PROVIDER": "groq"}).host == "gateway.example"
    assert LLMSettings.from_env({"OPENAI_API_KEY": KEY}).base_url == "https://api.openai.com/v1"


def test_sc_60_replayt_model_overrides():
    assert LLMSettings.from_env({"REPLAYT_MODEL": " gpt-9 "}).model == "gpt-9"
    assert LLMSettings.from_env({}).model == "gpt-4o-mini"


@pytest.mark.parametrize("written", ["groq", "GROQ", "  Groq ", "g r o q"])
def test_sc_61_provider_names_tolerate_case_and_spaces(written):
    assert LLMSettings.from_env({"REPLAYT_PROVIDER": written}).provider == "groq"
    assert LLMSettings.for_provider(written, env={}).provider == "groq"


@pytest.mark.parametrize(
    "name", ["openai", "ollama", "groq", "together", "openrouter", "anthropic"]
)
def test_sc_61_the_providers_of_the_description_are_known(name):
    assert LLMSettings.from_env({"REPLAYT_PROVIDER": name}).base_url == PRESETS[name].base_url


def test_sc_61_an_unknown_provider_lists_the_valid_ones():
    error = refused(lambda: LLMSettings.from_env({"REPLAYT_PROVIDER": "groc\x1b[2J"}))
    assert all(name in error.message for name in PRESETS)
    assert "\x1b" not in error.message


def test_sc_62_explicit_beats_environment_beats_preset_beats_default():
    env = {
        "REPLAYT_PROVIDER": "groq",
        "REPLAYT_MODEL": "from-env",
        "OPENAI_BASE_URL": "https://env.example/v1",
        "GROQ_API_KEY": "sk-from-env",
    }
    explicit = LLMSettings.from_env(
        env, model="mine", base_url="https://mine.example/v1", api_key="sk-mine", provider="xai"
    )
    assert (explicit.provider, explicit.model) == ("xai", "mine")
    assert (explicit.host, explicit.api_key) == ("mine.example", "sk-mine")
    from_env = LLMSettings.from_env(env)
    assert (from_env.model, from_env.host, from_env.api_key) == (
        "from-env", "env.example", "sk-from-env",
    )  # fmt: skip
    preset = LLMSettings.from_env({"REPLAYT_PROVIDER": "groq"})
    assert (preset.model, preset.base_url) == (
        PRESETS["groq"].default_model, PRESETS["groq"].base_url,
    )  # fmt: skip
    default = LLMSettings.from_env({})
    assert (default.provider, default.model) == ("openai", "gpt-4o-mini")


def test_sc_62_an_override_of_none_and_an_empty_variable_count_as_not_given():
    settings = LLMSettings.from_env({"REPLAYT_MODEL": "m", "OPENAI_BASE_URL": " "}, model=None)
    assert (settings.model, settings.base_url) == ("m", "https://api.openai.com/v1")


def test_sc_63_for_provider_gives_base_url_and_model():
    ollama = LLMSettings.for_provider("ollama", env={})
    assert (ollama.base_url, ollama.model) == ("http://127.0.0.1:11434/v1", "gpt-oss:20b")
    groq = LLMSettings.for_provider("groq", api_key=KEY, env={})
    assert (groq.base_url, groq.api_key) == ("https://api.groq.com/openai/v1", KEY)
    assert groq.model


def test_for_provider_takes_from_the_environment_only_the_key():
    env = {"OPENAI_BASE_URL": "https://env.example/v1", "REPLAYT_MODEL": "x", "XAI_API_KEY": KEY}
    settings = LLMSettings.for_provider("xai", env=env)
    assert (settings.host, settings.model, settings.api_key) == ("api.x.ai", "grok-4.7", KEY)


def test_sc_64_settings_made_by_hand_do_not_touch_the_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REPLAYT_MODEL", "REPLAYT_PROVIDER"):
        monkeypatch.setenv(name, "offline")
    settings = LLMSettings(KEY, "https://mine.example/v1", "m", 5, {"X-Team": "blue"})
    assert (settings.api_key, settings.host, settings.model) == (KEY, "mine.example", "m")
    assert (settings.timeout_seconds, settings.extra_headers) == (5, {"X-Team": "blue"})
    assert settings.provider == "openai"
    assert LLMSettings().api_key is None
    settings.check()


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://[::1]:9/v1", "http://127.8.9.1",
        "https://localhost/v1",
    ],
)  # fmt: skip
def test_sc_66_loopback_needs_no_key(base_url):
    LLMSettings(base_url=base_url).check()
    LLMSettings.for_provider("ollama", env={}).check()


def test_the_openai_key_stands_in_for_a_providers_own():
    env = {"OPENAI_API_KEY": "sk-general", "REPLAYT_PROVIDER": "groq"}
    assert LLMSettings.from_env(env).api_key == "sk-general"
    assert LLMSettings.from_env({**env, "GROQ_API_KEY": KEY}).api_key == KEY


def test_the_openai_key_is_not_handed_to_a_local_server_that_needs_none():
    env = {"OPENAI_API_KEY": KEY, "REPLAYT_PROVIDER": "ollama"}
    assert LLMSettings.from_env(env).api_key is None
    paired = {**env, "OPENAI_BASE_URL": "https://ollama.example/v1"}
    assert LLMSettings.from_env(paired).api_key == KEY


def test_a_dot_env_file_is_never_read(tmp_path):
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nREPLAYT_MODEL=from-file\n")
    code = "from replayt_llm import LLMSettings as S; s = S.from_env(); print(s.api_key, s.model)"
    env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    assert shown.stdout.split() == [b"None", b"gpt-4o-mini"]


def test_importing_the_package_does_not_import_httpx():
    code = "import sys, replayt_llm as r; r.LLMSettings().client(); print('httpx' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert shown.stdout.split() == [b"False"]


# --- the factory that core finds ------------------------------------------------------------------


def test_the_entry_point_gives_a_factory_that_reads_the_environment_late():
    env: dict[str, str] = {}
    factory = client_factory_from_env(env)
    assert isinstance(factory, LLMClientFactory)
    env["REPLAYT_PROVIDER"] = "offline"
    assert isinstance(factory.client(), OfflineClient)
    env["REPLAYT_PROVIDER"] = "nobody"
    refused(factory.client)


def test_the_entry_point_is_registered():
    from importlib.metadata import entry_points

    (found,) = entry_points(group="replayt.llm_clients", name="default")
    assert found.load() is client_factory_from_env


def test_the_factory_knows_every_key_of_the_environment():
    env = {
        "GROQ_API_KEY": KEY,
        "OPENAI_BASE_URL": "https://u:pass-word-1@h.example/v1?key=qwertz99",
    }
    factory = client_factory_from_env(env)
    assert isinstance(factory, HoldsSecrets)
    assert {KEY, "pass-word-1", "qwertz99"} <= set(factory.secrets())
    assert list(client_factory_from_env({"OPENAI_BASE_URL": "::::"}).secrets()) == []


def test_settings_are_a_factory_and_the_client_a_client():
    settings = LLMSettings(KEY)
    assert isinstance(settings, LLMClientFactory)
    assert isinstance(settings, HoldsSecrets)
    assert isinstance(settings.client(), OpenAICompatClient)
    assert isinstance(settings.client(), LLMClient)
    assert isinstance(LLMSettings.for_provider("offline", env={}).client(), OfflineClient)


# --- what they refuse -----------------------------------------------------------------------------


def test_plain_http_off_loopback_is_refused_unless_allowed():
    settings = LLMSettings(KEY, "http://models.example/v1")
    assert "plain http" in refused(settings.check).message
    LLMSettings(KEY, "http://models.example/v1", allow_insecure_http=True).check()


@pytest.mark.parametrize(
    "base_url",
    [
        "api.openai.com/v1", "ftp://h/v1", "https://", "https://h:99999/v1", "http://a b/",
        "http://127.0.0.1\\@evil.example/", "https://h/v1\nX: y", "javascript:alert(1)", "https://[::1",
    ],
)  # fmt: skip
def test_a_base_url_that_is_none_is_refused(base_url):
    assert "base_url" in refused(lambda: LLMSettings(KEY, base_url)).message


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.1/v1", "http://127.0.0.1.evil.example/v1", "http://0.0.0.0:8000",
        "http://127.0.0.1@evil.example/v1", "http://localhost.evil.example", "http://2130706433/",
    ],
)  # fmt: skip
def test_what_only_looks_like_loopback_is_not(base_url):
    refused(LLMSettings(KEY, base_url).check)


@pytest.mark.parametrize(
    "values",
    [
        {"timeout_seconds": 0}, {"timeout_seconds": -1}, {"timeout_seconds": float("nan")},
        {"timeout_seconds": float("inf")}, {"timeout_seconds": "5"}, {"timeout_seconds": True},
        {"max_tokens": 0}, {"structured_mode": "yaml"}, {"max_retries": -1}, {"max_retries": 99},
        {"temperature": float("nan")}, {"token_limit_field": "tokens"}, {"provider": ""},
        {"extra_headers": {"X-A": "b\r\nX-C: d"}}, {"extra_headers": {"X A": "b"}},
        {"extra_headers": {"X-A": "naïve"}},
    ],
)  # fmt: skip
def test_values_that_can_never_work_are_refused_at_once(values):
    refused(lambda: LLMSettings(KEY, **values))


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it():
    error = refused(LLMSettings("sk-pläntéd-\x07").check)
    assert "pl" not in error.message.replace("replayt", "")
    assert LLMSettings("  sk-trimmed\n").api_key == "sk-trimmed"


@pytest.mark.parametrize("name", ["azure", "together", "vllm", "lmstudio"])
def test_what_only_the_user_can_know_is_asked_for(name):
    message = refused(LLMSettings(KEY, provider=name).check).message
    assert "model=" in message or "base_url=" in message


def test_a_header_of_ones_own_can_stand_for_the_key():
    LLMSettings(extra_headers={"api-key": KEY}).check()


# --- what they never show -------------------------------------------------------------------------


def planted() -> LLMSettings:
    return LLMSettings(
        KEY,
        "https://user:userinfo-secret@host.example/v1?token=query-secret",
        extra_headers={"X-Secret": "header-secret", "Authorization": "Bearer bearer-secret"},
    )


def test_sc_57_repr_shows_no_secret():
    settings = planted()
    for shown in (repr(settings), str(settings), repr(settings.client()), repr(settings.url)):
        assert not any(secret in shown for secret in settings.secrets())
        assert "X-Secret" in shown or "host.example" in shown


def test_the_secrets_are_known_in_every_form_they_could_leak_in():
    secrets = planted().secrets()
    assert {KEY, "userinfo-secret", "query-secret", "header-secret", "bearer-secret"} <= set(
        secrets
    )


def test_placeholders_are_no_secrets():
    assert (
        list(LLMSettings("ollama", extra_headers={"User-Agent": "my-application"}).secrets()) == []
    )


def test_settings_are_frozen_and_can_be_copied():
    settings = planted()
    with pytest.raises(AttributeError):
        settings.api_key = "x"  # type: ignore[misc]
    assert copy.deepcopy(settings) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
    assert hash(settings) == hash(planted())
