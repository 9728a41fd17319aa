"""The contract of every command, one row each in `contract` (issue 6, DESIGN.md section 6).

Success and its JSON, mistakes and their remedies, missing and damaged logs, and streams that end
early: a command that is not in the table fails here.
"""

from __future__ import annotations

import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.contract import CONTRACTS, Contract, Mistake, damage_one, files, prepare
from tests.cli.helpers import Ended, Shell, one_line
from tests.cli.hostile import documents, raw_characters
from tests.cli.signatures import callbacks

ALL = pytest.mark.parametrize("command", CONTRACTS)
posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and terminals as POSIX has them")


def having(attribute: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "command", [name for name, row in CONTRACTS.items() if getattr(row, attribute) is not None]
    )


@pytest.fixture(scope="module")
def prepared() -> list[Path]:
    """The directory of `prepare`, once a test has made it."""
    return []


@pytest.fixture
def desk(shell: Shell, prepared: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A directory with two targets and the logs of three runs."""
    if not prepared:
        prepare(shell)
        prepared.append(tmp_path_factory.mktemp("prepared") / "desk")
        shutil.copytree(shell.directory, prepared[0], ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copytree(prepared[0], shell.directory, dirs_exist_ok=True)
    return shell


def says(ended: Ended) -> str:
    return ended.out + ended.err


def test_no_command_is_without_a_row() -> None:
    assert set(CONTRACTS) == set(callbacks())


# --- Success


@ALL
def test_it_succeeds_and_says_what_came_of_it(desk: Shell, command: str) -> None:
    """The result is on stdout, and where nobody looks nothing else is said (SC-119)."""
    row = CONTRACTS[command]
    ended = desk.call(*shlex.split(row.line))
    assert (ended.code, ended.err) == (row.code, "")
    assert ended.out.strip()
    assert ended.out.endswith("\n")
    assert not raw_characters(ended.out)


@having("as_json")
def test_its_json_is_one_document_with_these_keys(desk: Shell, command: str) -> None:
    """SC-119: exactly these keys, so that a script that reads them is told when they change."""
    row = CONTRACTS[command]
    assert row.as_json is not None
    assert row.keys is not None
    ended = desk.call(*shlex.split(row.as_json))
    assert (ended.code, ended.err) == (row.code, "")
    (document,) = documents(ended.out)
    told = document[0] if isinstance(document, list) else document
    assert sorted(told) == sorted(row.keys.split())
    assert ended.out.isascii()


def test_every_command_with_output_json_has_a_row_of_its_keys() -> None:
    for command, callback in callbacks().items():
        offers = {"output", "shown_as"} & inspect.signature(callback).parameters.keys()
        assert bool(offers) == (CONTRACTS[command].as_json is not None), command


# --- Mistakes


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(mistake, id=mistake.line)
        for row in CONTRACTS.values()
        for mistake in row.mistakes
    ],
)
def test_a_mistake_is_one_line_that_blames_and_helps(desk: Shell, mistake: Mistake) -> None:
    """SC-118, SC-119: nothing is done, nothing is printed but what is wrong and what to do."""
    before = files(desk.directory)
    ended = desk.call(*shlex.split(mistake.line))
    line = one_line(ended)
    assert ended.code == mistake.code, line
    assert mistake.blames in line
    assert mistake.remedy in line
    assert files(desk.directory) == before


@ALL
def test_an_unknown_option_is_named_with_the_help_that_lists_them(
    shell: Shell, command: str
) -> None:
    """SC-119."""
    ended = shell.call(*command.split(), "--nope")
    assert ended.code == 64
    line = one_line(ended)
    assert "--nope" in line
    assert f"`replayt {command} --help`" in line


@having("missing")
def test_a_missing_argument_is_named(shell: Shell, command: str) -> None:
    """SC-119."""
    ended = shell.call(*command.split())
    assert ended.code == 64
    line = one_line(ended)
    assert f"'{CONTRACTS[command].missing}'" in line
    assert f"`replayt {command} --help`" in line


def test_what_has_to_be_given_is_in_the_table() -> None:
    """A command with a required parameter names one of them in its row; `verify` has a choice."""
    for command, callback in callbacks().items():
        required = [
            name
            for name, parameter in inspect.signature(callback).parameters.items()
            if parameter.default is inspect.Parameter.empty and name != "ctx"
        ]
        assert bool(required) == (CONTRACTS[command].missing is not None), command


# --- Logs that are not there, or not whole


@having("empty")
def test_without_logs_it_says_so_and_makes_none(shell: Shell, command: str) -> None:
    """SC-141, SC-173: reading creates nothing, and a missing directory is said to be missing."""
    row = CONTRACTS[command]
    prepare(shell)
    shutil.rmtree(shell.directory / ".replayt")
    ended = shell.call(*shlex.split(row.line))
    assert row.empty is not None
    code, said = row.empty
    place = shell.directory / ".replayt/runs"
    shown = [said.format(logs=logs) for logs in (".replayt/runs", place)]
    assert ended.code == code, says(ended)
    assert any(text in says(ended) for text in shown), says(ended)
    assert "Traceback" not in ended.err
    if command != "run":
        assert not (shell.directory / ".replayt").exists()


@having("damaged")
def test_a_damaged_log_is_told_and_hides_no_other_run(desk: Shell, command: str) -> None:
    """DESIGN.md section 6: 65 where the damaged run was asked for; else a row, and the others."""
    row = CONTRACTS[command]
    damage_one(desk)
    ended = desk.call(*shlex.split(row.line))
    assert row.damaged is not None
    code, said = row.damaged
    assert ended.code == code, says(ended)
    assert said in says(ended)
    assert "Traceback" not in ended.err
    assert all(line.startswith("replayt: ") for line in ended.err.splitlines())


def test_listings_show_the_runs_beside_a_damaged_one(desk: Shell) -> None:
    damage_one(desk)
    listed = desk.call("runs", "-o", "json").json["runs"]
    assert {run["run_id"]: run["status"] for run in listed} == {
        "done": "damaged",
        "other": "completed",
        "waits": "paused",
    }
    assert desk.call("stats", "-o", "json").json["status_counts"] == {
        "completed": 1,
        "damaged": 1,
        "paused": 1,
    }
    checked = desk.call("verify", "--all", "-o", "json")
    assert checked.code == 65
    assert (checked.json["passed"], checked.json["damaged"]) == (2, 1)
    asked = desk.call("query", "SELECT run_id FROM runs WHERE status <> 'damaged'", "-f", "json")
    assert [row["run_id"] for row in asked.json] == ["other", "waits"]
    planned = desk.call("gc", "--older-than", "1d", "--dry-run", "-o", "json").json
    assert planned["kept"] == {"damaged": 1, "paused": 1, "younger": 1}


def in_place(row: Contract, place: str) -> list[str]:
    """The command with its logs elsewhere."""
    line = row.line.replace("jsonl:///.replayt/runs", f"jsonl:///{place}")
    return shlex.split(line if line != row.line else f"{line} --log-dir {place}")


@having("empty")
@posix
@pytest.mark.parametrize("place", ["flow.py", "loop"])
def test_a_place_that_can_hold_no_logs_is_named(desk: Shell, command: str, place: str) -> None:
    """SC-120: a file, and a link that leads to itself, where the directory should be."""
    if place == "loop":
        (desk.directory / "loop").symlink_to("loop")
    ended = desk.call(*in_place(CONTRACTS[command], place))
    if command == "doctor":  # it says all that is wrong at once
        assert ended.code == 1
        assert place in ended.out
        return
    assert ended.code == 74, says(ended)
    assert place in one_line(ended)


@contextmanager
def nobody_special() -> Iterator[None]:
    """Without the rights of root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    if not hasattr(os, "setresuid"):
        pytest.skip(
            "this user is root, whom no permission stops, and cannot be another for a while"
        )
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@having("empty")
@posix
def test_a_directory_that_may_not_be_read_is_named(
    desk: Shell, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SC-120: the log of `done` was there, and now it may not be looked for."""
    words = shlex.split(CONTRACTS[command].line)
    with TemporaryDirectory() as place:
        shutil.copytree(desk.directory, place, dirs_exist_ok=True)
        Path(place).chmod(0o755)
        monkeypatch.chdir(place)
        desk.call(*words)  # imports what it needs while that may be read
        Path(".replayt/runs").chmod(0)
        with nobody_special():
            ended = desk.call(*words)
        Path(".replayt/runs").chmod(0o700)
        monkeypatch.undo()
    assert ended.code == (1 if command == "doctor" else 74), says(ended)
    said = "cannot be written" if command == "doctor" else "permission denied"
    assert said in says(ended)
    assert ".replayt" in says(ended)
    assert ended.err == "" if command == "doctor" else one_line(ended)


# --- Streams and terminals


@ALL
@posix
def test_a_reader_that_has_gone_is_no_trouble(desk: Shell, command: str) -> None:
    """141 as for any program that a closed pipe ends, and nothing is said about it."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = desk.into(theirs, *shlex.split(CONTRACTS[command].line))
    finally:
        os.close(theirs)
    assert ended == (141, "")


@ALL
@posix
@pytest.mark.thorough
def test_the_first_line_alone_can_be_taken(desk: Shell, command: str) -> None:
    """`| head -1`: what ends it early is a closed pipe, or nothing did."""
    row = CONTRACTS[command]
    with subprocess.Popen(
        ["head", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as head:
        assert head.stdin is not None
        assert head.stdout is not None
        code, err = desk.into(head.stdin.fileno(), *shlex.split(row.line))
        head.stdin.close()
        assert len(head.stdout.read().splitlines()) == 1
    assert err == ""
    assert code in (row.code, 141)


@ALL
@posix
@pytest.mark.thorough
def test_without_a_stdout_it_does_its_work(desk: Shell, command: str) -> None:
    """`>&-`: the exit code is what it is otherwise. `test_streams` has a shell do it."""
    row = CONTRACTS[command]
    assert desk.into(None, *shlex.split(row.line)) == (row.code, "")


TERMINALS = [
    pytest.param(80, {"TERM": "xterm"}, id="80"),
    pytest.param(40, {"TERM": "xterm", "NO_COLOR": "1"}, id="40", marks=pytest.mark.thorough),
    pytest.param(200, {"TERM": "dumb"}, id="200", marks=pytest.mark.thorough),
]


@ALL
@posix
@pytest.mark.parametrize(("columns", "env"), TERMINALS)
def test_no_line_is_wider_than_the_terminal(
    desk: Shell, command: str, columns: int, env: dict[str, str]
) -> None:
    """But for what is copied from it; and colour is sent only where it is welcome."""
    terminal = pytest.importorskip("tests.cli.terminal")
    words = shlex.split(CONTRACTS[command].line)
    code, sent = terminal.run(desk.directory, *words, columns=columns, **env)
    assert code == CONTRACTS[command].code
    assert any(terminal.screen(sent))
    if command != "store" or columns >= 80:  # its help is set for 80 columns
        wide = [line for line in terminal.too_wide(sent, columns) if not is_copied(line, columns)]
        assert wide == []
    assert "\x1b" not in sent or env == {"TERM": "xterm"}


def is_copied(line: str, columns: int) -> bool:
    """A command, or something that cannot be broken: a path, an id, a hash."""
    return "replayt " in line or max(map(len, line.split())) > columns - 12


# --- The program itself


def test_without_a_command_it_shows_its_help_and_with_version_its_version(shell: Shell) -> None:
    """SC-117."""
    from importlib.metadata import version

    bare = shell.process()
    assert (bare.code, bare.err) == (0, "")
    assert bare.out == shell.process("--help").out
    for command in CONTRACTS:
        assert f"\n  {command.split()[0]} " in bare.out
    told = shell.process("--version")
    assert (told.code, told.out, told.err) == (0, f"replayt-cli {version('replayt-cli')}\n", "")


def test_json_is_the_same_on_a_terminal_and_in_a_pipe(desk: Shell) -> None:
    """SC-119."""
    terminal = pytest.importorskip("tests.cli.terminal")
    code, sent = terminal.run(desk.directory, "inspect", "done", "-o", "json")
    piped = desk.process("inspect", "done", "-o", "json")
    assert (code, piped.code) == (0, 0)
    assert json.loads(sent) == piped.json
