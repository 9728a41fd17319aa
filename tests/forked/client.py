"""Stands where `python` or `replayt` would be: the server runs the command, this ends as it ends.

Under one of these names it is put beside the server's socket.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys

NUMBER = struct.Struct("!i")
START_IT_YOURSELF = -1000


def main() -> int:
    folder, name = os.path.split(os.path.abspath(sys.argv[0]))
    umask = os.umask(0)
    os.umask(umask)
    variables = [f"{name}={text}" for name, text in os.environ.items()]
    fields = [str(umask), os.getcwd(), str(len(sys.argv)), *sys.argv, *variables]
    body = os.fsencode("\0".join(fields))
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.path.join(folder, "socket"))
        socket.send_fds(server, [NUMBER.pack(len(body))], [0, 1, 2])
        server.sendall(body)
        answer = server.recv(NUMBER.size, socket.MSG_WAITALL)
    if not answer:
        print("the server of forks has gone", file=sys.stderr)
        return 70
    (code,) = NUMBER.unpack(answer)
    if code == START_IT_YOURSELF:
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
