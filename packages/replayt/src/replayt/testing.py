"""What tests of workflows, stores and clients need: fakes at the ports, and conformance kits."""

from replayt_core.testing import (
    CountingIds,
    FrozenClock,
    LLMClientContract,
    MockLLMClient,
    StoreContract,
    assert_events,
    check_llm_client,
    check_store,
    run_with_mock,
)

__all__ = [
    "CountingIds",
    "FrozenClock",
    "LLMClientContract",
    "MockLLMClient",
    "StoreContract",
    "assert_events",
    "check_llm_client",
    "check_store",
    "run_with_mock",
]
