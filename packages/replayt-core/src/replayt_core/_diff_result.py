"""What a comparison of two runs is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from replayt_core._diff_values import Change, Side
from replayt_core._summary import Status

Part = Literal[
    "workflow",
    "inputs",
    "states",
    "prompts",
    "settings",
    "replies",
    "outputs",
    "tool_calls",
    "approvals",
    "context",
    "moves",
    "notes",
    "retries",
    "status",
]
"""A part of two runs that is compared, by its name."""
PARTS: tuple[Part, ...] = get_args(Part)
"""Every part, in the order in which they are shown."""


@dataclass(frozen=True, kw_only=True)
class RunDifference:
    """One thing in which two runs differ, with the fields that do.

    `what` names it: a tool, the schema of an output, an approval. `visit` is its place in
    `RunDiff.visits`, None for the run as a whole. `only` names the run that has it where the other
    has not. What is in `changes` is text from the log as it is: whoever shows it escapes it.
    """

    part: Part
    what: str
    state: str | None
    visit: int | None
    seq_a: int | None
    seq_b: int | None
    only: Side | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class PartDiff:
    """One part of the comparison; `compared` counts what both runs have."""

    part: Part
    compared: int
    differences: tuple[RunDifference, ...]

    @property
    def changed(self) -> bool:
        """Whether the runs differ in it."""
        return bool(self.differences)


@dataclass(frozen=True, kw_only=True)
class NotCompared:
    """What could not be compared, and why: never taken for the same, never for different."""

    part: Part | None
    what: str
    why: str
    state: str | None = None
    seq_a: int | None = None
    seq_b: int | None = None


@dataclass(frozen=True, kw_only=True)
class VisitRef:
    """A visit of one run: the how-many-eth of its state, and where in the log."""

    visit: int
    seq: int
    last_seq: int


@dataclass(frozen=True, kw_only=True)
class VisitPair:
    """A visit that both runs made, or one of them alone."""

    state: str
    a: VisitRef | None
    b: VisitRef | None
    changed: bool


@dataclass(frozen=True, kw_only=True)
class ForkRelation:
    """One of the runs is a fork of the other, which entered `state` at `seq` of its own log.

    The `shared` visits before that are not compared: the fork did not make them.
    """

    fork: Side
    seq: int
    state: str
    shared: int


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A figure of both runs; None where a log does not say it. No difference by itself."""

    a: float | None
    b: float | None

    @property
    def delta(self) -> float | None:
        """How much more B has."""
        return None if self.a is None or self.b is None else round(self.b - self.a, 3)


@dataclass(frozen=True, kw_only=True)
class CallLatency:
    """How long a model call took that both runs made."""

    what: str
    state: str
    seq_a: int
    seq_b: int
    latency_ms: Delta


@dataclass(frozen=True, kw_only=True)
class RunSide:
    """One of the two runs. `unknown` counts the events of types that this version does not know."""

    run_id: str
    workflow_name: str | None
    workflow_version: str | None
    status: Status
    started_ts: str | None
    last_ts: str | None
    last_seq: int
    log_mode: str | None
    tags: Mapping[str, str]
    chained: bool
    unknown: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """Two runs compared.

    `differences` is in the order in which things happened: the first is the first cause that the
    logs know, and what follows may be its effects. Times, ids, tags, latency, tokens and retries of
    the transport are no differences by themselves.
    """

    a: RunSide
    b: RunSide
    relation: ForkRelation | None
    visits: tuple[VisitPair, ...]
    differences: tuple[RunDifference, ...]
    parts: Mapping[Part, PartDiff]
    not_compared: tuple[NotCompared, ...]
    latency_ms: Delta
    call_latencies: tuple[CallLatency, ...]
    prompt_tokens: Delta
    completion_tokens: Delta
    total_tokens: Delta
    uncounted_replies: Delta
    llm_retries: Delta

    @property
    def changed(self) -> bool:
        """Whether the runs differ."""
        return bool(self.differences)

    @property
    def first(self) -> RunDifference | None:
        """The first difference; None where there is none."""
        return self.differences[0] if self.differences else None
