"""The helpers for tests of workflows, by their short names."""

from __future__ import annotations

import pytest

from replayt import MemoryStore, RunContext, Workflow
from replayt.testing import MockLLMClient, assert_events, run_with_mock


def two_questions() -> Workflow:
    """A workflow that asks a model twice and keeps both answers in order."""
    wf = Workflow("two_questions")
    wf.set_initial("ask")

    @wf.step("ask")
    def ask(ctx: RunContext) -> None:
        messages = [{"role": "user", "content": "?"}]
        ctx.set("answers", [ctx.llm.complete_text(messages=messages) for _ in range(2)])

    return wf


def test_a_mock_answers_in_order() -> None:
    """SC-191."""
    mock = MockLLMClient().enqueue("first").enqueue("second")
    run = run_with_mock(two_questions(), MemoryStore(), mock, inputs={})
    assert run.status == "completed"
    assert run.context["answers"] == ["first", "second"]
    assert mock.remaining == 0


def test_an_empty_queue_is_an_explicit_error() -> None:
    """SC-191."""
    run = run_with_mock(two_questions(), MemoryStore(), MockLLMClient().enqueue("only one"))
    assert run.status == "failed"
    assert run.error is not None
    assert "call 2 found no answer" in run.error["message"]


def test_assert_events_returns_what_matches_or_fails_with_counts() -> None:
    """SC-192."""
    store = MemoryStore()
    mock = MockLLMClient().enqueue("first").enqueue("second")
    run_id = run_with_mock(two_questions(), store, mock).run_id
    assert [event.payload["call"] for event in assert_events(store, run_id, "llm_request")] == [
        1,
        2,
    ]
    assert len(assert_events(store, run_id, "llm_request", count=1, call=2)) == 1
    with pytest.raises(
        AssertionError, match=r"expected exactly 3 llm_request, found 2.*llm_request 2"
    ):
        assert_events(store, run_id, "llm_request", count=3)
