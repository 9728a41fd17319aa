"""A pseudo-terminal to run commands in, and what its screen shows in the end."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from replayt_cli.render.columns import columns_of
from tests.cli.helpers import environment

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def spawn(directory: Path, *words: str, columns: int = 80, **env: str) -> Any:
    """`replayt` with these words, in a terminal of that width."""
    settings = environment(**{"TERM": "xterm", **env})
    for name in {"COLUMNS", "LINES", "CI"} - env.keys():
        settings.pop(name, None)
    return pexpect.spawn(
        sys.executable,
        ["-m", "replayt_cli", *words],
        cwd=str(directory),
        env=settings,
        dimensions=(24, columns),
        encoding="utf-8",
        codec_errors="replace",
        timeout=60,
        echo=False,
    )


def ended(child: Any) -> tuple[int, str]:
    """Wait for the end: the exit code, and all that was sent since the last expectation."""
    child.expect(pexpect.EOF)
    sent: str = child.before
    child.close()
    code = child.exitstatus if child.exitstatus is not None else 128 + child.signalstatus
    return code, sent


def run(directory: Path, *words: str, columns: int = 80, **env: str) -> tuple[int, str]:
    """The exit code of a command, and all that its terminal was sent."""
    return ended(spawn(directory, *words, columns=columns, **env))


def screen(sent: str) -> list[str]:
    """The lines that stand on the terminal in the end, without colour.

    It knows carriage return, line feed and text: a command that sends anything else fails here.
    """
    lines: list[list[str]] = [[]]
    column = 0
    for char in _COLOUR.sub("", sent):
        if char == "\r":
            column = 0
        elif char == "\n":
            lines.append([])
            column = 0
        else:
            assert char.isprintable(), f"{char!r} reaches the terminal"
            line = lines[-1]
            line.extend(" " * (column - len(line)))
            wide = columns_of(char)
            line[column : column + wide] = [char] + [""] * (wide - 1)
            column += wide
    return ["".join(line).rstrip() for line in lines]


def too_wide(sent: str, columns: int) -> list[str]:
    """The lines that the terminal has to break."""
    drawn = re.split(r"[\r\n]", _COLOUR.sub("", sent))
    return [line for line in drawn if columns_of(line.rstrip()) > columns]
