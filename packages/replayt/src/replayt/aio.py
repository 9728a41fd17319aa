"""Running workflows with `async def` handlers."""

from replayt_core.aio import AsyncRunner
from replayt_core.context import AsyncRunContext
from replayt_core.ports import AsyncClock, AsyncLLMClient

__all__ = ["AsyncClock", "AsyncLLMClient", "AsyncRunContext", "AsyncRunner"]
