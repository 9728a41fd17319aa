"""Payloads of attempts, moves, retries and notes."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue
from typing_extensions import TypedDict

from replayt_core.payloads.shared import ContextDelta, ErrorInfo


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
