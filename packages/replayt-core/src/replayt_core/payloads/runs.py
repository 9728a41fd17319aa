"""Payloads of what befalls a run as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict

from replayt_core.payloads.shared import ContextDelta, ErrorInfo


class GraphInfo(TypedDict):
    """The declared graph: what decides whether a workflow may take up a run."""

    initial: str
    """The first state."""
    states: list[str]
    """All states, in the order they were declared."""
    edges: list[list[str]]
    """Declared moves, each `[from, to]`; empty where none was declared."""


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


class LogRepaired(TypedDict):
    """What a torn tail held and where it was put aside."""

    bytes: int
    """How many bytes were cut off."""
    sha256: str
    """SHA-256 of them, in hex."""
    saved_as: str | None
    """Where they were put aside; null where the store keeps no files."""
