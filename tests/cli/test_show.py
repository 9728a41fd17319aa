from __future__ import annotations

import gc
import json
import os
import socket
from collections.abc import Iterator

import pytest

from replayt_cli.render.text import escape, one_line, short_time
from replayt_core import Event
from replayt_store import JSONLStore
from tests.cli.helpers import ASKS_MODEL, GATE, HELLO, Shell
from tests.cli.helpers import one_line as mistake

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u200b\u2066\x00\r\ufeff"
RAW = set("\x1b\x07\x9b\u202e\u200b\u2066\x00\ufeff")


def run(shell: Shell, text: str, *words: str, run_id: str = "a") -> None:
    shell.write("flow.py", text)
    assert shell.call("run", "flow.py", "--run-id", run_id, *words).code in {0, 1, 2}


def test_inspect_shows_a_summary_the_counts_and_the_events(shell: Shell) -> None:
    """SC-138."""
    run(shell, HELLO)
    lines = shell.call("inspect", "a").out.splitlines()
    assert lines[0] == "run a  hello@2  completed"
    counts = "8 events, 2 states, 1 transition, 0 llm calls, 0 tool calls, 0 approvals"
    assert counts in lines[1]
    assert lines[-1].split()[2] == "run_completed"


def test_inspect_as_json(shell: Shell) -> None:
    """SC-139, SC-140."""
    run(shell, ASKS_MODEL, "--dry-run", "--tag", "env=ci")
    document = shell.call("inspect", "a", "--output", "json").json
    assert shell.call("inspect", "a", "--json").json == document
    summary = document["summary"]
    assert summary["status"] == "completed"
    assert (summary["workflow_name"], summary["workflow_version"]) == ("asks", "1")
    assert (summary["state_count"], summary["transition_count"]) == (1, 0)
    assert (summary["llm_calls"], summary["tool_calls"], summary["approvals"]) == (1, 1, 0)
    assert summary["tags"] == {"env": "ci"}
    assert summary["last_ts"] == shell.events("a")[-1]["ts"]
    assert document["events"] == shell.events("a")


@pytest.mark.parametrize("command", ["inspect", "replay"])
def test_an_unknown_run_is_66_and_reading_creates_nothing(shell: Shell, command: str) -> None:
    """SC-141."""
    ended = shell.call(command, "nosuch")
    assert ended.code == 66
    assert "nosuch" in mistake(ended)
    assert list(shell.directory.iterdir()) == []


def test_replay_tells_the_run_in_order_with_details(shell: Shell) -> None:
    """SC-143, SC-144."""
    run(shell, ASKS_MODEL, "--dry-run")
    out = shell.call("replay", "a").out
    told = [
        "starts",
        "enter ask",
        "ask the model",
        "output Answer",
        "call tool double",
        "tool double returned",
        "leave ask",
        "run ends: completed",
    ]
    places = [out.index(words) for words in told]
    assert places == sorted(places)
    assert 'arguments: {"x":' in out
    document = shell.call("replay", "a", "--format", "json").json
    assert [entry["seq"] for entry in document["timeline"]] == list(
        range(1, len(shell.events("a")) + 1)
    )


def test_replay_shows_approvals(shell: Shell) -> None:
    """SC-144."""
    run(shell, GATE)
    shell.call("resume", "flow.py", "a", "--approval", "publish", "--by", "Ada")
    out = shell.call("replay", "a").out
    assert "approval publish is asked for" in out
    assert "summary: Publish it?" in out
    assert "publish is approved by Ada" in out


