"""Stands where `python` or `replayt` would be: the server runs the command, this ends as it ends.

Under one of these names it is put beside the server's socket, and starts for each command: so it
imports next to nothing, and nothing of ours.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence

NUMBER = struct.Struct("!i")
START_IT_YOURSELF = 0
"""Told instead of a process id where only a fresh interpreter will do."""


def ask(
    folder: str,
    arguments: Sequence[str],
    *,
    directory: str,
    environment: Mapping[str, str],
    streams: Mapping[int, int],
    terminal: bool = False,
) -> socket.socket:
    """The way to the server, which first answers with a process id and then with an exit code.

    `streams` says for each standard stream that is open which of our descriptors it is. With
    `terminal`, the first becomes the terminal that controls the process. Whoever closes the way
    before the exit code has come, ends the process.
    """
    umask = os.umask(0)
    os.umask(umask)
    given = "".join(map(str, streams))
    told = [given, str(int(terminal)), str(umask), directory, str(len(arguments)), *arguments]
    body = os.fsencode("\0".join([*told, *map("=".join, environment.items())]))
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(os.path.join(folder, "socket"))
        socket.send_fds(server, [NUMBER.pack(len(body))], list(streams.values()))
        server.sendall(body)
    except OSError:
        server.close()
        raise
    return server


def answer(server: socket.socket) -> int:
    """The next number that the server tells."""
    told = server.recv(NUMBER.size, socket.MSG_WAITALL)
    if not told:
        raise EOFError("the server of forks has gone")
    number: int = NUMBER.unpack(told)[0]
    return number


def main() -> int:
    folder, name = os.path.split(os.path.abspath(sys.argv[0]))
    standard = (sys.stdin, sys.stdout, sys.stderr)
    with ask(
        folder,
        sys.argv,
        directory=os.getcwd(),
        environment=os.environ,
        streams={number: number for number in range(3) if standard[number] is not None},
    ) as server:
        forked = answer(server) != START_IT_YOURSELF
        code = answer(server) if forked else 0
    if not forked:
        beside = os.path.join(os.path.dirname(sys.executable), name)
        real = sys.executable if name == "python" else beside
        os.execv(real, [real, *sys.argv[1:]])  # noqa: S606
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
