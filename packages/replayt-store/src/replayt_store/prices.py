"""What model calls cost: prices by model, from a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from replayt_core.errors import StoreError

__all__ = ["ModelPrice", "Prices", "PricesError", "load_prices"]

_FIELDS = ("input", "output")
_MOST = Decimal(1_000_000)


class PricesError(StoreError):
    """The file of prices cannot be read or does not say what it must."""


@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """US dollars for a million tokens, of what is sent (`input`) and of what comes back."""

    input: Decimal
    output: Decimal

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """US dollars for that many tokens."""
        return (self.input * prompt_tokens + self.output * completion_tokens) / 1_000_000


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices by model name. A name must match as the provider or the settings wrote it."""

    models: Mapping[str, ModelPrice]

    def of(self, *names: str | None) -> ModelPrice | None:
        """The price of the first of these names that has one."""
        for name in names:
            if name is not None and name in self.models:
                return self.models[name]
        return None


def load_prices(path: str | os.PathLike[str]) -> Prices:
    """The prices of a file: `{"model": {"input": 0.15, "output": 0.60}}`, USD a million tokens.

    Strict, since a misread price is a wrong sum: an unknown or missing field, a model named twice,
    anything but a number from 0 to 1,000,000 raises `PricesError` naming file and model.
    """
    shown = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(
                file, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_once
            )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PricesError(f"cannot read the prices in {shown}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise PricesError(f"the prices in {shown} are not JSON that can be used: {error}") from None
    if not isinstance(found, dict):
        raise PricesError(
            f'the prices in {shown} must be an object such as {{"model": {{"input": 0.15, '
            '"output": 0.6}}'
        )
    return Prices(models={name: _price(shown, name, value) for name, value in found.items()})


def _price(shown: str, model: str, value: Any) -> ModelPrice:
    where = f"the prices in {shown}, model {model!r:.100}"
    if not isinstance(value, dict) or sorted(value) != sorted(_FIELDS):
        raise PricesError(f'{where}: write {{"input": USD, "output": USD}} a million tokens')
    return ModelPrice(**{name: _dollars(f"{where}, {name}", value[name]) for name in _FIELDS})


def _dollars(where: str, value: Any) -> Decimal:
    if type(value) is int or isinstance(value, Decimal):
        try:
            dollars = Decimal(value)
            if dollars.is_finite() and 0 <= dollars <= _MOST:
                return dollars
        except InvalidOperation:
            pass
    raise PricesError(f"{where}: must be a number of US dollars from 0 to 1,000,000")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r:.100} stands there twice")
        found[name] = value
    return found
