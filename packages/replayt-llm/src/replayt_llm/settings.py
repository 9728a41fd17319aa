"""Where model calls go, with which key and which limits."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from replayt_core.errors import LLMError
from replayt_core.ports import LLMClient
from replayt_llm._scrub import worth_hiding
from replayt_llm._urls import BaseURL, parse_base_url
from replayt_llm.presets import PRESETS, Preset, StructuredMode, TokenLimitField

DEFAULT_TIMEOUT_SECONDS = 60.0
AUTH_HEADERS = frozenset({"authorization", "api-key", "x-api-key"})
_HARMLESS_HEADERS = frozenset({"user-agent", "http-referer", "x-title", "accept"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _refuse(message: str) -> LLMError:
    return LLMError("not_configured", message)


@dataclass(frozen=True, repr=False)
class LLMSettings:
    """Everything a client needs to know; complete once made, and the environment is not read.

    What is not given comes from the row of `provider` in `PRESETS`, then from the defaults here.
    `timeout_seconds` is the total for a call, transport retries included. `repr` shows neither key
    nor header values nor what stands before `@` or after `?` in the URL.

    Raises `LLMError` (`not_configured`) for values that can never work. What may be missing until
    the first call (key, model, base URL) is judged by `check`.
    """

    api_key: str | None = None
    base_url: str | None = None
    model: str | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    extra_headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    _: KW_ONLY
    provider: str = "openai"
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    structured_mode: StructuredMode | None = None
    max_retries: int = 2
    allow_insecure_http: bool = False
    token_limit_field: TokenLimitField | None = None
    strict_subset: bool | None = None

    def __post_init__(self) -> None:
        preset = _preset(self.provider)
        key = self.api_key.strip() if self.api_key else None
        put = object.__setattr__  # the dataclass is frozen; this is its constructor
        put(self, "provider", preset.name)
        put(self, "api_key", key or None)
        put(self, "base_url", (self.base_url or "").strip() or preset.base_url)
        put(self, "model", (self.model or "").strip() or preset.default_model)
        put(self, "extra_headers", dict(self.extra_headers))
        put(self, "structured_mode", self.structured_mode or preset.structured_mode)
        url = parse_base_url(self.base_url) if self.base_url else None
        if self.token_limit_field is None:
            put(self, "token_limit_field", _token_limit_field(preset, url))
        if self.strict_subset is None:
            # What listens on loopback compiles schemas to grammars and takes all of JSON Schema.
            put(self, "strict_subset", preset.strict_subset and not (url and url.loopback))
        _check_values(self)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **overrides: Any) -> LLMSettings:
        """The settings that the environment asks for; `overrides` win over it.

        Reads `REPLAYT_PROVIDER`, `REPLAYT_MODEL`, `OPENAI_BASE_URL` and the provider's key
        variable, and never a `.env` file. `OPENAI_API_KEY` stands in for a key variable that is not
        set, if the provider needs a key or `OPENAI_BASE_URL` says where that key belongs. An
        override of None counts as not given.
        """
        env = os.environ if env is None else env
        given = {name: value for name, value in overrides.items() if value is not None}
        given.setdefault("provider", _read(env, "REPLAYT_PROVIDER") or "openai")
        preset = _preset(given["provider"])
        base_url = _read(env, "OPENAI_BASE_URL")
        given.setdefault("base_url", base_url)
        given.setdefault("model", _read(env, "REPLAYT_MODEL"))
        given.setdefault("api_key", _key_from(env, preset, paired=base_url is not None))
        return cls(**given)

    @classmethod
    def for_provider(
        cls, name: str, *, env: Mapping[str, str] | None = None, **overrides: Any
    ) -> LLMSettings:
        """The settings of one provider, by its name in `PRESETS`; case and spaces do not matter.

        URL and model are the preset's, whatever the environment says, since the provider was named;
        only the key is looked up there when none is given.
        """
        env = os.environ if env is None else env
        given = {name: value for name, value in overrides.items() if value is not None}
        given.setdefault("api_key", _key_from(env, _preset(name), paired=False))
        return cls(provider=name, **given)

    @property
    def preset(self) -> Preset:
        """The row of the provider."""
        return PRESETS[self.provider]

    @property
    def url(self) -> BaseURL | None:
        """The base URL in parts, None for `offline` and where none is known."""
        return None if self.base_url is None else parse_base_url(self.base_url)

    @property
    def host(self) -> str | None:
        """Host and port that calls go to, without userinfo."""
        url = self.url
        return None if url is None else url.netloc

    def check(self) -> BaseURL | None:
        """The base URL in parts (None for `offline`) when a call can be made.

        Raises `LLMError` (`not_configured`) when it cannot, saying what to do.
        """
        if self.provider == "offline":
            return None
        url = self.url
        if url is None:
            raise _refuse(
                f"the provider {self.provider} has no base URL of its own: pass base_url= or set "
                "OPENAI_BASE_URL."
            )
        if self.model is None:
            raise _refuse(
                f"no model is set for the provider {self.provider}: pass model= or set "
                "REPLAYT_MODEL."
            )
        if url.scheme == "http" and not url.loopback and not self.allow_insecure_http:
            raise _refuse(
                f"base_url {url.public} is plain http to another machine, which would show key "
                "and prompts to the network: use https://, or pass allow_insecure_http=True."
            )
        if self.api_key is not None:
            if not (self.api_key.isascii() and self.api_key.isprintable()):
                raise _refuse(
                    "the API key holds characters that no header can carry: copy it again."
                )
            return url
        has_other = bool(url.userinfo) or any(
            name.lower() in AUTH_HEADERS for name in self.extra_headers
        )
        if self.preset.needs_key and not url.loopback and not has_other:
            raise _refuse(_missing_key(self.preset, url))
        return url

    def client(self) -> LLMClient:
        """A client with these settings. Opens nothing before the first call."""
        if self.provider == "offline":
            from replayt_llm.offline import OfflineClient

            return OfflineClient()
        from replayt_llm.client import OpenAICompatClient

        return OpenAICompatClient(self)

    def secrets(self) -> Sequence[str]:
        """What must not appear in any event: key, secret parts of the URL, header values."""
        url = self.url
        return worth_hiding(
            [self.api_key, *(url.secrets() if url else ()), *header_secrets(self.extra_headers)]
        )

    def __repr__(self) -> str:
        url = self.url
        shown = {
            "provider": self.provider,
            "base_url": url.public if url else None,
            "model": self.model,
            "api_key": "[set]" if self.api_key else None,
            "timeout_seconds": self.timeout_seconds,
            "extra_headers": sorted(self.extra_headers),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "structured_mode": self.structured_mode,
            "max_retries": self.max_retries,
            "allow_insecure_http": self.allow_insecure_http,
        }
        return f"LLMSettings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def header_secrets(headers: Mapping[str, str]) -> list[str]:
    """The values of headers that may be secret; of `Bearer X` also the `X` alone."""
    found: list[str] = []
    for name, value in headers.items():
        if name.lower() in _HARMLESS_HEADERS:
            continue
        found.append(value)
        if name.lower() in AUTH_HEADERS | {"proxy-authorization"}:
            found.append(value.partition(" ")[2])
    return found


def check_headers(headers: Mapping[Any, Any]) -> None:
    """Raise `LLMError` (`not_configured`) for a header that cannot be sent, naming it only."""
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise _refuse("extra_headers has a name that is no HTTP header name.")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise _refuse(f"extra_headers[{name!r}] holds a value that no HTTP header can carry.")


def _check_values(settings: LLMSettings) -> None:
    check_headers(settings.extra_headers)
    check_timeout(settings.timeout_seconds)
    if settings.structured_mode not in ("json_schema", "json_object", "prompt"):
        raise _refuse("structured_mode must be json_schema, json_object or prompt.")
    if settings.token_limit_field not in ("max_tokens", "max_completion_tokens"):
        raise _refuse("token_limit_field must be max_tokens or max_completion_tokens.")
    if settings.max_tokens is not None and settings.max_tokens < 1:
        raise _refuse(f"max_tokens must be at least 1, not {settings.max_tokens!r}.")
    if not 0 <= settings.max_retries <= 10:
        raise _refuse(f"max_retries must be from 0 to 10, not {settings.max_retries!r}.")
    if settings.temperature is not None and not math.isfinite(settings.temperature):
        raise _refuse("temperature must be a finite number.")


def check_timeout(seconds: Any) -> None:
    """Raise `LLMError` (`not_configured`) unless `seconds` is a finite number above 0."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not (number and 0 < seconds <= 86_400):
        raise _refuse(
            f"timeout_seconds must be above 0 and at most 86400, not {seconds!r}."
            if number
            else "timeout_seconds must be a number."
        )


