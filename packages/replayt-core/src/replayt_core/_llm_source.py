"""Where the LLM client comes from: given, made by settings, or found installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from replayt_core.errors import DefinitionError, LLMError, ReplaytError
from replayt_core.ports.llm import HoldsSecrets, LLMClient, LLMClientFactory
from replayt_core.redaction import Scrubber

ENTRY_POINTS = "replayt.llm_clients"


class LLMSource:
    """The client of a run, asked for once, at the first model call. Core names no sibling."""

    def __init__(
        self,
        scrubber: Scrubber,
        client: LLMClient | None = None,
        settings: LLMClientFactory | None = None,
    ) -> None:
        self._scrubber = scrubber
        self._client = client
        self._settings = settings
        self._learn(client)
        self._learn(settings)

    def client(self) -> LLMClient:
        """The client. Raises `LLMError` of kind `not_configured` where there is none."""
        if self._client is None:
            settings = self._settings or _installed_default()
            self._learn(settings)
            try:
                self._client = settings.client()
            except ReplaytError as error:
                if isinstance(error, LLMError):
                    raise
                raise LLMError("not_configured", str(error)) from error
            self._learn(self._client)
        return self._client

    def _learn(self, holder: object) -> None:
        if not isinstance(holder, HoldsSecrets):
            return
        secrets = holder.secrets()
        # A text is a list of texts to Python: of single letters, and none would be hidden.
        listed = () if isinstance(secrets, str) else tuple(secrets)
        if isinstance(secrets, str) or not all(isinstance(secret, str) for secret in listed):
            raise DefinitionError(
                f"{type(holder).__name__}.secrets() has to give several texts, such as a list"
            )
        self._scrubber.add(listed)


def _installed_default() -> LLMClientFactory:
    metadata: Any = import_module("importlib.metadata")
    for entry in metadata.entry_points(group=ENTRY_POINTS, name="default"):
        try:
            factory = entry.load()()
        except ReplaytError as error:
            raise LLMError("not_configured", str(error)) from error
        if isinstance(factory, LLMClientFactory):
            return factory
    raise LLMError("not_configured", "no LLM client: install replayt-llm or pass llm_client=")
