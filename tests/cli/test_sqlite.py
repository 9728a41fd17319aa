"""`--sqlite FILE`: a copy that follows on commands that write, the source on commands that read."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import ASKS_MODEL, GATE, HELLO, Shell, one_line


def run(shell: Shell, text: str, *words: str, run_id: str = "a") -> None:
    shell.write("flow.py", text)
    assert shell.call("run", "flow.py", "--run-id", run_id, *words).code in {0, 1, 2}


def copied(shell: Shell, name: str = "runs.db") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(shell.directory / name)) as database:
        columns = "run_id, seq, type, ts, payload_json"
        return database.execute(f"SELECT {columns} FROM events ORDER BY run_id, seq").fetchall()  # noqa: S608


def test_run_with_sqlite_keeps_the_same_events_in_both(shell: Shell) -> None:
    """SC-99, SC-101, SC-135."""
    run(shell, HELLO, "--sqlite", "runs.db", "--input", "name=Zoë")
    rows = [
        {"run_id": run_id, "seq": seq, "type": kind, "ts": ts, "payload": json.loads(payload)}
        for run_id, seq, kind, ts, payload in copied(shell)
    ]
    logged = [
        {name: event[name] for name in ("run_id", "seq", "type", "ts", "payload")}
        for event in shell.events("a")
    ]
    assert rows == logged
    assert len(rows) == 8


def test_reading_commands_take_the_sqlite_file_as_their_source(shell: Shell) -> None:
    """SC-100."""
    run(shell, ASKS_MODEL, "--dry-run", "--sqlite", "runs.db", "--tag", "env=ci")
    commands = [
        ["inspect", "a", "-o", "json"],
        ["replay", "a"],
        ["why", "a"],
        ["verify", "a"],
        ["verify", "--all"],
        ["runs", "-o", "json"],
        ["stats", "-o", "json"],
        ["query", "SELECT run_id, seq, type FROM events ORDER BY seq", "-o", "json"],
    ]
    before = [shell.call(*words).out for words in commands]
    shutil.rmtree(shell.directory / ".replayt")
    for words, expected in zip(commands, before, strict=True):
        ended = shell.call(*words, "--sqlite", "runs.db")
        assert (ended.code, ended.out) == (0, expected), words
    assert not shell.directory.joinpath(".replayt").exists()


def test_a_pin_can_be_taken_from_the_sqlite_file(shell: Shell) -> None:
    run(shell, HELLO, "--sqlite", "runs.db")
    line = shell.log("a").read_bytes()
    shutil.rmtree(shell.directory / ".replayt")
    assert shell.call("pin", "a", "--out", "kept", "--sqlite", "runs.db").code == 0
    assert shell.directory.joinpath("kept/a.jsonl").read_bytes() == line


def test_what_a_paused_run_says_to_type_keeps_both_places(shell: Shell) -> None:
    run(shell, GATE, "--log-dir", "logs", "--sqlite", "my runs.db")
    shown = shell.call("resume", "flow.py", "a", "--log-dir", "logs", "--sqlite", "my runs.db")
    line = next(line for line in shown.out.splitlines() if "approve: " in line)
    words = shlex.split(line.partition("approve: ")[2])
    assert words[0] == "replayt"
    assert shell.call(*words[1:]).code == 0
    assert [row[2] for row in copied(shell, "my runs.db")] == [
        event["type"] for event in shell.events("a", "logs")
    ]


def test_a_copy_begun_late_or_lost_is_made_up_for_by_the_next_append(shell: Shell) -> None:
    run(shell, GATE)
    ended = shell.call("resume", "flow.py", "a", "--approval", "publish", "--sqlite", "runs.db")
    assert ended.code == 0
    assert len(copied(shell)) == len(shell.events("a"))


def test_a_store_that_is_sqlite_serves_every_command(shell: Shell) -> None:
    run(shell, GATE, "--store", "sqlite:///runs.db")
    at = ["--store", "sqlite:///runs.db"]
    shown = shell.call("resume", "flow.py", "a", *at)
    assert shown.code == 2
    assert "--store sqlite:///runs.db" in shown.out
    assert "log runs.db, run a" in shown.out
    assert shell.call("resume", "flow.py", "a", "--approval", "publish", *at).code == 0
    assert shell.call("fork", "flow.py", "a", "--at", "review", "--run-id", "b", *at).code == 2
    listed = shell.call("runs", "-o", "json", *at).json
    assert [row["run_id"] for row in listed["runs"]] == ["b", "a"]
    assert shell.call("verify", "--all", "--target", "flow.py", *at).code == 0
    assert shell.call("stats", "-o", "json", *at).json["status_counts"] == {
        "completed": 1,
        "paused": 1,
    }
    assert shell.call("gc", "--older-than", "0s", "-o", "json", *at).json["run_count"] == 1
    assert not shell.directory.joinpath(".replayt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inspect", "a", "--sqlite", "x.db", "--log-dir", "logs"], "one of them"),
        (["runs", "--sqlite", "x.db", "--store", "jsonl:///logs"], "one of them"),
        (["runs", "--sqlite", ""], "--sqlite is empty"),
        (["run", "flow.py", "--sqlite", " "], "--sqlite is empty"),
        (["run", "flow.py", "--sqlite", ":memory:"], "no file"),
        (["run", "flow.py", "--store", "sqlite:///x.db", "--sqlite", "./x.db"], "store itself"),
    ],
)
def test_a_wrong_use_of_the_option_is_64_and_touches_nothing(
    shell: Shell, words: list[str], said: str
) -> None:
    shell.write("flow.py", HELLO)
    ended = shell.call(*words)
    assert ended.code == 64
    assert said in one_line(ended)
    left = {path.name for path in shell.directory.iterdir()} - {"__pycache__"}
    assert left == {"flow.py"}


def test_a_file_that_is_not_there_is_no_run_and_is_not_made(shell: Shell) -> None:
    ended = shell.call("inspect", "a", "--sqlite", "nosuch.db")
    assert ended.code == 66
    assert "nosuch.db does not exist" in one_line(ended)
    assert shell.call("runs", "--sqlite", "nosuch.db").out == "No runs found\n"
    assert list(shell.directory.iterdir()) == []


@pytest.mark.parametrize("command", [["runs"], ["inspect", "a"], ["stats"], ["verify", "--all"]])
def test_a_file_that_is_no_database_is_65(shell: Shell, command: list[str]) -> None:
    path = shell.write("notes.txt", "these are my notes\n" * 100)
    ended = shell.call(*command, "--sqlite", "notes.txt")
    assert ended.code == 65
    assert "notes.txt" in ended.err
    assert "Traceback" not in ended.err
    assert path.read_text() == "these are my notes\n" * 100


@pytest.mark.parametrize("command", [["runs"], ["inspect", "a"], ["stats"], ["verify", "--all"]])
def test_a_database_of_somebody_else_is_65(shell: Shell, command: list[str]) -> None:
    with closing(sqlite3.connect("foreign.db")) as database:
        database.execute("CREATE TABLE notes (text)")
        database.commit()
    before = Path("foreign.db").read_bytes()
    ended = shell.call(*command, "--sqlite", "foreign.db")
    assert ended.code == 65
    assert "foreign.db is a SQLite database, but none of replayt" in one_line(ended)
    assert Path("foreign.db").read_bytes() == before
    assert [path.name for path in shell.directory.iterdir()] == ["foreign.db"]


def test_a_copy_that_cannot_be_written_stops_the_run_which_goes_on_without_it(
    shell: Shell,
) -> None:
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py", "--run-id", "a", "--sqlite", "flow.py/runs.db")
    assert ended.code == 74
    assert "flow.py/runs.db" in one_line(ended)
    again = shell.call("run", "flow.py", "--run-id", "a")
    assert again.code == 0, again.err


def small_disk(directory: Path) -> bool:
    """Mount 256 kB there, if this process may."""
    done = hasattr(os, "geteuid") and os.geteuid() == 0
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)]
    return done and not subprocess.run(command, check=False, capture_output=True).returncode


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_under_the_copy_is_74_and_the_run_can_go_on(shell: Shell) -> None:
    disk = shell.directory / "disk"
    disk.mkdir()
    if not small_disk(disk):
        pytest.skip("mounting a small tmpfs needs root; the unwritable file above stands in")
    try:
        shell.write("flow.py", GATE)
        filler = disk / "filler"
        assert (
            shell.process("run", "flow.py", "--run-id", "a", "--sqlite", "disk/runs.db").code == 2
        )
        with pytest.raises(OSError, match="space"):
            fill(filler)
        at = ["--approval", "publish", "--sqlite", "disk/runs.db"]
        ended = shell.process("resume", "flow.py", "a", *at)
        assert ended.code == 74
        assert "full" in one_line(ended)
        filler.unlink()
        assert shell.process("resume", "flow.py", "a", *at).code == 0
        assert len(copied(shell, "disk/runs.db")) == len(shell.events("a"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
