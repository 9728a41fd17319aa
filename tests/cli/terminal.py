"""A pseudo-terminal to run commands in, and what its screen shows in the end."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from replayt_cli.render.columns import columns_of
from tests.cli.helpers import environment
from tests.forked.processes import Forked, fork

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal")
ptyprocess = pytest.importorskip("ptyprocess", reason="pexpect needs it")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Forked(ptyprocess.PtyProcess):
    """Our side of the terminal of a process whose parent is the server of forks."""

    def __init__(self, forked: Forked, ours: int) -> None:
        super().__init__(forked.pid, ours)
        self.delayafterclose = 0  # `wait` needs no time for what the kernel still has to do
        self._forked = forked

    def isalive(self) -> bool:
        if self.terminated:
            return False
        code = self._forked.wait(60) if self.flag_eof else self._forked.poll()
        if code is None:
            return True
        self.terminated = True
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        return False

    def wait(self) -> int | None:
        self._forked.wait(60)
        self.isalive()
        return self.exitstatus


class _Spawned(pexpect.spawn):
    """A command on a terminal that is forked instead of started."""

    def _spawnpty(self, args: list[bytes], **options: Any) -> _Forked:
        ours, theirs = os.openpty()
        try:
            settings = termios.tcgetattr(theirs)
            settings[3] &= ~termios.ECHO
            termios.tcsetattr(theirs, termios.TCSANOW, settings)
            size = struct.pack("HHHH", *options["dimensions"], 0, 0)
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
            forked = fork(
                *(word.decode() for word in args[1:]),
                directory=Path(options["cwd"]),
                env=options["env"],
                streams=(theirs,) * 3,
                terminal=True,
            )
        finally:
            os.close(theirs)
        return _Forked(forked, ours)


def spawn(directory: Path, *words: str, columns: int = 80, rows: int = 24, **env: str) -> Any:
    """`replayt` with these words, in a terminal of that size."""
    settings = environment(**{"TERM": "xterm", **env})
    for name in {"COLUMNS", "LINES", "CI"} - env.keys():
        settings.pop(name, None)
    return _Spawned(
        sys.executable,  # only to be found; what runs is forked
        list(words),
        cwd=str(directory),
        env=settings,
        dimensions=(rows, columns),
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
