"""`replayt stats`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from replayt_cli.analyse.fresh_index import readers
from replayt_store import JSONLStore
from tests.cli.helpers import HELLO, Shell, environment, on_terminal, one_line
from tests.cli.logs import Call, damage, record

KEYS_OF_0_2 = {
    "runs_included",
    "runs_total_on_disk",
    "status_counts",
    "llm_response_count",
    "llm_latency_ms_avg",
    "token_usage",
    "top_failure_states",
    "event_time_range_utc",
    "filter_days",
}


def a_week(shell: Shell) -> None:
    """Eight runs with known figures."""
    for number, latency in enumerate((100, 200, 300, 1400)):
        calls = [Call(latency_ms=latency, sent=100, received=50)]
        record(f"done-{number}", days=number, tags={"env": "ci"}, calls=calls)
    record("broke", days=1, status="failed", tags={"env": "ci"}, calls=[Call(ok=False)])
    record("waits", days=10, status="paused")
    record("cut", days=20, status="interrupted", workflow="other")
    record("bad", days=2)
    damage(shell.log("bad"))


def stats(shell: Shell, *words: str) -> dict[str, object]:
    document = shell.call("stats", "-o", "json", *words).json
    assert isinstance(document, dict)
    return document


def test_the_keys_and_shapes_of_0_2_stand(shell: Shell) -> None:
    """SC-170, SC-172."""
    a_week(shell)
    found = stats(shell)
    assert found.keys() >= KEYS_OF_0_2
    assert (found["runs_included"], found["runs_total_on_disk"]) == (8, 8)
    assert found["status_counts"] == {
        "completed": 4,
        "failed": 1,
        "paused": 1,
        "interrupted": 1,
        "damaged": 1,
    }
    assert found["llm_response_count"] == 5
    assert found["llm_latency_ms_avg"] == pytest.approx((100 + 200 + 300 + 1400 + 100) / 5)
    assert found["token_usage"] == {
        "total_prompt_tokens": 400,
        "total_completion_tokens": 200,
        "total_tokens": 600,
    }
    assert found["top_failure_states"] == [{"state": "sort", "count": 1}]
    times = found["event_time_range_utc"]
    assert isinstance(times, dict)
    assert times["first"] == shell.events("cut")[0]["ts"]
    assert times["last"] == shell.events("done-0")[-1]["ts"]
    assert found["filter_days"] is None


def test_what_it_knows_besides(shell: Shell) -> None:
    a_week(shell)
    found = stats(shell)
    latency = found["llm_latency_ms"]
    assert isinstance(latency, dict)
    assert latency["calls"] == 5
    assert latency["p50"] == pytest.approx(200)
    assert latency["p50"] < latency["p95"] <= latency["p99"] <= 1400
    assert (found["llm_call_count"], found["llm_failure_count"]) == (5, 1)
    assert found["cost"] is None
    assert found["top_paths"] == [{"path": "read > sort", "count": 7}, {"path": "read", "count": 1}]
    assert found["event_count"] == sum(
        len(list(JSONLStore(".replayt/runs").read(run_id)))
        for run_id in ("done-0", "done-1", "done-2", "done-3", "broke", "waits", "cut")
    ) + len(shell.events("bad")[:2])


def test_days_tags_and_workflow_combine(shell: Shell) -> None:
    """SC-171."""
    a_week(shell)

    def included(*words: str) -> object:
        return stats(shell, *words)["runs_included"]

    assert included("--days", "5") == 6
    assert included("--tag", "env=ci") == 5
    assert included("--days", "2", "--tag", "env=ci") == 3
    assert included("--workflow", "other") == 1
    assert included("--workflow", "other", "--tag", "env=ci") == 0
    found = stats(shell, "--days", "2", "--tag", "env=ci", "--workflow", "sorts")
    assert found["filter_days"] == 2
    assert found["filter_tags"] == {"env": "ci"}
    assert found["filter_workflow"] == "sorts"
    assert found["runs_total_on_disk"] == 8


def test_where_there_is_nothing_it_says_so_and_creates_nothing(shell: Shell) -> None:
    """SC-173."""
    ended = shell.call("stats")
    assert (ended.code, ended.out, ended.err) == (0, "No runs found\n", "")
    assert stats(shell)["runs_included"] == 0
    assert stats(shell)["llm_latency_ms_avg"] is None
    assert list(shell.directory.iterdir()) == []


def test_filters_that_fit_nothing_say_how_many_there_are(shell: Shell) -> None:
    record("a")
    ended = shell.call("stats", "--tag", "env=prod")
    assert (ended.code, ended.out) == (0, "No runs found; the store has 1\n")


def test_a_run_without_an_end_is_running_where_its_lock_is_held(shell: Shell) -> None:
    record("cut", status="interrupted")
    record("runs", status="interrupted")
    with JSONLStore(".replayt/runs").lock("runs"):
        assert stats(shell)["status_counts"] == {"interrupted": 1, "running": 1}
    assert stats(shell)["status_counts"] == {"interrupted": 2}


PRICES = {"small": {"input": 1, "output": 2}}


@pytest.fixture
def priced(shell: Shell) -> Shell:
    shell.write("prices.json", json.dumps(PRICES))
    million = Call(sent=1_000_000, received=500_000)
    record("a", calls=[million, million])
    record("b", calls=[Call(model="unheard-of", sent=70, received=7)])
    return shell


def test_cost_is_told_where_prices_are_and_what_has_none_is_named(priced: Shell) -> None:
    cost = stats(priced, "--prices", "prices.json")["cost"]
    assert isinstance(cost, dict)
    assert cost["usd"] == 4.0
    assert (cost["priced_calls"], cost["unpriced_calls"]) == (2, 1)
    assert (cost["unpriced_tokens"], cost["unpriced_models"]) == (77, ["unheard-of"])
    shown = priced.call("stats", "--prices", "prices.json").out
    assert "cost        $4.00 for 2 calls; 1 call unpriced (77 tokens; unheard-of)" in shown
    assert "unpriced; --prices FILE" in priced.call("stats").out


def test_prices_may_come_from_the_environment(priced: Shell) -> None:
    ended = priced.process("stats", "-o", "json", REPLAYT_PRICES="prices.json")
    assert ended.json["cost"]["usd"] == 4.0


@pytest.mark.parametrize("text", ["{", "[]", '{"small": {"input": 1}}', '{"small": "cheap"}'])
def test_prices_that_cannot_be_used_are_64(priced: Shell, text: str) -> None:
    priced.write("bad.json", text)
    for name in ("bad.json", "nosuch.json"):
        ended = priced.call("stats", "--prices", name)
        assert ended.code == 64
        assert name in one_line(ended)


def test_the_text_fits_a_terminal_and_says_the_same(shell: Shell) -> None:
    a_week(shell)
    code, sent = on_terminal(shell, "stats")
    assert code == 0
    shown = sent.replace("\r\n", "\n").rpartition("\r")[2].splitlines()
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert shown[0] == "8 runs"
    for part in ("completed", " 50%", "p95", "600: 400 sent, 200 received", "failed in", "paths"):
        assert part in text


def test_stdout_is_one_json_document_whatever_is_damaged(shell: Shell) -> None:
    a_week(shell)
    shell.log("notes").write_text("my notes\n")
    ended = shell.process("stats", "--output", "json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["status_counts"]["damaged"] == 2
    assert ended.out.isascii()


def test_figures_follow_the_logs(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    for number in range(3):
        assert shell.call("run", "flow.py").code == 0
        assert stats(shell)["runs_included"] == number + 1
    record("old", days=100)
    assert stats(shell)["runs_included"] == 4
    assert shell.call("gc", "--older-than", "90d").code == 0
    assert stats(shell)["runs_included"] == 3


def test_check_sees_an_edit_of_a_run_that_was_completed(shell: Shell) -> None:
    record("a", days=1)
    assert stats(shell)["status_counts"] == {"completed": 1}
    text = shell.log("a").read_bytes()
    shell.log("a").write_bytes(text.replace(b'"seq":4', b'"seq":9'))
    assert stats(shell, "--check")["status_counts"] == {"damaged": 1}


def test_without_duckdb_it_says_what_to_install(shell: Shell) -> None:
    record("a")
    shell.write("duckdb.py", "raise ImportError('not here')\n")
    for words in (["stats"], ["query", "SELECT 1"]):
        ended = shell.fresh(*words, PYTHONPATH=".")
        assert ended.code == 1
        assert "replayt-store[duckdb]" in one_line(ended)
    assert shell.fresh("runs", PYTHONPATH=".").code == 0


def test_a_log_dir_that_is_a_file_is_an_error_in_one_line(shell: Shell) -> None:
    shell.write("file", "x")
    ended = shell.call("stats", "--log-dir", "file")
    assert ended.code == 74
    assert "file" in one_line(ended)


def test_the_time_is_that_of_utc_now(shell: Shell) -> None:
    """A run of this second is inside every window."""
    record("now")
    assert stats(shell, "--days", "1")["runs_included"] == 1
    times = stats(shell)["event_time_range_utc"]
    assert isinstance(times, dict)
    last = datetime.fromisoformat(str(times["last"]).replace("Z", "+00:00"))
    assert last <= datetime.now(timezone.utc)


def test_a_period_longer_than_all_of_history_takes_every_run(shell: Shell) -> None:
    """SC-171."""
    record("a")
    for days in ("30000", "99999999999"):
        assert stats(shell, "--days", days)["runs_included"] == 1


@pytest.mark.parametrize(("cores", "helping"), [(1, 0), (2, 2), (3, 3), (64, 3)])
@pytest.mark.parametrize("told_by", ["sched_getaffinity", "cpu_count"])
def test_as_many_processes_help_as_there_are_cores_but_not_many(
    cores: int, helping: int, told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PERFORMANCE.md P8: each has memory of its own; on one core they would only cost."""
    if told_by == "cpu_count":
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
    else:
        monkeypatch.setattr(os, told_by, lambda _: set(range(cores)), raising=False)
    assert readers() == helping


