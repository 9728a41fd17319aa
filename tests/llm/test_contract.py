"""The conformance kit for clients, on the clients that come with replayt."""

from __future__ import annotations

from replayt_core.errors import LLMError, LLMErrorKind
from replayt_core.ports import ChatResponse, LLMClient
from replayt_core.testing import LLMClientContract, MockLLMClient
from replayt_core.testing.llm_contract import Provider, Refuses, Says
from replayt_llm import LLMSettings, OfflineClient


class TestOpenAICompatClient(LLMClientContract):
    def make_client(self, provider: Provider) -> LLMClient:
        return LLMSettings(provider.key, provider.base_url, "m").client()


class TestMockLLMClient(LLMClientContract):
    replies = "by hand"

    def make_client(self, provider: Provider) -> LLMClient:
        mock = MockLLMClient()
        for turn in provider.turns:
            mock.enqueue(answer_of(turn))
        return mock


class TestOfflineClient(LLMClientContract):
    replies = "its own"

    def make_client(self, provider: Provider) -> LLMClient:
        return OfflineClient()


def answer_of(turn: object) -> ChatResponse | LLMError:
    """What is enqueued for a turn of the provider."""
    if isinstance(turn, Says):
        return ChatResponse(
            text=turn.text if turn.refusal is None else "",
            model=turn.model,
            finish_reason=turn.finish_reason,
            refusal=turn.refusal,
            has_tool_calls=turn.tool_calls,
            usage=turn.usage,
        )
    assert isinstance(turn, Refuses)
    kinds: dict[int, LLMErrorKind] = {
        401: "auth", 403: "auth", 404: "not_found", 429: "rate_limit", 500: "server", 503: "server",
    }  # fmt: skip
    kind = "quota" if turn.code else kinds.get(turn.status, "bad_request")
    return LLMError(kind, turn.message, status=turn.status)
