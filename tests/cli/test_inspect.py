"""`inspect` with filters, and its events as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from replayt_core import Event
from replayt_core.chain import first_prev, seal
from replayt_core.events import Draft
from replayt_store import JSONLStore
from tests.cli.helpers import FAILS, GATE, HELLO, Shell, on_terminal
from tests.cli.helpers import one_line as mistake

LOOPS = """
from replayt_core import Workflow

wf = Workflow("loops")
wf.set_initial("think")


@wf.step("think", to=["act"])
def think(ctx):
    ctx.note("thought", summary=f"round {ctx.visit}")
    return "act"


@wf.step("act", to=["think", "rest"])
def act(ctx):
    ctx.set("rounds", ctx.get("rounds", 0) + 1)
    return "think" if ctx.get("rounds") < 3 else "rest"


@wf.step("rest")
def rest(ctx):
    return None
"""


@pytest.fixture
def looped(shell: Shell) -> Shell:
    shell.write("flow.py", LOOPS)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    return shell


def shown(shell: Shell, *words: str) -> list[dict[str, Any]]:
    """The events of an inspection; its other two forms show the same ones."""
    ended = shell.call("inspect", "a", "-o", "json", *words)
    assert (ended.code, ended.err) == (0, "")
    events: list[dict[str, Any]] = ended.json["events"]
    lines = shell.call("inspect", "a", "-o", "jsonl", *words).out.splitlines()
    assert [json.loads(line) for line in lines] == events
    text = shell.call("inspect", "a", *words).out
    listed = text.partition("\n\n")[2].splitlines()
    total = len(shell.events("a"))
    assert listed.pop() == f"{len(events)} of {total} events"
    assert [int(line.split()[0]) for line in listed] == [event["seq"] for event in events]
    return events


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


def test_types_states_and_seqs_are_combined(looped: Shell) -> None:
    log = looped.events("a")
    entered = [event for event in log if event["type"] == "state_entered"]
    assert shown(looped, "--type", "state_entered") == entered
    two = shown(looped, "--type", "state_entered", "--type", "step_note")
    assert {event["type"] for event in two} == {"state_entered", "step_note"}
    assert seqs(two) == sorted(seqs(two))
    assert shown(looped, "--seq", "3..5") == log[2:5]
    assert shown(looped, "--seq", "5..") == log[4:]
    assert shown(looped, "--seq", "..5") == log[:5]
    assert shown(looped, "--seq", " 12 ") == log[11:12]
    assert shown(looped, "--seq", "5..5000") == log[4:]
    assert shown(looped, "--seq", "5000") == []
    both = shown(looped, "--type", "state_entered", "--state", "act", "--seq", "..13")
    assert [event["payload"]["visit"] for event in both] == [1, 2]
    assert {event["payload"]["state"] for event in both} == {"act"}


def test_a_state_takes_its_visits_from_entry_to_move(looped: Shell) -> None:
    """As for `fork --at SEQ`: an event belongs to the state that was entered last."""
    visits: dict[str, list[int]] = {"": [], "think": [], "act": [], "rest": []}
    state = ""
    for event in looped.events("a"):
        if event["type"] == "state_entered":
            state = event["payload"]["state"]
        visits[state].append(event["seq"])
    for name in ("think", "act", "rest"):
        assert seqs(shown(looped, "--state", name)) == visits[name]
    assert seqs(shown(looped, "--state", "act", "--state", "rest")) == sorted(
        visits["act"] + visits["rest"]
    )
    moves = shown(looped, "--state", "act", "--type", "transition")
    assert {event["payload"]["from_state"] for event in moves} == {"act"}


def test_the_summary_stays_that_of_the_whole_run(looped: Shell) -> None:
    """SC-139, SC-140."""
    whole = looped.call("inspect", "a", "--json").json
    part = looped.call("inspect", "a", "--json", "--type", "step_note", "--seq", "2..9").json
    assert part["summary"] == whole["summary"]
    assert part["filter"] == {
        "types": ["step_note"],
        "states": [],
        "first_seq": 2,
        "last_seq": 9,
    }
    assert whole["filter"] is None
    everything, some = looped.call("inspect", "a").out, looped.call("inspect", "a", "--seq", "1")
    assert some.out.partition("\n\n")[0] == everything.partition("\n\n")[0]
    assert " of " not in everything.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--type", "llm_respons"],
            "no event type 'llm_respons' in this run: did you mean 'llm_re",
        ),
        (["--type", "\x1b[2J"], r"no event type '\x1b[2J' in this run; there are run_started"),
        (["--state", "thnik"], "no state 'thnik' in this run: did you mean 'think'?"),
        (["--state", "zzz"], "no state 'zzz' in this run; there are think, act, rest"),
        (["--seq", "x"], "--seq 'x' is no range: write A..B, A.., ..B, or one number"),
        (["--seq", ".."], "--seq '..' is no range"),
        (["--seq", ""], "--seq '' is no range"),
        (["--seq", "-1"], "--seq '-1' is no range"),
        (["--seq", "9..3"], "--seq 9..3 takes nothing: its end is before its start"),
        (["--follow", "-o", "json"], "--output jsonl prints each event as a line of JSON"),
        (["--follow", "--json"], "--output jsonl prints each event as a line of JSON"),
        (["-o", "yaml"], "Invalid value for '--output'"),
    ],
)
def test_mistakes_are_told_in_one_line(looped: Shell, words: list[str], told: str) -> None:
    """SC-119."""
    for form in ([], ["-o", "jsonl"], ["--follow"]):
        ended = looped.call("inspect", "a", *form, *words)
        assert ended.code == 64
        assert told in mistake(ended).replace("\\\\", "\\")


def test_a_type_that_only_the_log_knows_is_known(shell: Shell) -> None:
    drafts = [Draft("run_started", {"log_schema": 1}), Draft(r"own\u001b[31m", {"é": "\u202e"})]
    ts = "2026-01-02T03:04:05.678901Z"
    events = seal("a", drafts, after=0, head=first_prev("a"), ts=ts)
    JSONLStore(".replayt/runs", sync="os").append("a", events, after=0)
    assert seqs(shown(shell, "--type", "own\x1b[31m")) == [2]
    # The log says nothing of its states: none is wrong.
    assert shown(shell, "--state", "any") == []
    lines = shell.call("inspect", "a", "-o", "jsonl").out
    assert lines.isascii()
    assert [json.loads(line) for line in lines.splitlines()] == shell.events("a")
    assert r"own\x1b[31m" in shell.call("inspect", "a").out


def test_a_state_that_is_declared_and_was_not_reached_is_known(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    assert shown(shell, "--state", "publish") == []


def test_lines_of_a_damaged_log_end_where_it_is_damaged(looped: Shell) -> None:
    path = looped.log("a")
    lines = path.read_bytes().splitlines(keepends=True)
    whole = lines[:2]
    path.write_bytes(b"".join([*whole, b"no line\n"]))
    for words in (["-o", "jsonl"], ["--follow", "-o", "jsonl"]):
        ended = looped.call("inspect", "a", *words)
        assert ended.code == 65
        assert ended.out.encode() == b"".join(whole)
        assert "a.jsonl, line 3" in ended.err
    ended = looped.call("inspect", "a", "--type", "state_entered")
    assert (ended.code, "1 of 2 events" in ended.out) == (65, True)
    # What stands behind the damage nobody knows: a name that is not found is no mistake.
    assert looped.call("inspect", "a", "--type", "own").code == 65


def test_a_log_is_parsed_once_a_pass(looped: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: the summary stands above the events, and memory is flat, so text and JSON read twice."""
    read, taken = JSONLStore.read, []

    def counted(self: JSONLStore, run_id: str, *, after: int = 0) -> Iterator[Event]:
        for event in read(self, run_id, after=after):
            taken.append(event.seq)
            yield event

    monkeypatch.setattr(JSONLStore, "read", counted)
    total = len(looped.events("a"))
    find = 1  # whether the id is one, by its first event
    for words, events in (
        (["-o", "text"], 2 * total),
        (["-o", "json"], 2 * total),
        (["-o", "jsonl"], total),
        (["-o", "jsonl", "--type", "step_note"], total),
        (["-o", "json", "--seq", "3..7"], total + 7),
        (["-o", "text", "--seq", "..4", "--state", "think"], total + 4),
        (["-o", "jsonl", "--seq", "2"], 2),
    ):
        taken.clear()
        assert looped.call("inspect", "a", *words).code == 0
        assert len(taken) == find + events, words


