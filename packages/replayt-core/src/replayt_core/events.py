"""The events of a run: their payloads, their schema version, and which are decision points.

One event is one line of compact JSON; see `chain` for how lines are sealed and checked.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict

LOG_SCHEMA = 1

Payload = dict[str, Any]
"""A payload as it is handled: plain JSON. The `TypedDict`s below say what stands in it."""


class Draft(NamedTuple):
    """An event that is decided and not yet written: the log writer adds the envelope."""

    type: str
    payload: Payload


class Event(NamedTuple):
    """One event of a run. `line` is its JSON line without the newline, kept byte for byte."""

    run_id: str
    seq: int
    ts: str
    type: str
    payload: Payload
    line: bytes
    prev: str | None = None
    more: bool = False


class BudgetAccount(TypedDict):
    """What a run has used of models; `uncounted_replies` came without a count of tokens."""

    llm_calls: int
    tokens: int
    uncounted_replies: int


class ErrorInfo(TypedDict):
    """An exception as the log keeps it: never a traceback, never an input value.

    `account` is what a run that exceeded its budget had used.
    """

    type: str
    message: str
    location: NotRequired[str]
    kind: NotRequired[str]
    status: NotRequired[int | None]
    account: NotRequired[BudgetAccount]


class GraphInfo(TypedDict):
    """The declared graph: what decides whether a workflow may take up a run."""

    initial: str
    states: list[str]
    edges: list[list[str]]


class ContextDelta(TypedDict):
    """What an attempt changed in the context it was entered with."""

    set: dict[str, JsonValue]
    unset: list[str]


class ForkedFrom(TypedDict):
    """The parent of a fork: run, seq of the state entry, and the hash of that line."""

    run_id: str
    seq: int
    hash: str


class PinnedFrom(TypedDict):
    """The original of a redacted copy: the hash of its last line."""

    head: str


class RunStarted(TypedDict):
    """The first event of a run."""

    log_schema: int
    workflow_name: str
    workflow_version: str
    graph: GraphInfo
    code: dict[str, str | None]
    initial_state: str
    inputs: dict[str, JsonValue]
    tags: dict[str, str]
    log_mode: str
    redact_keys: NotRequired[list[str]]
    context: NotRequired[dict[str, JsonValue]]
    forked_from: NotRequired[ForkedFrom]
    pinned_from: NotRequired[PinnedFrom]


class RunResumed(TypedDict):
    """A process takes the run up; `epoch` counts the processes that executed it, from 1."""

    epoch: int
    from_seq: int
    reason: str
    redact_keys: NotRequired[list[str]]
    overrides: NotRequired[dict[str, JsonValue]]


class StateEntered(TypedDict):
    """An attempt begins. `visit` counts arrivals in the state, `attempt` runs of its handler."""

    state: str
    visit: int
    attempt: int


class StateExited(TypedDict):
    """The handler returned; `context` is committed. `next_state` is null where the run ends."""

    state: str
    next_state: str | None
    context: ContextDelta
    elapsed_ms: float


class Because(TypedDict):
    """One thing the visit had looked at: what kind, its name, the event that wrote it."""

    read: Literal["context", "input", "call", "approval", "attempt"]
    name: str
    seq: int | None


class Transition(TypedDict):
    """A move, and everything the visit had looked at when it decided."""

    from_state: str
    to_state: str
    reason: str
    because: list[Because]


class PartInfo(TypedDict):
    """A content part: the size and hash of its text, or of the bytes that it carries."""

    type: str
    bytes: int
    sha256: str
    media_type: NotRequired[str]


class MessageInfo(TypedDict):
    """A message as every log mode keeps it; `content` and `fields` only in `full`.

    `parts` where the content is a list. Bytes and hash are those of the content: of a text as it
    is, else of its JSON. Where a message has more than role and content, they cover that too, and
    `fields` is the rest.
    """

    role: str
    bytes: int
    sha256: str
    parts: NotRequired[list[PartInfo]]
    content: NotRequired[JsonValue]
    fields: NotRequired[dict[str, JsonValue]]


class RepairInfo(TypedDict):
    """A call that asks again since the reply to `of_call` did not fit; `added` was added."""

    of_call: int
    number: int
    added: MessageInfo


class LLMRequest(TypedDict):
    """A model call starts. `overrides` is what the handler asked, `effective` what was used.

    `redact_keys` are the fields that the wanted model marks: hidden from here on.
    """

    call: int
    state: str
    effective: dict[str, JsonValue]
    overrides: dict[str, JsonValue]
    messages: list[MessageInfo]
    schema_name: str | None
    repair: NotRequired[RepairInfo]
    redact_keys: NotRequired[list[str]]
    schema: NotRequired[JsonValue]


class LLMUsage(TypedDict, total=False):
    """Tokens as the provider counted them."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


