"""SC-193. The queue worker: at least once from the queue, once in the log."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from replayt import InvalidRunIdError, Runner, Workflow, fold
from replayt.examples.patterns.queue_store import Queue
from replayt.examples.patterns.queue_worker import handle, work
from replayt.persistence import JSONLStore
from tests.facade.pattern_flows import PATIENCE, Folder

COMMAND = ("flow:wf", "queue.db", "--log-dir", "runs")
posix = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and SIGKILL")


class Time:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def wf() -> Workflow:
    wf = Workflow("one")
    wf.set_initial("only")

    @wf.step("only")
    def only(ctx):
        if ctx.get("fail", False):
            raise ValueError("bad input")

    return wf


@posix
def test_two_workers_and_a_kill_do_every_message_once(folder: Folder) -> None:
    """One worker dies by SIGKILL inside a step; its message comes again and its run goes on."""
    queue = Queue(folder.path / "queue.db")
    names = [f"m{number}" for number in range(6)]
    for name in names:
        assert queue.send(name, {"name": name})
        assert not queue.send(name, {"name": "another"}), "the same id again"
    os.mkfifo(folder.path / "gate")
    words = (*COMMAND, "--visibility", "0.5")
    with folder.start("queue_worker", *words, HOLD="m2") as killed, folder.hold():
        killed.send_signal(signal.SIGKILL)
        killed.wait(PATIENCE)
    assert fold("m2", JSONLStore(folder.path / "runs").read("m2")).phase == "executing"

    workers = [folder.start("queue_worker", *words) for _ in range(2)]
    for worker in workers:
        with worker:
            _, err = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, err
    assert queue.settled() == dict.fromkeys(names, ("done", "completed"))
    counts = Counter(folder.effects())
    assert counts.pop("second m2") == 2, "the step that was cut short ran again, alone"
    assert set(counts.values()) == {1}
    assert len(counts) == 3 * len(names) - 1


@posix
def test_a_message_that_ends_worker_after_worker_is_put_aside(folder: Folder) -> None:
    queue = Queue(folder.path / "queue.db")
    queue.send("bad", {"name": "bad", "poison": True})
    words = (*COMMAND, "--visibility", "0", "--max-deliveries", "2")
    codes = [folder.run("queue_worker", *words)[0] for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 1]
    assert queue.settled() == {"bad": ("dead", "given up after 2 deliveries in state second")}
    assert folder.effects() == ["first bad", "second bad", "second bad"]


def test_a_message_that_comes_again_after_its_run_is_done_does_nothing(
    tmp_path: Path, wf: Workflow
) -> None:
    queue, store = Queue(tmp_path / "queue.db"), JSONLStore(tmp_path / "runs")
    queue.send("m1", {})
    assert work(wf, store, queue) == {"done": 1, "dead": 0}
    before = store.path("m1").read_bytes()
    with sqlite3.connect(tmp_path / "queue.db") as table:  # as a queue does that lost the answer
        table.execute("UPDATE messages SET state = 'queued', visible_at = 0")
    table.close()
    assert work(wf, store, queue) == {"done": 1, "dead": 0}
    assert store.path("m1").read_bytes() == before


def test_a_run_that_another_worker_executes_is_left_alone(tmp_path: Path, wf: Workflow) -> None:
    """Also when that takes longer than the visibility timeout; such a delivery does not count."""
    time = Time()
    queue, store = Queue(tmp_path / "queue.db", now=time), JSONLStore(tmp_path / "runs")
    queue.send("m1", {})
    first = queue.receive(60)
    assert first is not None
    assert queue.receive(60) is None
    other = JSONLStore(tmp_path / "runs")
    with other.lock("m1"):
        time.now += 61
        again = queue.receive(60)
        assert again is not None
        assert again.deliveries == 2
        assert handle(wf, store, queue, again, max_deliveries=2) is None
    time.now += 61
    third = queue.receive(60)
    assert third is not None
    assert third.deliveries == 2
    assert handle(wf, store, queue, first, max_deliveries=2) == "done"
    assert queue.left() == 0


def test_what_cannot_be_run_is_put_aside_with_its_reason(tmp_path: Path, wf: Workflow) -> None:
    queue, store = Queue(tmp_path / "queue.db"), JSONLStore(tmp_path / "runs")
    queue.send("list", [1])
    queue.send("fails", {"fail": True})
    queue.send("damaged", {})
    Runner(wf, store).run({}, run_id="damaged")
    store.path("damaged").write_bytes(b"no log\n" + store.path("damaged").read_bytes())
    assert work(wf, store, queue) == {"done": 0, "dead": 3}
    settled = queue.settled()
    assert settled["list"] == ("dead", "the message is no JSON object")
    assert settled["fails"] == ("dead", "the run failed: bad input")
    assert settled["damaged"][1].startswith("DamagedLogError: ")
    with pytest.raises(InvalidRunIdError):
        queue.send("../m1", {})


def test_a_workflow_that_waits_is_done_for_the_queue(tmp_path: Path) -> None:
    wf = Workflow("asks")
    wf.set_initial("ask")

    @wf.step("ask")
    def ask(ctx):
        ctx.request_approval("go", summary="Go?")

    queue = Queue(tmp_path / "queue.db")
    queue.send("m1", {})
    assert work(wf, JSONLStore(tmp_path / "runs"), queue) == {"done": 1, "dead": 0}
    assert queue.settled() == {"m1": ("done", "paused")}
