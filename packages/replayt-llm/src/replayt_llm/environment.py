"""The client that core finds by itself, through the entry-point group `replayt.llm_clients`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from replayt_core.errors import LLMError
from replayt_core.ports import LLMClient, LLMClientFactory
from replayt_llm._scrub import worth_hiding
from replayt_llm._urls import parse_base_url
from replayt_llm.presets import PRESETS
from replayt_llm.settings import LLMSettings


def client_factory_from_env(env: Mapping[str, str] | None = None) -> LLMClientFactory:
    """A factory whose client is what the environment asks for.

    The environment is judged when the client is asked for: a run without model calls needs no key,
    and a wrong `REPLAYT_PROVIDER` does not stop it.
    """
    return _EnvironmentFactory(os.environ if env is None else env)


class _EnvironmentFactory:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def client(self) -> LLMClient:
        """The client of `LLMSettings.from_env`. Raises `LLMError` (`not_configured`)."""
        return LLMSettings.from_env(self._env).client()

    def secrets(self) -> Sequence[str]:
        """Every provider key in the environment, and what `OPENAI_BASE_URL` hides."""
        names = {name for preset in PRESETS.values() for name in preset.key_variables}
        found: list[str | None] = [self._env.get(name, "").strip() for name in sorted(names)]
        with contextlib.suppress(LLMError):  # malformed: the first call says so
            found += parse_base_url(self._env.get("OPENAI_BASE_URL", "").strip()).secrets()
        return worth_hiding(found)
