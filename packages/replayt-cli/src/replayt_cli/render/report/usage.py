"""Tokens and latency of the model calls of a run, by state and model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from replayt_cli.render.report.rows import took
from replayt_core.records import LLMCallRow


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """The calls that one state made of one model; numbers that no call gave are empty."""

    state: str
    model: str
    calls: str
    failed: str
    retries: str
    prompt: str
    completion: str
    total: str
    typical: str
    longest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTable:
    """A row for each state and model, and their sum."""

    rows: tuple[UsageRow, ...]
    whole: UsageRow


def usage_table(calls: Sequence[LLMCallRow]) -> UsageTable | None:
    """The table of a run that called models; None for one that did not."""
    if not calls:
        return None
    groups: dict[tuple[str, str], list[LLMCallRow]] = {}
    for call in calls:
        key = (call.state or "not recorded", call.model or "not recorded")
        groups.setdefault(key, []).append(call)
    return UsageTable(
        rows=tuple(_row(state, model, part) for (state, model), part in groups.items()),
        whole=_row("all", "", calls),
    )


def _row(state: str, model: str, calls: Sequence[LLMCallRow]) -> UsageRow:
    latencies = [call.latency_ms / 1_000 for call in calls if call.latency_ms is not None]
    return UsageRow(
        state=state,
        model=model,
        calls=f"{len(calls):,}",
        failed=f"{sum(call.ok is not True for call in calls):,}",
        retries=f"{sum(call.retries for call in calls):,}",
        prompt=_sum(call.prompt_tokens for call in calls),
        completion=_sum(call.completion_tokens for call in calls),
        total=_sum(_total(call) for call in calls),
        typical=took(median(latencies)) if latencies else "",
        longest=took(max(latencies)) if latencies else "",
    )


def _total(call: LLMCallRow) -> int | None:
    if call.total_tokens is not None or call.prompt_tokens is None:
        return call.total_tokens
    return call.prompt_tokens + (call.completion_tokens or 0)


def _sum(counts: Iterable[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"{sum(known):,}" if known else ""