def _preset(name: str) -> Preset:
    cleaned = "".join(str(name).split()).lower()
    if cleaned not in PRESETS:
        shown = "".join(ch for ch in str(name)[:40] if ch.isprintable())
        raise _refuse(
            f"unknown provider {shown!r}: use one of {', '.join(PRESETS)} "
            "(provider=, or REPLAYT_PROVIDER in the environment)."
        )
    return PRESETS[cleaned]


def _read(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _key_from(env: Mapping[str, str], preset: Preset, *, paired: bool) -> str | None:
    for name in preset.key_variables:
        if key := _read(env, name):
            return key
    if preset.name != "offline" and (preset.needs_key or paired):
        return _read(env, "OPENAI_API_KEY")
    return None


def _token_limit_field(preset: Preset, url: BaseURL | None) -> TokenLimitField:
    """The preset's field; for a host of the user's own the one that every server knows.

    Some servers ignore the newer name without a word; those that reject the older one say so.
    """
    if preset.base_url and url and parse_base_url(preset.base_url).host != url.host:
        return "max_tokens"
    return preset.token_limit_field


def _missing_key(preset: Preset, url: BaseURL) -> str:
    names = [*preset.key_variables]
    if "OPENAI_API_KEY" not in names:
        names.append("OPENAI_API_KEY")
    if len(names) == 1:
        what = f"{names[0]} is not set"
    else:
        what = f"{names[-1]} is not set, nor is {' or '.join(names[:-1])}"
    return (
        f"{what}: a model call to {url.netloc} (provider {preset.name}) needs a key. Export it, "
        "pass api_key=, or set REPLAYT_PROVIDER=offline to run without a model."
    )
