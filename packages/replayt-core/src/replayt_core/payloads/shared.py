"""What several payloads have: errors and changes of the context."""

from __future__ import annotations

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict


class BudgetAccount(TypedDict):
    """What a run has used of models; `uncounted_replies` came without a count of tokens."""

    llm_calls: int
    """Model calls made."""
    tokens: int
    """Tokens counted by the providers."""
    uncounted_replies: int
    """Replies that came without a count."""


class ErrorInfo(TypedDict):
    """An exception as the log keeps it: never a traceback, never an input value.

    `account` is what a run that exceeded its budget had used.
    """

    type: str
    """The class of the exception."""
    message: str
    """What it says. Validation errors name fields and types, never the value, unless the log mode
    is `full`.
    """
    location: NotRequired[str]
    """`file:line` in the workflow's own code."""
    kind: NotRequired[str]
    """Of a model call: the kind of `LLMError`, such as `timeout`, `http_status`, `not_json`."""
    status: NotRequired[int | None]
    """Of a model call: the HTTP status."""
    account: NotRequired[BudgetAccount]
    """Of an exceeded budget: what the run had used."""


class ContextDelta(TypedDict):
    """What an attempt changed in the context it was entered with."""

    set: dict[str, JsonValue]
    """Keys that were set or changed, with their values."""
    unset: list[str]
    """Keys that were removed."""