def test_a_type_of_any_length_leaves_room_for_what_the_others_say(shell: Shell) -> None:
    drafts = [Draft("run_started", {"log_schema": 1, "workflow_name": "w", "workflow_version": 1})]
    drafts += [Draft("an_event_of_a_release_to_come_" * 3, {}), Draft("step_note", {"kind": "k"})]
    ts = "2026-01-02T03:04:05.678901Z"
    events = seal("a", drafts, after=0, head=first_prev("a"), ts=ts)
    JSONLStore(".replayt/runs", sync="os").append("a", events, after=0)
    for words in (["inspect", "a"], ["inspect", "a", "--follow"], ["replay", "a"]):
        code, sent = on_terminal(shell, *words)
        assert code == 0
        assert max(map(len, sent.splitlines())) <= 80
        assert "run of w@1 starts" in sent
        assert "note k" in sent


LONG = """
from replayt_core import Workflow

wf = Workflow("a name that is longer than any terminal is wide, which somebody will give one day")
wf.set_initial("ask")


@wf.step("ask", to=["end"])
def ask(ctx):
    if not ctx.is_approved("go"):
        ctx.request_approval("go", summary="please " * 40)
    ctx.because("so it goes " * 30)
    return "end"


@wf.step("end")
def end(ctx):
    raise ValueError("\\x1b[2Jboom " * 40)
"""


