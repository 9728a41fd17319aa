"""The figures of `Stats`, asked of the views in SQL; nothing is counted here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from replayt_store.prices import Prices
from replayt_store.stats import CallCost, Count, Latency, Stats


class Ask(Protocol):
    """Runs a file of `_sql` and gives its rows by column name."""

    def __call__(self, name: str, **values: object) -> list[dict[str, Any]]:
        """The rows."""
        ...


def measure(ask: Ask, *, runs_in_store: int, prices: Prices | None, top: int) -> Stats:
    """The figures of what is loaded."""
    (runs,) = ask("stats_runs")
    (calls,) = ask("stats_calls")
    latency = {name: calls.pop(name) for name in ("calls", "mean", "p50", "p95", "p99")}
    first, last = runs.pop("first_ts"), runs.pop("last_ts")
    return Stats(
        runs_in_store=runs_in_store,
        statuses={row["status"]: row["runs"] for row in ask("stats_statuses")},
        latency=Latency(**latency) if latency["calls"] else None,
        cost=None if prices is None else _cost(prices, ask("stats_models")),
        failed_states=_counts(ask("stats_failed_states", top=top)),
        paths=_counts(ask("stats_paths", top=top)),
        first_ts=_timestamp(first),
        last_ts=_timestamp(last),
        **runs,
        **calls,
    )


def _counts(rows: Iterable[dict[str, Any]]) -> tuple[Count, ...]:
    return tuple(Count(name=row["name"], count=row["count"]) for row in rows)


def _cost(prices: Prices, rows: Iterable[dict[str, Any]]) -> CallCost:
    usd, priced, unpriced, tokens = Decimal(0), 0, 0, 0
    models: set[str] = set()
    for row in rows:
        price = prices.of(row["reply_model"], row["model"])
        if price is None or not row["counted"]:
            unpriced += row["calls"]
            tokens += row["tokens"]
            models.add(row["reply_model"] or row["model"] or "unknown")
        else:
            priced += row["calls"]
            usd += price.cost(row["prompt_tokens"], row["completion_tokens"])
    return CallCost(
        usd=usd,
        priced_calls=priced,
        unpriced_calls=unpriced,
        unpriced_tokens=tokens,
        unpriced_models=tuple(sorted(models)),
    )


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds") + "Z"
