"""`python` and `replayt` for tests that start many commands: each is a fork, in 40 ms, not in 400.

What a command does is the subject of such a test. That an interpreter starts and imports its
modules is not; other tests hold that. So one process imports everything once, and what looks like
`python` and `replayt` is a small program that has it fork. Arguments, environment, directory, umask
and streams (also a terminal) are those of the caller, and the caller gets the exit code.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = ("python", "replayt")
FIRST_LINE = f"#!{sys.executable} -IS"
CAN_FORK = hasattr(os, "fork") and " " not in sys.executable and len(FIRST_LINE) < 128
"""A system reads no more than that of a script's first line, and splits it at spaces."""


def programs(environment: Mapping[str, str]) -> Path:
    """A directory with `python` and `replayt`, to be called with this environment.

    With other variables that Python reads when it starts, or with an option as `-I`, they are not
    forked but started. Where nothing can be forked, this is the directory of the real ones.
    """
    if not CAN_FORK:
        return Path(sys.executable).parent
    return served(environment)


def python(environment: Mapping[str, str]) -> str:
    """The program `python` among these."""
    return str(programs(environment) / "python") if CAN_FORK else sys.executable


def read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the interpreter reads when it starts; a fork cannot read them again."""
    names = ("PYTHON", "LANG", "LC_")
    return {name: text for name, text in environment.items() if name.startswith(names)}


def served(environment: Mapping[str, str]) -> Path:
    """The directory of the socket of the server that forks for this environment."""
    return _served(tuple(sorted(read_at_start(environment).items())))


@cache
def _served(at_start: tuple[tuple[str, str], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="forked-"))
    for name in PROGRAMS:
        client = (HERE / "client.py").read_text(encoding="utf-8")
        (folder / name).write_text(f"{FIRST_LINE}\n{client}", encoding="utf-8")
        (folder / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        _start(listener, folder, at_start)
    return folder


def _start(listener: socket.socket, folder: Path, at_start: tuple[tuple[str, str], ...]) -> None:
    others = {name: os.environ[name] for name in os.environ.keys() - read_at_start(os.environ)}
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked.server", str(listener.fileno()), str(folder)],
            cwd=ROOT,
            env={**others, **dict(at_start)},
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),  # no file: Python shall take neither for one that can be sought
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the tests; it ends with them
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
