"""What the model calls of one run cost, as far as prices are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replayt_core.records import LLMCallRow
    from replayt_store.prices import Prices


@dataclass(frozen=True, kw_only=True)
class Cost:
    """US dollars of the calls whose model has a price, and the models of the others."""

    usd: Decimal = Decimal(0)
    priced_calls: int = 0
    unpriced_models: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether that is all of it."""
        return not self.unpriced_models


def read_prices(path: str | None) -> Prices | None:
    """The prices of `--prices`, where there are any. Raises `PricesError`."""
    if path is None:
        return None
    from replayt_store.prices import load_prices

    return load_prices(path)


def cost_of(calls: Iterable[LLMCallRow], prices: Prices | None) -> Cost:
    """The cost of these calls; without `prices` every model is unpriced.

    As in `stats`: a call whose tokens were not counted is unpriced, one that failed without tokens
    costs nothing. Nor does one of the offline provider, which calls no model.
    """
    usd, priced, models = Decimal(0), 0, set()
    for call in calls:
        counted = (call.prompt_tokens, call.completion_tokens, call.total_tokens) != (None,) * 3
        if call.provider == "offline" or (call.ok is False and not counted):
            continue
        price = None if prices is None else prices.of(call.reply_model, call.model)
        if price is None or call.prompt_tokens is None or call.completion_tokens is None:
            models.add(call.reply_model or call.model or "unknown")
            continue
        priced += 1
        usd += price.cost(call.prompt_tokens, call.completion_tokens)
    return Cost(usd=usd, priced_calls=priced, unpriced_models=tuple(sorted(models)))
