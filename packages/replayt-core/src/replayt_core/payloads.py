"""What the payload of each event type holds, in schema 1 of the log.

These types are the source of `docs/RUN_LOG_SCHEMA.md` and of its JSON Schema; the text below a
field is its description there. Fields that a type does not name may stand in a payload: readers
keep and ignore them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict


class BudgetAccount(TypedDict):
    """What a run has used of models; `uncounted_replies` came without a count of tokens."""

    llm_calls: int
    """Model calls made."""
    tokens: int
    """Tokens counted by the providers."""
    uncounted_replies: int
    """Replies that came without a count."""


class ErrorInfo(TypedDict):
    """An exception as the log keeps it: never a traceback, never an input value.

    `account` is what a run that exceeded its budget had used.
    """

    type: str
    """The class of the exception."""
    message: str
    """What it says. Validation errors name fields and types, never the value, unless the log mode
    is `full`.
    """
    location: NotRequired[str]
    """`file:line` in the workflow's own code."""
    kind: NotRequired[str]
    """Of a model call: the kind of `LLMError`, such as `timeout`, `http_status`, `not_json`."""
    status: NotRequired[int | None]
    """Of a model call: the HTTP status."""
    account: NotRequired[BudgetAccount]
    """Of an exceeded budget: what the run had used."""


class GraphInfo(TypedDict):
    """The declared graph: what decides whether a workflow may take up a run."""

    initial: str
    """The first state."""
    states: list[str]
    """All states, in the order they were declared."""
    edges: list[list[str]]
    """Declared moves, each `[from, to]`; empty where none was declared."""


class ContextDelta(TypedDict):
    """What an attempt changed in the context it was entered with."""

    set: dict[str, JsonValue]
    """Keys that were set or changed, with their values."""
    unset: list[str]
    """Keys that were removed."""


class ForkedFrom(TypedDict):
    """The parent of a fork: run, seq of the state entry, and the hash of that line."""

    run_id: str
    """The parent."""
    seq: int
    """The parent's `state_entered` that the fork starts at."""
    hash: str
    """Of that line: 32 hex digits of its SHA-256."""


class PinnedFrom(TypedDict):
    """The original of a redacted copy: the hash of its last line."""

    head: str
    """The hash of the original's last line."""


class RunStarted(TypedDict):
    """The first event of a run."""

    log_schema: int
    """1."""
    workflow_name: str
    """Name of the workflow."""
    workflow_version: str
    """Its version."""
    graph: GraphInfo
    """What decides whether a changed workflow may take the run up."""
    code: dict[str, str | None]
    """For each state the SHA-256 of its handler's source text; null where there is none."""
    initial_state: str
    """The state the run starts in: of a fork, the state it was forked at."""
    inputs: dict[str, JsonValue]
    """The inputs as JSON; the context starts as a copy of them."""
    tags: dict[str, str]
    """Tags by key."""
    log_mode: str
    """`redacted`, `full` or `structured_only`."""
    redact_keys: NotRequired[list[str]]
    """Field names whose values are hidden everywhere in this log."""
    context: NotRequired[dict[str, JsonValue]]
    """Of a fork: the context it starts with."""
    forked_from: NotRequired[ForkedFrom]
    """Of a fork: its parent."""
    pinned_from: NotRequired[PinnedFrom]
    """Of a redacted copy: its original."""


class RunResumed(TypedDict):
    """A process takes the run up; `epoch` counts the processes that executed it, from 1."""

    epoch: int
    """Which process of this run it is; the one that started it was 1."""
    from_seq: int
    """The last event it found."""
    reason: str
    """`approval`, `call_answered`, `interrupted`, `retry_failed` or `restart_state`."""
    redact_keys: NotRequired[list[str]]
    """Field names that are hidden from here on."""
    overrides: NotRequired[dict[str, JsonValue]]
    """Options that were used to go on, such as `allow_changed`."""


class StateEntered(TypedDict):
    """An attempt begins. `visit` counts arrivals in the state, `attempt` runs of its handler."""

    state: str
    """The state."""
    visit: int
    """Which arrival in this state it is, counted from 1."""
    attempt: int
    """Which run of its handler in this visit it is, counted from 1."""


class StateExited(TypedDict):
    """The handler returned; `context` is committed. `next_state` is null where the run ends."""

    state: str
    """The state."""
    next_state: str | None
    """Where the handler wants to go; null ends the run."""
    context: ContextDelta
    """What the attempt changed; committed."""
    elapsed_ms: float
    """How long the attempt took, in milliseconds."""


