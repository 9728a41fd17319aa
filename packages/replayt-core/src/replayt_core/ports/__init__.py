"""The interfaces that others implement: stores, LLM clients, clock and ids. Nothing else."""

from typing import TYPE_CHECKING

from replayt_core._on_demand import on_demand
from replayt_core.ports.store import (
    DeletesRuns,
    EventStore,
    FollowsRuns,
    ListsRuns,
    LocksRuns,
    RepairsRuns,
    RunEntry,
    RunFollower,
    TornTail,
)
from replayt_core.ports.system import AsyncClock, Clock, IdSource, SystemClock, UUIDv7Source

if TYPE_CHECKING:
    from replayt_core.ports.llm import (
        AsyncLLMClient,
        CallSettings,
        ChatRequest,
        ChatResponse,
        DescribesRequests,
        HoldsSecrets,
        LLMClient,
        LLMClientFactory,
        Message,
        ResponseSchema,
        RetryListener,
        RetryNotice,
        Usage,
    )

__all__ = [
    "AsyncClock",
    "AsyncLLMClient",
    "CallSettings",
    "ChatRequest",
    "ChatResponse",
    "Clock",
    "DeletesRuns",
    "DescribesRequests",
    "EventStore",
    "FollowsRuns",
    "HoldsSecrets",
    "IdSource",
    "LLMClient",
    "LLMClientFactory",
    "ListsRuns",
    "LocksRuns",
    "Message",
    "RepairsRuns",
    "ResponseSchema",
    "RetryListener",
    "RetryNotice",
    "RunEntry",
    "RunFollower",
    "SystemClock",
    "TornTail",
    "UUIDv7Source",
    "Usage",
]

# What a client is given and gives is made with pydantic, which who only lists runs does not need.
_HOMES = {
    "llm": (
        "AsyncLLMClient",
        "CallSettings",
        "ChatRequest",
        "ChatResponse",
        "DescribesRequests",
        "HoldsSecrets",
        "LLMClient",
        "LLMClientFactory",
        "Message",
        "ResponseSchema",
        "RetryListener",
        "RetryNotice",
        "Usage",
    ),
}

if not TYPE_CHECKING:
    __getattr__ = on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
