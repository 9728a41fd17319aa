"""A model whose replies arrive in the order that a test says, without any clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from replayt_core import LLMError
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    while not condition():  # noqa: ASYNC110 what is waited for is a line in a log
        await asyncio.sleep(0)


def ask(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


class Gate:
    """A model whose replies arrive one after the other, those that rank first first.

    What has no rank is never answered.
    """

    def __init__(self, *rank: str, together: int = 1) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self._rank = rank
        self._together = together
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._releaser: asyncio.Task[None] | None = None

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        raise AssertionError("the async method is there")

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        asked = str(request.messages[-1]["content"])
        self.asked.append(asked)
        loop = asyncio.get_running_loop()
        self._waiting[asked] = loop.create_future()
        if self._releaser is None or self._releaser.done():
            self._releaser = loop.create_task(self._release())
        try:
            await self._waiting[asked]
        except asyncio.CancelledError:
            self.cancelled.append(asked)
            raise
        finally:
            del self._waiting[asked]
        if asked.startswith("broken"):
            raise LLMError("server", f"no answer to {asked}", status=503)
        return ChatResponse(text=f"<{asked}>", model="gate", finish_reason="stop")

    async def _release(self) -> None:
        while True:
            for _ in range(40):  # turns of the loop: let everything come to rest
                await asyncio.sleep(0)
            ready = [asked for asked in self._rank if asked in self._waiting]
            if not ready:
                return
            for asked in ready[: self._together]:
                self._waiting[asked].set_result(None)