class Because(TypedDict):
    """One thing the visit had looked at: what kind, its name, the event that wrote it."""

    read: Literal["context", "input", "call", "approval", "attempt"]
    """What kind of thing was looked at."""
    name: str
    """A context key, an input, a call, an approval id; `*` for the whole context."""
    seq: int | None
    """The event that wrote it; null for a key that was absent."""


class Transition(TypedDict):
    """A move, and everything the visit had looked at when it decided."""

    from_state: str
    """The state that was left."""
    to_state: str
    """The state that is next."""
    reason: str
    """What the handler said with `ctx.because`, else a summary; `unconditional` when the visit
    looked at nothing.
    """
    because: list[Because]
    """Everything the visit had looked at when it decided."""


class PartInfo(TypedDict):
    """A content part: the size and hash of its text, or of the bytes that it carries."""

    type: str
    """`text`, `image_url` and the like, as the message has it."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256, in hex."""
    media_type: NotRequired[str]
    """Of carried bytes: their media type."""


class MessageInfo(TypedDict):
    """A message as every log mode keeps it; `content` and `fields` only in `full`.

    `parts` where the content is a list. Bytes and hash are those of the content: of a text as it
    is, else of its JSON. Where a message has more than role and content, they cover that too, and
    `fields` is the rest.
    """

    role: str
    """`system`, `user`, `assistant` or what the handler wrote."""
    bytes: int
    """Size of the content in bytes."""
    sha256: str
    """SHA-256 of the content, in hex."""
    parts: NotRequired[list[PartInfo]]
    """Of a content that is a list: each of its parts."""
    content: NotRequired[JsonValue]
    """Only in log mode `full`: the content."""
    fields: NotRequired[dict[str, JsonValue]]
    """Only in log mode `full`: what the message has besides role and content."""


class RepairInfo(TypedDict):
    """A call that asks again since the reply to `of_call` did not fit; `added` was added."""

    of_call: int
    """The call whose reply did not fit."""
    number: int
    """Which repair of it this is, counted from 1."""
    added: MessageInfo
    """The message that says what did not fit."""


class LLMRequest(TypedDict):
    """A model call starts. `overrides` is what the handler asked, `effective` what was used.

    `redact_keys` are the fields that the wanted model marks: hidden from here on.
    """

    call: int
    """Its number among the calls of this attempt, counted from 1."""
    state: str
    """The state."""
    effective: dict[str, JsonValue]
    """What was used: provider, host, model, sampling, limits, structured mode, the schema's hash.

    In log mode `full` the schema itself too.
    """
    overrides: dict[str, JsonValue]
    """What the handler asked for with `with_settings`."""
    messages: list[MessageInfo]
    """The messages, as the log mode keeps them."""
    schema_name: str | None
    """The wanted model class; null for a text call."""
    repair: NotRequired[RepairInfo]
    """Of a call that asks again: what it mends."""
    redact_keys: NotRequired[list[str]]
    """Field names that the wanted model hides, from here on."""


class LLMUsage(TypedDict, total=False):
    """Tokens as the provider counted them."""

    prompt_tokens: int | None
    """Tokens sent."""
    completion_tokens: int | None
    """Tokens received."""
    total_tokens: int | None
    """Both."""


class LLMResponse(TypedDict):
    """The end of a model call: exactly one for every started call."""

    call: int
    """The call that ends."""
    state: str
    """The state."""
    ok: bool
    """Whether there is a reply."""
    latency_ms: float
    """Milliseconds from the first request on the wire to the end, retries included."""
    effective: dict[str, JsonValue]
    """As in `llm_request`."""
    model: NotRequired[str | None]
    """What the provider calls the model that answered."""
    usage: NotRequired[LLMUsage | None]
    """Tokens, where the provider counts them."""
    finish_reason: NotRequired[str | None]
    """Why the model stopped, in the provider's word."""
    request_id: NotRequired[str | None]
    """The provider's id of the request."""
    reply: NotRequired[dict[str, JsonValue]]
    """Size and hash of the reply, and as much of its text as the log mode keeps."""
    error: NotRequired[ErrorInfo]
    """Why there is no reply."""


class LLMRetry(TypedDict):
    """The transport tries a call again: no retry is silent."""

    call: int
    """The call that is tried again."""
    status: int | None
    """The HTTP status that was answered; null without an answer."""
    error: str | None
    """The kind of error; null where the status says it."""
    delay_seconds: float
    """How long it waits first."""


class StructuredOutput(TypedDict):
    """A validated output, kept in every log mode since replay needs it."""

    call: int
    """The call that was answered."""
    state: str
    """The state."""
    schema_name: str
    """The model class."""
    data: JsonValue
    """The validated instance, as JSON."""


