"""What is forked ends as what is started does, so most tests need no interpreter of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import HELLO, Shell, environment
from tests.forked.processes import Forked, fork
from tests.forked.programs import CAN_FORK

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="nothing is forked here")

ENDS_ITSELF = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
LOOKS_AROUND = """
import atexit, os, sys

print(os.getcwd(), os.environ["SAID"], sys.argv[1:], sys.stdin.read(), sys.stdin.isatty())
print(sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering, file=sys.stderr)
print(sorted(name for name in sys.modules if name.partition(".")[0] == "tests"))
atexit.register(print, "at exit", file=sys.stderr)
raise ValueError(os.path.abspath(sys.path[0]) == os.getcwd())
"""
ON_A_TERMINAL = """
import os, sys

controls = os.open("/dev/tty", os.O_WRONLY)
os.write(controls, b"%d leads %d\\n" % (os.getpid(), os.tcgetpgrp(controls)))
"""
READS = ("run", "flow.py", "--inputs-json", "-")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


@pytest.fixture
def nothing() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def forked(shell: Shell, *words: str, stdin: int, out: int, terminal: bool = False) -> Forked:
    return fork(
        *words,
        directory=shell.directory,
        env=environment(),
        streams=(stdin, out, out),
        terminal=terminal,
    )


@pytest.mark.parametrize(
    "words",
    [
        "run flow.py --run-id a -o nope",
        "inspect nope",
        "validate flow.py",
        "run around.py",
        "run ends.py",
    ],
)
def test_a_fork_ends_and_prints_as_a_start_does(shell: Shell, words: str) -> None:
    shell.write("flow.py", HELLO)
    shell.write("around.py", LOOKS_AROUND)
    shell.write("ends.py", ENDS_ITSELF)
    short, real = (
        run(*words.split(), stdin="typed", SAID="this") for run in (shell.process, shell.fresh)
    )
    assert short == real


def test_several_run_at_once_and_each_is_told_apart(shell: Shell, nothing: int) -> None:
    """The last to start ends first, since the first one waits for what it is to read."""
    shell.write("flow.py", HELLO)
    reads, writes = os.pipe()
    waiting = forked(shell, *READS, stdin=reads, out=nothing)
    os.close(reads)
    other = forked(shell, "inspect", "nope", stdin=nothing, out=nothing)
    assert other.wait(60) == 66
    assert waiting.poll() is None
    os.write(writes, b"{}")
    os.close(writes)
    assert waiting.wait(60) == 0


def test_what_is_closed_before_its_end_is_ended(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    unwritten, writes = os.pipe()
    reads, out = os.pipe()
    waiting = forked(shell, *READS, stdin=unwritten, out=out)
    os.close(out)
    waiting.close()
    assert os.read(reads, 1) == b"", "nobody holds the other end"
    for descriptor in (unwritten, writes, reads):
        os.close(descriptor)


def test_a_terminal_controls_what_is_forked_for_it(shell: Shell) -> None:
    shell.write("terminal.py", ON_A_TERMINAL)
    ours, theirs = os.openpty()
    alone = forked(shell, "run", "terminal.py", stdin=theirs, out=theirs, terminal=True)
    os.close(theirs)
    with open(ours, encoding="utf-8") as sent:
        assert sent.readline() == f"{alone.pid} leads {alone.pid}\n"
        alone.wait(60)
