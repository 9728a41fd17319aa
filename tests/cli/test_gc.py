"""`replayt gc`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_store import JSONLStore, SQLiteStore
from tests.cli.helpers import Shell, on_terminal, one_line
from tests.cli.logs import age, damage, install_plugin, record


def left(directory: str = ".replayt/runs") -> set[str]:
    return set(JSONLStore(directory).run_ids())


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.glob("*.jsonl*"))}


def test_the_age_is_required(shell: Shell) -> None:
    """SC-162."""
    ended = shell.call("gc")
    assert ended.code == 64
    assert "--older-than" in one_line(ended)


@pytest.mark.parametrize(
    "wrong",
    ["90", "d", "1w", "-1d", "1.5d", "", " 90d", "90D", "\u0663d", "999999999999d"],
)
def test_what_is_no_age_is_64_with_examples(shell: Shell, wrong: str) -> None:
    """SC-162."""
    record("a", days=400)
    ended = shell.call("gc", f"--older-than={wrong}")
    assert ended.code == 64
    assert "90d, 24h, 60m or 30s" in one_line(ended)
    assert left() == {"a"}


@pytest.mark.parametrize(
    ("given", "gone"),
    [("2d", {"old"}), ("30h", {"old"}), ("1441m", {"old"}), ("5s", {"old", "young"})],
)
def test_every_unit_means_what_it_says(shell: Shell, given: str, gone: set[str]) -> None:
    record("old", days=3)
    record("young", days=1)
    record("new", days=0)
    assert shell.call("gc", "--older-than", given).code == 0
    assert left() == {"old", "young", "new"} - gone


def test_it_ends_with_the_number_of_runs_and_bytes_and_says_what_stayed(shell: Shell) -> None:
    """SC-165, SC-166."""
    for number in range(3):
        record(f"old-{number}", days=100)
    record("waits", days=100, status="paused")
    record("cut", days=100, status="interrupted")
    record("young", days=1)
    record("bad", days=100)
    damage(shell.log("bad"))
    size = sum(shell.log(f"old-{number}").stat().st_size for number in range(3))
    ended = shell.call("gc", "--older-than", "90d")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"deleted 3 runs, {size / 1000:.1f} kB freed",
        "kept 4 runs: 1 damaged, 1 interrupted, 1 paused, 1 younger",
    ]
    assert left() == {"waits", "cut", "young", "bad"}
    assert shell.call("gc", "--older-than", "90d").out.startswith("deleted 0 runs, 0 bytes freed")


def test_a_dry_run_lists_what_would_go_and_deletes_nothing(shell: Shell) -> None:
    """SC-164."""
    record("oldest", days=200)
    record("old", days=100, status="failed")
    record("young", days=1)
    before = snapshot(shell.directory / ".replayt/runs")
    ended = shell.call("gc", "--older-than", "90d", "--dry-run")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["oldest", "completed", "sorts@1"],
        ["old", "failed", "sorts@1"],
    ]
    assert lines[3].startswith("would delete 2 runs, ")
    assert lines[4] == "kept 1 run: 1 younger"
    assert snapshot(shell.directory / ".replayt/runs") == before


def test_the_result_as_json(shell: Shell) -> None:
    record("old", days=100, tags={"env": "ci"})
    record("young", days=1)
    size = shell.log("old").stat().st_size
    words = ["gc", "--older-than", "90d", "-o", "json"]
    planned = shell.call(*words, "--dry-run").json
    done = shell.call(*words).json
    assert planned["dry_run"] is True
    assert done["dry_run"] is False
    for document in (planned, done):
        assert (document["run_count"], document["bytes"]) == (1, size)
        assert [run["run_id"] for run in document["runs"]] == ["old"]
        assert (document["kept_count"], document["kept"]) == (1, {"younger": 1})
        assert document["skipped"] == []
    assert left() == {"young"}


def test_tags_statuses_and_the_last_ones_narrow_it_down(shell: Shell) -> None:
    for number in range(4):
        record(f"ci-{number}", days=100 + number, tags={"env": "ci", "n": str(number)})
    record("failed", days=100, status="failed", tags={"env": "ci"})
    record("waits", days=100, status="paused")
    record("other", days=100)
    words = ["gc", "--older-than", "90d"]
    assert shell.call(*words, "--tag", "env=ci", "--tag", "n=3").code == 0
    assert "ci-3" not in left()
    assert shell.call(*words, "--tag", "env=ci", "--status", "failed").code == 0
    assert left() == {"ci-0", "ci-1", "ci-2", "waits", "other"}
    assert shell.call(*words, "--tag", "env=ci", "--keep-last", "2").code == 0
    assert left() == {"ci-0", "ci-1", "waits", "other"}
    assert shell.call(*words, "--status", "paused", "--status", "completed").code == 0
    assert left() == set()


def test_a_run_that_somebody_executes_is_never_deleted(shell: Shell) -> None:
    for status in ("interrupted", "paused", "failed"):
        record(status, days=100, status=status)
    every = [word for name in ("interrupted", "paused", "failed") for word in ("--status", name)]
    holder = JSONLStore(".replayt/runs")
    with holder.lock("interrupted"), holder.lock("paused"), holder.lock("failed"):
        ended = shell.process("gc", "--older-than", "1d", *every)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "kept 3 runs: 3 running"
    assert left() == {"interrupted", "paused", "failed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--status", "running"], "never deleted"),
        (["--status", "old"], "completed, failed, paused, interrupted, damaged"),
        (["--tag", "nothing"], "KEY=VALUE"),
        (["--keep-last", "-1"], "--keep-last"),
        (["--keep-last", "some"], "--keep-last"),
        (["--nope"], "--nope"),
        (["surplus"], "surplus"),
        (["--store", "nosuch:///x"], "nosuch"),
    ],
)
def test_a_wrong_command_line_deletes_nothing(shell: Shell, words: list[str], said: str) -> None:
    record("a", days=400)
    ended = shell.call("gc", "--older-than", "1d", *words)
    assert ended.code == 64
    assert said in one_line(ended)
    assert left() == {"a"}


def test_damaged_logs_go_when_asked_for(shell: Shell) -> None:
    record("bad", days=100)
    record("good", days=100)
    damage(shell.log("bad"))
    shell.log("notes").write_text("no log at all\n")
    age(shell.log("notes"), 100)
    ended = shell.call("gc", "--older-than", "90d", "--status", "damaged")
    assert ended.code == 0
    assert ended.out.startswith("deleted 2 runs")
    assert left() == {"good"}


def test_the_copies_in_sqlite_go_too(shell: Shell) -> None:
    """SC-166."""
    record("old", days=100)
    record("young", days=1)
    assert shell.call("store", "copy", "jsonl:///.replayt/runs", "sqlite:///runs.db").code == 0
    ended = shell.call("gc", "--older-than", "90d", "--sqlite", "runs.db")
    assert (ended.code, ended.err) == (0, "")
    with SQLiteStore("runs.db") as copy:
        assert set(copy.run_ids()) == left() == {"young"}


def test_where_there_is_nothing_it_creates_nothing(shell: Shell) -> None:
    ended = shell.call("gc", "--older-than", "90d")
    assert (ended.code, ended.out) == (0, "deleted 0 runs, 0 bytes freed\n")
    assert list(shell.directory.iterdir()) == []


def test_a_listing_afterwards_knows(shell: Shell) -> None:
    record("old", days=100)
    record("young", days=1)
    assert len(shell.call("runs", "-o", "json").json["runs"]) == 2
    assert shell.call("gc", "--older-than", "90d").code == 0
    assert [row["run_id"] for row in shell.call("runs", "-o", "json").json["runs"]] == ["young"]


def test_a_run_that_cannot_be_deleted_is_named_and_the_exit_code_is_74(shell: Shell) -> None:
    install_plugin(shell.directory)
    record("a", days=100, store=JSONLStore("odd"))
    at = ["--store", "odd:///", "--older-than", "90d"]
    ended = shell.process("gc", *at, PYTHONPATH=".")
    assert ended.code == 74
    assert ended.err.startswith("replayt: warning: not deleted: cannot delete run a: ")
    assert ended.out.startswith("deleted 0 runs")
    assert left("odd") == {"a"}


def test_a_store_that_cannot_delete_is_a_clear_error(shell: Shell) -> None:
    install_plugin(shell.directory)
    record("a", days=100, store=JSONLStore("odd"))
    ended = shell.process("gc", "--older-than", "90d", "--store", "keeps:///", PYTHONPATH=".")
    assert ended.code == 74
    assert "Keeps cannot delete" in one_line(ended)


def test_a_terminal_shows_how_far_it_is_and_a_pipe_does_not(shell: Shell) -> None:
    for number in range(5):
        record(f"old-{number}", days=100)
    code, sent = on_terminal(shell, "gc", "--older-than", "90d")
    assert code == 0
    assert "deleting [" in sent
    last = sent.replace("\r\n", "\n").rstrip("\n").rpartition("\n")[2]
    assert last.rpartition("\r")[2].startswith("deleted 5 runs")
    record("old", days=100)
    assert shell.process("gc", "--older-than", "90d").err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupted_it_says_how_far_it_was_and_the_same_command_goes_on(shell: Shell) -> None:
    """The store waits at the fourth run, so that Ctrl-C meets it there."""
    terminal = pytest.importorskip("tests.cli.terminal")
    install_plugin(shell.directory)
    os.mkfifo(shell.directory / "waits")
    for number in range(9):
        record(f"old-{number}", days=100, store=JSONLStore("odd"))
    words = ("gc", "--older-than", "90d", "--store", "slow:///")
    child = terminal.spawn(shell.directory, *words, NO_COLOR="1", TERM="dumb")
    child.expect("deleting .*/9")
    # Both ends of a fifo are opened at the same time, so it waits now.
    with open(shell.directory / "waits", "wb"):
        child.sendintr()
        code, sent = terminal.ended(child)
    assert code == 130
    assert "interrupted after 3 of 9 runs; the same command deletes the rest" in sent
    assert len(left("odd")) == 6
    for run_id in left("odd"):
        assert list(JSONLStore("odd").read(run_id))
    (shell.directory / "waits").unlink()
    assert shell.process(*words).code == 0
    assert left("odd") == set()


def test_a_directory_that_cannot_be_written_keeps_its_runs(shell: Shell) -> None:
    disk = shell.directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    allowed = hasattr(os, "geteuid") and os.geteuid() == 0
    if not allowed or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("making a file system read-only needs root")
    try:
        record("a", days=100, store=JSONLStore(disk))
        remount = ["mount", "-o", "remount,ro", str(disk)]
        subprocess.run(remount, check=True)
        ended = shell.process("gc", "--older-than", "90d", "--log-dir", "disk")
        assert ended.code == 74
        assert "read-only" in ended.err
        assert "Traceback" not in ended.err
        assert left("disk") == {"a"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)
