"""The parser of each command, made once in a process that parses thousands of lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import typer

from replayt_cli import main as command_line

_make_application = command_line.application
_make_parser = typer.main.get_command
_parsers: dict[typer.Typer, Any] = {}


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile no parser of ours is made twice.

    Typer makes one from all signatures whenever it is called, which is once a process; where one
    process calls it again and again, that takes half of the time. Any application whose parser is
    a global is used like this.
    """
    with (
        mock.patch.object(
            command_line, "application", lambda *parts: _application(*map(tuple, parts))
        ),
        mock.patch.object(
            typer.main, "get_command", lambda made: _parsers.get(made) or _make_parser(made)
        ),
    ):
        yield


@cache
def _application(*parts: tuple[Any, ...]) -> typer.Typer:
    made = _make_application(*parts)
    _parsers[made] = _make_parser(made)
    return made


def make_all() -> None:
    """Make the parser of every command, where they are kept."""
    for name in command_line.COMMAND_NAMES:
        command_line.application(command_line.commands([name]), [])
    for name in command_line.GROUP_NAMES:
        command_line.application([], command_line.groups([name]))
    command_line.application(command_line.commands(), command_line.groups())
