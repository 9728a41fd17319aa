"""`expects`: what a step needs is checked before its handler runs (SC-43)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import MemoryStore, RetryPolicy, RunContext
from tests.core.helpers import only, run_once, types


class Order(BaseModel):
    number: int


def never(ctx: RunContext) -> None:
    raise AssertionError("the handler must not run")


def test_a_missing_key_fails_the_run_naming_key_and_step() -> None:
    """SC-43: logged as `step_error`."""
    store = MemoryStore()
    result = run_once(never, store=store, expects=["amount"])
    assert result.status == "failed"
    error = only(store, "step_error")["error"]
    assert error["type"] == "ContextSchemaError"
    for part in ("context schema violation", "'amount'", "'only'"):
        assert part in error["message"]
    assert only(store, "run_failed")["error"] == error


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "5"),
        (int, True),
        (int, 1.5),
        (str, 5),
        (list[int], ["a"]),
        (Order, {"number": "x"}),
        (bool, 1),
        (dict, []),
        (int | None, "x"),
    ],
)
def test_the_mapping_form_checks_the_type(kind: Any, value: Any) -> None:
    """SC-43: strictly; `"5"` is no int."""
    result = run_once(never, expects={"k": kind}, inputs={"k": value})
    assert result.status == "failed"
    message = (result.error or {})["message"]
    assert "'k'" in message
    assert str(value) not in message or isinstance(value, bool | list | dict) or value == "x"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 5),
        (float, 5),
        (float, 5.5),
        (str, ""),
        (list[int], [1]),
        (Order, {"number": 1}),
        (bool, False),
        (dict, {}),
        (int | None, None),
        (Any, None),
    ],
)
def test_a_value_of_the_type_passes(kind: Any, value: Any) -> None:
    """SC-43."""
    result = run_once(lambda ctx: None, expects={"k": kind}, inputs={"k": value})
    assert result.error is None


def test_a_list_only_asks_that_the_key_is_there() -> None:
    """SC-43: null is a value."""
    assert run_once(lambda ctx: None, expects=["k"], inputs={"k": None}).status == "completed"


def test_a_violation_is_not_retried() -> None:
    """SC-43: another attempt would meet it again."""
    store = MemoryStore()
    run_once(never, store=store, expects=["k"], retries=RetryPolicy(5))
    assert "retry_scheduled" not in types(store)
