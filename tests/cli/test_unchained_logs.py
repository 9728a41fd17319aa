"""Logs and databases of replayt 0.1 to 0.4 with every command that reads (DESIGN 3; issue 4)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.helpers import Shell, one_line
from tests.store.test_sqlite_legacy import make

UNCHAINED = Path(__file__).parents[1] / "fixtures" / "unchained"
STATUSES = {
    "old-completed": "completed",
    "old-cut-short": "interrupted",
    "old-empty-first-line": "completed",
    "old-failed": "failed",
    "old-paused": "paused",
    "old-routed": "completed",
}

REFUND = """
from replayt_core import Workflow

wf = Workflow("refund", version="2")
wf.set_initial("read")


@wf.step("read", to=["ask"])
def read(ctx):
    ctx.set("amount", len(ctx.get("text")))
    return "ask"


@wf.step("ask", to=["pay"])
def ask(ctx):
    ctx.note("amount", summary=str(ctx.get("amount")))
    return "pay"


@wf.step("pay")
def pay(ctx):
    return None
"""


@pytest.fixture
def old(shell: Shell) -> Shell:
    """A directory with the logs of that time."""
    shutil.copytree(UNCHAINED, shell.directory / ".replayt/runs")
    return shell


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.jsonl")}


def test_they_are_listed_and_counted(old: Shell) -> None:
    rows = {row["run_id"]: row for row in old.call("runs", "-o", "json").json["runs"]}
    assert {run_id: row["status"] for run_id, row in rows.items()} == STATUSES
    counts = ("event_count", "llm_calls", "tool_calls", "approvals", "retries", "total_tokens")
    row = rows["old-empty-first-line"]
    assert [row[name] for name in counts] == [21, 1, 1, 1, 1, 26]
    assert row["log_mode"] == "structured_only"
    found = old.call("stats", "-o", "json").json
    assert found["runs_included"] == len(STATUSES)
    assert found["status_counts"] == {
        "completed": 3,
        "failed": 1,
        "interrupted": 1,
        "paused": 1,
    }
    assert found["llm_response_count"] == 2


def test_they_can_be_asked_in_sql(old: Shell) -> None:
    def ask(sql: str) -> list[list[object]]:
        found = old.call("query", sql, "-o", "json")
        assert found.code == 0, found.err
        return [list(row.values()) for row in found.json]

    lines = sum(len(data.strip().splitlines()) for data in content(UNCHAINED).values())
    assert ask("SELECT count(*), count(DISTINCT run_id) FROM events") == [[lines, len(STATUSES)]]
    of = "FROM {} WHERE run_id = 'old-empty-first-line' ORDER BY seq"
    assert ask("SELECT state, visit, outcome, next_state " + of.format("states")) == [
        ["read", 1, "exited", "ask"],
        ["ask", 1, "paused", None],
        ["ask", 2, "exited", "pay"],
        ["pay", 1, "exited", None],
    ]
    approvals = ask('SELECT approved, "by", applied ' + of.format("approvals"))
    assert approvals == [[True, "cli", True]]
    assert ask("SELECT schema_name, total_tokens " + of.format("llm_calls")) == [["Refund", 26]]
    moves = "SELECT from_state, to_state FROM transitions WHERE run_id = 'old-routed'"
    assert ask(moves) == [["check", "drop"]]


@pytest.mark.parametrize("run_id", STATUSES)
def test_each_is_shown_without_a_complaint(old: Shell, run_id: str) -> None:
    before = content(old.directory / ".replayt/runs")
    found = old.call("inspect", run_id, "-o", "json")
    assert found.code == 0
    summary = found.json["summary"]
    assert (summary["status"], summary["problems"]) == (STATUSES[run_id], [])
    assert summary["torn_bytes"] == 0
    for words in (
        ("inspect", run_id),
        ("inspect", run_id, "--follow"),
        ("replay", run_id),
        ("replay", run_id, "--format", "html"),
        ("why", run_id),
        ("report", run_id),
        ("diff", run_id, run_id),
        ("store", "repair", run_id),
        ("pin", run_id, "--out", "pins"),
        ("verify", run_id),
        ("verify", run_id, "--log-dir", "pins"),
    ):
        ended = old.call(*words)
        assert ended.code == 0, (words, ended.err)
        assert "does not fit" not in ended.out
        assert "resume TARGET" not in ended.out  # it would be refused
    assert old.call("gc", "--older-than", "1s", "--dry-run").code == 0
    assert content(old.directory / ".replayt/runs") == before
    assert (old.directory / "pins" / f"{run_id}.jsonl").read_bytes() == before[
        f"{run_id}.jsonl"
    ].removeprefix(b"\n")


def test_all_of_them_pass_the_check_unless_it_is_strict(old: Shell) -> None:
    ended = old.call("verify", "--all")
    assert ended.code == 0
    assert ended.out == "6 runs checked: 6 ok, 0 failed; 6 with unchained lines\n"
    strict = old.call("verify", "--all", "--strict", "-o", "json")
    assert strict.code == 1
    assert [run["finding"] for run in strict.json["failures"]] == ["unchained"] * 6


def test_two_runs_in_one_log_are_named_as_what_no_release_executed(old: Shell) -> None:
    """0.2 and 0.4 began a used id again, in the same file: its counts are those of both."""
    path = old.log("old-routed")
    lines = path.read_bytes().splitlines()
    again = [
        line.replace(f'"seq": {seq},'.encode(), f'"seq": {seq + len(lines)},'.encode())
        for seq, line in enumerate(lines, 1)
    ]
    path.write_bytes(b"".join(line + b"\n" for line in [*lines, *again]))
    ended = old.call("verify", "old-routed", "-o", "json")
    assert ended.code == 1
    assert ended.json["illegal"] == [{"seq": 13, "problem": "run_started while ended"}]


def test_they_are_copied_to_a_database_that_can_be_written(old: Shell) -> None:
    assert old.call("store", "copy", "jsonl:///.replayt/runs", "sqlite:///all.db").code == 0
    rows = old.call("runs", "--store", "sqlite:///all.db", "-o", "json").json["runs"]
    assert {row["run_id"]: row["status"] for row in rows} == STATUSES
    assert old.call("verify", "--all", "--store", "sqlite:///all.db").code == 0


def test_a_fork_begins_where_the_log_knows_the_context_or_where_it_is_said(old: Shell) -> None:
    """What steps had set is in no log of that time; a fork never begins without saying so."""
    old.write("flow.py", REFUND)
    before = content(old.directory / ".replayt/runs")
    for at in ("ask", "ask:1", "pay", "12"):
        ended = old.call("fork", "flow.py", "old-empty-first-line", "--at", at)
        assert ended.code == 75
        assert "unchained" in one_line(ended)
        assert "fork at 'read:1'" in ended.err
        assert "--set key=JSON" in ended.err
    assert content(old.directory / ".replayt/runs") == before
    fork = ("fork", "flow.py", "old-empty-first-line", "--run-id")
    assert old.call(*fork, "first", "--at", "read").code == 0
    started = old.events("first")[0]["payload"]
    assert started["context"] == {"text": "Grüße\u2028Ende"}
    assert started["log_mode"] == "structured_only"  # no less private than its parent
    assert old.call(*fork, "said", "--at", "ask", "--set", "amount=7").code == 0
    notes = [event for event in old.events("said") if event["type"] == "step_note"]
    assert notes[0]["payload"]["summary"] == "7"
    assert old.call("verify", "said", "--target", "flow.py").code == 0


def test_an_old_database_is_no_mirror_and_nothing_is_written_before_that_is_said(
    shell: Shell,
) -> None:
    shell.write("flow.py", REFUND)
    before = make(shell.directory / "old.db").read_bytes()
    words = ("run", "flow.py", "--run-id", "a", "--input", "text=x", "--sqlite", "old.db")
    ended = shell.call(*words)
    assert ended.code == 74
    assert "replayt store copy" in one_line(ended)
    assert not shell.log("a").exists()
    assert shell.call("runs", "-o", "json").json["runs"] == []
    assert (shell.directory / "old.db").read_bytes() == before
    assert shell.call("verify", "--all", "--sqlite", "old.db").code == 0
