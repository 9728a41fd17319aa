"""One case of the corpus through a runner, as a user's workflow would meet it.

As a program it does so for each line of JSON that it reads, so that a test can weigh it alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from replayt_core import LLMError, LogMode, MemoryStore, Runner, Workflow
from replayt_core.aio import AsyncRunner
from replayt_llm import LLMSettings
from tests.llm.corpus import KEY, TIMEOUT

ASK = [{"role": "user", "content": "hello"}]
HOWS = ("sync", "async")


class Answer(BaseModel):
    name: Annotated[str, Field(max_length=20)]
    count: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call: its kind and status in the log, and every text a user may see."""

    kind: str
    status: int | None
    seconds: float
    run_status: str
    events: list[dict[str, Any]]
    log: bytes
    shown: str


def run(
    base_url: str,
    how: str,
    *,
    retries: int = 0,
    timeout: float = TIMEOUT,
    mode: LogMode = LogMode.redacted,
) -> Outcome:
    """Run a workflow of one structured call against the server at `base_url`."""
    settings = LLMSettings(KEY, base_url, timeout_seconds=timeout, max_retries=retries)
    client, store, shown = settings.client(), MemoryStore(), [repr(settings)]
    workflow = Workflow("corpus")
    workflow.set_initial("ask")

    def keep(error: LLMError) -> None:
        shown.extend([str(error), repr(error), repr(vars(error)), repr(error.__cause__)])

    if how == "async":

        @workflow.step("ask")
        async def ask(ctx: Any) -> None:
            try:
                ctx.set("answer", await ctx.llm.parse(Answer, messages=ASK))
            except LLMError as error:
                keep(error)
                raise

    else:

        @workflow.step("ask")
        def ask(ctx: Any) -> None:
            try:
                ctx.set("answer", ctx.llm.parse(Answer, messages=ASK))
            except LLMError as error:
                keep(error)
                raise

    started = time.monotonic()
    if how == "async":
        result = asyncio.run(AsyncRunner(workflow, store, llm_client=client, log_mode=mode).run())
    else:
        result = Runner(workflow, store, llm_client=client, log_mode=mode).run()
    seconds = time.monotonic() - started
    client.close()
    shown += [repr(result), str(result.error), repr(client), repr(client.secrets)]
    log = [event.line for event in store.read(result.run_id)]
    events = [json.loads(line) for line in log]
    kind, status = _ending(events)
    return Outcome(
        kind=kind,
        status=status,
        seconds=seconds,
        run_status=result.status,
        events=events,
        log=b"\n".join(log),
        shown="\n".join(shown),
    )


def _ending(events: list[dict[str, Any]]) -> tuple[str, int | None]:
    for event in events:
        payload = event["payload"]
        if event["type"] == "llm_response" and payload.get("error"):
            return payload["error"]["kind"], payload["error"]["status"]
        if event["type"] == "structured_output_failed":
            return payload["stage"], None
    return "ok", None


def peak_kb() -> int:
    """The most memory that this process has had, in KiB."""
    # Not getrusage: what it says begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Answer each line with the outcome and the memory so far."""
    for line in sys.stdin:
        asked = json.loads(line)
        outcome = run(asked["base_url"], asked["how"], retries=asked["retries"])
        print(json.dumps({"kind": outcome.kind, "peak_kb": peak_kb()}), flush=True)


if __name__ == "__main__":
    main()
