"""Numbers within the bounds that a schema sets."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any


class Unsatisfiable(Exception):
    """No fitting value was found. `path` says where in the reply, `problem` why."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def number_for(
    schema: Mapping[str, Any], rng: random.Random, path: str, *, whole: bool
) -> int | float:
    """A number within the bounds of `schema`. Raises `Unsatisfiable` naming `path`."""
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", min)
    step = schema.get("multipleOf")
    if whole or step is not None:
        unit = Fraction(str(step)) if step is not None else Fraction(1)
        if whole and unit.denominator != 1:
            unit = Fraction(unit.numerator)  # the least whole multiple
        return _multiple(rng, low, high, low_open, high_open, unit, path, whole=whole)
    if low is None and high is None:
        return round(rng.uniform(0, 100), 2)
    start = float(low) if low is not None else float(high or 0) - 100
    end = float(high) if high is not None else start + 100
    if start > end:
        raise Unsatisfiable(path, "minimum is above maximum")
    if end - start == math.inf:
        return 0.0
    value = start + (end - start) * rng.uniform(0.05, 0.95)
    rounded = round(value, 2)
    if start < rounded < end:
        return rounded
    return value if start < value < end else (end if low_open else start)


def _multiple(
    rng: random.Random,
    low: Fraction | None,
    high: Fraction | None,
    low_open: bool,
    high_open: bool,
    unit: Fraction,
    path: str,
    *,
    whole: bool,
) -> int | float:
    first = None if low is None else math.ceil(low / unit)
    last = None if high is None else math.floor(high / unit)
    if first is not None and low_open and first * unit == low:
        first += 1
    if last is not None and high_open and last * unit == high:
        last -= 1
    if first is None:
        first = 0 if last is None or last >= 0 else last - 100
    if last is None:
        last = first + 100
    if first > last:
        raise Unsatisfiable(path, "no multiple lies between the bounds")
    count = rng.randint(first, min(last, first + 1_000))
    value = count * unit
    if whole or value.denominator == 1:
        return int(value)
    return float(value)


def _bound(
    schema: Mapping[str, Any], closed: str, opened: str, pick: Any
) -> tuple[Fraction | None, bool]:
    found: list[tuple[Fraction, bool]] = []
    for name, is_open in ((closed, False), (opened, True)):
        value = schema.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append((Fraction(str(value)), is_open))
    if not found:
        return None, False
    limit = pick(value for value, _ in found)
    return limit, any(is_open for value, is_open in found if value == limit)