def test_showing_makes_no_network_request(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """SC-143."""
    run(shell, HELLO)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for words in (["inspect", "a"], ["replay", "a"], ["runs"]):
        assert shell.call(*words).code == 0


def test_runs_are_listed_newest_first_by_their_start(shell: Shell) -> None:
    """SC-167."""
    for run_id in ("b", "c", "a"):
        run(shell, HELLO, run_id=run_id)
    rows = shell.call("runs").out.splitlines()
    assert rows[0].split() == ["RUN", "STATUS", "WORKFLOW", "LAST", "EVENT", "TAGS"]
    assert [row.split()[0] for row in rows[1:]] == ["a", "c", "b"]
    assert rows[1].split()[1:3] == ["completed", "hello@2"]


def test_runs_filters_by_all_tags_status_and_limit(shell: Shell) -> None:
    """SC-168, SC-169."""
    run(shell, HELLO, "--tag", "a=1", "--tag", "b=2", run_id="both")
    run(shell, HELLO, "--tag", "a=1", run_id="one")
    run(shell, GATE, run_id="waits")

    def listed(*words: str) -> list[str]:
        document = shell.call("runs", "-o", "json", *words).json
        return [row["run_id"] for row in document["runs"]]

    assert listed() == ["waits", "one", "both"]
    assert listed("--tag", "a=1") == ["one", "both"]
    assert listed("--tag", "a=1", "--tag", "b=2") == ["both"]
    assert listed("--status", "paused") == ["waits"]
    assert listed("--limit", "2") == ["waits", "one"]
    assert "No runs found" in shell.call("runs", "--tag", "a=9").out


def test_no_runs_found_in_a_directory_that_is_not_there(shell: Shell) -> None:
    """SC-169."""
    assert shell.call("runs").out == "No runs found\n"
    assert list(shell.directory.iterdir()) == []


def test_the_listing_shows_the_end_of_a_generated_id(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    run_id = shell.call("run", "flow.py", "-o", "json").json["run_id"]
    short = shell.call("runs").out.splitlines()[1].split()[0]
    assert short == run_id[-8:]
    assert run_id in shell.call("inspect", short).out


def test_a_damaged_or_foreign_file_breaks_nothing_else(shell: Shell) -> None:
    run(shell, HELLO, run_id="good")
    run(shell, HELLO, run_id="bad")
    lines = shell.log("bad").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"seq":4', b'"seq":9')
    shell.log("bad").write_bytes(b"".join(lines))
    shell.log("foreign").write_text("this is no log\n")
    ended = shell.call("runs")
    assert ended.code == 0
    status = {row.split()[0]: row.split()[1] for row in ended.out.splitlines()[1:]}
    assert status == {"good": "completed", "bad": "damaged", "foreign": "damaged"}
    assert len(ended.err.splitlines()) == 2
    for run_id in ("bad", "foreign"):
        for words in (["inspect", run_id], ["replay", run_id]):
            shown = shell.call(*words)
            assert shown.code == 65
            assert f"{run_id}.jsonl, line" in shown.err
            assert "Traceback" not in shown.err
    document = shell.call("inspect", "bad", "--json")
    assert document.code == 65
    assert document.json["summary"]["status"] == "damaged"
    assert len(document.json["events"]) == 2
    resumed = shell.call("resume", "flow.py", "bad")
    assert resumed.code == 65


def test_readers_show_any_payload(shell: Shell) -> None:
    started = {
        "log_schema": 1,
        "workflow_name": ["odd"],
        "workflow_version": None,
        "tags": {"a": 1},
        "graph": 3,
    }
    odd = [
        ("run_started", started),
        ("state_entered", {"state": 3}),
        ("transition", {"because": 1}),
        ("llm_response", {"usage": [1], "reply": [2], "latency_ms": "x"}),
        ("run_failed", {}),
        ("never_heard_of", {"x": [1]}),
        ("run_completed", {"status": 4}),
    ]
    path = shell.log("odd")
    path.parent.mkdir(parents=True)
    import hashlib

    prev, lines = hashlib.sha256(b"odd").hexdigest()[:32], []
    for seq, (kind, payload) in enumerate(odd, 1):
        event = {"ts": "no time", "run_id": "odd", "seq": seq, "type": kind, "payload": payload}
        lines.append(json.dumps({**event, "prev": prev}))
        prev = hashlib.sha256(lines[-1].encode()).hexdigest()[:32]
    path.write_text("\n".join(lines) + "\n")
    for words in (["inspect", "odd"], ["inspect", "odd", "--json"], ["replay", "odd"], ["runs"]):
        ended = shell.call(*words)
        assert (ended.code, ended.err) == (0, "")
    assert "never_heard_of" in shell.call("replay", "odd").out


def hostile_run(shell: Shell) -> None:
    """A run with control characters wherever a workflow can put text."""
    shell.write(
        "flow.py",
        "from replayt_core import Workflow\n"
        f"bad = {HOSTILE!r}\n"
        "wf = Workflow('w' + bad)\n"
        "wf.set_initial('s' + bad)\n"
        "@wf.step('s' + bad, to=['t' + bad])\n"
        "def s(ctx):\n"
        "    ctx.because(bad)\n"
        "    ctx.note('kind' + bad, summary=bad, data={bad: bad})\n"
        "    ctx.set('key' + bad, bad)\n"
        "    if not ctx.is_approved('a' + bad):\n"
        "        ctx.request_approval('a' + bad, summary=bad, details={bad: [bad]})\n"
        "@wf.step('t' + bad)\n"
        "def t(ctx): raise ValueError(bad)\n",
    )


def test_nothing_from_a_log_reaches_a_terminal_raw(shell: Shell) -> None:
    terminal = pytest.importorskip("tests.cli.terminal")
    hostile_run(shell)
    tag = f"k={HOSTILE}".replace("\x00", "")
    inputs = json.dumps({HOSTILE: HOSTILE})
    commands = [
        ["run", "flow.py", "--run-id", "a", "--tag", tag, "--inputs-json", inputs],
        ["inspect", "a"],
        ["replay", "a"],
        ["runs"],
        ["resume", "flow.py", "a"],
        ["resume", "flow.py", "a", "--approval", HOSTILE.replace("\x00", "")],
        ["validate", "flow.py"],
        ["graph", "flow.py"],
        ["inspect", HOSTILE.replace("\x00", "")],
        [HOSTILE.replace("\x00", "")],
    ]
    for words in commands:
        _, shown = terminal.run(shell.directory, *words, NO_COLOR="1")
        assert shown
        assert not RAW & set(shown), words
        assert "\r" not in shown.replace("\r\n", ""), words


def test_json_of_hostile_text_is_ascii(shell: Shell) -> None:
    hostile_run(shell)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    for words in (
        ["inspect", "a", "--json"],
        ["runs", "-o", "json"],
        ["replay", "a", "-f", "json"],
        ["resume", "flow.py", "a", "-o", "json"],
    ):
        out = shell.call(*words).out
        assert out.isascii()
        assert not RAW & set(out)


def test_colour_only_on_a_terminal_that_wants_it(shell: Shell) -> None:
    terminal = pytest.importorskip("tests.cli.terminal")
    run(shell, HELLO)

    def shown(**env: str) -> str:
        code, sent = terminal.run(shell.directory, "inspect", "a", **env)
        assert code == 0
        assert terminal.too_wide(sent, 80) == []
        return str(sent)

    assert "\x1b[32mcompleted\x1b[0m" in shown(TERM="xterm")
    assert "\x1b" not in shown(TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in shown(TERM="dumb")
    assert "\x1b" not in shell.process("inspect", "a", TERM="xterm").out


def test_escape_keeps_what_people_write_and_shows_what_they_cannot_see() -> None:
    assert escape("Zoë, 東京, 👍, a\u00a0b") == "Zoë, 東京, 👍, a\u00a0b"
    assert escape("\x1b\x9b\u202e\u200b\ud800\U000e0041\n") == (
        r"\x1b\x9b\u202e\u200b\ud800\U000e0041\x0a"
    )
    assert one_line(" a\n  b\r\n\x85c ") == "a b c"


@pytest.mark.parametrize(
    ("ts", "shown"),
    [
        ("2026-01-02T03:04:05.678901Z", "2026-01-02 03:04:05Z"),
        ("2025-03-03T10:00:05+00:00", "2025-03-03 10:00:05Z"),
        ("2025-03-03T10:00:05.123456+02:00", "2025-03-03 08:00:05Z"),
        ("2025-03-03T10:00:05", "2025-03-03 10:00:05Z"),
        ("later\x1b[31m", "later\\x1b[31m"),
        (None, "-"),
    ],
)
def test_times_of_every_release_are_shown_alike(ts: str | None, shown: str) -> None:
    assert short_time(ts) == shown


def test_a_damaged_run_stands_where_it_was_written_and_the_rest_is_counted(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    for run_id in ("a", "b", "c"):
        assert shell.call("run", "flow.py", "--run-id", run_id).code == 0
    for run_id in ("a", "c"):
        shell.log(run_id).write_text("no line\n")
    os.utime(shell.log("a"), (0, 0))
    listed = shell.call("runs", "--limit", "1", "-o", "json").json
    assert [run["run_id"] for run in listed["runs"]] == ["c"]
    assert (listed["not_looked_at"], listed["of_them_damaged"]) == (2, 1)
    assert "2 older not shown, 1 damaged; --limit N" in shell.call("runs", "--limit", "1").out
    assert "older" not in shell.call("runs").out
    assert "(no workflow is recorded)" in shell.call("inspect", "a").out


def test_inspect_holds_no_run_in_memory_and_prints_one_document(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: an event is let go of before the next but one is read."""
    run(shell, HELLO)
    whole = shell.call("inspect", "a", "--json").out
    read, alive = JSONLStore.read, []

    def watched(self: JSONLStore, run_id: str, *, after: int = 0) -> Iterator[Event]:
        batches = read(self, run_id, after=after)
        while (event := next(batches, None)) is not None:
            yield event
            del event
            gc.collect()
            alive.append(sum(type(item) is Event for item in gc.get_objects()))

    monkeypatch.setattr(JSONLStore, "read", watched)
    gc.collect()
    gc.freeze()  # what other tests left is neither looked through for each event nor counted
    try:
        assert shell.call("inspect", "a", "--json").out == whole
        assert shell.call("inspect", "a").code == 0
    finally:
        gc.unfreeze()
    assert whole == json.dumps(json.loads(whole), indent=2) + "\n"
    assert len(alive) > 3 * 8
    batch = 3  # exited, moved, entered: the store reads whole batches
    assert max(alive) <= batch + 1


def test_a_torn_tail_is_told_and_hides_nothing(shell: Shell) -> None:
    run(shell, HELLO)
    before = shell.call("inspect", "a")
    with shell.log("a").open("ab") as file:
        file.write(b'{"ts": "2026')
    ended = shell.call("inspect", "a")
    assert ended.code == 0
    line = "torn tail: 12 bytes of a batch that was cut short follow\n"
    assert ended.out.replace(line, "") == before.out
    assert line in ended.out
    assert shell.call("inspect", "a", "--json").json["summary"]["torn_bytes"] == 12


def test_inspect_and_replay_say_what_a_run_was_made_from(shell: Shell) -> None:
    run(shell, HELLO)
    head = shell.call("inspect", "a", "--json").json["summary"]["head"]
    assert shell.call("pin", "a", "--out", "kept", "--redact").code == 0
    assert (
        f"redacted copy of the run with the head {head}"
        in shell.call("inspect", "a", "--log-dir", "kept").out
    )
    pinned = shell.call("inspect", "a", "--log-dir", "kept", "--json").json["summary"]
    assert pinned["pinned_from"] == {"head": head}
    assert head in shell.call("replay", "a", "--log-dir", "kept").out
    assert shell.call("fork", "flow.py", "a", "--at", "done", "--run-id", "b").code == 0
    assert "forked from a seq 5" in shell.call("inspect", "b").out


def test_a_short_id_is_as_long_as_it_has_to_be(shell: Shell) -> None:
    alone = "018f3c2e-0000-7000-8000-0000aaaabbbb"
    eight = ["018f3c2e-0000-7000-8000-00011234abcd", "018f3c2e-0000-7000-8000-00021234abcd"]
    twelve = ["018f3c2e-0000-7000-8000-ffffffffffff", "018f3c2e-0000-7000-8001-ffffffffffff"]
    ids = [alone, *eight, *twelve, "nightly"]
    for run_id in ids:
        run(shell, HELLO, run_id=run_id)
    shown = [line.split()[0] for line in shell.call("runs").out.splitlines()[1:]]
    wanted = ["aaaabbbb", "00011234abcd", "00021234abcd", *twelve, "nightly"]
    assert shown == wanted[::-1]
    for short, run_id in zip(wanted, ids, strict=True):
        assert shell.call("inspect", short, "-o", "json").json["summary"]["run_id"] == run_id
    assert shell.call("runs", "--limit", "1").out.splitlines()[1].split()[0] == "nightly"
