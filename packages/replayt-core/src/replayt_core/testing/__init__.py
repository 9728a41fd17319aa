"""What tests of workflows, stores and clients need: fakes at the ports, and conformance kits."""

from replayt_core.testing.events import assert_events
from replayt_core.testing.llm import MockLLMClient, run_with_mock
from replayt_core.testing.llm_contract import (
    LLMClientContract,
    LLMClientReport,
    check_llm_client,
)
from replayt_core.testing.store_contract import (
    ClauseResult,
    ContractViolation,
    StoreContract,
    StoreReport,
    check_store,
)
from replayt_core.testing.system import CountingIds, FrozenClock

__all__ = [
    "ClauseResult",
    "ContractViolation",
    "CountingIds",
    "FrozenClock",
    "LLMClientContract",
    "LLMClientReport",
    "MockLLMClient",
    "StoreContract",
    "StoreReport",
    "assert_events",
    "check_llm_client",
    "check_store",
    "run_with_mock",
]
