"""What `Analytics.stats` looks at and answers: the figures of many runs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from replayt_store.prices import Prices

__all__ = ["CallCost", "Count", "Latency", "Stats", "columns_for"]

_RUNS = (
    "status",
    "failed_state",
    "path",
    "started_at",
    "last_at",
    "events",
    "llm_calls",
    "llm_retries",
    "retries",
    "tool_calls",
    "approvals",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
)
_CALLS = ("ok", "latency_ms")
_COSTS = ("model", "reply_model", "prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True, kw_only=True)
class Count:
    """How often something was seen."""

    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds that model calls took, over all calls that ended and say how long they took."""

    calls: int
    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class CallCost:
    """US dollars of the calls that have a price, and what has none.

    A call is unpriced when its model has no price or its tokens were not counted; a call that
    failed without tokens costs nothing. `unpriced_tokens` counts what is known of them.
    """

    usd: Decimal
    priced_calls: int
    unpriced_calls: int
    unpriced_tokens: int
    unpriced_models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The figures of the selected runs.

    `statuses` counts runs by status, `damaged` among them. `llm_calls` were started,
    `llm_responses` came to an end, of which `llm_failures` without a reply. `llm_retries` are
    those of the transport, `step_retries` further attempts of a state. `failed_states` and `paths`
    are the most frequent ones, most frequent first, then by name. `first_ts` and `last_ts` are the
    first and the last event of the selected runs, in UTC. `cost` is None without prices.
    """

    runs: int
    runs_in_store: int
    statuses: Mapping[str, int]
    events: int
    llm_calls: int
    llm_responses: int
    llm_failures: int
    llm_retries: int
    step_retries: int
    tool_calls: int
    approvals: int
    latency: Latency | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: CallCost | None
    failed_states: tuple[Count, ...]
    paths: tuple[Count, ...]
    first_ts: str | None
    last_ts: str | None


def columns_for(prices: Prices | None) -> dict[str, tuple[str, ...]]:
    """The columns of an index that the statistics look at, by table.

    With them `RunIndex.prefetch` can begin to read before DuckDB is even imported.
    """
    return {"runs": _RUNS, "llm_calls": _CALLS if prices is None else _CALLS + _COSTS}
