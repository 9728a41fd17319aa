"""Where a handler's source says it goes: literal returns and approval routes, with their lines."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from replayt_core._error_info import shown_path


class HandlerSource(NamedTuple):
    """What a handler was made from and where that stands.

    A handler that is no plain function may have one as its attribute `__replayt_source__`.
    """

    text: str
    place: str


class LiteralTarget(NamedTuple):
    """A state's name that stands in a handler's source, and where."""

    name: str
    place: str


def source_text(handler: Callable[..., Any]) -> str | None:
    """The text that a handler was made from; None where there is none."""
    stated = getattr(handler, "__replayt_source__", None)
    if isinstance(stated, HandlerSource):
        return stated.text
    try:
        return inspect.getsource(inspect.unwrap(handler))
    except (OSError, TypeError):
        return None


def source_place(handler: Callable[..., Any]) -> str | None:
    """`file:line` of a handler."""
    stated = getattr(handler, "__replayt_source__", None)
    if isinstance(stated, HandlerSource):
        return stated.place
    code = getattr(handler, "__code__", None)
    return f"{shown_path(code.co_filename)}:{code.co_firstlineno}" if code else None


def literal_targets(handler: Callable[..., Any]) -> list[LiteralTarget]:
    """The states that a handler names literally as its next one; nothing is run.

    Empty where there is no source to read, as for handlers made at run time.
    """
    if hasattr(handler, "__wrapped__"):
        return []  # a decorator may turn what the inner function returns into something else
    try:
        lines, first = inspect.getsourcelines(handler)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return []
    path = shown_path(inspect.getsourcefile(handler) or "?")
    body = tree.body[0] if tree.body else None
    if not isinstance(body, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    return [
        LiteralTarget(name, f"{path}:{first + line - 1}")
        for node in _own_nodes(body)
        for name, line in _named_states(node)
    ]


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        yield node
        yield from _own_nodes(node)


def _named_states(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Return) and node.value is not None:
        yield from _texts(node.value)
    elif isinstance(node, ast.Call) and _is_request(node.func):
        for keyword in node.keywords:
            if keyword.arg in ("on_approve", "on_reject"):
                yield from _texts(keyword.value)


def _is_request(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "request_approval"


def _texts(value: ast.expr) -> Iterator[tuple[str, int]]:
    """The texts an expression may be, as far as it says so literally."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
        yield value.value, value.lineno
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)
