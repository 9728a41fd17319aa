"""What the payload of each event type holds, in schema 1 of the log.

These types are the source of `docs/RUN_LOG_SCHEMA.md` and of its JSON Schema; the text below a
field is its description there. Fields that a type does not name may stand in a payload: readers
keep and ignore them.
"""

from __future__ import annotations

from typing import Any

from replayt_core.payloads.approvals import ApprovalApplied, ApprovalRequested, ApprovalResolved
from replayt_core.payloads.models import (
    LLMRequest,
    LLMResponse,
    LLMRetry,
    LLMUsage,
    MessageInfo,
    PartInfo,
    RepairInfo,
    StructuredOutput,
    StructuredOutputFailed,
)
from replayt_core.payloads.runs import (
    ForkedFrom,
    GraphInfo,
    LogRepaired,
    PinnedFrom,
    RunCompleted,
    RunFailedPayload,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
)
from replayt_core.payloads.shared import BudgetAccount, ContextDelta, ErrorInfo
from replayt_core.payloads.states import (
    Because,
    RetryScheduled,
    StateEntered,
    StateExited,
    StepError,
    StepNote,
    Transition,
)
from replayt_core.payloads.tools import ToolCall, ToolResult

__all__ = [
    "PAYLOADS",
    "ApprovalApplied",
    "ApprovalRequested",
    "ApprovalResolved",
    "Because",
    "BudgetAccount",
    "ContextDelta",
    "ErrorInfo",
    "ForkedFrom",
    "GraphInfo",
    "LLMRequest",
    "LLMResponse",
    "LLMRetry",
    "LLMUsage",
    "LogRepaired",
    "MessageInfo",
    "PartInfo",
    "PinnedFrom",
    "RepairInfo",
    "RetryScheduled",
    "RunCompleted",
    "RunFailedPayload",
    "RunInterrupted",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "StateEntered",
    "StateExited",
    "StepError",
    "StepNote",
    "StructuredOutput",
    "StructuredOutputFailed",
    "ToolCall",
    "ToolResult",
    "Transition",
]

PAYLOADS: dict[str, type[Any]] = {
    "run_started": RunStarted,
    "run_resumed": RunResumed,
    "state_entered": StateEntered,
    "state_exited": StateExited,
    "transition": Transition,
    "llm_request": LLMRequest,
    "llm_response": LLMResponse,
    "llm_retry": LLMRetry,
    "structured_output": StructuredOutput,
    "structured_output_failed": StructuredOutputFailed,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "approval_requested": ApprovalRequested,
    "approval_resolved": ApprovalResolved,
    "approval_applied": ApprovalApplied,
    "retry_scheduled": RetryScheduled,
    "run_paused": RunPaused,
    "run_failed": RunFailedPayload,
    "run_interrupted": RunInterrupted,
    "run_completed": RunCompleted,
    "step_error": StepError,
    "step_note": StepNote,
    "log_repaired": LogRepaired,
}
"""The payload of each event type of schema 1."""