class LLMResponse(TypedDict):
    """The end of a model call: exactly one for every started call."""

    call: int
    state: str
    ok: bool
    latency_ms: float
    effective: dict[str, JsonValue]
    model: NotRequired[str | None]
    usage: NotRequired[LLMUsage | None]
    finish_reason: NotRequired[str | None]
    request_id: NotRequired[str | None]
    reply: NotRequired[dict[str, JsonValue]]
    error: NotRequired[ErrorInfo]


class LLMRetry(TypedDict):
    """The transport tries a call again: no retry is silent."""

    call: int
    status: int | None
    error: str | None
    delay_seconds: float


class StructuredOutput(TypedDict):
    """A validated output, kept in every log mode since replay needs it."""

    call: int
    state: str
    schema_name: str
    data: JsonValue


class StructuredOutputFailed(TypedDict):
    """A reply that is no valid output: the stage, and the paths of the fields at fault."""

    call: int
    state: str
    schema_name: str
    stage: Literal["not_json", "schema", "not_replayable"]
    fields: list[str]
    message: str


class ToolCall(TypedDict):
    """A tool call starts."""

    call: int
    state: str
    name: str
    arguments: dict[str, JsonValue]


class ToolResult(TypedDict):
    """The end of a tool call."""

    call: int
    state: str
    name: str
    ok: bool
    result: NotRequired[JsonValue]
    error: NotRequired[ErrorInfo]
    elapsed_ms: float


class ApprovalRequested(TypedDict):
    """The run asks a person. `digest` is the SHA-256 of what was shown."""

    approval_id: str
    state: str
    visit: int
    summary: str
    details: JsonValue
    digest: str
    on_approve: str | None
    on_reject: str | None


class ApprovalResolved(TypedDict):
    """A person's answer; without `request_seq` it belongs to the one open request of that id."""

    approval_id: str
    request_seq: NotRequired[int]
    approved: bool
    by: NotRequired[str | None]
    reason: NotRequired[str | None]


class ApprovalApplied(TypedDict):
    """The run acts on an answer, which is thereby consumed."""

    approval_id: str
    request_seq: int
    approved: bool


class RetryScheduled(TypedDict):
    """A failed attempt is followed by attempt number `attempt`; `context` is committed."""

    state: str
    attempt: int
    max_attempts: int
    error: ErrorInfo
    delay_seconds: float
    context: ContextDelta


class RunPaused(TypedDict):
    """The run waits: for an approval (`request_seq`), or for word of a call (`call`)."""

    state: str
    reason: str
    request_seq: NotRequired[int]
    call: NotRequired[int]
    context: ContextDelta


class RunFailedPayload(TypedDict):
    """The run failed; followed by `run_completed` with status `failed`."""

    state: str
    error: ErrorInfo
    context: ContextDelta


class RunInterrupted(TypedDict):
    """The process ended in order, the run did not; it can be resumed."""

    state: str | None
    reason: str
    signal: NotRequired[str]


class RunCompleted(TypedDict):
    """The last event of every ended run."""

    final_state: str | None
    status: Literal["completed", "failed"]


class StepError(TypedDict):
    """A handler failed: which attempt, and how."""

    state: str
    visit: int
    attempt: int
    error: ErrorInfo


class StepNote(TypedDict):
    """What a handler wanted on record."""

    state: str
    kind: str
    summary: str | None
    data: JsonValue


class LogRepaired(TypedDict):
    """What a torn tail held and where it was put aside."""

    bytes: int
    sha256: str
    saved_as: str | None


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

DECISION_POINTS: frozenset[str] = frozenset(PAYLOADS) - {
    "llm_request",
    "llm_response",
    "llm_retry",
    "structured_output",
    "structured_output_failed",
    "step_error",
    "step_note",
}
"""Event types that a `durable` store syncs before `append` returns.

The others are written at once and become durable with what follows them: lost to a power cut,
the call they record is made again.
"""


def is_decision_point(events: list[Event] | tuple[Event, ...]) -> bool:
    """Whether a batch has to survive power loss when `append` returns."""
    return any(event.type in DECISION_POINTS for event in events)
