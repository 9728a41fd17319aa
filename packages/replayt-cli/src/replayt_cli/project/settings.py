"""What holds: the option, else the environment, else the configuration, else the default."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from typing import cast

from replayt_cli.arguments.inputs import check_timeout, read_log_mode
from replayt_cli.errors import UsageError
from replayt_cli.project.config import Config

PROVIDER, MODEL, BASE_URL = "REPLAYT_PROVIDER", "REPLAYT_MODEL", "OPENAI_BASE_URL"
PRICES = "REPLAYT_PRICES"


def log_mode_of_run(option: str | None, config: Config) -> str | None:
    """The log mode of a new run, None for the default. Raises `UsageError` for an unknown name."""
    return read_log_mode(option) or config.log_mode


def time_limit(option: float | None, config: Config) -> float | None:
    """The seconds a run may take, None for no limit. Raises `UsageError` for what is no time."""
    check_timeout(option)
    return config.timeout if option is None else option


def model_environment(config: Config, env: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The environment, with provider and model of the configuration where it names none.

    A model that the file names together with a provider is that provider's: where the environment
    asks for another provider, it does not count. Raises `UsageError` for an unknown provider.
    """
    env = os.environ if env is None else env
    if config.provider is None and config.model is None:
        return env
    stand_in: dict[str, str] = {}
    if config.provider is not None:
        _check_provider(config)
        if not is_set(env, PROVIDER):
            stand_in[PROVIDER] = config.provider
    if config.model is not None and not is_set(env, MODEL) and _fits(config, env):
        stand_in[MODEL] = config.model
    # Behind it the environment itself: a handler may set a key before its first call.
    return ChainMap(stand_in, cast("MutableMapping[str, str]", env))


def is_set(env: Mapping[str, str], name: str) -> bool:
    """Whether a variable has a value; blank counts as not set."""
    return bool(env.get(name, "").strip())


def _fits(config: Config, env: Mapping[str, str]) -> bool:
    """Whether the model of the configuration is one of the provider that is asked."""
    if config.provider is None or not is_set(env, PROVIDER):
        return True
    return _folded(config.provider) == _folded(env[PROVIDER])


def _folded(provider: str) -> str:
    return "".join(provider.split()).lower()


def _check_provider(config: Config) -> None:
    from difflib import get_close_matches

    from replayt_llm import PRESETS

    provider = _folded(config.provider or "")
    if provider in PRESETS:
        return
    near = get_close_matches(provider, PRESETS, n=1)
    what = f"did you mean {near[0]}?" if near else f"use one of {', '.join(PRESETS)}"
    where = config.origin("provider")
    raise UsageError(f"{where} {config.provider!r:.60} is no provider that is known; {what}")