MANY = """
import os, signal, sys
from replayt_cli.analyse import fresh_index
from replayt_cli.main import main
from replayt_cli.render.live.progress import Progress
from replayt_store import _index_parts, _index_readers

_index_parts.WORTHWHILE = _index_parts.BLOCK = 1
fresh_index.readers = lambda: 2
start, started = _index_readers._started, []

def noted(*arguments):
    started.append(start(*arguments))
    return started[-1]

_index_readers._started = noted

def show(self, done, total):
    if sys.argv[1] == "interrupted":
        os.killpg(0, signal.SIGINT)

Progress.show = show
code = main(["stats"])
assert started and all(process.returncode is not None for process in started)
sys.exit(code)
"""


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
@pytest.mark.parametrize(("how", "code"), [("in peace", 0), ("interrupted", 130)])
def test_ctrl_c_while_other_processes_read_ends_all_of_them(
    shell: Shell, how: str, code: int
) -> None:
    """130, not a word, nobody left; and the figures are there when it is let be."""
    a_week(shell)
    expected = shell.call("stats").out
    shutil.rmtree(shell.directory / ".replayt/runs/.index")
    process = subprocess.Popen(
        [sys.executable, "-c", MANY, how],
        cwd=shell.directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=120)
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    finally:
        process.kill()
    assert (process.returncode, err) == (code, "")
    assert out == (expected if code == 0 else "")
