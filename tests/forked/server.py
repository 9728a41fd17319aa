"""A Python that has imported replayt already and forks for each command that it is handed.

`python -m tests.forked.server DESCRIPTOR FOLDER`: it listens at that descriptor, and removes the
folder of its socket at the end, which is when its stdin is closed. A fork gets the arguments, the
environment, the directory and the streams of the caller, so a command runs as in a process that was
just started, but for the third of a second that the imports take. What a fork cannot do alike is
refused: see `can_run`.
"""

from __future__ import annotations

import atexit
import gc
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.forked import parsers
from tests.forked.client import NUMBER, START_IT_YOURSELF
from tests.forked.programs import read_at_start

PACKAGES = ("replayt_core", "replayt_llm", "replayt_store", "replayt_cli", "replayt")
BESIDE = ("httpx", "duckdb", "typer", "jinja2", "yaml")
"""What these import in functions, when they need it."""
STREAMS = ("stdin", "stdout", "stderr")


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a caller wants to be run: what `client.ask` says of it, with descriptors of ours."""

    arguments: list[str]
    directory: str
    environment: dict[str, str]
    umask: int
    streams: dict[int, int]
    terminal: bool

    @property
    def program(self) -> str:
        return Path(self.arguments[0]).name


def import_all() -> None:
    """Every module of ours but the examples, which stand for what users write."""
    for name in PACKAGES:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.startswith("replayt.examples") and "__main__" not in module.name:
                with suppress(ImportError):  # of an extra that is not installed
                    import_module(module.name)
    for name in BESIDE:
        with suppress(ImportError):
            import_module(name)


def can_run(command: Command) -> bool:
    """Whether a fork of this process does the same as a fresh interpreter."""
    if read_at_start(command.environment) != read_at_start(os.environ):
        return False
    if command.program != "python":
        return True
    words = command.arguments[1:]
    return bool(words) and (not words[0].startswith("-") or words[0] in ("-c", "-m"))


def received(connection: socket.socket) -> Command | None:
    """The command of a caller; None from one that was ended before it had sent all."""
    head, streams, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
    size = NUMBER.unpack(head)[0] if len(head) == NUMBER.size else 1
    with connection.makefile("rb") as file:
        body = file.read(size)
    if len(body) < size:
        for stream in streams:
            os.close(stream)
        return None
    given, terminal, umask, directory, count, *rest = os.fsdecode(body).split("\0")
    variables = (variable.partition("=") for variable in rest[int(count) :])
    return Command(
        arguments=rest[: int(count)],
        directory=directory,
        environment={name: text for name, _, text in variables},
        umask=int(umask),
        streams=dict(zip(map(int, given), streams, strict=True)),
        terminal=terminal == "1",
    )


class Server:
    """Hands commands to forks and their exit codes to the callers, several at a time."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        # `select` goes on after a signal: it is this pair that wakes it.
        self._woken, self._wakes = socket.socketpair()
        self._woken.setblocking(False)
        self._wakes.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        for source in (sys.stdin, self._listener, self._woken):
            self._selector.register(source, selectors.EVENT_READ)
        self._running: dict[int, socket.socket] = {}

    def serve(self) -> Command | None:
        """Returns in each fork, with what it has to run; and None here, once stdin is closed."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    self._end()
                    return None
                if key.fileobj is self._woken:
                    with suppress(BlockingIOError):
                        self._woken.recv(4096)
                    self._collect()
                elif key.fileobj is not self._listener:
                    self._forsake(key.fileobj)
                elif (command := self._accept()) is not None:
                    return command

    def _accept(self) -> Command | None:
        connection, _ = self._listener.accept()
        command = received(connection)
        if command is None:
            connection.close()
            return None
        if not can_run(command):
            self._answer(connection, START_IT_YOURSELF)
            connection.close()
        elif pid := os.fork():
            self._answer(connection, pid)
            self._running[pid] = connection
            self._selector.register(connection, selectors.EVENT_READ)
        else:
            self._let_go()
            connection.close()
            return command
        for stream in command.streams.values():
            os.close(stream)
        return None

    def _collect(self) -> None:
        """Tells the callers of those that have ended how they did."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._running.pop(pid)
            with suppress(KeyError):  # it was forsaken
                self._selector.unregister(connection)
            self._answer(connection, os.waitstatus_to_exitcode(status))
            connection.close()

    def _answer(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):  # a caller that was ended
            connection.sendall(NUMBER.pack(number))

    def _forsake(self, connection: Any) -> None:
        """The caller was ended, so what runs in its place is ended too."""
        for pid, other in self._running.items():
            if other is connection:
                self._selector.unregister(connection)
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        """Whoever started the server has gone, and all that called it goes with that."""
        self._let_go()
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _let_go(self) -> None:
        """In a fork and at the end: nothing of the server stays open, no signal comes to it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for ours in (self._listener, self._woken, self._wakes, *self._running.values()):
            ours.close()


def take_the_place(command: Command) -> None:
    """Makes this process the one that the caller started."""
    for number, name in enumerate(STREAMS):
        stream: Any = getattr(sys, name)
        if number not in command.streams:
            os.close(number)
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
            continue
        given = command.streams[number]
        os.dup2(given, number)
        os.close(given)
        if not stream.write_through:  # the interpreter looks for a terminal when it starts
            stream.reconfigure(line_buffering=name == "stderr" or os.isatty(number))
    if command.terminal:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(command.directory)
    os.umask(command.umask)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # a program may have modules of that name


def run(command: Command) -> None:
    """What the interpreter does with its command line."""
    words = command.arguments[1:]
    if command.program != "python":
        run_file(Path(sys.executable).with_name(command.program), command.arguments)
    elif words[0] == "-m":
        sys.argv[:] = words[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        run_code(words[1], ["-c", *words[2:]], "")
    else:
        run_file(Path(words[0]).absolute(), words)


def run_file(script: Path, argv: list[str]) -> None:
    code = compile(script.read_bytes(), str(script), "exec")
    run_code(code, argv, str(script.resolve().parent), __file__=str(script))


def run_code(code: Any, argv: list[str], path: str, **names: str) -> None:
    """In a module `__main__` of its own, which stays until the process ends."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(names)
    sys.argv[:] = argv
    sys.path[0] = path
    exec(code, vars(main))  # noqa: S102


def run_and_leave(command: Command) -> None:
    """Leaves without taking all modules apart, which would take longer than most commands do."""
    codes: list[int] = []
    atexit.register(leave, codes)  # the first to register is the last to be called
    try:
        run(command)
    except SystemExit as ended:
        if not isinstance(ended.code, (int, type(None))):
            raise
        codes.append(ended.code or 0)
    else:
        codes.append(0)


def leave(codes: list[int]) -> None:
    """The end of a process that has an exit code; the interpreter sees to any other end."""
    if codes:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return
        os._exit(codes[0] & 0xFF)


def main() -> None:
    number, folder = sys.argv[1:]
    with parsers.kept():
        import_all()
        parsers.make_all()
        gc.collect()
        gc.freeze()  # a fork that looks through what is here would have to copy it
        command = Server(socket.socket(fileno=int(number))).serve()
        if command is None:
            shutil.rmtree(folder)
        else:
            take_the_place(command)
            run_and_leave(command)


if __name__ == "__main__":
    main()
