"""The parser of each command, made once in a process that parses thousands of lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest import mock

import typer

from replayt_cli import main as command_line

_application = cache(command_line.application)
_get_command = cache(typer.main.get_command)


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile no parser is made twice.

    Typer makes one from all signatures whenever it is called, which is once a process; where one
    process calls it again and again, that takes half of the time. Any application whose parser is
    a global is used like this.
    """
    with (
        mock.patch.object(
            command_line, "application", lambda *parts: _application(*map(tuple, parts))
        ),
        mock.patch.object(typer.main, "get_command", _get_command),
    ):
        yield
