"""The injection matrix: every event type, every text field, every payload, every command.

Nothing from a log reaches a terminal raw, becomes markup on a page, or breaks a JSON document, and
no text changes an exit code (issue 6 "Robust display", SC-119, SC-146).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from replayt_cli.exit_codes import DAMAGED
from tests.cli.contract import CONTRACTS, prepare
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
    write_hostile_log,
    write_store,
)
from tests.cli.reports import Record
from tests.cli.signatures import options
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
    "fork flow.py waits --at nope",
    "fork flow.py waits --at 1",
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
EACH_TEXT = [
    pytest.param(EVERYTHING, id="everything"),
    *(pytest.param(text, id=name, marks=pytest.mark.thorough) for name, text in TEXTS.items()),
]
"""All at once by default; one by one, which finds more, where there is time."""

ON_A_TERMINAL = {
    "markup": " ".join(text for text in TEXTS.values() if text.isascii() and text.isprintable()),
    **{name: text for name, text in TEXTS.items() if not (text.isascii() and text.isprintable())},
}
"""What is markup and nothing else is one text here: a terminal shows it, and no more."""

EACH_TEXT_ON_A_TERMINAL = [
    pytest.param(EVERYTHING, id="everything"),
    *(
        pytest.param(text, id=name, marks=pytest.mark.thorough)
        for name, text in ON_A_TERMINAL.items()
    ),
]

CHANGING = [
    "fork flow.py waits --at 2 --run-id forked",
    "resume flow.py waits --approval TEXT --by TEXT --reason TEXT",
    "resume flow.py unknown --retry 3",
    "inspect waits",
    "replay forked",
    "run flow.py --run-id new --tag a=TEXT --input b=TEXT",
    "run flow.py --run-id other -o json",
]
EVENTS = ("query", "FROM events", "-f", "json")
QUERIES = [("query", f"FROM {view}") for view in VIEWS]


def commands(text: str = EVERYTHING) -> list[tuple[str, ...]]:
    """Every command that shows something of a log.

    A single text is asked for as JSON once: the rows of all views are written by the same lines,
    and opening a database takes the longest of it all.
    """
    of_runs = [tuple(line.replace("RUN", run).split()) for run in RUNS for line in ONE_RUN]
    queries = [(*words, "-f", "table") for words in QUERIES]
    queries += [(*words, "-f", "json") for words in QUERIES] if text == EVERYTHING else [EVENTS]
    stores = (tuple(line.split()) for line in OF_A_STORE)
    return [*of_runs, *stores, *queries, *(tuple(line.split()) for line in CHANGING)]


def is_json(words: tuple[str, ...]) -> bool:
    return "json" in words


def play(
    shell: Shell, text: str, asked: Sequence[tuple[str, ...]]
) -> tuple[dict[tuple[str, ...], Ended], Mapping[str, list[Record]]]:
    """How these commands end in a store full of that text."""
    records = write_store(LOGS, text)
    shell.write("flow.py", flow_of(text))
    ended = {words: shell.call(*(word.replace("TEXT", text) for word in words)) for words in asked}
    return ended, records


@pytest.fixture(scope="module")
def usual() -> dict[tuple[str, ...], int]:
    """The exit codes in a store of ordinary words: filled by the first test that needs them."""
    return {}


def codes(shell: Shell, usual: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    if not usual:
        ended, _ = play(shell, "word", commands())
        usual |= {words: end.code for words, end in ended.items()}
        clear(shell)
    return usual


def clear(shell: Shell) -> None:
    for path in shell.directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in [name for name in sys.modules if name.startswith("replayt_target_")]:
        del sys.modules[name]


def problems(words: tuple[str, ...], end: Ended, code: int) -> list[str]:
    """What is wrong with how a command ended; `code` is its exit code for ordinary words."""
    found = [f"sends {sorted(raw)}" for raw in map(raw_characters, (end.out, end.err)) if raw]
    if end.code != code:
        found.append(f"exits with {end.code} instead of {code}")
    if strange := [
        line
        for line in end.err.splitlines()
        if not line.startswith("replayt: ") or "please report it" in line
    ]:
        found.append(f"says {strange}")
    if is_json(words) and end.out:
        if len(list(documents(end.out))) != 1:
            found.append("prints several documents")
        if not end.out.isascii():
            found.append("prints JSON that is not ASCII")
    return [f"{' '.join(words)} {problem:.600}" for problem in found]


@pytest.mark.parametrize("text", EACH_TEXT_ON_A_TERMINAL)
def test_no_command_lets_a_text_of_a_log_out(
    shell: Shell, usual: dict[tuple[str, ...], int], text: str
) -> None:
    """All that is printed is visible, JSON is one document, and codes are those of other logs."""
    expected = codes(shell, usual)
    ended, records = play(shell, text, commands(text))
    found = [line for words, end in ended.items() for line in problems(words, end, expected[words])]
    assert "\n".join(found) == ""
    for run_id, payloads in records.items():
        told = ended["inspect", run_id, "-o", "json"].json["events"]
        assert [(event["type"], event["payload"]) for event in told] == payloads
        lines = ended["inspect", run_id, "-o", "jsonl"].out.splitlines()
        assert [json.loads(line) for line in lines] == told
        rows = [row for row in ended[EVENTS].json if row["run_id"] == run_id]
        rows.sort(key=lambda row: row["seq"])
        assert [(row["type"], row["payload"]) for row in rows] == payloads


@pytest.mark.parametrize("text", EACH_TEXT)
def test_a_page_keeps_its_shape_whatever_the_texts(shell: Shell, text: str) -> None:
    """SC-146, SC-147: the same elements as for a harmless text of the same width."""
    for directory, said in (("bad", text), ("good", harmless(text))):
        write_store(Path(directory), said)
        shell.write(f"{directory}.py", flow_of(said))
    for run_id in RUNS[:4]:
        bad = shell.call("report", run_id, "--log-dir", "bad")
        good = shell.call("report", run_id, "--log-dir", "good")
        assert (bad.code, bad.err) == (good.code, good.err) == (0, "")
        assert_tame(bad.out, run_id)
        assert shape(bad.out) == shape(good.out), run_id
        assert shell.call("replay", run_id, "--log-dir", "bad", "-f", "html").out == bad.out
    drawn = [
        shell.call("graph", f"{name}.py", "--runs", "--log-dir", name, "-f", "svg")
        for name in ("bad", "good")
    ]
    assert shape(drawn[0].out) == shape(drawn[1].out)
    assert not raw_characters(drawn[0].out)
    charts = [
        shell.call("graph", f"{name}.py", "--runs", "--log-dir", name).out.splitlines()
        for name in ("bad", "good")
    ]
    begun = [[re.findall(r"\w+|%%", line)[0] for line in lines] for lines in charts]
    assert begun[0] == begun[1]


def test_a_text_that_no_utf8_can_hold_is_damage_and_hides_no_other_run(shell: Shell) -> None:
    """A lone surrogate, which JSON can write as an escape: the line is told, never shown raw."""
    write_store(LOGS, LONE_SURROGATE)
    write_hostile_log(LOGS / "fine.jsonl", hostile_payloads("word"))
    for words in commands():
        if {"flow.py", "copy.db", "forked"} & set(words):
            continue
        end = shell.call(*words)
        of_one = words[0] in ("inspect", "replay", "why", "verify", "diff") and "--all" not in words
        code = DAMAGED if of_one else end.code
        assert problems(words, end, code) == []
        if of_one:
            assert "is no event: not JSON" in end.err + end.out
    listed = {run["run_id"]: run["status"] for run in shell.call("runs", "-o", "json").json["runs"]}
    assert listed == {**dict.fromkeys(RUNS, "damaged"), "fine": "completed"}


SHOWN_ON_A_TERMINAL = [
    "inspect odd",
    "replay odd",
    "why whole",
    "diff whole odd",
    "runs --status paused",
    "runs",
    "stats",
    "verify whole",
    "verify --all --target flow.py",
    "gc --older-than 1d --dry-run --status paused --status damaged",
    "resume flow.py waits",
    "resume flow.py unknown",
    "fork flow.py waits --at nope",
    "graph flow.py --runs",
]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", [80, pytest.param(40, marks=pytest.mark.thorough)])
def test_what_a_terminal_is_sent_moves_nothing_on_it(shell: Shell, columns: int) -> None:
    """With colour, cut and wrapped lines: but for colour, nothing that is no text."""
    terminal = pytest.importorskip("tests.cli.terminal")
    write_store(LOGS, EVERYTHING)
    shell.write("flow.py", flow_of(EVERYTHING))
    queries = [("query", "SELECT * FROM events LIMIT 9", "-f", form) for form in ("table", "csv")]
    for words in [*map(str.split, SHOWN_ON_A_TERMINAL), *queries]:
        _, sent = terminal.run(shell.directory, *words, columns=columns)
        assert any(terminal.screen(erased(sent))), words


def erased(sent: str) -> str:
    """What was sent without the lines of progress, which are drawn and then erased."""
    return re.sub(r"\r\x1b\[K", "\r", sent)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_walking_through_a_hostile_run_moves_nothing(shell: Shell) -> None:
    terminal = pytest.importorskip("tests.cli.terminal")
    write_store(LOGS, EVERYTHING)
    child = terminal.spawn(shell.directory, "replay", "odd", "--step")
    sent = ""
    for typed in ("", "", "c", "10", "c", "b", "q"):
        child.expect(r"\d+/\d+> ")
        sent += child.before
        child.sendline(typed)
    code, rest = terminal.ended(child)
    assert code == 0
    assert len(terminal.screen(sent + rest)) > 20


def with_value(command: str, text: str) -> Iterator[list[str]]:
    """The command with `text` as the value of each of its options and arguments."""
    line = shlex.split(CONTRACTS[command].line)
    for name, called, (hint, *_) in options():
        if called == command and hint is not bool:
            value = f"key={text}" if name in ("--tag", "--input", "--set") else text
            yield [*line, name, *(["1"] if name == "--result" else []), value]
            if value != text:
                yield [*line, name, text, name, f"{text}=1"]
    for arguments in range(1, 4):
        yield [*command.split(), *[text] * arguments]


@pytest.mark.parametrize("text", [EVERYTHING.replace("\0", ""), "a\udcffb"], ids=["text", "bytes"])
@pytest.mark.parametrize("command", CONTRACTS)
def test_what_was_typed_comes_back_harmless(shell: Shell, command: str, text: str) -> None:
    """Values of every option and argument, also bytes that are no UTF-8: said again, never raw."""
    prepare(shell)
    found = []
    for words in with_value(command, text):
        end = shell.call(*words)
        found += problems(tuple(words), end, end.code)
        if end.code not in (0, 1, 2, 64, 65, 66, 74, 75):
            found.append(f"{words} exits with {end.code}")
    assert "\n".join(found) == ""


SETTINGS = ("REPLAYT_MODEL", "REPLAYT_PROVIDER", "REPLAYT_PRICES", "OPENAI_BASE_URL")
KEYS = ("log_dir", "store", "sqlite", "log_mode", "provider", "model", "timeout", "prices", "nope")


@pytest.mark.parametrize("name", [*SETTINGS, *KEYS])
def test_what_a_setting_says_comes_back_harmless(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The environment and the configuration are text from elsewhere, too."""
    shell.write("flow.py", flow_of("word"))
    if name in SETTINGS:
        monkeypatch.setenv(name, EVERYTHING.replace("\0", ""))
    else:
        text = json.dumps(EVERYTHING, ensure_ascii=False).replace("\x7f", "\\u007f")
        shell.write(".replaytrc.toml", f"{name} = {text}\n")
    for line in ("doctor", "doctor -o json", "run flow.py", "runs", "stats", "query 'SELECT 1'"):
        words = tuple(shlex.split(line))
        end = shell.call(*words)
        assert problems(words, end, end.code) == []
        assert end.code in (0, 1, 64, 66, 74, 75)
