"""Model clients and their settings, and what a client of one's own implements."""

from replayt_core import LLMError, LLMErrorKind
from replayt_core.ports import (
    CallSettings,
    ChatRequest,
    ChatResponse,
    LLMClient,
    LLMClientFactory,
    Message,
    ResponseSchema,
    RetryListener,
    RetryNotice,
    Usage,
)
from replayt_llm import (
    PRESETS,
    RETIREMENTS,
    LLMSettings,
    OfflineClient,
    OpenAICompatClient,
    Preset,
    client_factory_from_env,
)

__all__ = [
    "PRESETS",
    "RETIREMENTS",
    "CallSettings",
    "ChatRequest",
    "ChatResponse",
    "LLMClient",
    "LLMClientFactory",
    "LLMError",
    "LLMErrorKind",
    "LLMSettings",
    "Message",
    "OfflineClient",
    "OpenAICompatClient",
    "Preset",
    "ResponseSchema",
    "RetryListener",
    "RetryNotice",
    "Usage",
    "client_factory_from_env",
]
