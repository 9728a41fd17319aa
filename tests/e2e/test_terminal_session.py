"""SC-194 on a terminal: the README's shell session, wide and narrow, without colour, and piped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replayt_cli.render.columns import columns_of
from tests.cli.terminal import screen
from tests.e2e.command_line import environment
from tests.forked.programs import programs
from tests.workspace.helpers import ROOT
from tests.workspace.pages import EXPECTED_CODE, FILE_NAME, PYTHON, SHELL, Block, blocks_of

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal")
pytestmark = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="the README's session is for bash"
)

COPYABLE = re.compile(r"\breplayt (?:resume|run|fork|verify|inspect)\b")
"""A command is printed on one line, so that it can be copied."""


def readme() -> list[Block]:
    return blocks_of("README.md", (ROOT / "README.md").read_text(encoding="utf-8"))


def commands() -> list[tuple[str, int]]:
    """Every command of the README that its test runs, with the exit code that the page gives."""
    found = []
    for block in readme():
        if block.language in SHELL and block.not_run is None:
            for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
                code = EXPECTED_CODE.search(line)
                if line.strip():
                    found.append((line, int(code[1]) if code else 0))
    return found


def saved(folder: Path) -> Path:
    """The folder, with the README's files in it."""
    for block in readme():
        name = FILE_NAME.match(block.text)
        if block.language in PYTHON and name:
            (folder / name[1]).write_text(block.text, encoding="utf-8")
    return folder


def settings(**added: str) -> dict[str, str]:
    made = environment({"TERM": "xterm", **added})
    for name in {"COLUMNS", "LINES", "CI", "NO_COLOR"} - added.keys():
        made.pop(name, None)
    folders = (programs(made), Path(sys.executable).parent, made.get("PATH", ""))
    return {**made, "PATH": os.pathsep.join(map(str, folders))}


def in_terminal(folder: Path, command: str, columns: int, **env: str) -> tuple[int, str]:
    """The exit code of a shell command, and all that its terminal was sent."""
    child: Any = pexpect.spawn(
        "bash",
        ["-c", command],
        cwd=str(folder),
        env=settings(**env),
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=120,
        echo=False,
    )
    child.expect(pexpect.EOF)
    sent: str = child.before
    child.close()
    return child.exitstatus, sent


def too_wide(sent: str, columns: int) -> list[str]:
    """The lines that the terminal breaks, but for commands and for what is one word, as a path."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", sent)
    lines = [line.rstrip() for line in re.split(r"[\r\n]", plain)]
    return [
        line
        for line in lines
        if columns_of(line) > columns and " " in line.strip() and not COPYABLE.search(line)
    ]


def test_the_readme_has_a_session() -> None:
    words = [line.split()[1] for line, _ in commands()]
    assert {"validate", "graph", "run", "replay", "resume", "runs"} <= set(words)


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A folder in which the whole session has been typed, and what the terminal was sent."""

    folder: Path
    sent: tuple[str, ...]


def typed(folder: Path, columns: int, **env: str) -> Typed:
    """SC-118, SC-119: with exit codes as the page has them."""
    saved(folder)
    sent = []
    for command, expected in commands():
        code, text = in_terminal(folder, command, columns, **env)
        assert code == expected, f"{command}\n{text}"
        sent.append(text)
    return Typed(folder=folder, sent=tuple(sent))


@pytest.fixture(scope="module")
def in_colour(tmp_path_factory: pytest.TempPathFactory) -> Typed:
    return typed(tmp_path_factory.mktemp("session"), 80)


@pytest.fixture
def session(in_colour: Typed) -> Path:
    return in_colour.folder


def check_lines(sent: tuple[str, ...], columns: int) -> list[str]:
    """No traceback, no line too long, no escape sequence but colour; the sequences."""
    escapes = []
    for (command, _), text in zip(commands(), sent, strict=True):
        assert "Traceback" not in text, f"{command}\n{text}"
        assert too_wide(text, columns) == [], command
        escapes += re.findall(r"\x1b\[?[^a-zA-Z]*[a-zA-Z]?", text)
    assert [found for found in escapes if not re.fullmatch(r"\x1b\[[0-9;]*m", found)] == []
    return escapes


