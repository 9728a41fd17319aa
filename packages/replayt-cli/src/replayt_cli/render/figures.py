"""What an attempt did, in few words: models and tokens, retries and waits, cost, tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from replayt_cli.execute.costs import cost_of
from replayt_cli.render.stats import dollars
from replayt_cli.render.text import count_of, one_line
from replayt_core import Event
from replayt_core.records import LLMCallRow, ToolCallRow
from replayt_store.prices import Prices


def figures(
    llm_calls: Sequence[LLMCallRow],
    tool_calls: Sequence[ToolCallRow],
    retries: Sequence[Event],
    prices: Prices | None,
) -> list[str]:
    """A part for each model, then the retries of the transport, the cost, the tools."""
    parts = [
        _calls_of(model, [call for call in llm_calls if model_of(call) == model])
        for model in dict.fromkeys(map(model_of, llm_calls))
    ]
    if retries:
        reasons = names_of(one_line(_reason(event)) for event in retries)
        waited = seconds_of(sum(float(event.payload["delay_seconds"]) for event in retries))
        parts.append(f"{count_of(len(retries), 'retry', 'retries')} ({reasons}; waited {waited})")
    if prices is not None:
        cost = cost_of(llm_calls, prices)
        if cost.priced_calls:
            parts.append(dollars(cost.usd))
    if tool_calls:
        parts.append(f"tool {names_of(map(tool_of, tool_calls))}")
    return parts


def model_of(call: LLMCallRow) -> str:
    """The model that was asked."""
    return one_line(call.model or call.provider or "a model")


def tool_of(call: ToolCallRow) -> str:
    """The tool, and how it failed."""
    name = one_line(call.name or "?")
    return f"{name} ({one_line(call.error_type or 'failed')})" if call.ok is False else name


def names_of(names: Iterable[str]) -> str:
    """Names in the order they first came, each with how often it did."""
    return ", ".join(
        name + (f" x{number}" if number > 1 else "") for name, number in Counter(names).items()
    )


def duration(milliseconds: float) -> str:
    """How long something took."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    return f"{seconds:.1f} s" if seconds < 60 else seconds_of(seconds)


def seconds_of(seconds: float) -> str:
    """How long a wait is: tenths where there are any, minutes for a long one."""
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _calls_of(model: str, calls: Sequence[LLMCallRow]) -> str:
    text = names_of([model] * len(calls))
    used = sum(call.total_tokens or 0 for call in calls)
    if used:
        text += f", {count_of(used, 'token')}"
    failed = [one_line(call.error_kind or "failed") for call in calls if call.ok is False]
    return text + (f", {names_of(failed)}" if failed else "")


def _reason(retry: Event) -> str:
    return str(retry.payload.get("status") or retry.payload.get("error") or "no answer")
