"""What each log mode keeps of the model traffic (SC-70 to SC-75)."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import BaseModel

from replayt_core import DefinitionError, LogMode, MemoryStore, RunContext, Runner
from replayt_core.testing import MockLLMClient
from tests.core.helpers import RUN, Killed, log, one_step, only, payloads, run_once

SECRET_PROMPT = "the prompt nobody may read"
REPLY = "the reply that is long enough: " + "x" * 400


class Answer(BaseModel):
    answer: str


def traffic(mode: LogMode | str | None) -> MemoryStore:
    """One text call, one structured call, one tool call in a mode."""

    def handler(ctx: RunContext) -> None:
        messages = [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": SECRET_PROMPT},
        ]
        ctx.llm.complete_text(messages=messages)
        ctx.llm.parse(Answer, messages=messages)
        ctx.tools.register(lambda: "tool result", name="t")
        ctx.tools.call("t")

    store = MemoryStore()
    mock = MockLLMClient().enqueue(REPLY).enqueue('{"answer": "forty-two"}')
    mode_is = {} if mode is None else {"log_mode": mode}
    assert run_once(handler, store=store, llm_client=mock, **mode_is).status == "completed"
    return store


def raw(store: MemoryStore) -> str:
    return b"\n".join(event.line for event in log(store)).decode()


def test_the_modes_are_three_and_the_default_is_redacted() -> None:
    """SC-70."""
    assert [mode.value for mode in LogMode] == ["redacted", "full", "structured_only"]
    assert Runner(one_step(lambda ctx: None), MemoryStore()).log_mode is LogMode.redacted
    assert only(traffic(None), "run_started")["log_mode"] == "redacted"


@pytest.mark.parametrize("text", ["structured_only", "structured-only", LogMode.structured_only])
def test_a_mode_may_be_given_by_name(text: LogMode | str) -> None:
    """SC-70: `structured-only` is taken too."""
    assert LogMode.parse(text) is LogMode.structured_only


@pytest.mark.parametrize("text", ["all", "", "FULL", "none"])
def test_an_unknown_mode_is_refused_naming_the_three(text: str) -> None:
    """SC-75."""
    with pytest.raises(DefinitionError, match="redacted, full, structured_only"):
        Runner(one_step(lambda ctx: None), MemoryStore(), log_mode=text)


def test_full_keeps_messages_and_reply() -> None:
    """SC-71."""
    store = traffic(LogMode.full)
    request, response = payloads(store, "llm_request")[0], payloads(store, "llm_response")[0]
    assert [item["content"] for item in request["messages"]] == ["be short", SECRET_PROMPT]
    assert response["reply"]["content"] == REPLY


@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_otherwise_messages_are_count_roles_sizes_and_hashes(mode: LogMode) -> None:
    """SC-72."""
    store = traffic(mode)
    for request in payloads(store, "llm_request"):
        assert request["messages"] == [
            {
                "role": role,
                "bytes": len(text),
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
            }
            for role, text in (("system", "be short"), ("user", SECRET_PROMPT))
        ]
    assert SECRET_PROMPT not in raw(store)
    assert REPLY not in raw(store)


def test_redacted_keeps_a_preview_of_at_most_200_characters() -> None:
    """SC-73."""
    reply = payloads(traffic(LogMode.redacted), "llm_response")[0]["reply"]
    assert reply["preview"] == REPLY[:200]
    assert reply["bytes"] == len(REPLY)
    assert reply["sha256"] == hashlib.sha256(REPLY.encode()).hexdigest()
    assert "content" not in reply


def test_a_preview_is_scrubbed_before_it_is_cut() -> None:
    """SC-73: half a key at the edge would match no pattern."""
    key = "sk-" + "a1" * 20
    mock = MockLLMClient().enqueue("x" * 190 + " " + key)
    store = MemoryStore()
    run_once(
        lambda ctx: ctx.llm.complete_text(messages=[{"role": "user", "content": "?"}]),
        store=store,
        llm_client=mock,
    )
    assert "sk-a1" not in raw(store)


def test_structured_only_keeps_no_reply_text_but_the_output() -> None:
    """SC-74."""
    store = traffic(LogMode.structured_only)
    for response in payloads(store, "llm_response"):
        assert set(response["reply"]) == {"bytes", "sha256"}
    assert only(store, "structured_output")["data"] == {"answer": "forty-two"}
    assert "long enough" not in raw(store)


@pytest.mark.parametrize("mode", list(LogMode))
def test_outputs_and_tool_results_are_kept_in_every_mode(mode: LogMode) -> None:
    """SC-74, DESIGN 3: replay needs them."""
    store = traffic(mode)
    assert only(store, "structured_output")["data"] == {"answer": "forty-two"}
    assert only(store, "tool_result")["result"] == "tool result"


class Number(BaseModel):
    n: int


@pytest.mark.parametrize("mode", list(LogMode))
def test_a_schema_failure_shows_the_input_value_in_full_only(mode: LogMode) -> None:
    """SC-49, SC-72, DESIGN 3: field paths and types, never the value, unless the mode is full."""
    store = MemoryStore()
    mock = MockLLMClient().enqueue('{"n": "value-of-a-customer"}')
    run_once(
        lambda ctx: ctx.llm.parse(Number, messages=[{"role": "user", "content": "?"}]),
        store=store,
        llm_client=mock,
        log_mode=mode,
    )
    failed = only(store, "structured_output_failed")
    assert failed["fields"] == ["n: int_parsing"]
    assert ("value-of-a-customer" in failed["message"]) == (mode is LogMode.full)
    errors = str([e.payload for e in log(store) if e.type in ("step_error", "run_failed")])
    assert ("value-of-a-customer" in errors) == (mode is LogMode.full)


def test_a_pydantic_error_of_the_handler_itself_hides_its_input_too() -> None:
    """SC-72, DESIGN 3."""
    store = MemoryStore()
    run_once(lambda ctx: Number(n="value-of-a-customer"), store=store)
    assert "value-of-a-customer" not in raw(store)
    run_id = RUN
    assert "n: int_parsing" in only(store, "run_failed", run_id)["error"]["message"]


def test_a_resumed_run_keeps_the_mode_it_was_started_in() -> None:
    """SC-70: the log says which mode it holds."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        if ctx.get("resumed") is None and "run_resumed" not in [e.type for e in log(store)]:
            raise Killed
        ctx.llm.complete_text(messages=[{"role": "user", "content": SECRET_PROMPT}])

    mock = MockLLMClient().enqueue("x")
    with pytest.raises(Killed):
        run_once(handler, store=store, llm_client=mock, log_mode="structured_only")
    Runner(one_step(handler), store, llm_client=mock, log_mode="full").resume(RUN)
    assert SECRET_PROMPT not in raw(store)
