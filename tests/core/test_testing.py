"""The fakes at the ports, which users write their tests with (SC-16, SC-191, SC-192)."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, Field

from replayt_core import LLMError, LogMode, MemoryStore, RunContext, RunNotFoundError
from replayt_core.ports.llm import ChatResponse, DescribesRequests, LLMClient
from replayt_core.ports.store import EventStore
from replayt_core.testing import (
    CountingIds,
    FrozenClock,
    MockLLMClient,
    assert_events,
    run_with_mock,
)
from tests.core.helpers import ASK, RUN, BareStore, one_step, only


class Ticket(BaseModel):
    order_id: int = Field(alias="orderId")


def read(ctx: RunContext) -> None:
    ctx.set("a", ctx.llm.complete_text(messages=ASK))
    ctx.set("b", ctx.llm.parse(Ticket, messages=ASK).order_id)


def test_the_mock_is_a_client_of_the_port() -> None:
    """SC-16, SC-103."""
    assert isinstance(MockLLMClient(), LLMClient)
    assert isinstance(MockLLMClient(), DescribesRequests)
    assert isinstance(MemoryStore(), EventStore)
    assert isinstance(BareStore(), EventStore)


def test_answers_come_in_order_and_may_be_text_model_response_or_error() -> None:
    """SC-16, SC-191."""
    mock = MockLLMClient().enqueue("hello").enqueue(Ticket(orderId=5))
    result = run_with_mock(one_step(read), MemoryStore(), mock)
    assert result.context == {"a": "hello", "b": 5}
    assert mock.remaining == 0
    assert [len(request.messages) for request in mock.requests] == [1, 1]
    mock.enqueue(ChatResponse(text="cut", finish_reason="length")).enqueue(LLMError("quota", "no"))
    for kind in ("truncated", "quota"):
        failed = run_with_mock(one_step(read), MemoryStore(), mock)
        assert (failed.error or {})["kind"] == kind


def test_an_empty_queue_is_an_explicit_error() -> None:
    """SC-191."""
    result = run_with_mock(one_step(read), MemoryStore(), MockLLMClient().enqueue("hello"))
    assert result.status == "failed"
    assert "call 2 found no answer" in (result.error or {})["message"]


def test_run_with_mock_hands_its_keywords_on() -> None:
    """SC-16, SC-191."""
    store, mock = MemoryStore(), MockLLMClient().enqueue("x").enqueue(Ticket(orderId=1))
    result = run_with_mock(
        one_step(read),
        store,
        mock,
        inputs={"k": 1},
        run_id=RUN,
        tags={"t": "1"},
        log_mode=LogMode.full,
        clock=FrozenClock(),
        max_steps=5,
    )
    assert result.context["k"] == 1
    started = only(store, "run_started")
    assert (started["tags"], started["log_mode"]) == ({"t": "1"}, "full")


def test_run_with_mock_resumes_a_run_by_its_id() -> None:
    """SC-16, SC-24."""
    wf = one_step(lambda ctx: ctx.request_approval("a"))
    store, mock = MemoryStore(), MockLLMClient()
    run_with_mock(wf, store, mock, run_id=RUN)
    assert run_with_mock(wf, store, mock, run_id=RUN, resume=True).status == "paused"
    with pytest.raises(RunNotFoundError):
        run_with_mock(wf, store, mock, resume=True)


def test_assert_events_returns_what_it_found() -> None:
    """SC-17, SC-192."""
    store = MemoryStore()
    run_with_mock(
        one_step(read), store, MockLLMClient().enqueue("x").enqueue(Ticket(orderId=1)), run_id=RUN
    )
    assert len(assert_events(store, RUN, "llm_request")) == 2
    assert len(assert_events(store, RUN, "llm_request", count=1, schema_name="Ticket")) == 1
    (event,) = assert_events(store, RUN, "structured_output", data={"orderId": 1})
    assert event.type == "structured_output"
    assert assert_events(store, RUN, "tool_call", count=0) == []


def test_assert_events_fails_with_the_counts() -> None:
    """SC-192."""
    store = MemoryStore()
    run_with_mock(one_step(lambda ctx: None), store, MockLLMClient(), run_id=RUN)
    with pytest.raises(AssertionError, match=r"at least 1 tool_call, found 0.*state_entered 1"):
        assert_events(store, RUN, "tool_call")
    with pytest.raises(AssertionError, match=r"exactly 2 state_entered.*found 1"):
        assert_events(store, RUN, "state_entered", count=2)
    with pytest.raises(AssertionError, match="no events"):
        assert_events(store, "r9", "run_started")


def test_the_frozen_clock_moves_when_told() -> None:
    """R-17: and its monotonic time never goes back."""
    clock = FrozenClock()
    at = clock.now()
    clock.sleep(2.5)
    clock.tick(-10)
    assert (clock.now() - at).total_seconds() == -7.5
    assert (clock.monotonic(), clock.slept) == (2.5, [2.5])


def test_counting_ids_count() -> None:
    """SC-30."""
    ids = CountingIds("x")
    assert [ids.new_run_id(), ids.new_run_id()] == ["x-1", "x-2"]


def test_a_workflow_runs_without_key_and_network() -> None:
    """SC-11, SC-58, SC-191: sockets are blocked in a process of its own."""
    program = (
        "import socket\n"
        "def refuse(*a, **k): raise RuntimeError('network')\n"
        "socket.socket = refuse\n"
        "from replayt_core import MemoryStore, Workflow\n"
        "from replayt_core.testing import MockLLMClient, run_with_mock\n"
        "wf = Workflow('w'); wf.set_initial('a')\n"
        "ask = [{'role': 'user', 'content': '?'}]\n"
        "wf.step('a')(lambda ctx: ctx.set('t', ctx.llm.complete_text(messages=ask)))\n"
        "print(run_with_mock(wf, MemoryStore(), MockLLMClient().enqueue('hi')).context['t'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "hi\n"
