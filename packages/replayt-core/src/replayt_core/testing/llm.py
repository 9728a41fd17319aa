"""A model client that answers from a queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue

from replayt_core._session import RunResult
from replayt_core.errors import LLMError, RunNotFoundError
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.ports.store import EventStore
from replayt_core.runner import Runner
from replayt_core.workflow import Workflow


class MockLLMClient:
    """Answers each call with the next thing that was enqueued; `requests` keeps what was asked.

    An empty queue is an explicit error, so a test notices a call that it did not expect.
    """

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self._answers: deque[ChatResponse | Exception] = deque()

    def enqueue(self, answer: str | BaseModel | ChatResponse | Exception) -> MockLLMClient:
        """Answer the next call with a text, a model as JSON, a whole response, or an error."""
        if isinstance(answer, BaseModel):
            answer = answer.model_dump_json(by_alias=True)
        if isinstance(answer, str):
            answer = ChatResponse(text=answer, model="mock", finish_reason="stop")
        self._answers.append(answer)
        return self

    @property
    def remaining(self) -> int:
        """How many answers nobody has asked for yet."""
        return len(self._answers)

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        """What the log says was used."""
        settings = request.settings
        return {
            "provider": "mock",
            "host": None,
            "model": settings.model or "mock",
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "timeout_seconds": settings.timeout_seconds,
        }

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """The next answer. Raises what was enqueued as an error."""
        self.requests.append(request)
        if not self._answers:
            raise LLMError(
                "other",
                f"MockLLMClient: call {len(self.requests)} found no answer; enqueue one more",
            )
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        """The next answer, for `AsyncRunner`."""
        return self.complete(request, on_retry=on_retry)


def run_with_mock(
    workflow: Workflow,
    store: EventStore,
    mock: MockLLMClient,
    *,
    inputs: Mapping[str, Any] | None = None,
    **runner: Any,
) -> RunResult:
    """Run a workflow with a mock as its model: no key, no network.

    Further keywords go to `Runner`, but for `run_id`, `tags` and `resume`, which go to `run`.
    """
    to_run = {name: runner.pop(name) for name in ("run_id", "tags", "resume") if name in runner}
    if to_run.get("resume") and not to_run.get("run_id"):
        raise RunNotFoundError("run_with_mock(resume=True) needs a run_id")
    return Runner(workflow, store, llm_client=mock, **runner).run(inputs, **to_run)
