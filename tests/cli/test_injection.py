"""The injection matrix: every event type, every text field, every payload, every command.

Nothing from a log reaches a terminal raw, becomes markup on a page, or breaks a JSON document, and
no text changes an exit code (issue 6 "Robust display", SC-119, SC-146).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from replayt_cli.render.html import report_html
from replayt_cli.recorded import read_run
from replayt_store import JSONLStore
from tests.cli.helpers import Ended, Shell
from tests.cli.hostile import (
    EVERYTHING,
    LONE_SURROGATE,
    TEXTS,
    documents,
    flow_of,
    harmless,
    hostile_payloads,
    raw_characters,
    shape,
    write_store,
)
from tests.cli.reports import Record
from tests.cli.test_report import assert_tame

LOGS = Path(".replayt/runs")
RUNS = ("whole", "odd", "waits", "unknown", "stranger", "numbered", "unlinked", "noise")
VIEWS = ("runs", "events", "states", "transitions", "llm_calls", "tool_calls", "approvals")

ONE_RUN = [
    "inspect RUN",
    "inspect RUN -o json",
    "inspect RUN -o jsonl",
    "replay RUN",
    "replay RUN -f json",
    "why RUN",
    "why RUN -o json",
    "verify RUN",
    "verify RUN -o json",
]
OF_A_STORE = [
    "inspect whole --follow",
    "inspect whole --follow -o jsonl",
    "verify whole --target flow.py",
    "verify waits --target flow.py -o json",
    "verify --all",
    "verify --all --target flow.py -o json",
    "verify --all --secrets",
    "diff whole odd",
    "diff whole waits",
    "diff odd unknown -o json",
    "diff whole noise",
    "runs",
    "runs -o json",
    "runs --status paused",
    "runs --status paused -o json",
    "runs --status damaged",
    "stats",
    "stats -o json",
    "gc --older-than 1d --dry-run --status damaged --status completed --status paused",
    "gc --older-than 1d --dry-run -o json",
    "graph flow.py --runs",
    "graph flow.py --runs -f json",
    "resume flow.py whole",
    "resume flow.py waits",
    "resume flow.py waits --approval nope",
    "resume flow.py unknown",
    "resume flow.py noise",
    "resume flow.py waits -o json",
    "fork flow.py whole --at nope",
    "fork flow.py whole --at 1",
    "fork flow.py noise --at 1",
    "store copy jsonl:///.replayt/runs sqlite:///copy.db",
    "store copy jsonl:///.replayt/runs jsonl:///copies -o json",
    "store rebuild sqlite:///copy.db",
    "store repair stranger",
    "store repair unlinked -o json --to jsonl:///saved",
    "inspect whole --sqlite copy.db",
    "runs --sqlite copy.db",
    "pin whole --out kept",
    "pin noise --out kept",
]
QUERIES = [("query", f"SELECT * FROM {view}") for view in VIEWS]


def commands() -> list[tuple[str, ...]]:
    """Every command that shows something of a log."""
    of_runs = [tuple(line.replace("RUN", run).split()) for run in RUNS for line in ONE_RUN]
    queries = [(*words, "-f", form) for words in QUERIES for form in ("table", "json", "csv")]
    return [*of_runs, *(tuple(line.split()) for line in OF_A_STORE), *queries]


def is_json(words: tuple[str, ...]) -> bool:
    return words[-1] == "json" or "-o json" in " ".join(words)


def play(shell: Shell, text: str) -> tuple[dict[tuple[str, ...], Ended], Mapping[str, list[Record]]]:
    """How all of the commands end in a store full of that text."""
    records = write_store(LOGS, text)
    shell.write("flow.py", flow_of(text))
    return {words: shell.call(*words) for words in commands()}, records


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], int]:
    """The exit codes in a store of ordinary words, made once."""
    return {}


def codes(shell: Shell, usual: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    if not usual:
        ended, _ = play(shell, "word")
        usual |= {words: end.code for words, end in ended.items()}
        clear(shell)
    return usual


def clear(shell: Shell) -> None:
    import shutil

    for path in shell.directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in [name for name in sys.modules if name.startswith("replayt_target_")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", TEXTS)
def test_no_command_lets_a_text_of_a_log_out(
    shell: Shell, usual: dict[tuple[str, ...], int], name: str
) -> None:
    """All that is printed is visible, JSON is one document, and codes are those of other logs."""
    expected = codes(shell, usual)
    ended, records = play(shell, TEXTS[name])
    for words, end in ended.items():
        line = " ".join(words)
        for stream in (end.out, end.err):
            assert not raw_characters(stream), f"{line}: {sorted(raw_characters(stream))}"
        assert "Traceback" not in end.err, line
        assert "unexpected" not in end.err, f"{line}: {end.err}"
        assert all(part.startswith("replayt: ") for part in end.err.splitlines()), end.err
        assert end.code == expected[words], f"{line}: {end.err or end.out}"
        if is_json(words) and end.out:
            assert len(list(documents(end.out))) == 1, line
            assert end.out.isascii(), line
    for run_id, payloads in records.items():
        told = ended["inspect", run_id, "-o", "json"].json["events"]
        assert [(event["type"], event["payload"]) for event in told] == payloads
        lines = ended["inspect", run_id, "-o", "jsonl"].out.splitlines()
        assert [json.loads(line) for line in lines] == told
