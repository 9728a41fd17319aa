"""Fixtures with a real model server: llama.cpp with a tiny model of random weights.

Its replies are nonsense that fits the schema: assert on shape, never on content, and bound every
string and list of a model (`max_length`), or a reply may run to the token limit.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("serve.py")
LIFETIME_SECONDS = 3600
START_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class ModelServer:
    """Where the server listens. `base_url` ends in /v1; `api_key` is what it demands, or None."""

    base_url: str
    api_key: str | None
    pid: int


@contextmanager
def running_model_server(api_key: str | None = None) -> Iterator[ModelServer]:
    """A server of one's own, ended by its own handle at the end."""
    extra = [] if api_key is None else [api_key]
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(LIFETIME_SECONDS), *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines: queue.Queue[str] = queue.Queue()
        log: list[str] = []
        readers = [
            threading.Thread(target=_drain, args=(process.stdout, lines.put), daemon=True),
            threading.Thread(target=_drain, args=(process.stderr, log.append), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            line = ""
            while not line.startswith("READY "):
                try:
                    line = lines.get(timeout=START_SECONDS)
                except queue.Empty:
                    line = ""
                if not line:
                    raise RuntimeError("the model server did not start:\n" + "".join(log[-20:]))
            url = line.split()[1].rstrip("/")
            yield ModelServer(base_url=f"{url}/v1", api_key=api_key, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
            for reader in readers:
                reader.join(timeout=10)


def _drain(stream: Any, put: Callable[[str], None]) -> None:
    for line in stream:
        put(line)
    put("")


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    """The server that most tests share; it demands no key."""
    with running_model_server() as server:
        yield server


@pytest.fixture(scope="session")
def keyed_model_server() -> Iterator[ModelServer]:
    """A second server that answers 401 without its key."""
    with running_model_server("sk-model-server-test") as server:
        yield server
