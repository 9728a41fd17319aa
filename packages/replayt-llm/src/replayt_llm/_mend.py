"""A made-up value that fits the schema, made to fit the model as well.

A JSON Schema does not say all that a Pydantic model demands: dates with bounds, URLs with a scheme,
digits of a Decimal, types of keys, validators. The model itself does, in its errors. So each error
is answered with values worth a try, and the first that leaves fewer places wrong is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

_ROUNDS = 60
_ANYTHING: tuple[Any, ...] = (
    0, 1, 2, 10, -1, 0.5, 0.1, "1", "a", "A", "ABC", "abc", "", True, False, None, [], {},
    "2024-01-01", "2024-01-01T12:00:00", "12:00:00", "P1D", "00000000-0000-4000-8000-000000000000",
    "https://example.com/", "offline@example.com", "UTC", "1/2", "1+2j", "1.0.0", "en", ".",
)  # fmt: skip
_DAYS = ("2999-01-01", "1999-01-01")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What the model says about one place of a value."""

    path: tuple[str | int, ...]
    kind: str
    is_key: bool = False
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The place as a JSON path."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return "$" + "".join(parts)


def mend(value: Any, model: type[BaseModel]) -> tuple[Any, list[Problem]]:
    """`value` changed where `model` did not take it, and what it still does not take."""
    problems = judge(value, model)
    for _ in range(_ROUNDS):
        better = _improved(value, problems, model)
        if better is None:
            break
        value, problems = better
    return value, problems


def judge(value: Any, model: type[BaseModel]) -> list[Problem]:
    """What the model does not take about `value`; nothing when it takes it."""
    try:
        model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        return [_problem(value, item) for item in error.errors(include_url=False)]
    except Exception as error:  # a validator that does not stop at ValueError
        return [Problem(path=(), kind=type(error).__name__)]
    return []


def _problem(value: Any, error: Any) -> Problem:
    """The place in `value`: a location also names branches of unions, which are no places."""
    node: Any = value
    path: list[str | int] = []
    is_key = False
    for part in error["loc"]:
        if part == "[key]":
            is_key = True
        elif isinstance(node, dict) and str(part) in node:
            node = node[str(part)]
            path.append(str(part))
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
            path.append(part)
    limits = error.get("ctx", {})
    return Problem(path=tuple(path), kind=error["type"], is_key=is_key, limits=limits)


def _improved(
    value: Any, problems: list[Problem], model: type[BaseModel]
) -> tuple[Any, list[Problem]] | None:
    """The value with fewer places wrong: best with one of them right, else with less below it."""
    wrong = len(_places(problems))
    second: tuple[Any, list[Problem]] | None = None
    for problem in problems:
        for tried in _attempts(value, problem):
            left = judge(tried, model)
            if len(_places(left)) >= wrong:
                continue
            if not any(other.path[: len(problem.path)] == problem.path for other in left):
                return tried, left
            second = second or (tried, left)
    return second


def _places(problems: list[Problem]) -> set[tuple[tuple[str | int, ...], bool]]:
    return {(problem.path, problem.is_key) for problem in problems}


def _attempts(value: Any, problem: Problem) -> Iterator[Any]:
    """Copies of `value` with something else at the place of `problem`."""
    if not problem.path:
        return
    *above, last = problem.path
    parent = _at(value, above)
    if problem.is_key:
        others = {key: part for key, part in parent.items() if key != last}
        for key in [*_expected(problem), *_keys(len(others))]:
            if key not in others:
                yield _with(value, above, {**others, key: parent[last]})
        return
    for candidate in _candidates(problem, parent[last]):
        yield _with(value, [*above, last], candidate)
    if isinstance(parent, dict):  # it may have a default
        yield _with(value, above, {key: part for key, part in parent.items() if key != last})


def _at(value: Any, path: list[str | int]) -> Any:
    for part in path:
        value = value[part]
    return value


def _with(value: Any, path: list[str | int], new: Any) -> Any:
    if not path:
        return new
    copy = deepcopy(value)
    _at(copy, path[:-1])[path[-1]] = new
    return copy


