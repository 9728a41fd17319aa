"""Prices come from a file that is read strictly: a misread price is a wrong sum."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from replayt_store.prices import ModelPrice, PricesError, load_prices


def test_prices_are_exact_decimals(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": 0.15, "output": 0.60}, "free": {"output": 0, "input": 0}}')
    prices = load_prices(path)
    assert prices.models["m"] == ModelPrice(input=Decimal("0.15"), output=Decimal("0.60"))
    assert prices.models["m"].cost(1_000_000, 500_000) == Decimal("0.45")
    assert prices.of(None, "other", "m") == prices.models["m"]
    assert prices.of("other") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must be an object"),
        ("{", "not JSON"),
        ('{"m": {"input": 1}}', "model 'm'"),
        ('{"m": {"input": 1, "output": 2, "cached": 3}}', "model 'm'"),
        ('{"m": {"input": "1", "output": 2}}', "'m', input: must be a number"),
        ('{"m": {"input": true, "output": 2}}', "input: must be a number"),
        ('{"m": {"input": 1, "output": -2}}', "output: must be a number"),
        ('{"m": {"input": 1, "output": NaN}}', "output: must be a number"),
        ('{"m": {"input": 1, "output": Infinity}}', "output: must be a number"),
        ('{"m": {"input": 1, "output": 1e9}}', "output: must be a number"),
        ('{"m": 3}', "model 'm'"),
        ('{"m": {"input": 1, "output": 2}, "m": {"input": 1, "output": 3}}', "stands there twice"),
    ],
)
def test_anything_else_is_refused_naming_file_and_model(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(PricesError) as caught:
        load_prices(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="no such file"):
        load_prices(tmp_path / "absent.json")
