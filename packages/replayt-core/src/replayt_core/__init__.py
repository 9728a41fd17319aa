"""The core of replayt: explicit workflows whose every event is logged and can be replayed."""

from typing import TYPE_CHECKING

from replayt_core._on_demand import on_demand

if TYPE_CHECKING:
    from replayt_core._approvals import resolve
    from replayt_core._fold import Approval, RunState, apply, fold, new_state
    from replayt_core._graph import Finding, mermaid
    from replayt_core._marked_fields import Redacted
    from replayt_core._recovery import workflow_changes
    from replayt_core._session import RunResult
    from replayt_core._summary import RunSummary, apply_summary, summarize
    from replayt_core.aio import AsyncRunner
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
        WorkflowFileError,
    )
    from replayt_core.events import DECISION_POINTS, LOG_SCHEMA, Event, is_decision_point
    from replayt_core.memory import MemoryStore
    from replayt_core.redaction import LogMode, scrub_tokens
    from replayt_core.run_ids import check_run_id
    from replayt_core.runner import Runner
    from replayt_core.tools import tool
    from replayt_core.verification import Difference, Verification, verify
    from replayt_core.workflow import RetryPolicy, Workflow

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
    "WorkflowFileError",
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

# Where each public name lives. It is imported when it is asked for, since few processes need all of
# them: a listing of runs has no use for the engine, which takes longer to import than to list.
_HOMES = {
    "_approvals": ("resolve",),
    "_fold": (
        "Approval",
        "RunState",
        "apply",
        "fold",
        "new_state",
    ),
    "_graph": (
        "Finding",
        "mermaid",
    ),
    "_marked_fields": ("Redacted",),
    "_recovery": ("workflow_changes",),
    "_session": ("RunResult",),
    "_summary": (
        "RunSummary",
        "apply_summary",
        "summarize",
    ),
    "aio": ("AsyncRunner",),
    "budget": ("Budget",),
    "context": (
        "AsyncRunContext",
        "RunContext",
    ),
    "errors": (
        "ApprovalConflictError",
        "ApprovalNotFoundError",
        "ApprovalPending",
        "BudgetExceededError",
        "ConflictError",
        "ContextInUseError",
        "ContextSchemaError",
        "DamagedLogError",
        "DefinitionError",
        "DeterminismError",
        "InvalidRunIdError",
        "LLMError",
        "LLMErrorKind",
        "MaxStepsError",
        "MirrorError",
        "NotJSONError",
        "NotReplayableError",
        "NotServableError",
        "RedactedValueError",
        "RefusedError",
        "ReplaytError",
        "RunEndedError",
        "RunExistsError",
        "RunFailed",
        "RunLockedError",
        "RunNotFoundError",
        "StepTimeout",
        "StoreError",
        "StoreURLError",
        "StoreWriteError",
        "ToolError",
        "TransitionError",
        "VisitNotFoundError",
        "WorkflowChangedError",
        "WorkflowFileError",
    ),
    "events": (
        "DECISION_POINTS",
        "LOG_SCHEMA",
        "Event",
        "is_decision_point",
    ),
    "memory": ("MemoryStore",),
    "redaction": (
        "LogMode",
        "scrub_tokens",
    ),
    "run_ids": ("check_run_id",),
    "runner": ("Runner",),
    "tools": ("tool",),
    "verification": (
        "Difference",
        "Verification",
        "verify",
    ),
    "workflow": (
        "RetryPolicy",
        "Workflow",
    ),
}

if not TYPE_CHECKING:
    __getattr__ = on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
