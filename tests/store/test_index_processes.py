"""Several processes: ten write runs while two refresh the one index and ask for statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_store import JSONLStore
from replayt_store.index import RunIndex
from tests.store.runs import listed, summaries

pytest.importorskip("duckdb", reason="the analytics need the extra `duckdb`")

WRITERS, RUNS, STEPS = 10, 12, 6

WRITE = """
import sys
sys.path.insert(0, sys.argv[4])
from replayt_store import JSONLStore
from tests.store.runs import END, append, asked, entered, replied, started
store = JSONLStore(sys.argv[1], sync="os")
for number in range(int(sys.argv[3])):
    run_id = f"{sys.argv[2]}-{number}"
    with store.lock(run_id):
        append(store, run_id, started(), entered())
        for call in range(1, 7):
            append(store, run_id, asked(call))
            append(store, run_id, replied(call, latency=float(call)))
        append(store, run_id, END)
"""
# Asks as often as it can until it is told to stop; every answer has to add up by itself.
ASK = """
import os, sys
sys.path.insert(0, sys.argv[3])
from replayt_store import JSONLStore
from replayt_store.analytics import Analytics
from replayt_store.index import RunIndex
store, rounds, seen = JSONLStore(sys.argv[1]), 0, 0
while True:
    last = os.path.exists(sys.argv[2])
    with RunIndex.of(store) as index:
        index.refresh()
        with Analytics(index, store) as analytics:
            stats = analytics.stats()
            (row,) = analytics.query(
                "SELECT count(*), count(*) FILTER (WHERE status = 'completed'), sum(llm_calls), "
                "(SELECT count(*) FROM llm_calls), coalesce(sum(events), 0) FROM runs"
            ).rows
        for run in index.runs():
            summary = run.summary
            assert run.problem is None, run
            assert summary.last_seq == summary.events, run
            if run.status == "completed":
                assert (summary.events, summary.llm_calls, summary.total_tokens) == (15, 6, 30), run
    assert stats.runs == sum(stats.statuses.values()), stats
    assert set(stats.statuses) <= {"completed", "interrupted"}, stats
    assert stats.total_tokens == 5 * stats.llm_responses, stats
    assert stats.llm_responses <= stats.llm_calls, stats
    assert stats.runs >= seen, (stats, seen)
    assert row[2] is None or row[2] == row[3], row
    seen, rounds = stats.runs, rounds + 1
    if last:
        break
print(rounds)
"""


def test_two_processes_ask_while_ten_write(tmp_path: Path) -> None:
    """Issue 4, must hold: no error, no torn read, numbers consistent with the logs at the end."""
    folder, stop, root = tmp_path / "runs", tmp_path / "stop", str(Path(__file__).parents[2])

    def start(code: str, *values: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *values, root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    asking = [start(ASK, str(folder), str(stop)) for _ in range(2)]
    writing = [start(WRITE, str(folder), f"w{number}", str(RUNS)) for number in range(WRITERS)]
    try:
        for process in writing:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        stop.touch()
        for process in asking:
            printed, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            assert json.loads(printed) >= 1
    finally:
        for process in (*asking, *writing):
            process.kill()
            process.communicate()
    store = JSONLStore(folder)
    expected = summaries(store)
    assert len(expected) == WRITERS * RUNS
    with RunIndex.of(store) as index:
        index.refresh()
        assert listed(index) == expected
