"""A real Redis server on loopback, started by a test and ended with it."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = shutil.which("redis-server")
PORTS = range(15_000, 30_000)
"""Below those that a system hands out by itself: while the server is away its port stays free."""
MISSING = "redis-server is not installed (Debian: apt-get install redis-server)"


class RedisServer:
    """One server with its data in one folder; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.password = secrets.token_hex(12)

    @property
    def url(self) -> str:
        """With the password that it asks for."""
        return f"redis://:{self.password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start, or start again on the same port; return when it takes connections."""
        for _ in range(1 if self._port else 20):
            port = self._port or secrets.choice(PORTS)
            if self._started(port):
                self._port = port
                return
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self, port: int) -> bool:
        assert PROGRAM is not None
        settings = {
            "bind": "127.0.0.1",
            "port": str(port),
            "dir": f'"{self._folder}"',
            "requirepass": self.password,
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "always",
            "daemonize": "no",
        }
        self._process = process = subprocess.Popen(
            [PROGRAM, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"{name} {value}\n" for name, value in settings.items()))
        process.stdin.close()
        process.stdin = None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                return True
        self.kill()
        return False


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A server that is gone when the block is left."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
