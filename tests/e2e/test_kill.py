"""Real processes killed for real, over real files: a run ends as if it had never been killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replayt_core import MemoryStore, fold
from replayt_store import JSONLStore
from tests.core.helpers import RUN
from tests.core.programs import World, finish, programs

ROOT = Path(__file__).parents[2]
KILLED = 20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_killed_by_sigkill_and_resumed_ends_as_if_it_never_was() -> None:
    """R-1, R-2, SC-86: nothing acknowledged is lost, committed states never run again."""
    killed: list[int] = []

    @settings(
        max_examples=KILLED,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(program=programs(), at=st.integers(0, 9))
    def run(program: Any, at: int) -> None:
        whole = MemoryStore()
        reference = finish(program, whole, World())
        appends = sum(not event.more for event in whole.read(RUN))
        at %= max(appends - 1, 1)
        with tempfile.TemporaryDirectory() as folder:
            acknowledged, died = _run_and_kill(server, folder, program, at)
            killed.append(died)
            store = JSONLStore(Path(folder))
            state = fold(RUN, store.read(RUN))
            assert state.last_seq >= acknowledged
            assert not state.problems
            world = World()
            entered = _entered(store)
            if state.phase != "ended":
                finish(program, store, world)
            end = fold(RUN, store.read(RUN))
            assert (end.summary.status, end.context, end.final_state) == (
                reference.status,
                reference.context,
                reference.final_state,
            )
            assert set(world.attempts) & entered <= {(state.state, state.visit, state.attempt)}

    with _server() as server:
        run()
    # A process may end before the signal reaches it; most must have died in the middle.
    assert sum(killed) >= KILLED // 2


@contextmanager
def _server() -> Iterator[subprocess.Popen[str]]:
    """A process that forks for each program; those are the ones that are killed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.killed_run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def _run_and_kill(
    server: subprocess.Popen[str], folder: str, program: Any, at: int
) -> tuple[int, int]:
    """The last seq that the process acknowledged, and whether it was killed."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([folder, repr(program)]) + "\n")
    server.stdin.flush()
    pid = int(server.stdout.readline())
    acknowledged = 0
    for count, line in enumerate(server.stdout):
        if line.startswith("ended "):  # what it said before it died counts too
            return acknowledged, int(line == f"ended {-signal.SIGKILL}\n")
        acknowledged = int(line)
        if count == at:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    raise AssertionError("the server of forks has ended")


def _entered(store: JSONLStore) -> set[tuple[str, int, int]]:
    return {
        (event.payload["state"], event.payload["visit"], event.payload["attempt"])
        for event in store.read(RUN)
        if event.type == "state_entered"
    }
