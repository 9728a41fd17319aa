"""`ctx.llm`: model calls that are validated, logged, and served on resume."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from replayt_core._attempt import Attempt
from replayt_core._effects import PerformsCalls, perform
from replayt_core._llm_call import parse_call, text_call
from replayt_core.ports.llm import CallSettings, Message

ModelT = TypeVar("ModelT", bound=BaseModel)
BridgeT = TypeVar("BridgeT", bound="_Bridge")


class _Bridge:
    """Model calls of one attempt, with the settings asked for so far."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._settings = CallSettings()

    def with_settings(
        self: BridgeT,
        *,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout_seconds: float | None = None,
        seed: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> BridgeT:
        """A bridge that asks for these settings too; this one stays as it is.

        What is not given stays as the client has it. Headers are merged by name. The log records
        the settings, and of headers their names only.
        """
        asked = {
            "model": model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "timeout_seconds": timeout_seconds,
            "seed": seed,
        }
        changes: dict[str, Any] = {
            name: value for name, value in asked.items() if value is not None
        }
        if extra_headers is not None:
            changes["extra_headers"] = {**(self._settings.extra_headers or {}), **extra_headers}
        changed = copy.copy(self)
        changed._settings = replace(self._settings, **changes)
        return changed


class LLMBridge(_Bridge):
    """`ctx.llm` of a plain handler."""

    def parse(
        self, output_type: type[ModelT], *, messages: Sequence[Message], repair: int = 0
    ) -> ModelT:
        """A validated instance of `output_type`. Raises `LLMError`; see its kinds.

        A reply that is no such instance (kinds `not_json` and `schema`) is asked for again up to
        `repair` times, with the paths and types of its faults. Each time is a call of its own.
        """
        call = parse_call(self._attempt, self._settings, output_type, messages, repair)
        return perform(call)

    def complete_text(self, *, messages: Sequence[Message], allow_truncated: bool = False) -> str:
        """The reply as text. A reply cut at the token limit is an error unless allowed."""
        call = text_call(self._attempt, self._settings, messages, allow_truncated)
        return perform(call)


class AsyncLLMBridge(_Bridge):
    """`ctx.llm` of an `async def` handler."""

    def __init__(self, attempt: Attempt, calls: PerformsCalls) -> None:
        super().__init__(attempt)
        self._calls = calls

    async def parse(
        self, output_type: type[ModelT], *, messages: Sequence[Message], repair: int = 0
    ) -> ModelT:
        """A validated instance of `output_type`; see `LLMBridge.parse`. Raises `LLMError`."""
        call = parse_call(self._attempt, self._settings, output_type, messages, repair)
        return await self._calls.perform(call)

    async def complete_text(
        self, *, messages: Sequence[Message], allow_truncated: bool = False
    ) -> str:
        """The reply as text. A reply cut at the token limit is an error unless allowed."""
        call = text_call(self._attempt, self._settings, messages, allow_truncated)
        return await self._calls.perform(call)
