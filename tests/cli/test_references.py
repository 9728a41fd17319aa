"""References to runs: ids, their unique starts and ends, and places among the newest runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from replayt_cli.arguments.run_reference import find_run
from replayt_core import Event, MemoryStore
from replayt_core.chain import first_prev, seal
from replayt_core.events import Draft
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from tests.cli.helpers import GATE, HELLO, Shell, one_line
from tests.cli.logs import damage, install_plugin, record

# In the order they were started, which is not that of their names.
STARTED = ("zebra-1", "middle_2", "apple.3")


def three_runs(store: JSONLStore | SQLiteStore | MemoryStore | MirrorStore | None = None) -> None:
    for days, run_id in zip((3, 2, 1), STARTED, strict=True):
        record(run_id, days=days, store=store)


REFERENCES = [
    ("apple.3", "apple.3"),
    ("app", "apple.3"),
    ("3", "apple.3"),
    (".3", "apple.3"),
    ("apple.", "apple.3"),
    ("_2", "middle_2"),
    ("@last", "apple.3"),
    ("@-1", "apple.3"),
    ("@-2", "middle_2"),
    ("@-3", "zebra-1"),
]


@pytest.mark.parametrize(("text", "run_id"), REFERENCES)
def test_a_reference_names_a_run(shell: Shell, text: str, run_id: str) -> None:
    three_runs()
    ended = shell.call("inspect", text, "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.json["summary"]["run_id"] == run_id


@pytest.mark.parametrize(("text", "run_id"), REFERENCES)
def test_a_reference_means_the_same_in_every_store(shell: Shell, text: str, run_id: str) -> None:
    jsonl, sqlite, memory = JSONLStore("logs"), SQLiteStore("runs.db"), MemoryStore()
    mirrored = MirrorStore(JSONLStore("first"), SQLiteStore("second.db"))
    for store in (jsonl, sqlite, memory, mirrored):
        three_runs(store)
        assert find_run(store, text) == run_id
    install_plugin(shell.directory)
    three_runs(JSONLStore("odd"))
    third = shell.process("inspect", text, "--store", "keeps:///", "-o", "json", PYTHONPATH=".")
    assert third.json["summary"]["run_id"] == run_id


def test_the_newest_runs_are_those_at_the_top_of_the_listing(shell: Shell) -> None:
    """DESIGN section 3: by the `ts` of `run_started`, then by id; damaged runs have their place."""
    three_runs()
    shell.log("broken").write_text("this is no log\n")
    damage(shell.log("middle_2"))
    listed = [row["run_id"] for row in shell.call("runs", "-o", "json").json["runs"]]
    assert listed[0] == "broken"
    store = JSONLStore(".replayt/runs")
    assert [find_run(store, f"@-{place}") for place in (1, 2, 3, 4)] == listed


def test_runs_of_the_same_moment_are_told_apart_by_their_ids(shell: Shell) -> None:
    store = MemoryStore()
    for run_id in ("b", "c", "a"):
        store.append(run_id, [_started(run_id)], after=0)
    assert [find_run(store, f"@-{place}") for place in (1, 2, 3)] == ["c", "b", "a"]


def _started(run_id: str) -> Event:
    draft = Draft("run_started", {"log_schema": 1, "workflow_name": "w", "workflow_version": "1"})
    at = "2026-01-01T00:00:00.000000Z"
    return seal(run_id, [draft], after=0, head=first_prev(run_id), ts=at)[0]


@pytest.mark.parametrize(
    "text", ["@", "@x", "@-", "@-0", "@0", "@-1x", "@last:gate", "@LAST", "@-٣"]
)
def test_a_malformed_reference_is_64(shell: Shell, text: str) -> None:
    three_runs()
    ended = shell.call("inspect", text)
    assert ended.code == 64
    assert "@last for the newest" in one_line(ended)


def test_a_place_behind_the_oldest_run_is_66(shell: Shell) -> None:
    three_runs()
    ended = shell.call("inspect", "@-9")
    assert ended.code == 66
    assert "no run '@-9': this store has 3 runs" in one_line(ended)


def test_what_fits_several_runs_is_64_and_names_them(shell: Shell) -> None:
    record("night-1")
    record("night-2")
    ended = shell.call("inspect", "night")
    assert ended.code == 64
    assert "'night' fits 2 runs: night-1, night-2; give more of the id" in one_line(ended)
    record("night")
    assert shell.call("inspect", "night", "-o", "json").json["summary"]["run_id"] == "night"


def test_a_log_without_an_event_is_named_by_its_whole_id(shell: Shell) -> None:
    record("night-1")
    shell.log("night").write_bytes(b'{"ts":"2026')
    assert find_run(JSONLStore(".replayt/runs"), "night") == "night"
    assert shell.call("inspect", "night").code == 66
    assert shell.call("store", "repair", "night").code == 0


@pytest.mark.parametrize("text", ["@last", "@-2", "a"])
@pytest.mark.parametrize(
    "store", [[], ["--sqlite", "nosuch.db"], ["--store", "sqlite:///nosuch.db"]]
)
def test_no_run_at_all_is_66_and_creates_nothing(shell: Shell, text: str, store: list[str]) -> None:
    """SC-141."""
    ended = shell.call("inspect", text, *store)
    assert ended.code == 66
    assert "does not exist" in one_line(ended)
    assert list(shell.directory.iterdir()) == []


def test_an_empty_store_is_66(shell: Shell) -> None:
    shell.directory.joinpath("logs").mkdir()
    ended = shell.call("inspect", "@last", "--log-dir", "logs")
    assert ended.code == 66
    assert "this store has no runs" in one_line(ended)


@pytest.mark.parametrize("text", ["@last", "x"])
def test_a_database_of_somebody_else_is_65_in_one_line(shell: Shell, text: str) -> None:
    with closing(sqlite3.connect("foreign.db")) as database:
        database.execute("CREATE TABLE notes (text)")
        database.commit()
    ended = shell.call("inspect", text, "--sqlite", "foreign.db")
    assert ended.code == 65
    assert "none of replayt" in one_line(ended)


def test_a_place_is_found_where_no_index_can_be_kept(shell: Shell) -> None:
    three_runs()
    shell.write(".replayt/runs/.index", "a file where the directory of the index should be")
    assert shell.call("inspect", "@last", "-o", "json").json["summary"]["run_id"] == "apple.3"


class Counted(SQLiteStore):
    """Counts the logs that are read."""

    reads = 0

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        self.reads += 1
        return super().read(run_id, after=after)


def test_the_newest_run_is_found_by_the_index_which_reads_each_log_once(shell: Shell) -> None:
    store = Counted("runs.db")
    three_runs(store)
    assert find_run(store, "@-2") == "middle_2"
    assert store.reads == 3
    assert find_run(store, "@-2") == "middle_2"
    assert store.reads == 3


@pytest.mark.parametrize("command", ["inspect", "replay", "why", "verify"])
def test_every_command_that_shows_a_run_takes_a_place(shell: Shell, command: str) -> None:
    three_runs()
    shown = shell.call(command, "@-2")
    assert shown == shell.call(command, "middle_2")
    assert "run middle_2" in shown.out


def test_report_and_pin_and_copy_and_repair_take_a_place(shell: Shell) -> None:
    three_runs()
    assert shell.call("report", "@last", "--out", "page.html").code == 0
    assert "apple.3" in shell.directory.joinpath("page.html").read_text(encoding="utf-8")
    assert shell.call("pin", "@-2", "--out", "pinned").code == 0
    assert set(JSONLStore("pinned").run_ids()) == {"middle_2"}
    assert shell.call("store", "copy", "jsonl:///.replayt/runs", "jsonl:///kept", "@-3").code == 0
    assert set(JSONLStore("kept").run_ids()) == {"zebra-1"}
    assert "run apple.3 needs no repair" in shell.call("store", "repair", "@last").out


def test_a_run_is_resumed_and_forked_by_its_place(shell: Shell) -> None:
    """SC-133: `run --resume --run-id` takes a reference as well."""
    shell.write("hello.py", HELLO)
    shell.write("gate.py", GATE)
    mirror = ["--sqlite", "runs.db"]
    assert shell.call("run", "hello.py", "--run-id", "first").code == 0
    assert shell.call("run", "gate.py", "--run-id", "second", *mirror).code == 2
    paused = shell.call("run", "gate.py", "--resume", "--run-id", "@last", "-o", "json")
    assert (paused.code, paused.json["run_id"]) == (2, "second")
    ended = shell.call("resume", "gate.py", "@-1", "--approval", "publish", *mirror, "-o", "json")
    assert (ended.code, ended.json["run_id"]) == (0, "second")
    forked = shell.call("fork", "hello.py", "@-2", "--at", "greet", "-o", "json")
    assert (forked.code, forked.json["forked_from"]["run_id"]) == (0, "first")


def test_a_place_is_no_id_for_a_new_run(shell: Shell) -> None:
    shell.write("hello.py", HELLO)
    ended = shell.call("run", "hello.py", "--run-id", "@last")
    assert ended.code == 64
    assert "'@last'" in one_line(ended)


def test_a_part_of_no_id_at_all_is_64(shell: Shell) -> None:
    three_runs()
    for text in ("mid/dle", "ä", "", "middle_2\n"):
        assert shell.call("inspect", text).code == 64
    hostile = shell.call("inspect", "@\x1b[31m\u202e")
    assert hostile.code == 64
    assert "\x1b" not in one_line(hostile)
    assert json.dumps(one_line(hostile)).isascii()
