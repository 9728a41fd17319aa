"""The figures of many runs, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from replayt_cli.render.text import count_of, cut, echo, one_line, paint, short_time, width, wrap
from replayt_store.selection import Selection
from replayt_store.stats import CallCost, Count, Stats

_LABEL = 10
_BAR = 30
_BEFORE_BARS = "interrupted   100%  "
_ORDER = ("completed", "failed", "paused", "running", "interrupted", "damaged")


def statistics_document(stats: Stats, selection: Selection, days: int | None) -> dict[str, Any]:
    """The figures as JSON. What cannot be said, such as a mean of nothing, is null."""
    cost = stats.cost
    return {
        "runs_included": stats.runs,
        "runs_total_on_disk": stats.runs_in_store,
        "status_counts": dict(stats.statuses),
        "event_count": stats.events,
        "llm_call_count": stats.llm_calls,
        "llm_response_count": stats.llm_responses,
        "llm_failure_count": stats.llm_failures,
        "llm_latency_ms_avg": None if stats.latency is None else stats.latency.mean,
        "llm_latency_ms": None if stats.latency is None else asdict(stats.latency),
        "llm_retry_count": stats.llm_retries,
        "step_retry_count": stats.step_retries,
        "tool_call_count": stats.tool_calls,
        "approval_count": stats.approvals,
        "token_usage": {
            "total_prompt_tokens": stats.prompt_tokens,
            "total_completion_tokens": stats.completion_tokens,
            "total_tokens": stats.total_tokens,
        },
        "cost": None if cost is None else {**asdict(cost), "usd": float(cost.usd)},
        "top_failure_states": [
            {"state": item.name, "count": item.count} for item in stats.failed_states
        ],
        "top_paths": [{"path": item.name, "count": item.count} for item in stats.paths],
        "event_time_range_utc": {"first": stats.first_ts, "last": stats.last_ts},
        "filter_days": days,
        "filter_tags": dict(selection.tags),
        "filter_workflow": selection.workflow,
    }


def print_statistics(stats: Stats, days: int | None) -> None:
    """A block for the runs, one for the model calls, then where runs failed and how they went."""
    if not stats.runs:
        there = f"; the store has {stats.runs_in_store:,}" if stats.runs_in_store else ""
        echo(f"No runs found{there}")
        return
    some = f" of {stats.runs_in_store:,}" if stats.runs != stats.runs_in_store else ""
    period = "" if days is None else f", last event in the past {count_of(days, 'day')}"
    echo(paint(f"{stats.runs:,}{some} {'run' if stats.runs == 1 else 'runs'}{period}", "bold"))
    for line in wrap(
        f"{short_time(stats.first_ts)} to {short_time(stats.last_ts)}", width(), indent=""
    ):
        echo(line)
    echo()
    _print_statuses(stats)
    echo()
    for label, text in _fields(stats):
        start = f"{label:<{_LABEL}}  "
        columns = width()
        lines = wrap(text, None if columns is None else columns - len(start), indent="")
        for number, line in enumerate(lines):
            echo(f"{start if not number else ' ' * len(start)}{line.strip()}")
    _print_counts("failed in", stats.failed_states)
    _print_counts("paths", stats.paths)


def _print_statuses(stats: Stats) -> None:
    """A bar a status, as long as its share."""
    rest = sorted(stats.statuses.keys() - set(_ORDER))
    size = len(f"{max(stats.statuses.values(), default=0):,}")
    columns = width()
    longest = _BAR if columns is None else min(_BAR, columns - size - len(_BEFORE_BARS))
    for status in (*_ORDER, *rest):
        number = stats.statuses.get(status, 0)
        if not number:
            continue
        share = number / stats.runs
        bar = "#" * max(round(longest * share), 1)
        echo(f"{paint(f'{status:<11}', status)} {number:>{size},}  {share:>4.0%}  {bar}")


def _fields(stats: Stats) -> list[tuple[str, str]]:
    calls = [f"{stats.llm_calls:,}", f"{stats.llm_failures:,} failed"]
    open_calls = stats.llm_calls - stats.llm_responses
    if open_calls > 0:
        calls.append(f"{open_calls:,} without an end")
    calls.append(f"{stats.llm_retries:,} {'retry' if stats.llm_retries == 1 else 'retries'}")
    fields = [("llm calls", ", ".join(calls))]
    if stats.latency is not None:
        found = stats.latency
        parts = [
            f"{name} {_duration(value)}"
            for name, value in (
                ("mean", found.mean),
                ("p50", found.p50),
                ("p95", found.p95),
                ("p99", found.p99),
            )
        ]
        fields.append(("latency", ", ".join(parts)))
    if stats.llm_calls:
        tokens = f"{stats.total_tokens:,}: {stats.prompt_tokens:,} sent"
        fields.append(("tokens", f"{tokens}, {stats.completion_tokens:,} received"))
        fields.append(("cost", _cost(stats.cost)))
    others = [
        f"{number:,} {one if number == 1 else many}"
        for number, one, many in (
            (stats.tool_calls, "tool call", "tool calls"),
            (stats.approvals, "approval", "approvals"),
            (stats.step_retries, "step retry", "step retries"),
        )
    ]
    fields.append(("other", ", ".join(others)))
    return fields


def _cost(cost: CallCost | None) -> str:
    if cost is None:
        return "unpriced; --prices FILE says what models cost"
    priced = f"{dollars(cost.usd)} for {_calls(cost.priced_calls)}"
    if not cost.unpriced_calls:
        return priced
    models = ", ".join(one_line(name) for name in cost.unpriced_models)
    rest = f"{_calls(cost.unpriced_calls)} unpriced ({cost.unpriced_tokens:,} tokens"
    return f"{priced}; {rest}{f'; {models}' if models else ''})"


def dollars(amount: Decimal) -> str:
    """US dollars: cents, or for a sum of few cents as many digits as it takes to see it."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= Decimal("0.0001") else f"${amount:.2g}"


def _calls(number: int) -> str:
    return f"{number:,} {'call' if number == 1 else 'calls'}"


def _duration(milliseconds: float) -> str:
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1_000:,.2f} s"


def _print_counts(title: str, counts: Sequence[Count]) -> None:
    if not counts:
        return
    echo()
    echo(paint(title, "bold"))
    size = max(len(f"{item.count:,}") for item in counts)
    for item in counts:
        echo(cut(f"  {item.count:>{size},}  {one_line(item.name) or '(none)'}", width()))
