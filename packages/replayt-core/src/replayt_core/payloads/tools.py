"""Payloads of tool calls."""

from __future__ import annotations

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict

from replayt_core.payloads.shared import ErrorInfo


class ToolCall(TypedDict):
    """A tool call starts."""

    call: int
    """Its number among the calls of this attempt, counted from 1."""
    state: str
    """The state."""
    name: str
    """The tool."""
    arguments: dict[str, JsonValue]
    """Its validated arguments, as JSON."""


class ToolResult(TypedDict):
    """The end of a tool call."""

    call: int
    """The call that ends."""
    state: str
    """The state."""
    name: str
    """The tool."""
    ok: bool
    """Whether it returned."""
    result: NotRequired[JsonValue]
    """What it returned, as JSON."""
    error: NotRequired[ErrorInfo]
    """What it raised."""
    elapsed_ms: float
    """How long it took, in milliseconds."""
