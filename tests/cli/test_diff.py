"""`replayt diff`: the first difference, what followed from there, and what is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft, Event
from replayt_store import JSONLStore
from tests.cli.helpers import GATE, SORTS, Shell, on_terminal, one_line

FIXTURES = Path(__file__).parents[1] / "fixtures"
PARTS = (
    "workflow",
    "inputs",
    "states",
    "prompts",
    "settings",
    "replies",
    "outputs",
    "tool_calls",
    "approvals",
    "context",
    "moves",
    "notes",
    "retries",
    "status",
)


def sorted_runs(shell: Shell, **numbers: int) -> None:
    shell.write("flow.py", SORTS)
    for run_id, number in numbers.items():
        words = ("--run-id", run_id, "--input", f"number={number}", "--dry-run")
        assert shell.call("run", "flow.py", *words).code == 0


def record(run_id: str, *drafts: tuple[str, dict[str, object]]) -> None:
    """A log as somebody may have written it."""
    store, events = JSONLStore(".replayt/runs", sync="os"), list[Event]()
    for kind, payload in drafts:
        head = line_hash(events[-1].line) if events else first_prev(run_id)
        draft = Draft(kind, payload)
        events += seal(run_id, [draft], after=len(events), head=head, ts="2026-01-01T00:00:00Z")
        store.append(run_id, events[-1:], after=len(events) - 1)


def test_the_first_difference_stands_before_what_followed(shell: Shell) -> None:
    """SC-158, issue 6 point 2."""
    sorted_runs(shell, a=12, b=3)
    ended = shell.call("diff", "a", "b")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "A  run a  sorts@1  completed"
    assert lines[2] == "B  run b  sorts@1  completed"
    assert lines[5:10] == [
        "first difference",
        "  inputs  (A seq 1, B seq 1)",
        "    number",
        "      A  12",
        "      B  3",
    ]
    titles = [
        line.split("  (")[0] for line in lines[11:] if line.startswith("  ") and line[2] != " "
    ]
    assert titles == [
        "  read: tool look_up",
        "  read: tool look_up",
        "  read: prompt of Label",
        "  read: output Label",
        "  read: context",
        "  read: move",
        "  only A enters urgent",
        "  only B enters later",
        "  end of the run",
    ]
    assert '    result\n      A  "issue 12"\n      B  "issue 3"\n' in ended.out
    assert "same          workflow (3), settings (2)\n" in ended.out


def test_runs_that_are_the_same_say_so_in_every_part(shell: Shell) -> None:
    """SC-160: exit 0."""
    sorted_runs(shell, a=12, b=12)
    for b in ("a", "b"):
        ended = shell.call("diff", "a", b, "--exit-code")
        assert ended.code == 0
        assert "the runs are the same in all that was compared\n" in ended.out
        assert "tool calls (2)" in ended.out
        assert "first difference" not in ended.out
        document = shell.call("diff", "a", b, "-o", "json").json
        assert (document["changed"], document["first"], document["differences"]) == (
            False,
            None,
            [],
        )
        assert [name for name in PARTS if document[name]["changed"]] == []


def test_json_has_a_flag_a_part_and_the_whole_values(shell: Shell) -> None:
    """SC-159, SC-129: `-o` is `--output`."""
    sorted_runs(shell, a=12, b=3)
    document = shell.call("diff", "a", "b", "-o", "json").json
    assert shell.call("diff", "a", "b", "--output", "json").json == document
    assert {name: document[name]["changed"] for name in PARTS} == {
        **dict.fromkeys(PARTS, True),
        **dict.fromkeys(
            ("workflow", "settings", "replies", "approvals", "notes", "retries"), False
        ),
    }
    assert document["status"] | {"compared": 0} == {
        "changed": True,  # it ends in another state
        "compared": 0,
        "differences": 1,
        "a": "completed",
        "b": "completed",
    }
    assert (document["states"]["a"], document["states"]["b"]) == (
        ["read", "urgent"],
        ["read", "later"],
    )
    assert [visit["changed"] for visit in document["states"]["visits"]] == [True, True, True]
    assert set(document["latency_ms"]) == {"a", "b", "delta", "calls"}
    assert set(document["tokens"]["total"]) == {"a", "b", "delta"}
    assert document["first"] == document["differences"][0]
    assert document["first"] == {
        "part": "inputs",
        "what": "inputs",
        "state": None,
        "visit": None,
        "seq_a": 1,
        "seq_b": 1,
        "only": None,
        "changes": [{"path": "number", "only": None, "a": 12, "b": 3}],
    }
    by_part = [item["part"] for item in document["differences"]]
    assert {name: document[name]["differences"] for name in PARTS} == {
        name: by_part.count(name) for name in PARTS
    }
    alone = next(item for item in document["differences"] if item["only"] == "b")
    assert all("a" not in change and "b" in change for change in alone["changes"])


def test_exit_code_asks_for_the_answer_in_the_exit_code(shell: Shell) -> None:
    sorted_runs(shell, a=12, b=3)
    assert shell.call("diff", "a", "b", "--exit-code").code == 1
    assert shell.call("diff", "a", "b", "--exit-code", "-o", "json").json["changed"] is True


def test_who_answered_an_approval_is_compared(shell: Shell) -> None:
    shell.write("flow.py", GATE)
    for run_id in ("a", "b", "c"):
        assert shell.call("run", "flow.py", "--run-id", run_id).code == 2
    for run_id, by in (("b", "ana"), ("c", "bo")):
        answer = ("--approval", "publish", "--by", by)
        assert shell.call("resume", "flow.py", run_id, *answer).code == 0
    out = shell.call("diff", "b", "c").out
    assert "  review: approval publish  (A seq 5, B seq 5)\n" in out
    assert '    answer.by\n      A  "ana"\n      B  "bo"\n' in out
    assert "after it" not in out
    waiting = shell.call("diff", "a", "b").out
    assert "A  run a  gate@1  paused\n" in waiting
    assert "    answer\n      A  (none)\n" in waiting
    assert "      A  pauses: approval\n      B  goes to publish\n" in waiting


def test_a_fork_is_compared_from_where_it_began(shell: Shell) -> None:
    """DESIGN 5: what came before belongs to both."""
    sorted_runs(shell, a=12)
    words = ("--at", "urgent", "--run-id", "f", "--set", 'label="mine"', "--dry-run")
    assert shell.call("fork", "flow.py", "a", *words).code == 0
    out = shell.call("diff", "a", "f").out
    assert "B is a fork of A from seq 10, state urgent; what A did before that is not" in out
    assert "  context at the start  (A seq 10, B seq 1)\n    label\n" in out
    document = shell.call("diff", "f", "a", "-o", "json").json
    assert document["relation"] == {"fork": "a", "seq": 10, "state": "urgent", "shared": 1}


def test_runs_of_two_stores_are_compared(shell: Shell) -> None:
    """A pinned run with the one of today; DESIGN 6: every store."""
    sorted_runs(shell, a=12, b=3)
    assert shell.call("pin", "a", "--out", "kept", "--redact").code == 0
    there = ("--other-store", "jsonl:///kept")
    same = shell.call("diff", "a", "a", *there)
    assert (same.code, "the runs are the same" in same.out) == (0, True)
    assert "first difference" in shell.call("diff", "b", "a", *there).out
    assert shell.call("store", "copy", "jsonl:///.replayt/runs", "sqlite:///runs.db").code == 0
    ended = shell.call("diff", "a", "b", "--sqlite", "runs.db", "-o", "json")
    assert ended.json == shell.call("diff", "a", "b", "-o", "json").json


def test_references_name_recent_runs(shell: Shell) -> None:
    sorted_runs(shell, older=12, newer=3)
    document = shell.call("diff", "@-2", "@last", "-o", "json").json
    assert (document["a"]["run_id"], document["b"]["run_id"]) == ("older", "newer")


def test_of_a_damaged_log_the_readable_part_is_compared(shell: Shell) -> None:
    sorted_runs(shell, a=12, b=12)
    log = shell.log("b").read_bytes()
    place = log.index(b'"seq":10')
    shell.log("b").write_bytes(log[:place] + b"!" + log[place + 1 :])
    ended = shell.call("diff", "a", "b")
    assert ended.code == 65
    assert "B  run b  sorts@1  damaged\n" in ended.out
    assert "B is damaged: compared is what stands before the damage\n" in ended.out
    assert "outputs" in ended.out
    assert len(ended.err.splitlines()) == 1
    document = shell.call("diff", "a", "b", "-o", "json").json
    assert document["b"]["damage"]
    assert (document["b"]["status"], document["outputs"]["changed"]) == ("damaged", False)


def test_logs_of_older_releases_are_compared(shell: Shell) -> None:
    shell.log("x").parent.mkdir(parents=True)
    for path in (FIXTURES / "unchained").glob("*.jsonl"):
        shell.log(path.stem).write_bytes(path.read_bytes())
    same = shell.call("diff", "old-completed", "old-completed").out
    assert "not compared  prompts of Intake: neither log keeps hashes of prompts\n" in same
    assert "tokens        A 15, B 15\n" in same
    assert "first difference\n  workflow" in shell.call("diff", "old-failed", "old-paused").out


NASTY = "\x1b[31mred\x07\u202e</script>\n" + "wide 日本 " * 40


def nasty(run_id: str, end: str) -> None:
    text = NASTY + end
    record(
        run_id,
        ("run_started", {"workflow_name": text, "inputs": {text: [text]}, "tags": {text: text}}),
        ("state_entered", {"state": text, "visit": 1, "attempt": 1}),
        ("tool_call", {"call": 1, "name": text, "arguments": {text: text}}),
        ("tool_result", {"call": 1, "ok": False, "error": {"type": text, "message": text}}),
        ("llm_request", {"call": 2, "effective": {"model": text}, "messages": [{"role": text}]}),
        ("step_note", {"kind": text, "summary": text}),
        ("from_the_future", {"x": end}),
        ("run_failed", {"state": text, "error": {"type": text, "message": text}}),
        ("run_completed", {"final_state": text, "status": "failed"}),
    )


@pytest.mark.parametrize("columns", [80, 200])
def test_nothing_of_a_log_reaches_a_terminal_raw_and_every_line_fits(
    shell: Shell, columns: int
) -> None:
    from replayt_cli.render.columns import columns_of

    nasty("a", "1")
    nasty("b", "2")
    for words in (("a", "b"), ("b", "a"), ("a", "a")):
        code, sent = on_terminal(shell, "diff", *words, columns=columns)
        assert code == 0
        lines = sent.replace("\r\n", "\n").split("\n")
        assert all(line.isprintable() for line in lines)
        heads = [line for line in lines if not line.startswith(("A  run", "B  run"))]
        assert max(map(columns_of, heads)) <= columns
    assert "\x1b" not in shell.call("diff", "a", "b").out


def test_long_texts_are_shown_where_they_differ(shell: Shell) -> None:
    for run_id, word in (("a", "left"), ("b", "right")):
        inputs = {"text": "x" * 5_000 + word + "y" * 5_000}
        record(run_id, ("run_started", {"workflow_name": "w", "inputs": inputs}))
    out = shell.call("diff", "a", "b").out
    assert "      A  …xxx" in out
    assert "xleftyy" in out
    assert "xrightyy" in out
    assert max(map(len, out.splitlines())) < 1_000
    change = shell.call("diff", "a", "b", "-o", "json").json["first"]["changes"][0]
    assert len(change["a"]) == 10_004


def test_so_many_differences_are_counted_and_not_all_shown(shell: Shell) -> None:
    for run_id, number in (("a", 1), ("b", 2)):
        notes = [("step_note", {"kind": "n", "data": [number] * 50}) for _ in range(40)]
        start = ("run_started", {"workflow_name": "w", "inputs": {}})
        record(run_id, start, ("state_entered", {"state": "s"}), *notes)
    out = shell.call("diff", "a", "b").out
    assert "    … and 26 more fields\n" in out
    assert "  … and 15 more differences; --output json lists all\n" in out
    assert len(shell.call("diff", "a", "b", "-o", "json").json["differences"]) == 40


def test_what_was_not_compared_is_named_in_a_few_lines_however_much_it_is(shell: Shell) -> None:
    for run_id in ("a", "b"):
        unknown = [(f"from_the_future_{n}", {"run": run_id}) for n in range(500)]
        record(run_id, ("run_started", {"workflow_name": "w", "inputs": {}}), *unknown)
    out = shell.call("diff", "a", "b").out
    assert "(500 times): this version does not know the type" in out
    assert len(out) < 1_000
    assert len(shell.call("diff", "a", "b", "-o", "json").json["not_compared"]) == 500


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a", "nosuch"], 66, "nosuch"),
        (["nosuch", "a"], 66, "nosuch"),
        (["a"], 64, "RUN_B"),
        (["a", "b", "--other-store", "nowhere"], 64, "jsonl:///"),
        (["a", "b", "--output", "html"], 64, "html"),
    ],
)
def test_mistakes(shell: Shell, words: list[str], code: int, said: str) -> None:
    """SC-160: a missing run is named."""
    sorted_runs(shell, a=12, b=3)
    ended = shell.call("diff", *words)
    assert ended.code == code
    assert said in one_line(ended)


def test_the_help_says_when_it_exits_with_what(shell: Shell) -> None:
    out = " ".join(shell.call("diff", "--help").out.split())
    assert "unless --exit-code is given" in out
    assert json.dumps("replayt diff @-2 @last")[1:-1] in out
