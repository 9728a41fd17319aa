"""The core of replayt: explicit workflows whose every event is logged and can be replayed."""

from typing import TYPE_CHECKING, Any

from replayt_core._approvals import resolve
from replayt_core._fold import Approval, RunState, apply, fold, new_state
from replayt_core._graph import Finding, mermaid
from replayt_core._marked_fields import Redacted
from replayt_core._recovery import workflow_changes
from replayt_core._session import RunResult
from replayt_core._summary import RunSummary, apply_summary, summarize
from replayt_core.budget import Budget
from replayt_core.context import AsyncRunContext, RunContext
from replayt_core.errors import (
    ApprovalConflictError,
    ApprovalNotFoundError,
    ApprovalPending,
    BudgetExceededError,
    ConflictError,
    ContextInUseError,
    ContextSchemaError,
    DamagedLogError,
    DefinitionError,
    DeterminismError,
    InvalidRunIdError,
    LLMError,
    LLMErrorKind,
    MaxStepsError,
    MirrorError,
    NotJSONError,
    NotReplayableError,
    NotServableError,
    RedactedValueError,
    RefusedError,
    ReplaytError,
    RunEndedError,
    RunExistsError,
    RunFailed,
    RunLockedError,
    RunNotFoundError,
    StepTimeout,
    StoreError,
    StoreURLError,
    StoreWriteError,
    ToolError,
    TransitionError,
    VisitNotFoundError,
    WorkflowChangedError,
)
from replayt_core.events import DECISION_POINTS, LOG_SCHEMA, Event, is_decision_point
from replayt_core.memory import MemoryStore
from replayt_core.redaction import LogMode, scrub_tokens
from replayt_core.run_ids import check_run_id
from replayt_core.runner import Runner
from replayt_core.tools import tool
from replayt_core.verify import Difference, Verification, verify
from replayt_core.workflow import RetryPolicy, Workflow

if TYPE_CHECKING:
    from replayt_core.aio import AsyncRunner

__all__ = [
    "DECISION_POINTS",
    "LOG_SCHEMA",
    "Approval",
    "ApprovalConflictError",
    "ApprovalNotFoundError",
    "ApprovalPending",
    "AsyncRunContext",
    "AsyncRunner",
    "Budget",
    "BudgetExceededError",
    "ConflictError",
    "ContextInUseError",
    "ContextSchemaError",
    "DamagedLogError",
    "DefinitionError",
    "DeterminismError",
    "Difference",
    "Event",
    "Finding",
    "InvalidRunIdError",
    "LLMError",
    "LLMErrorKind",
    "LogMode",
    "MaxStepsError",
    "MemoryStore",
    "MirrorError",
    "NotJSONError",
    "NotReplayableError",
    "NotServableError",
    "Redacted",
    "RedactedValueError",
    "RefusedError",
    "ReplaytError",
    "RetryPolicy",
    "RunContext",
    "RunEndedError",
    "RunExistsError",
    "RunFailed",
    "RunLockedError",
    "RunNotFoundError",
    "RunResult",
    "RunState",
    "RunSummary",
    "Runner",
    "StepTimeout",
    "StoreError",
    "StoreURLError",
    "StoreWriteError",
    "ToolError",
    "TransitionError",
    "Verification",
    "VisitNotFoundError",
    "Workflow",
    "WorkflowChangedError",
    "apply",
    "apply_summary",
    "check_run_id",
    "fold",
    "is_decision_point",
    "mermaid",
    "new_state",
    "resolve",
    "scrub_tokens",
    "summarize",
    "tool",
    "verify",
    "workflow_changes",
]


def __getattr__(name: str) -> Any:
    """`AsyncRunner` is imported when it is asked for: asyncio would double the start-up time."""
    if name == "AsyncRunner":
        from replayt_core.aio import AsyncRunner

        return AsyncRunner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
