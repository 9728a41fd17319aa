"""Typed tools: the mark for functions that are given to `Runner(tools=[...])`."""

from replayt_core import ToolError, tool

__all__ = ["ToolError", "tool"]
