"""Redacted copies: what they keep, that they verify, and how they name the original."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import (
    DamagedLogError,
    Event,
    LLMError,
    LogMode,
    MemoryStore,
    RefusedError,
    RunContext,
    Runner,
    RunNotFoundError,
    Verification,
    Workflow,
    fold,
    resolve,
    tool,
    verify,
)
from replayt_core.chain import line_hash
from replayt_core.pin import redacted_copy
from replayt_core.testing import MockLLMClient
from tests.core.helpers import RUN, batches, one_step, payloads
from tests.core.strict import strictly_valid

PROMPT = "the private prompt"
REPLY = "the private reply"


class Verdict(BaseModel):
    action: str
    score: int


@tool(idempotent=True)
def look_up(name: str) -> str:
    return name * 2


def make(prompt: str = PROMPT, *, text: bool = True) -> Workflow:
    wf = Workflow("judged")
    wf.set_initial("judge")

    @wf.step("judge", to=["talk"])
    def judge(ctx: RunContext) -> str:
        verdict = ctx.llm.parse(Verdict, messages=[{"role": "user", "content": prompt}])
        ctx.set("action", ctx.tools.call("look_up", {"name": verdict.action}))
        ctx.request_approval("go", summary="go on?")
        return "talk"

    @wf.step("talk")
    def talk(ctx: RunContext) -> None:
        if text:
            ctx.llm.complete_text(messages=[{"role": "user", "content": prompt}])

    return wf


def recorded(mode: LogMode, *, text: bool = True) -> MemoryStore:
    store = MemoryStore()
    mock = MockLLMClient().enqueue(Verdict(action="pay", score=3)).enqueue(REPLY)
    runner = Runner(make(text=text), store, llm_client=mock, tools=[look_up], log_mode=mode)
    assert runner.run(run_id=RUN).status == "paused"
    resolve(store, RUN, "go", approved=True)
    assert runner.resume(RUN).status == "completed"
    return store


def check(copy: list[Event], prompt: str = PROMPT, *, text: bool = True) -> Verification:
    return verify(make(prompt, text=text), copy, tools=[look_up])


each_mode = pytest.mark.parametrize("mode", list(LogMode), ids=lambda mode: mode.value)


@each_mode
def test_a_copy_holds_no_prompt_and_no_reply_and_verifies(mode: LogMode) -> None:
    original = list(recorded(mode).read(RUN))
    copy = redacted_copy(original)
    lines = b"\n".join(event.line for event in copy)
    for private in (b"private", b'"content"', b'"preview"', b'"schema":'):
        assert private not in lines
    found = check(copy)
    assert found.ok
    assert found.executed
    (named,) = found.not_replayable
    assert "log mode structured_only" in named
    assert check(redacted_copy(recorded(mode, text=False).read(RUN)), text=False).ok


@each_mode
def test_a_copy_keeps_seqs_batches_times_and_what_is_no_model_traffic(mode: LogMode) -> None:
    original = list(recorded(mode).read(RUN))
    copy = redacted_copy(original)
    kept = [(event.seq, event.type, event.ts, event.more) for event in original]
    assert [(event.seq, event.type, event.ts, event.more) for event in copy] == kept
    for then, now in zip(original[1:], copy[1:], strict=True):
        if then.type not in ("llm_request", "llm_response"):
            assert now.payload == then.payload
    for event in copy:
        strictly_valid(event.type, event.payload)
    again = MemoryStore()
    for batch in batches(copy):
        again.append(RUN, batch, after=batch[0].seq - 1)
    assert fold(RUN, again.read(RUN)).context == fold(RUN, original).context


def test_a_copy_names_the_original_and_a_copy_of_a_copy_does_so_too() -> None:
    original = list(recorded(LogMode.full).read(RUN))
    copy = redacted_copy(original)
    started = copy[0].payload
    assert started["pinned_from"] == {"head": line_hash(original[-1].line)}
    assert started["log_mode"] == "structured_only"
    assert line_hash(copy[-1].line) != line_hash(original[-1].line)
    assert [event.line for event in redacted_copy(copy)] == [event.line for event in copy]


def test_a_changed_prompt_is_found_in_a_copy_too() -> None:
    found = check(redacted_copy(recorded(LogMode.full).read(RUN)), PROMPT + "!")
    assert found.difference is not None
    assert "call 1 is not the recorded one" in found.difference.what


def test_what_pydantic_quotes_of_a_reply_goes_wherever_a_handler_took_it() -> None:
    def handler(ctx: RunContext) -> None:
        try:
            ctx.llm.parse(Verdict, messages=[{"role": "user", "content": "?"}])
        except LLMError as error:
            ctx.set("why", f"no verdict: {error}")
            raise ValueError(str(error)) from None

    store = MemoryStore()
    mock = MockLLMClient().enqueue('{"action": "pay", "score": "private words"}')
    runner = Runner(one_step(handler), store, llm_client=mock, log_mode=LogMode.full)
    assert runner.run(run_id=RUN).status == "failed"
    assert "private words" in payloads(store, "run_failed")[0]["error"]["message"]
    copy = redacted_copy(store.read(RUN))
    assert b"private words" not in b"".join(event.line for event in copy)
    assert verify(one_step(handler), copy).ok


def test_what_cannot_be_copied_is_refused() -> None:
    whole = list(recorded(LogMode.full).read(RUN))
    with pytest.raises(RunNotFoundError):
        redacted_copy([])
    with pytest.raises(DamagedLogError):
        redacted_copy([*whole[:3], *whole[4:]])
    old: dict[str, Any] = {"workflow_name": "demo"}
    line = b'{"ts":"t","run_id":"r1","seq":1,"type":"run_started","payload":{}}'
    with pytest.raises(RefusedError):
        redacted_copy([Event(RUN, 1, "t", "run_started", old, line)])


def test_a_last_batch_that_is_cut_short_is_left_out() -> None:
    whole = list(recorded(LogMode.full).read(RUN))
    begins = next(at for at, event in enumerate(whole) if at and event.more)
    assert len(redacted_copy(whole)) == len(whole)
    begins -= whole[begins - 1].more
    assert len(redacted_copy(whole[: begins + 1])) == begins