class StructuredOutputFailed(TypedDict):
    """A reply that is no valid output: the stage, and the paths of the fields at fault."""

    call: int
    """The call that was answered."""
    state: str
    """The state."""
    schema_name: str
    """The model class."""
    stage: Literal["not_json", "schema", "not_replayable"]
    """`not_json`: no JSON object; `schema`: it does not validate; `not_replayable`: it does not
    survive its own JSON.
    """
    fields: list[str]
    """The paths of the fields at fault."""
    message: str
    """In one line."""


class ToolCall(TypedDict):
    """A tool call starts."""

    call: int
    """Its number among the calls of this attempt, counted from 1."""
    state: str
    """The state."""
    name: str
    """The tool."""
    arguments: dict[str, JsonValue]
    """Its validated arguments, as JSON."""


class ToolResult(TypedDict):
    """The end of a tool call."""

    call: int
    """The call that ends."""
    state: str
    """The state."""
    name: str
    """The tool."""
    ok: bool
    """Whether it returned."""
    result: NotRequired[JsonValue]
    """What it returned, as JSON."""
    error: NotRequired[ErrorInfo]
    """What it raised."""
    elapsed_ms: float
    """How long it took, in milliseconds."""


class ApprovalRequested(TypedDict):
    """The run asks a person. `digest` is the SHA-256 of what was shown."""

    approval_id: str
    """The id that the handler gave."""
    state: str
    """The state."""
    visit: int
    """The visit that asks."""
    summary: str
    """What is asked, in one line."""
    details: JsonValue
    """What else was shown, as JSON."""
    digest: str
    """SHA-256 of what was shown, in hex."""
    on_approve: str | None
    """The state to go to when approved; null: the state runs again."""
    on_reject: str | None
    """The same when rejected."""


class ApprovalResolved(TypedDict):
    """A person's answer; without `request_seq` it belongs to the one open request of that id."""

    approval_id: str
    """The id of the request."""
    request_seq: NotRequired[int]
    """The `approval_requested` that is answered."""
    approved: bool
    """The answer."""
    by: NotRequired[str | None]
    """Who answered."""
    reason: NotRequired[str | None]
    """Why."""


class ApprovalApplied(TypedDict):
    """The run acts on an answer, which is thereby consumed."""

    approval_id: str
    """The id of the request."""
    request_seq: int
    """The request."""
    approved: bool
    """The answer that is acted on."""


class RetryScheduled(TypedDict):
    """A failed attempt is followed by attempt number `attempt`; `context` is committed."""

    state: str
    """The state."""
    attempt: int
    """The number of the attempt that follows."""
    max_attempts: int
    """How many there may be."""
    error: ErrorInfo
    """How the last one failed."""
    delay_seconds: float
    """How long it waits first."""
    context: ContextDelta
    """What the failed attempt changed; committed."""


class RunPaused(TypedDict):
    """The run waits: for an approval (`request_seq`), or for word of a call (`call`)."""

    state: str
    """The state that waits."""
    reason: str
    """`approval`, or `outcome_unknown` of a tool call."""
    request_seq: NotRequired[int]
    """The approval that is waited for."""
    call: NotRequired[int]
    """The `seq` of the call whose outcome nobody knows."""
    context: ContextDelta
    """What the attempt changed; committed only when a route of the approval leaves the state."""


class RunFailedPayload(TypedDict):
    """The run failed; followed by `run_completed` with status `failed`."""

    state: str
    """The state that failed."""
    error: ErrorInfo
    """How."""
    context: ContextDelta
    """What the last attempt changed; committed."""


class RunInterrupted(TypedDict):
    """The process ended in order, the run did not; it can be resumed."""

    state: str | None
    """The state; null before the first."""
    reason: str
    """What ended the process in order."""
    signal: NotRequired[str]
    """The signal, where it was one."""


class RunCompleted(TypedDict):
    """The last event of every ended run."""

    final_state: str | None
    """The last state."""
    status: Literal["completed", "failed"]
    """How the run ended."""


class StepError(TypedDict):
    """A handler failed: which attempt, and how."""

    state: str
    """The state."""
    visit: int
    """The visit."""
    attempt: int
    """The attempt that failed."""
    error: ErrorInfo
    """How."""


class StepNote(TypedDict):
    """What a handler wanted on record."""

    state: str
    """The state."""
    kind: str
    """What kind of note, in the handler's word."""
    summary: str | None
    """In one line."""
    data: JsonValue
    """What else, as JSON."""


class LogRepaired(TypedDict):
    """What a torn tail held and where it was put aside."""

    bytes: int
    """How many bytes were cut off."""
    sha256: str
    """SHA-256 of them, in hex."""
    saved_as: str | None
    """Where they were put aside; null where the store keeps no files."""


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
