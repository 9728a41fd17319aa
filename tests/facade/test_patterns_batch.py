"""SC-193. The batch driver: real processes, killed for real, and started again."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from replayt import Workflow, fold
from replayt.examples.patterns.batch_runs import run_id_of, run_once
from replayt.persistence import JSONLStore
from tests.facade.pattern_flows import PATIENCE, Folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and SIGKILL")
COMMAND = ("flow:wf", "inputs.jsonl", "--log-dir", "runs", "--processes", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def write(folder: Folder, *inputs: Any) -> None:
    lines = [item if isinstance(item, str) else json.dumps(item) for item in inputs]
    (folder.path / "inputs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_each_input_is_run_once_however_often_it_stands_there_and_the_batch_is_started(
    folder: Folder,
) -> None:
    names = [f"n{number}" for number in range(5)]
    write(folder, *({"name": name} for name in [*names, "n0", "n3"]))
    code, out, _ = folder.run("batch_driver", *COMMAND)
    report = json.loads(out)
    assert (code, report["outcomes"], report["repeated_lines"]) == (0, {"completed": 5}, 2)
    before = folder.effects()
    assert before == sorted(f"{step} {n}" for n in names for step in ("first", "second", "third"))

    code, out, _ = folder.run("batch_driver", *COMMAND)
    assert (code, json.loads(out)["done_before"]) == (0, 5)
    assert folder.effects() == before


def test_a_batch_killed_in_the_middle_goes_on_where_it_was(folder: Folder) -> None:
    """Driver and workers die by SIGKILL while one run is inside a step."""
    names = [f"n{number}" for number in range(6)]
    write(folder, *({"name": name} for name in names))
    os.mkfifo(folder.path / "gate")
    with folder.start("batch_driver", *COMMAND, HOLD="n1") as process, folder.hold():
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    store = JSONLStore(folder.path / "runs")
    states = [fold(run_id, store.read(run_id)) for run_id in store.run_ids()]
    # Of a run that was cut short, the state that it stood in runs again, and no other.
    again = {f"{s.state} {s.inputs['name']}" for s in states if s.state and s.phase != "ended"}
    assert "second n1" in again

    code, out, err = folder.run("batch_driver", *COMMAND)
    assert (code, json.loads(out)["outcomes"]) == (0, {"completed": 6}), err
    counts = Counter(folder.effects())
    assert counts["second n1"] == 2
    assert {line for line, count in counts.items() if count > 1} <= again
    assert {line.split()[1] for line in counts if line.startswith("third")} == set(names)
    assert len(list(store.run_ids())) == 6


def test_ctrl_c_stops_the_batch_with_one_line(folder: Folder) -> None:
    write(folder, {"name": "n0"}, {"name": "n1"})
    os.mkfifo(folder.path / "gate")
    with folder.start("batch_driver", *COMMAND[:-1], "1", HOLD="n0") as process, folder.hold():
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert err == "stopped; start it again to go on\n"
    store = JSONLStore(folder.path / "runs")
    (run_id,) = store.run_ids()
    assert [event.type for event in store.read(run_id)][-1] == "run_interrupted"


def test_no_worker_outlives_a_driver_that_was_killed(folder: Folder) -> None:
    write(folder, *({"name": f"n{number}"} for number in range(4)))
    os.mkfifo(folder.path / "gate")
    with folder.start("batch_driver", *COMMAND, HOLD="n0") as process:
        with folder.hold():
            process.kill()
            process.wait(PATIENCE)
        # This returns when the last process that holds the pipe is gone.
        process.communicate(timeout=PATIENCE)
    assert "third n0" in folder.effects(), "the worker finished the run that it had"


def test_a_worker_that_dies_costs_its_input_and_not_the_batch(folder: Folder) -> None:
    write(folder, {"name": "bad", "poison": True}, *({"name": f"n{n}"} for n in range(4)))
    code, out, _ = folder.run("batch_driver", *COMMAND)
    report = json.loads(out)
    assert (code, report["outcomes"]) == (1, {"completed": 4, "died": 1})
    ((_, why),) = report["problems"].items()
    assert why.startswith("died: its process ended with -9")


def test_the_exit_code_says_what_became_of_the_batch(folder: Folder) -> None:
    one = (*COMMAND[:-1], "1")
    write(folder, {"name": "a"}, {"name": "b", "ask": True})
    code, out, _ = folder.run("batch_driver", *one)
    assert (code, json.loads(out)["outcomes"]) == (2, {"completed": 1, "paused": 1})

    write(folder, {"name": "a"}, {"name": "c", "fail": True}, "no json", "[1]", "")
    code, out, _ = folder.run("batch_driver", *one)
    report = json.loads(out)
    assert (code, report["bad_lines"], report["lines"]) == (1, [3, 4], 4)
    assert list(report["problems"].values()) == ["failed: bad input"]
    assert report["done_before"] == 1


def test_a_run_that_failed_is_reported_and_not_tried_again(tmp_path: Path) -> None:
    """It has spent its retries; `replayt resume --retry-failed` is for people."""
    wf = Workflow("fails")
    wf.set_initial("only")
    calls = []

    @wf.step("only")
    def only(ctx):
        calls.append(ctx.get("n"))
        raise ValueError("bad input")

    store = JSONLStore(tmp_path)
    assert run_once(wf, store, {"n": 1})[1:] == ("failed", "bad input")
    assert run_once(wf, store, {"n": 1})[1:] == ("failed", "before: bad input")
    assert calls == [1]
    assert run_id_of(wf, {"a": 1, "b": 2}) == run_id_of(wf, {"b": 2, "a": 1})
    assert run_id_of(wf, {"a": 1}) != run_id_of(wf, {"a": "1"})


@pytest.mark.parametrize("words", [("nothing:wf", "inputs.jsonl"), ("flow:wf", "missing.jsonl")])
def test_a_mistake_is_one_line_and_64(folder: Folder, words: tuple[str, str]) -> None:
    write(folder, {"name": "a"})
    code, out, err = folder.run("batch_driver", *words)
    assert (code, out, len(err.splitlines())) == (64, "", 1)
    assert "Traceback" not in err
