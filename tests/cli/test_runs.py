"""`replayt runs`: what waits for whom, and a table that fits the terminal."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from replayt_cli.render.columns import columns_of, fill, fitting
from replayt_cli.render.text import cut, table, wrap
from replayt_cli.show.run_list import list_runs, with_waiting
from replayt_core import DamagedLogError, Event, resolve
from replayt_core.chain import line_hash, seal
from replayt_core.events import Draft
from replayt_store import JSONLStore, SQLiteStore
from tests.cli.helpers import GATE, HELLO, Shell, environment, on_terminal
from tests.cli.logs import install_plugin, record
from tests.cli.test_resume import CRASHES_IN_A_TOOL
from tests.store.runs import settled_index

FIXTURES = Path(__file__).parents[1] / "fixtures"


def pause(shell: Shell, *words: str, run_id: str = "a", text: str = GATE) -> None:
    shell.write("gate.py", text)
    assert shell.call("run", "gate.py", "--run-id", run_id, *words).code == 2


def waiting(shell: Shell, *words: str) -> list[dict[str, Any]]:
    """The runs that wait, as JSON."""
    document = shell.call("runs", "--status", "paused", "-o", "json", *words).json
    rows = document["runs"]
    assert isinstance(rows, list)
    return rows


def run_it(shell: Shell, command: str, target: str = "gate.py") -> int:
    """The exit code of a command that was printed, with the workflow in its place."""
    words = shlex.split(command)
    assert words[0] == "replayt"
    return shell.call(*(target if word == "TARGET" else word for word in words[1:])).code


def test_a_paused_run_says_what_it_waits_for_and_how_it_is_answered(shell: Shell) -> None:
    """SC-167; issue 6 point 2."""
    pause(shell)
    request = next(event for event in shell.events("a") if event["type"] == "approval_requested")
    since = request["ts"][:19].replace("T", " ") + "Z"
    lines = shell.call("runs", "--status", "paused").out.splitlines()
    assert lines[1].split()[:3] == ["a", "paused", "gate@1"]
    assert lines[2:] == [
        f"  waits for approval publish since {since}: Publish it?",
        '    {"words": 120}',
        f"    digest {request['payload']['digest']}",
        "    approve: replayt resume TARGET a --approval publish",
        "    reject:  replayt resume TARGET a --approval publish --reject",
        "",
        "TARGET stands for the workflow (module:variable, or its file): no log names it.",
    ]


def test_the_json_carries_the_same(shell: Shell) -> None:
    pause(shell)
    request = next(event for event in shell.events("a") if event["type"] == "approval_requested")
    (row,) = waiting(shell)
    (item,) = row["waiting"]
    commands = item.pop("commands")
    assert item == {
        "kind": "approval",
        "approval_id": "publish",
        "state": "review",
        "visit": 1,
        "request_seq": request["seq"],
        "requested_ts": request["ts"],
        "summary": "Publish it?",
        "details": {"words": 120},
        "digest": request["payload"]["digest"],
        "on_approve": None,
        "on_reject": None,
        "approved": None,
        "by": None,
        "reason": None,
        "resolved_seq": None,
    }
    assert row["ignored_answers"] == []
    assert commands["reject"] == "replayt resume TARGET a --approval publish --reject"
    assert run_it(shell, commands["approve"]) == 0
    assert waiting(shell) == []


def test_only_the_listing_of_paused_runs_reads_their_logs(shell: Shell) -> None:
    pause(shell)
    (row,) = shell.call("runs", "-o", "json").json["runs"]
    assert "waiting" not in row
    assert "approve:" not in shell.call("runs").out


@pytest.mark.parametrize(
    "store",
    [
        ["--log-dir", "my logs"],
        ["--store", "sqlite:///runs.db"],
        ["--store", "jsonl:///other"],
    ],
)
def test_the_commands_lead_to_the_same_store(shell: Shell, store: list[str]) -> None:
    pause(shell, *store)
    shown = shell.call("runs", "--status", "paused", *store).out
    command = next(line for line in shown.splitlines() if "approve:" in line)
    assert run_it(shell, command.partition("approve: ")[2]) == 0


def test_of_a_copy_the_commands_go_to_the_store_that_it_follows(shell: Shell) -> None:
    pause(shell, "--sqlite", "runs.db")
    shown = shell.call("runs", "--status", "paused", "--sqlite", "runs.db").out
    assert "--store sqlite:///FILE" in shown
    command = next(line for line in shown.splitlines() if "approve:" in line)
    assert run_it(shell, command.partition("approve: ")[2]) == 0
    for where in ([], ["--sqlite", "runs.db"]):
        assert waiting(shell, *where) == []


def test_a_third_party_store_lists_what_waits(shell: Shell) -> None:
    install_plugin(shell.directory)
    pause(shell, "--log-dir", "odd")
    words = ["runs", "--status", "paused", "--store", "keeps:///", "-o", "json"]
    (row,) = shell.process(*words, PYTHONPATH=".").json["runs"]
    assert row["waiting"][0]["commands"]["approve"].endswith("publish --store keeps:///")


def test_an_answered_run_is_told_to_go_on(shell: Shell) -> None:
    pause(shell)
    store = JSONLStore(".replayt/runs")
    resolve(store, "a", "publish", approved=False, by="Ana", reason="too\nlong")
    shown = shell.call("runs", "--status", "paused").out
    assert (
        "  approval publish is answered, rejected by Ana (too long): the run has not gone on yet\n"
        "    go on: replayt resume TARGET a\n"
    ) in shown
    assert "waits for" not in shown
    (row,) = waiting(shell)
    item = row["waiting"][0]
    assert (item["approved"], item["by"], item["reason"]) == (False, "Ana", "too\nlong")
    assert run_it(shell, item["commands"]["resume"]) == 0
    assert shell.events("a")[-1]["payload"]["final_state"] == "discard"


def test_an_answer_that_opens_nothing_is_told(shell: Shell) -> None:
    pause(shell)
    store = JSONLStore(".replayt/runs")
    last = list(store.read("a"))[-1]
    answer = Draft("approval_resolved", {"approval_id": "publish", "approved": "yes"})
    sealed = seal("a", [answer], after=last.seq, head=line_hash(last.line), ts=last.ts)
    store.append("a", sealed, after=last.seq)
    shown = shell.call("runs", "--status", "paused").out
    assert f"the answer at seq {last.seq + 1} is ignored: `approved` is neither" in shown
    assert "approve: replayt" in shown
    (row,) = waiting(shell)
    assert [item["seq"] for item in row["ignored_answers"]] == [last.seq + 1]


GATES = """
from replayt_core import Workflow

