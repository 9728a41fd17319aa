"""Twelve planted secrets, three log modes, four outcomes: what each mode keeps, and what none does.

RELIABILITY b5, DESIGN 3, SC-57, SC-70 to SC-74.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from replayt_core import LLMError, LogMode, MemoryStore, RunContext, Runner, ToolError
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener, RetryNotice
from replayt_core.testing import FrozenClock
from tests.core.helpers import RUN, log, one_step

KEY = "planted-1-live-key"
HEADER = "planted-2-header-value"
USERINFO = "planted-3-url-password"
QUERY = "planted-4-url-query"
INPUT_VALUE = "planted-5-pydantic-input"
PROMPT = "planted-6-prompt"
IMAGE = "planted-7-image-bytes"
REPLY_TAIL = "planted-8-reply-tail"
TOKEN = "ghp_planted9planted9planted9planted9"
BEARER = "planted-10-bearer-token-0123"
ENVIRONMENT = "planted-11-environment"
REPLY_HEAD = "planted-12-reply-head"
OWN_DATA = "planted-13-input-of-the-run"

NEVER = [KEY, HEADER, USERINFO, QUERY, TOKEN, BEARER, ENVIRONMENT]
"""What is in no log, whatever the mode."""
TEXTS = [PROMPT, IMAGE, REPLY_TAIL, INPUT_VALUE]
"""What model traffic held: in `full` alone."""


class Answer(BaseModel):
    count: int


class Leaky:
    """A client that talks too much; it knows its key and the header."""

    def __init__(self, outcome: str) -> None:
        self._outcome = outcome

    def secrets(self) -> Sequence[str]:
        return [KEY, HEADER, ENVIRONMENT]

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        return {"provider": "leaky", "host": "host", "extra_headers": ["X-Token"]}

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        on_retry(RetryNotice(delay_seconds=0.0, status=429, error_kind=f"slow {KEY}"))
        if self._outcome == "401":
            raise LLMError(
                "auth",
                f"401 from https://user:{USERINFO}@host/v1?key={QUERY} with {KEY}, {TOKEN} and "
                f"Authorization: Bearer {BEARER} and X-Token: {HEADER} of {ENVIRONMENT}",
                status=401,
            )
        filler = f"{REPLY_HEAD} {KEY} " + "x" * 300 + REPLY_TAIL
        text = {
            "ok": f'{filler} {{"count": 3}}',
            "bad output": f'{filler} {{"count": "{INPUT_VALUE}"}}',
            "no JSON": f"{filler} {INPUT_VALUE}",
        }[self._outcome]
        return ChatResponse(text=text, model="m", finish_reason="stop")


def handler(ctx: RunContext) -> None:
    def fetch() -> str:
        raise ValueError(f"https://user:{USERINFO}@host/v1?key={QUERY}: {TOKEN} {KEY}")

    ctx.tools.register(fetch)
    with pytest.raises(ToolError):
        ctx.tools.call("fetch")
    image = {"type": "image_url", "image_url": {"url": f"data:image/png,{IMAGE}"}}
    content = [{"type": "text", "text": f"{PROMPT} {KEY}"}, image]
    ctx.note("seen", summary=f"{KEY}", data={KEY: HEADER})
    llm = ctx.llm.with_settings(extra_headers={"X-Token": HEADER})
    answer = llm.parse(Answer, messages=[{"role": "user", "content": content}], repair=1)
    ctx.set("count", answer.count)


def ran(mode: LogMode, outcome: str) -> tuple[str, Any]:
    store = MemoryStore()
    runner = Runner(
        one_step(handler), store, llm_client=Leaky(outcome), log_mode=mode, clock=FrozenClock()
    )
    result = runner.run({"mine": f"{OWN_DATA} {ENVIRONMENT}"}, run_id=RUN, tags={"t": KEY})
    assert result.status == ("completed" if outcome == "ok" else "failed")
    return b"\n".join(event.line for event in log(store)).decode(), result


OUTCOMES = ["ok", "bad output", "no JSON", "401"]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("mode", list(LogMode))
def test_what_is_a_secret_is_in_no_log_error_or_repr(mode: LogMode, outcome: str) -> None:
    """SC-56, SC-57: keys, header values, URL credentials and tokens, in every mode."""
    raw, result = ran(mode, outcome)
    told = raw + repr(result) + str(result.error) + str(result.context)
    assert [secret for secret in NEVER if secret in told] == []


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_model_traffic_is_in_no_log_outside_full(mode: LogMode, outcome: str) -> None:
    """SC-72, SC-73, SC-74: not in requests, replies, repairs, nor in Pydantic's errors."""
    raw, result = ran(mode, outcome)
    told = raw + str(result.error)
    assert [text for text in TEXTS if text in told] == []
    shown = REPLY_HEAD in raw
    assert shown is (mode is LogMode.redacted and outcome != "401")


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ("ok", [PROMPT, IMAGE, REPLY_TAIL]),
        ("bad output", TEXTS),
        ("no JSON", TEXTS),
        ("401", [PROMPT, IMAGE]),
    ],
)
def test_full_keeps_the_traffic(outcome: str, kept: list[str]) -> None:
    """SC-71."""
    raw, _ = ran(LogMode.full, outcome)
    assert [text for text in kept if text not in raw] == []


@pytest.mark.parametrize("mode", list(LogMode))
def test_the_runs_own_data_is_kept_in_every_mode(mode: LogMode) -> None:
    """DESIGN 3: modes concern model traffic; inputs, context, tools and notes replay needs."""
    raw, _ = ran(mode, "ok")
    assert OWN_DATA in raw
    assert '"count":3' in raw
