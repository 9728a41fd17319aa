"""What is forked ends as what is started does, so most tests need no interpreter of their own."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cli import forks
from tests.cli.helpers import HELLO, Shell, environment

pytestmark = pytest.mark.skipif(not forks.POSSIBLE, reason="POSIX forks")

ENDS_ITSELF = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
LOOKS_AROUND = """
import atexit, os, sys
import beside

print(os.getcwd(), os.environ["SAID"], sys.argv[1:], sys.stdin.read(), sys.stdin.isatty())
print(sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering, file=sys.stderr)
print(sorted(name for name in sys.modules if name.partition(".")[0] == "tests"))
atexit.register(print, "at exit", file=sys.stderr)
raise ValueError(os.path.abspath(sys.path[0]) == os.getcwd(), os.path.basename(beside.__file__))
"""


@pytest.mark.parametrize(
    "words", ["run flow.py --run-id a -o nope", "inspect nope", "validate flow.py", "run around.py"]
)
def test_a_fork_ends_and_prints_as_a_start_does(shell: Shell, words: str) -> None:
    shell.write("flow.py", HELLO)
    shell.write("around.py", LOOKS_AROUND)
    shell.write("elsewhere/beside.py", "")
    given = {"stdin": "typed", "SAID": "this", "PYTHONPATH": "elsewhere"}
    forked, started = (start(*words.split(), **given) for start in (shell.process, shell.fresh))
    assert forked == started


def test_a_signal_is_told_as_what_ended_it(shell: Shell) -> None:
    shell.write("flow.py", ENDS_ITSELF)
    for start in (shell.process, shell.fresh):
        assert start("run", "flow.py").code == -signal.SIGKILL


def test_several_run_at_once_and_each_is_told_apart(shell: Shell) -> None:
    """The last to start ends first, since the first ones wait for what they are to read."""
    reads, writes = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    words = ("run", "flow.py", "--inputs-json", "-")
    shell.write("flow.py", HELLO)
    try:
        waiting, other = (
            forks.fork(
                *asked,
                directory=shell.directory,
                env=environment(),
                streams=(stdin, nothing, nothing),
            )
            for asked, stdin in ((words, reads), (("inspect", "nope"), nothing))
        )
        assert other.wait(60) == 66
        assert waiting.poll() is None
        os.write(writes, b"{}")
    finally:
        for descriptor in (reads, writes, nothing):
            os.close(descriptor)
    assert waiting.wait(60) == 0