wf = Workflow("gates")
wf.set_initial("review")


@wf.step("review", to=["review", "end"])
def review(ctx):
    if ctx.is_approved("publish"):
        return "end" if ctx.visit == 2 else "review"
    ctx.request_approval("publish", summary="Publish it?")


@wf.step("end")
def end(ctx):
    return None
"""


def test_an_answer_that_opened_nothing_of_an_earlier_request_is_told_no_more(shell: Shell) -> None:
    shell.write("flow.py", GATES)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    store = JSONLStore(".replayt/runs")
    last = list(store.read("a"))[-1]
    answer = Draft("approval_resolved", {"approval_id": "publish", "approved": "yes"})
    sealed = seal("a", [answer], after=last.seq, head=line_hash(last.line), ts=last.ts)
    store.append("a", sealed, after=last.seq)
    assert [item["seq"] for item in waiting(shell)[0]["ignored_answers"]] == [last.seq + 1]
    assert shell.call("resume", "flow.py", "a", "--approval", "publish").code == 2
    (row,) = waiting(shell)
    assert row["waiting"][0]["visit"] == 2
    assert row["ignored_answers"] == []


def test_a_call_of_unknown_outcome_is_asked_for(shell: Shell) -> None:
    shell.write("pays.py", CRASHES_IN_A_TOOL)
    assert shell.process("run", "pays.py", "--run-id", "a").code == 9
    assert shell.call("resume", "pays.py", "a").code == 2
    called = next(event for event in shell.events("a") if event["type"] == "tool_call")
    since = called["ts"][:19].replace("T", " ") + "Z"
    seq = called["seq"]
    shown = shell.call("runs", "--status", "paused").out
    assert f"  waits for word of call {seq} of tool charge since {since}: did it happen?" in shown
    assert '{"amount": 3}' in shown
    assert f"    make it again: replayt resume TARGET a --retry {seq}\n" in shown
    assert f"    it returned:   replayt resume TARGET a --result {seq} JSON\n" in shown
    assert f"    it failed:     replayt resume TARGET a --fail {seq}\n" in shown
    (row,) = waiting(shell)
    (item,) = row["waiting"]
    assert (item["kind"], item["call"], item["tool"]) == ("call", seq, "charge")
    assert (item["arguments"], item["requested_ts"]) == ({"amount": 3}, called["ts"])
    assert run_it(shell, item["commands"]["retry"], "pays.py") == 0


def test_a_run_of_an_older_release_is_shown_and_no_command_offered(shell: Shell) -> None:
    shell.directory.joinpath("logs").mkdir()
    shutil.copy(FIXTURES / "unchained" / "old-paused.jsonl", "logs")
    shown = shell.call("runs", "--status", "paused", "--log-dir", "logs").out
    assert "waits for approval" in shown
    assert "it can be shown, not answered" in shown
    assert "replayt resume" not in shown
    assert "TARGET" not in shown
    (row,) = waiting(shell, "--log-dir", "logs")
    assert row["waiting"][0]["commands"] == {}


def test_an_approval_id_is_quoted_and_may_start_with_a_dash(shell: Shell) -> None:
    for run_id, approval_id in (("a", "-rf"), ("b", "it's me; $(ls)")):
        asks = GATE.replace('request_approval("publish"', f'request_approval("{approval_id}"')
        pause(shell, run_id=run_id, text=asks)
    for row in waiting(shell):
        words = shlex.split(row["waiting"][0]["commands"]["approve"])
        wanted = {"a": ["--approval=-rf"], "b": ["--approval", "it's me; $(ls)"]}[row["run_id"]]
        assert words == ["replayt", "resume", "TARGET", row["run_id"], *wanted]


def test_any_payload_in_a_paused_log_can_be_listed(shell: Shell) -> None:
    """A log of somebody else may hold anything; nothing of it reaches a terminal raw."""
    hostile = "\x1b]0;owned\x07\u202e\nevil"
    store = JSONLStore(".replayt/runs")
    asked = {"approval_id": hostile, "summary": hostile, "digest": hostile, "visit": 1}
    for number, paused in enumerate(
        [
            {"request_seq": 7},
            {"request_seq": "x", "reason": hostile},
            {"call": [1], "request_seq": None},
            {"call": 99},
            {"call": True, "context": 3},
        ]
    ):
        run_id = f"odd-{number}"
        record(run_id, status="interrupted", store=store)
        last = list(store.read(run_id))[-1]
        drafts = [Draft("approval_requested", asked), Draft("run_paused", paused)]
        head = line_hash(last.line)
        store.append(run_id, seal(run_id, drafts, after=5, head=head, ts=last.ts), after=5)
    ended = shell.call("runs", "--status", "paused")
    assert ended.code == 0, ended.err
    assert not set("\x1b\x07\u202e") & set(ended.out)
    assert len(waiting(shell)) == 5
    assert "waits for word of call 99: did it happen?" in ended.out


class DamagedSince(SQLiteStore):
    """A store whose index knows the runs, and whose logs can no longer be read."""

    lost = False

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        if self.lost:
            raise DamagedLogError(f"the log of run {run_id} is damaged", run_id=run_id)
        return super().read(run_id, after=after)


def test_a_run_that_is_damaged_meanwhile_keeps_its_row_and_says_so(shell: Shell) -> None:
    pause(shell, "--store", "sqlite:///runs.db")
    store = DamagedSince("runs.db")
    found = list_runs(store, tags={}, status="paused", limit=20)
    store.lost = True
    (row,) = with_waiting(store, found).rows
    assert (row.run_id, row.waiting, row.problem) == ("a", None, "the log of run a is damaged")


def test_a_run_that_goes_on_meanwhile_is_left_out(shell: Shell) -> None:
    pause(shell)
    store = JSONLStore(".replayt/runs")
    found = list_runs(store, tags={}, status="paused", limit=20)
    assert shell.call("resume", "gate.py", "a", "--approval", "publish").code == 0
    assert with_waiting(store, found).rows == ()


# --- the table -----------------------------------------------------------------------------------

JAPANESE = "承認ワークフローのとても長い名前"
LONG_ID = "nightly-build-of-a-pipeline-with-a-long-name-2026-11-26-0001"


def shown_on(shell: Shell, columns: int, *words: str) -> list[str]:
    code, sent = on_terminal(shell, *words, columns=columns)
    assert code == 0
    # A bar that shows how far the reading is stands before the last erasure.
    return re.split(r"\r(?!\n)|\x1b\[K", sent)[-1].replace("\r\n", "\n").splitlines()


def wide_runs() -> None:
    record("plain", days=4)
    record("japanese", days=3, workflow=JAPANESE, tags={"team": "日本語のチーム" * 9})
    record(LONG_ID, days=2, workflow="e\u0301" * 40, status="paused", tags={"größe": "ü"})
    record("018f3c2e-0000-7000-8000-0000aaaabbbb", days=1, workflow="👩🚀🎉" * 12, status="failed")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(shell: Shell, columns: int) -> None:
    wide_runs()
    lines = shown_on(shell, columns, "runs")
    assert max(map(cell_len, lines)) <= columns
    text = "\n".join(lines)
    for part in ("plain", "japanese", LONG_ID, "aaaabbbb", "completed", "paused", "failed"):
        assert part in text


def test_columns_stand_below_each_other(shell: Shell) -> None:
    wide_runs()
    for columns in (80, 200):
        lines = [line for line in shown_on(shell, columns, "runs") if line.count("  ")]
        starts = {cell_len(line[: line.index(" 20") + 1]) for line in lines[1:]}
        assert starts == {cell_len(lines[0].partition("LAST")[0])}


def test_a_long_id_is_whole_on_a_line_of_its_own(shell: Shell) -> None:
    wide_runs()
    lines = shown_on(shell, 80, "runs")
    at = lines.index(LONG_ID)
    assert lines[at + 1].split()[0] == "paused"
    assert LONG_ID in shown_on(shell, 200, "runs")[2].split()
    piped = shell.call("runs").out.splitlines()
    assert len(piped) == 5
    assert piped[2].split()[:2] == [LONG_ID, "paused"]


def test_what_waits_is_readable_at_80_columns(shell: Shell) -> None:
    long = GATE.replace('"Publish it?"', '"公開してもよろしいですか。" * 12')
    for number in range(3):
        pause(shell, run_id=f"018f3c2e-0000-7000-8000-00000000000{number}", text=long)
    lines = shown_on(shell, 80, "runs", "--status", "paused")
    assert max(map(cell_len, lines)) <= 80
    assert sum("approve: replayt resume TARGET 0000000" in line for line in lines) == 3
    assert sum("TARGET stands for" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("plain", 5),
        ("größe", 5),
        ("gro\u0308ße", 5),
        ("1\N{COMBINING ENCLOSING CIRCLE}", 1),
        ("日本", 4),
        ("ﾊﾝｶｸ", 4),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", 2),
        ("🎉!", 3),
        ("…", 1),
    ],
)
def test_columns_are_those_of_a_terminal(text: str, columns: int) -> None:
    assert columns_of(text) == columns == cell_len(text)
    assert cell_len(fill(text, 9)) == 9


def test_a_picture_that_is_asked_for_takes_two_columns() -> None:
    assert columns_of("❤\ufe0f") == 2


def test_texts_are_cut_and_fitted_by_columns() -> None:
    assert cut("日本語", 6) == "日本語"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert fitting("日本語", 5) == 2
    assert [cell_len(line) for line in table([("日本", "x"), ("a", "y")])] == [7, 7]


def test_wide_texts_are_wrapped_like_narrow_ones() -> None:
    words = "one two three four five six seven eight nine ten"
    marked = words.replace("one", "öne")
    for columns in (12, 20, 33):
        narrow = wrap(words, columns, indent="    ")
        wide = wrap(marked, columns, indent="    ")
        assert [line.replace("ö", "o") for line in wide] == narrow
    assert wrap("日本語の長い一行", 9, indent=" ") == [" 日本語の", "   長い一", "   行"]
    assert wrap("ä  b", 40, indent="") == ["ä  b"]


def test_many_paused_runs_say_target_once_and_the_limit_holds(shell: Shell) -> None:
    """SC-169."""
    for number in range(4):
        pause(shell, run_id=f"run-{number}")
    lines = shell.call("runs", "--status", "paused", "--limit", "3").out.splitlines()
    assert sum("approve:" in line for line in lines) == 3
    assert "1 older not shown; --limit N shows more" in lines
    assert lines[-1].startswith("TARGET stands for")


def test_no_paused_run_is_no_run(shell: Shell) -> None:
    """SC-169."""
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py").code == 0
    assert shell.call("runs", "--status", "paused").out == "No runs found\n"
    assert waiting(shell) == []


def test_of_an_empty_store_neither_index_nor_fold_nor_pydantic_is_imported(shell: Shell) -> None:
    """PERFORMANCE.md P6, held by counting; and it says what an empty choice of runs says."""
    script = (
        "import sys; from replayt_cli.main import main; main(['runs']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shell.directory,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "No runs found\n"
    loaded = set(done.stderr.split())
    assert "replayt_store.jsonl" in loaded
    assert not {"sqlite3", "replayt_store.index", "replayt_core._fold", "duckdb"} & loaded
    assert not {"pydantic", "pydantic_core", "secrets"} & loaded
    empty = shell.call("runs", "--output", "json")
    shell.write("hello.py", HELLO)
    assert shell.call("run", "hello.py").code == 0
    assert shell.call("runs", "--tag", "no=such", "--output", "json").out == empty.out


def test_a_listing_of_what_has_not_changed_needs_neither_fold_nor_pydantic(shell: Shell) -> None:
    """PERFORMANCE.md P9, held by counting: what is imported, and that no log is opened."""
    record("done")
    record("failed", status="failed")
    store = JSONLStore(shell.directory / ".replayt/runs")
    with settled_index(store, store.directory / ".index" / "runs.sqlite3")[0] as index:
        assert index.refresh().read == 2
    script = (
        "import sys; from replayt_cli.main import main; "
        "sys.addaudithook(lambda name, of: name == 'open' and str(of[0]).endswith('.jsonl') and "
        "print('opened', of[0], file=sys.stderr)); "
        "main(['runs']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shell.directory,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.splitlines()) == 3
    loaded = set(done.stderr.split())
    assert {"sqlite3", "replayt_store.index"} <= loaded
    assert "opened" not in loaded
    unneeded = {"replayt_core._fold", "replayt_core.records", "pydantic", "pydantic_core"}
    assert (
        not (unneeded | {"duckdb", "replayt_store.mirror", "replayt_store._index_readers"}) & loaded
    )