def test_the_whole_session_fits_a_terminal_of_80_columns(in_colour: Typed) -> None:
    """SC-118, SC-119."""
    assert check_lines(in_colour.sent, 80)


def test_the_whole_session_fits_a_wide_one_without_colour(tmp_path: Path) -> None:
    """SC-118, SC-119."""
    assert check_lines(typed(tmp_path, 200, NO_COLOR="1").sent, 200) == []


def test_the_run_is_seen_as_it_happens(tmp_path: Path) -> None:
    """The states on stderr while they happen, the result behind them."""
    folder = saved(tmp_path)
    command = next(line for line, _ in commands() if line.startswith("replayt run hello.py"))
    _, sent = in_terminal(folder, command, 80, NO_COLOR="1")
    lines = screen(sent.rstrip())  # without the line in which a slow step is waited for
    assert lines[0] == "run hello-1  hello@1"
    assert [line.split()[0] for line in lines[1:3]] == ["greet", "done"]
    assert lines[4:7] == ["run_id=hello-1", "workflow=hello@1", "status=completed"]
    assert ", head " in lines[-1]


def piped(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A pipe of the shell, ending in the exit codes of its parts."""
    return subprocess.run(
        ["bash", "-c", f'{command}; echo "codes ${{PIPESTATUS[*]}}"'],
        cwd=folder,
        env=settings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


NONE, LINE, BYTE = "true", "head -n 1", "head -c 1"
READS = {
    "replayt graph hello.py": (NONE,),
    "replayt validate hello.py": (NONE,),
    "replayt replay hello-1": (NONE, LINE),
    "replayt inspect hello-1": (NONE,),
    "replayt runs": (NONE,),
    "replayt run hello.py": (NONE, LINE),
    "replayt replay hello-1 --format html": (NONE, LINE, BYTE),
}
"""Readers that have seen enough. Only the page is larger than what a pipe holds by itself."""


def test_a_reader_that_has_seen_enough_causes_no_trace(session: Path) -> None:
    """`head` closes the pipe: silence, and the code of SIGPIPE where there was more to say."""
    for command, readers in READS.items():
        for reader in readers:
            done = piped(session, f"{command} | {reader}")
            assert done.stderr == "", f"{command} | {reader}\n{done.stderr}"
            ours, theirs = done.stdout.rpartition("codes ")[2].split()
            assert ours in {"0", "141"}, f"{command} | {reader}: {ours}"
            assert theirs == "0"
            assert "\x1b" not in done.stdout


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_judges_every_document(session: Path) -> None:
    """SC-137, as the recipe has it."""
    recipe = (
        "set -euo pipefail; OUT=$(replayt run hello.py --output json); "
        """echo "$OUT" | jq -e '.status=="completed" and .unpriced_models==[]'"""
    )
    assert in_terminal(session, recipe, 80)[0] == 0
    for command in ("replayt inspect hello-1", "replayt runs", "replayt validate hello.py"):
        done = piped(session, f"{command} --output json | jq -e .")
        assert (done.stderr, done.stdout.rpartition("codes ")[2]) == ("", "0 0\n"), command
    done = piped(session, "jq -e .seq .replayt/runs/hello-1.jsonl")
    assert done.stdout.endswith("codes 0\n")


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_less_shows_text_without_escapes_and_may_quit(session: Path) -> None:
    for command in ("replayt graph hello.py", "replayt validate hello.py", "replayt runs"):
        code, sent = in_terminal(session, f"{command} | less -X -E -F", 80, LESS="")
        assert code == 0
        assert "Traceback" not in sent
        assert "ESC[" not in sent, command  # so less shows a colour that was not meant for it
    child: Any = pexpect.spawn(
        "bash",
        ["-c", 'replayt replay hello-1 --format html | less; echo "codes ${PIPESTATUS[*]}"'],
        cwd=str(session),
        env=settings(),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=120,
    )
    child.expect("DOCTYPE|doctype")
    child.send("q")
    child.expect(r"codes (\d+) 0")
    assert child.match[1] in {"0", "141"}
    child.expect(pexpect.EOF)
    assert "Traceback" not in child.before
    child.close()