def test_no_line_is_wider_than_the_terminal(shell: Shell) -> None:
    """SC-138."""
    shell.write("flow.py", LONG)
    tag = "key=" + "v" * 90
    assert shell.call("run", "flow.py", "--run-id", "a", "--tag", tag).code == 2
    for ended in (False, True):
        if ended:
            assert shell.call("resume", "flow.py", "a", "--approval", "go").code == 1
        for words in (["inspect", "a"], ["inspect", "a", "--follow"], ["replay", "a"]):
            code, sent = on_terminal(shell, *words)
            assert code == 0
            assert max(map(len, sent.splitlines())) <= 80
            assert "\x1b" not in sent
            assert "v" * 40 in sent


@pytest.mark.parametrize(("flow", "code"), [(HELLO, 0), (GATE, 2), (FAILS, 1)])
def test_all_events_without_a_filter(shell: Shell, flow: str, code: int) -> None:
    shell.write("flow.py", flow)
    assert shell.call("run", "flow.py", "--run-id", "a").code == code
    lines, log = shell.call("inspect", "a", "-o", "jsonl").out.encode(), shell.log("a").read_bytes()
    assert lines == log if log.isascii() else lines.isascii()
    assert [json.loads(line) for line in lines.splitlines()] == shell.events("a")


def test_what_is_no_json_in_a_log_of_others_is_json_here(shell: Shell) -> None:
    drafts = [Draft("run_started", {"log_schema": 1}), Draft("note", {"x": "HERE", "y": "\x7f"})]
    ts = "2026-01-02T03:04:05.678901Z"
    events = seal("a", drafts, after=0, head=first_prev("a"), ts=ts)
    shell.log("a").parent.mkdir(parents=True)
    lines = [event.line.replace(b'"HERE"', b"[NaN, -Infinity, 1e400]") for event in events]
    shell.log("a").write_bytes(b"".join(line + b"\n" for line in lines))

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document = shell.call("inspect", "a", "-o", "json").out
    last = shell.call("inspect", "a", "-o", "jsonl").out.splitlines()[-1]
    assert "\x7f" not in document + last
    for event in (json.loads(document, parse_constant=refuse)["events"][-1], json.loads(last)):
        assert event["payload"] == {"x": [None, None, None], "y": "\x7f"}


@pytest.mark.parametrize(
    "words",
    [
        ["inspect"],
        ["inspect", "-o", "json"],
        ["inspect", "-o", "jsonl"],
        ["inspect", "--follow"],
        ["inspect", "--follow", "-o", "jsonl"],
        ["replay"],
        ["verify"],
        ["report"],
    ],
)
def test_a_log_of_nothing_but_a_torn_batch_is_told_from_a_run_that_is_not_there(
    shell: Shell, words: list[str]
) -> None:
    """`runs` lists it, and `@last` may name it."""
    shell.write(".replayt/runs/torn.jsonl", '{"ts":')
    command, *options = words
    ended = shell.call(command, "@last", *options)
    assert (ended.code, ended.out) == (66, "")
    assert mistake(ended) == (
        "run torn has no event: its log holds nothing but 6 bytes of a batch that was cut short; "
        "`replayt store repair` puts them aside"
    )
    assert shell.call("store", "repair", "@last").code == 0
    assert "no runs" in mistake(shell.call(command, "@last", *options))
