"""A workflow for processes that are killed: it can be held inside a step, at a named pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

from tests.forked.programs import python

PATIENCE = 120
"""How long a process may take: other tests have the processors, too."""

COUNTS = '''
import os
import signal

from replayt import Workflow

wf = Workflow("counts", version="1")
wf.set_initial("first")


def did(what):
    """What happened, in one write: the effects that a test counts."""
    with open("effects.txt", "ab", buffering=0) as effects:
        effects.write(what.encode() + b"\\n")


@wf.step("first", to=["second"])
def first(ctx):
    did(f"first {ctx.get('name')}")
    return "second"


@wf.step("second", to=["ask", "third"])
def second(ctx):
    did(f"second {ctx.get('name')}")
    if ctx.get("name") == os.environ.get("HOLD"):
        with open("gate", "rb") as gate:  # opens when the test opens the other end
            gate.read()
    if ctx.get("poison", False):
        os.kill(os.getpid(), signal.SIGKILL)
    if ctx.get("fail", False):
        raise ValueError("bad input")
    return "ask" if ctx.get("ask", False) else "third"


@wf.step("ask", to=["third"])
def ask(ctx):
    ctx.request_approval("go", summary="Go on?", on_approve="third")


@wf.step("third")
def third(ctx):
    did(f"third {ctx.get('name')}")
'''


class Folder:
    """A directory with `flow.py` in it, and pattern modules run as programs there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "flow.py").write_text(COUNTS, encoding="utf-8")

        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "REPLAYT_"))}
        self._env = {**kept, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, module: str, *words: str, **env: str) -> subprocess.Popen[str]:
        """A process that can be sent signals."""
        return self._started(sys.executable, module, words, env)

    def run(self, module: str, *words: str, **env: str) -> tuple[int, str, str]:
        """Its exit code and what it printed."""
        with self._started(python(self._env), module, words, env) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def _started(
        self, program: str, module: str, words: Sequence[str], env: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program, "-m", f"replayt.examples.patterns.{module}", *words],
            cwd=self.path,
            env={**self._env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def effects(self) -> list[str]:
        found = self.path / "effects.txt"
        return sorted(found.read_text("utf-8").splitlines()) if found.exists() else []

    def hold(self) -> Any:
        """The writing end of the gate; this returns when a process is held there."""
        return open(self.path / "gate", "wb", buffering=0)


@contextmanager
def serving(server: WSGIServer) -> Iterator[WSGIServer]:
    """A server of the standard library that serves in a thread, silently, until the end."""
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
