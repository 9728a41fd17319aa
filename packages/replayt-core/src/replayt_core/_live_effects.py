"""Doing the effect of a call in a task of its own, and ending that task."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from replayt_core._effects import Complete, Invoke, invoke
from replayt_core._log_writer import LogWriter
from replayt_core.errors import LLMError
from replayt_core.ports.llm import AsyncLLMClient, RetryNotice


async def carry_out(effect: Complete | Invoke, writer: LogWriter) -> Any:
    """What the effect results in: a tool's value, or a client's reply.

    A client that is not async works in a thread. Its retries are noted in the thread of the loop;
    where `writer` fails over one, the call itself raises that when it comes back.
    """
    if isinstance(effect, Invoke):
        return await invoke(effect)
    client = effect.client
    if client is None:
        return None
    if isinstance(client, AsyncLLMClient):
        return await client.complete_async(effect.request, on_retry=effect.on_retry)
    loop = asyncio.get_running_loop()
    over = False

    def on_retry(notice: RetryNotice) -> None:  # in the client's thread
        if over:
            raise LLMError("interrupted", "nobody waits for this call any more")
        loop.call_soon_threadsafe(note, notice)

    def note(notice: RetryNotice) -> None:  # in the loop's thread; nobody waits for it
        if over:
            return
        try:
            effect.on_retry(notice)
        except BaseException:
            if writer.failure is None:
                raise

    try:
        return await asyncio.to_thread(client.complete, effect.request, on_retry=on_retry)
    finally:
        over = True


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended, come what may."""
    task.cancel()
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # seen
    for _ in range(3):
        # Where all tasks are cancelled at once, let the runner say first that the run is given up.
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
