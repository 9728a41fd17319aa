"""The interfaces that others implement: stores, LLM clients, clock and ids. Nothing else."""

from replayt_core.ports.llm import (
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
from replayt_core.ports.store import (
    DeletesRuns,
    EventStore,
    ListsRuns,
    LocksRuns,
    RepairsRuns,
    RunEntry,
    TornTail,
)
from replayt_core.ports.system import Clock, IdSource, SystemClock, UUIDv7Source

__all__ = [
    "CallSettings",
    "ChatRequest",
    "ChatResponse",
    "Clock",
    "DeletesRuns",
    "DescribesRequests",
    "EventStore",
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
    "SystemClock",
    "TornTail",
    "UUIDv7Source",
    "Usage",
]
