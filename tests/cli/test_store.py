"""`replayt store`: copy, rebuild, repair."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from replayt_store import JSONLStore, SQLiteStore
from tests.cli.helpers import GATE, HELLO, Shell, one_line

SQLITE = "sqlite:///runs.db"
LOGS = "jsonl:///.replayt/runs"


def run(shell: Shell, text: str, run_id: str, *words: str) -> None:
    shell.write("flow.py", text)
    assert shell.call("run", "flow.py", "--run-id", run_id, *words).code in {0, 2}


def lines(store: JSONLStore | SQLiteStore, run_id: str) -> list[bytes]:
    return [event.line for event in store.read(run_id)]


def damage(path: Path, number: int) -> list[bytes]:
    """Change a byte in that line; the lines as they were."""
    whole = path.read_bytes().splitlines(keepends=True)
    changed = list(whole)
    changed[number - 1] = changed[number - 1].replace(b'"seq":', b'"sea":')
    path.write_bytes(b"".join(changed))
    return whole


def test_bare_store_shows_its_commands(shell: Shell) -> None:
    """SC-117."""
    ended = shell.call("store")
    assert ended.code == 0
    assert {"copy", "rebuild", "repair"} <= set(ended.out.split())
    for name in ("copy", "rebuild", "repair"):
        shown = shell.call("store", name, "--help")
        assert shown.code == 0
        assert max(map(len, shown.out.splitlines())) <= 80


def test_copy_takes_all_runs_byte_for_byte_and_again_adds_nothing(shell: Shell) -> None:
    run(shell, HELLO, "a")
    run(shell, GATE, "b")
    ended = shell.call("store", "copy", LOGS, SQLITE)
    assert (ended.code, ended.err) == (0, "")
    assert "copied 2 runs, 12 events" in ended.out
    with SQLiteStore("runs.db") as copy:
        for run_id in ("a", "b"):
            assert lines(copy, run_id) == shell.log(run_id).read_bytes().splitlines()
    again = shell.call("store", "copy", LOGS, SQLITE, "-o", "json").json
    assert (again["runs"], again["events"], again["present"]) == (0, 0, 2)


def test_copy_takes_the_runs_that_are_named_by_a_short_id(shell: Shell) -> None:
    for run_id in ("first-aaa", "second-bbb", "third-ccc"):
        run(shell, HELLO, run_id)
    ended = shell.call("store", "copy", LOGS, "jsonl:///kept", "first", "ccc")
    assert ended.code == 0
    assert sorted(JSONLStore("kept").run_ids()) == ["first-aaa", "third-ccc"]
    missing = shell.call("store", "copy", LOGS, "jsonl:///kept", "nosuch")
    assert missing.code == 66
    assert "nosuch" in one_line(missing)


def test_copy_passes_over_a_damaged_run_and_says_so(shell: Shell) -> None:
    run(shell, HELLO, "good")
    run(shell, HELLO, "bad")
    damage(shell.log("bad"), 4)
    ended = shell.call("store", "copy", LOGS, SQLITE)
    assert ended.code == 1
    assert "copied 1 run" in ended.out
    assert len(ended.err.splitlines()) == 1
    assert "run bad was not copied" in ended.err
    document = shell.call("store", "copy", LOGS, SQLITE, "-o", "json").json
    assert [item["run_id"] for item in document["problems"]] == ["bad"]


def test_a_log_without_an_event_is_told_and_fails_no_copy(shell: Shell) -> None:
    """A backup must not fail for good because a process died in its first append."""
    run(shell, HELLO, "good")
    shell.log("torn").write_bytes(b'{"ts":"2026')
    for said in ("copied 1 run", "1 there already"):
        ended = shell.call("store", "copy", LOGS, SQLITE)
        assert (ended.code, ended.err) == (0, "")
        assert said in ended.out
        assert "run torn has no event to copy: its first batch was cut short" in ended.out
    document = shell.call("store", "copy", LOGS, SQLITE, "-o", "json").json
    assert (document["empty"], document["problems"]) == (["torn"], [])
    rebuilt = shell.call("store", "rebuild", SQLITE)
    assert (rebuilt.code, rebuilt.err) == (0, "")
    assert "run torn has no event to copy" in rebuilt.out
    named = shell.call("store", "copy", LOGS, SQLITE, "torn")
    assert named.code == 1
    assert "run torn was not copied: there is no run torn to copy, or no event of it" in named.err
    assert shell.log("torn").read_bytes() == b'{"ts":"2026'


def test_copy_of_nothing_creates_nothing(shell: Shell) -> None:
    ended = shell.call("store", "copy", LOGS, SQLITE)
    assert (ended.code, ended.out) == (0, "No runs found\n")
    assert list(shell.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["copy"], 64, "FROM_URL"),
        (["copy", LOGS], 64, "TO_URL"),
        (["copy", LOGS, "nosuch:///x"], 64, "nosuch"),
        (["copy", "", SQLITE], 64, "URL"),
        (["copy", "runs", SQLITE], 64, "URL"),
        (["copy", LOGS, "jsonl:///flow.py/logs"], 74, "flow.py"),
        (["rebuild"], 64, "MIRROR_URL"),
        (["rebuild", SQLITE, "--log-dir", "a", "--store", "b"], 64, "one of them"),
        (["repair"], 64, "RUN_ID"),
        (["repair", "nosuch"], 66, "nosuch"),
        (["repair", "../x"], 64, "run id"),
        (["nosuch"], 64, "nosuch"),
    ],
)
def test_what_is_wrong_is_one_line(shell: Shell, words: list[str], code: int, said: str) -> None:
    """SC-119."""
    run(shell, HELLO, "a")
    ended = shell.call("store", *words)
    assert ended.code == code
    assert said in one_line(ended)


def test_rebuild_makes_a_mirror_that_was_lost_or_differs(shell: Shell) -> None:
    run(shell, HELLO, "a", "--sqlite", "runs.db")
    run(shell, HELLO, "b")
    run(shell, HELLO, "only", "--store", SQLITE)
    other = shell.call("run", "flow.py", "--run-id", "b", "--store", SQLITE)
    assert other.code == 0
    ended = shell.call("store", "rebuild", SQLITE)
    assert ended.code == 0, ended.err
    assert "copied 1 run, 8 events; 1 there already" in ended.out
    assert "other bytes stood there for 1 run" in ended.out
    assert "1 run only in the mirror" in ended.out
    with SQLiteStore("runs.db") as mirror:
        assert lines(mirror, "b") == shell.log("b").read_bytes().splitlines()
        assert lines(mirror, "only")
    document = shell.call("store", "rebuild", SQLITE, "-o", "json").json
    assert (document["runs"], document["present"], document["extra"]) == (0, 2, ["only"])


def test_repair_puts_a_torn_tail_aside_and_writes_it_down(shell: Shell) -> None:
    run(shell, GATE, "a")
    before = shell.log("a").read_bytes()
    tail = b'{"ts":"2026-01-02T03:04'
    with shell.log("a").open("ab") as file:
        file.write(tail)
    document = shell.call("store", "repair", "a", "-o", "json").json
    assert document["repair"] == "tail put aside"
    assert document["tail"]["bytes"] == len(tail)
    assert document["tail"]["sha256"] == hashlib.sha256(tail).hexdigest()
    assert Path(document["tail"]["saved_as"]).read_bytes() == tail
    after = shell.log("a").read_bytes()
    assert after.startswith(before)
    last = json.loads(after.splitlines()[-1])
    assert (last["type"], last["seq"]) == ("log_repaired", document["last_seq"])
    assert last["payload"]["sha256"] == document["tail"]["sha256"]
    assert shell.call("verify", "a", "--target", "flow.py").code == 0
    assert shell.call("resume", "flow.py", "a", "--approval", "publish").code == 0
    assert shell.call("store", "repair", "a").out.startswith("run a needs no repair")


def test_repair_of_a_log_that_is_nothing_but_a_torn_tail_leaves_no_run(shell: Shell) -> None:
    shell.log("a").parent.mkdir(parents=True)
    shell.log("a").write_bytes(b'{"ts":"2026')
    ended = shell.call("store", "repair", "a")
    assert ended.code == 0
    assert "does not exist any more" in ended.out
    assert shell.call("inspect", "a").code == 66
    assert shell.log("a").with_name("a.jsonl.torn-1").read_bytes() == b'{"ts":"2026'


def test_repair_of_a_log_of_an_older_release_writes_no_event_into_it(shell: Shell) -> None:
    old = {"run_id": "old", "ts": "2025-01-01T00:00:00+00:00"}
    text = "".join(
        json.dumps({**old, "seq": seq, "type": kind, "payload": payload}) + "\n"
        for seq, (kind, payload) in enumerate(
            [
                ("run_started", {"workflow_name": "w", "workflow_version": "1"}),
                ("run_completed", {"final_state": "x", "status": "completed"}),
            ],
            1,
        )
    )
    shell.log("old").parent.mkdir(parents=True)
    shell.log("old").write_text(text + '{"ts":')
    assert shell.call("store", "repair", "old").code == 0
    assert shell.log("old").read_text() == text


def test_repair_of_a_damaged_log_saves_what_stands_before_the_damage(shell: Shell) -> None:
    """RELIABILITY R7: the good prefix in a new file, the original kept."""
    run(shell, GATE, "a")
    resumed = shell.call("resume", "flow.py", "a", "--approval", "publish")
    assert resumed.code == 0
    whole = damage(shell.log("a"), 5)
    damaged = shell.log("a").read_bytes()
    ended = shell.call("store", "repair", "a")
    assert ended.code == 0
    assert "line 5" in ended.out
    assert "copied seq 1 to 4" in ended.out
    assert shell.log("a").read_bytes() == damaged
    kept = shell.directory / ".replayt/runs/repaired/a.jsonl"
    assert kept.read_bytes() == b"".join(whole[:4])
    at = ["--log-dir", ".replayt/runs/repaired"]
    assert shell.call("verify", "a", *at).code == 0
    assert shell.call("resume", "flow.py", "a", "--approval", "publish", *at).code == 0
    listed = shell.call("runs", "-o", "json").json["runs"]
    assert [(row["run_id"], row["status"]) for row in listed] == [("a", "damaged")]


def test_the_readable_part_goes_where_it_is_told(shell: Shell) -> None:
    run(shell, GATE, "a")
    damage(shell.log("a"), 4)
    document = shell.call("store", "repair", "a", "--to", SQLITE, "-o", "json").json
    assert document["repair"] == "readable part copied"
    assert document["saved_as"] == SQLITE
    assert "line 4" in document["damage"]
    with SQLiteStore("runs.db") as kept:
        assert len(lines(kept, "a")) == document["last_seq"] == 2


def test_a_log_that_is_damaged_from_its_first_line_has_no_readable_part(shell: Shell) -> None:
    run(shell, HELLO, "a")
    damage(shell.log("a"), 1)
    ended = shell.call("store", "repair", "a")
    assert ended.code == 65
    assert "line 1" in one_line(ended)
    assert not shell.directory.joinpath(".replayt/runs/repaired/a.jsonl").exists()


def test_a_run_that_is_executed_is_not_repaired(shell: Shell) -> None:
    with JSONLStore(".replayt/runs").lock("a"):
        shell.log("a").write_bytes(b'{"ts":"2026')
        ended = shell.call("store", "repair", "a")
    assert ended.code == 75
    assert "executed" in one_line(ended)
