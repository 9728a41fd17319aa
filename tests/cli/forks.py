"""The command line in a process of its own, without the time that an interpreter takes to start.

`python -m tests.cli.forks` imports all of the command line once and then forks itself for whoever
asks. What is forked has its own descriptors, directory and environment, and ends as the program
does. It differs from a fresh interpreter in that everything is imported already, and each parser
made: what is said about imports, about what Python makes of closed streams, or about variables that
Python itself reads (but for PYTHONPATH) needs a real start.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import weakref
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
POSSIBLE = hasattr(os, "fork")
_LENGTH = struct.Struct("!Q")
_BESIDE = ("duckdb", "httpx", "jinja2", "yaml")
"""What commands import where they need it, beside our own packages."""


# --- In the process of the tests


class Forked:
    """A process that the server forked for us, and whose parent the server is."""

    def __init__(self, status: int) -> None:
        self._status = io.FileIO(status, closefd=False)
        self._close = weakref.finalize(self, os.close, status)
        self.pid = int(self._line(None))
        self.returncode: int | None = None

    def _line(self, timeout: float | None) -> bytes:
        if not select.select([self._status], [], [], timeout)[0]:
            raise TimeoutError(f"the process has not ended within {timeout} s")
        line = self._status.readline()
        assert line, "the server of forks has ended"
        return line

    def poll(self) -> int | None:
        with contextlib.suppress(TimeoutError):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None) -> int:
        """Its exit code, or the number of the signal that ended it, below 0."""
        if self.returncode is None:
            self.returncode = int(self._line(timeout))
            self._close()
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def fork(
    *words: str,
    directory: Path,
    env: Mapping[str, str],
    streams: tuple[int | None, int | None, int | None],
    terminal: bool = False,
) -> Forked:
    """`replayt` with these words; `streams` are its first three descriptors, which stay ours too.

    One that is None is closed. With `terminal`, the first becomes the terminal that controls it.
    """
    asked = {
        "words": words,
        "directory": str(directory),
        "env": dict(env),
        "terminal": terminal,
        "open": [number for number, stream in enumerate(streams) if stream is not None],
    }
    message = json.dumps(asked).encode()
    given = [stream for stream in streams if stream is not None]
    ours, theirs = os.pipe()
    try:
        socket.send_fds(_server(), [_LENGTH.pack(len(message))], [theirs, *given])
        _server().sendall(message)
    finally:
        os.close(theirs)
    return Forked(ours)


@cache
def _server() -> socket.socket:
    """The way to the server, which is started by whoever needs it first."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forks"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=theirs,
            stdout=theirs,  # no file, so that Python takes none of them for one that can be sought
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


# --- In the server


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns in what is forked, with its request; at the end with None."""
    ended, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _reap(running)
            continue
        head, descriptors, _, _ = socket.recv_fds(requests, _LENGTH.size, 4)
        if not head:
            return None
        request = _request(requests, head)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (ended, woken, *running.values()):
                os.close(descriptor)
            _become(request, descriptors[1:])
            os.close(descriptors[0])
            return request
        running[pid] = descriptors.pop(0)
        for descriptor in descriptors:
            os.close(descriptor)
        os.write(running[pid], b"%d\n" % pid)


def _request(requests: socket.socket, head: bytes) -> dict[str, Any]:
    left, parts = _LENGTH.unpack(head)[0], []
    while left:
        parts.append(requests.recv(left))
        left -= len(parts[-1])
    request: dict[str, Any] = json.loads(b"".join(parts))
    return request


def _reap(running: dict[int, int]) -> None:
    """Tell whoever asked how each process that has ended did so."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = running.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(told)


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Take on what a process is given when it starts."""
    for number, descriptor in zip(request["open"], descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number in {0, 1, 2} - set(request["open"]):
        os.close(number)
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, None)  # as Python has it for a stream that is closed when it starts
        setattr(sys, f"__{name}__", None)
    if request["terminal"]:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if isinstance(sys.stdout, io.TextIOWrapper):  # which Python decides when it starts
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    added = request["env"].get("PYTHONPATH")
    sys.path[:1] = [os.getcwd(), *map(os.path.abspath, added.split(os.pathsep) if added else ())]
    sys.argv[1:] = request["words"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # a target may have that name


def _import_everything() -> None:
    for name in ("replayt_core", "replayt_llm", "replayt_store", "replayt_cli"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__") and ".testing" not in module.name:
                importlib.import_module(module.name)
    for name in _BESIDE:
        with contextlib.suppress(ImportError):  # extras
            importlib.import_module(name)
    from replayt_cli.main import COMMAND_NAMES, GROUP_NAMES, main

    with contextlib.redirect_stdout(io.StringIO()):
        for name in (*COMMAND_NAMES, *GROUP_NAMES):
            main([name, "--help"])  # makes its parser


if __name__ == "__main__":
    from tests.cli import parsers

    with parsers.kept():
        _import_everything()
        gc.collect()
        gc.freeze()  # else each fork copies the pages of all that its collector looks at
        with socket.socket(fileno=os.dup(0)) as control:
            begun = serve(control)
        if begun is not None:
            from replayt_cli.__main__ import program

            sys.exit(program())