def _keys(others: int) -> Iterator[str]:
    """Keys of every type; of each enough that one is free beside the others."""
    for number in range(1, others + 2):
        yield from (str(number), f"{number}.5", ("true", "false")[number % 2])
        day = f"2024-01-{number % 28 + 1:02d}"
        yield from (day, f"{day}T12:00:00", f"12:{number % 60:02d}:00", f"P{number}D")
        yield from (f"00000000-0000-4000-8000-{number:012d}", f"192.0.2.{number % 254 + 1}")
        yield from ("a" * number, "A" * number, f"https://example.com/{number}")


def _candidates(problem: Problem, old: Any) -> Iterator[Any]:
    """Values worth a try, the likeliest first; none of them is what stands there."""
    for candidate in _all_candidates(problem, old):
        if candidate != old or isinstance(candidate, bool) != isinstance(old, bool):
            yield candidate


def _all_candidates(problem: Problem, old: Any) -> Iterator[Any]:
    for name, limit in problem.limits.items():
        if name in ("gt", "ge", "lt", "le", "multiple_of"):
            yield from _around(limit, up=name in ("gt", "ge"))
        elif name == "expected_schemes":
            yield from _urls(str(limit))
    yield from _expected(problem)
    if isinstance(old, bool):
        yield not old
    elif isinstance(old, (int, float)):
        yield from (round(old, 2), round(old, 1), round(old), round(old) + 1, round(old) - 1, -old)
    elif isinstance(old, str):
        yield from _rewritten(old)
    yield from _ANYTHING


def _expected(problem: Problem) -> list[str]:
    """The texts that an error says were expected."""
    return re.findall(r"'([^']*)'", str(problem.limits.get("expected", "")))


def _rewritten(old: str) -> Iterator[Any]:
    if re.match(r"\d{4}-\d\d-\d\d", old):
        for day in _DAYS:
            yield day + old[10:]
        yield old.removesuffix("Z")
        yield old + "Z"
    elif re.match(r"\d\d:\d\d", old):
        yield old.removesuffix("Z")
        yield old + "Z"
    yield from (old.upper(), old.lower(), old.title(), old.capitalize(), old.strip())
    letters = "".join(ch for ch in old if ch.isalpha())
    yield from (letters, letters.upper(), letters.lower(), old.replace(" ", "_"))
    yield "".join(ch for ch in old if ch.isdigit())


def _around(limit: Any, *, up: bool) -> Iterator[Any]:
    """The limit itself and what is a little beyond it."""
    if isinstance(limit, str):
        limit = _read_time(limit)
    yield from _as_json(limit)
    steps: list[Any] = [1]
    if isinstance(limit, time):
        limit = datetime.combine(date(2024, 1, 1), limit)
        moved = limit + (timedelta(minutes=1) if up else timedelta(minutes=-1))
        yield from _as_json(moved.timetz())
        return
    if isinstance(limit, (date, timedelta)):
        steps = [timedelta(seconds=1), timedelta(days=1), timedelta(days=400)]
    for step in steps:
        with suppress(OverflowError, TypeError):
            yield from _as_json(limit + step if up else limit - step)


@cache
def _times() -> list[TypeAdapter[Any]]:
    return [TypeAdapter(kind) for kind in (date, datetime, time, timedelta)]


def _read_time(text: str) -> Any:
    """A limit as Pydantic writes it in an error: a date, a time or a duration in words."""
    for adapter in _times():
        with suppress(ValidationError):
            return adapter.validate_python(text)
    days = re.fullmatch(r"(-?\d+) days?", text)
    return timedelta(days=int(days[1])) if days else text


def _as_json(limit: Any) -> Iterator[Any]:
    plain = to_jsonable_python(limit)
    if isinstance(limit, Decimal):
        yield float(limit)
    yield plain
    if isinstance(limit, (datetime, time)):
        yield plain.removesuffix("Z") if limit.tzinfo else plain + "Z"


def _urls(expected: str) -> Iterator[str]:
    for scheme in re.findall(r"'([^']+)'", expected):
        yield f"{scheme}://example.com/offline"
        yield f"{scheme}://user@example.com:1234/offline"
        yield f"{scheme}:///offline"
        yield f"{scheme}://a.io/"
