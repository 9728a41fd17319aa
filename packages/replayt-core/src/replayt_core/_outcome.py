"""What the machine asks a driver to do (actions), and what came of it (outcomes)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from replayt_core.events import Payload
from replayt_core.payloads import Because, ErrorInfo


@dataclass(frozen=True, slots=True)
class Enter:
    """Wait `delay_seconds`, then record `Entered`."""

    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Execute:
    """Run the handler of `state` and record what came of it."""

    state: str
    visit: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing to do in this process: the run has ended, or waits for a person."""


Action = Enter | Execute | Stop


def no_delta() -> Payload:
    """The delta of an attempt that changed nothing."""
    return {"set": {}, "unset": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run begins; a fork in another state than the initial one, with that state's context."""

    inputs: dict[str, Any]
    tags: dict[str, str]
    redact_keys: tuple[str, ...] = ()
    log_mode: str
    state: str | None = None
    context: dict[str, Any] | None = None
    forked_from: Payload | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """The wait before a state entry is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The handler returned `value`: nobody has checked it yet."""

    value: object
    delta: Payload
    elapsed_ms: float
    reason: str
    because: list[Because]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The handler failed. `retryable` says whether the step's policy covers the failure."""

    error: ErrorInfo
    retryable: bool
    delta: Payload = field(default_factory=no_delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedApproval:
    """The handler asked for an approval that is not answered yet."""

    approval_id: str
    summary: str
    details: Any
    digest: str
    on_approve: str | None
    on_reject: str | None
    delta: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """A recorded tool call has no result; a person has to say what became of it."""

    call: int
    delta: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """The step or its run has used up its time, in a handler or in a wait."""

    error: ErrorInfo
    delta: Payload = field(default_factory=no_delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """The run has used up its budget of model calls or tokens."""

    error: ErrorInfo
    delta: Payload = field(default_factory=no_delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The process ends, the run does not; `signal` is the name of the signal that asked for it."""

    reason: str
    signal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A process takes the run up.

    `applies` is the seq of the answered request it acts on; `restart` begins the state again as
    its next attempt; `give_up` ends the run instead, since it was recovered too often.
    """

    reason: str
    overrides: dict[str, Any] = field(default_factory=dict)
    applies: int | None = None
    restart: bool = False
    give_up: bool = False
    redact_keys: tuple[str, ...] = ()


Outcome = (
    Started
    | Entered
    | Returned
    | Raised
    | AskedApproval
    | OutcomeUnknown
    | TimedOut
    | OverBudget
    | Interrupted
    | Resumed
)
