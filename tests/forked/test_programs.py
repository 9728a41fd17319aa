"""What is forked does what is started does; what could not is started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked.programs import CAN_FORK, ROOT, programs, python

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="nothing is forked here")

PROBE = """
import os, signal, sys, threading

def seen():
    mask = os.umask(0)
    os.umask(mask)
    yield __name__, sys.argv, sys.path, os.getcwd(), mask, sys.flags
    yield sorted(os.environ.items())
    yield sys.stdin.read(), sys.__stdout__ is sys.stdout
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        yield stream.name, stream.mode, stream.encoding, stream.errors, stream.isatty()
        yield stream.line_buffering, stream.write_through
    yield [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    yield sys.stdin.seekable(), sys.stdout.seekable()
    yield threading.active_count(), sys.modules["__main__"].seen is seen

for line in seen():
    print(line)
print(sys.argv[0], file=sys.stderr)
"""
CLOSED = """
import os, sys

seen = os.open("seen", os.O_WRONLY | os.O_CREAT)  # gets the first number that is free
streams = (sys.stdin, sys.__stdin__, sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
os.write(seen, repr((seen, [stream is None for stream in streams])).encode())
"""
OWNER = """
import os, sys
from pathlib import Path
from tests.forked.processes import fork
from tests.forked.programs import served

words = ("run", "waits.py")
forked = fork(*words, directory=Path(sys.argv[1]), env=os.environ, streams=(0, None, 2))
print(served(os.environ), flush=True)
forked.wait(600)
"""
WAITS = """
import sys

print("begun", file=sys.stderr, flush=True)
sys.stdin.read()
"""
FORKED = "import sys; print('replayt_cli.main' in sys.modules)"


def done(
    *command: str | Path, cwd: Path, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("words", [("probe.py", "a b"), ("./probe.py",), ("-m", "probe", "-x")])
def test_a_fork_sees_what_a_fresh_interpreter_sees(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    before = os.umask(0o027)
    try:
        both = [
            done(program, *words, cwd=tmp_path, stdin="typed\n", WORD="é\n=", TZ="Asia/Tokyo")
            for program in (sys.executable, python(os.environ))
        ]
    finally:
        os.umask(before)
    fresh, forked = ((each.returncode, each.stdout, each.stderr) for each in both)
    assert forked == fresh
    assert fresh[0] == 0, fresh[2]


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit",
        "raise SystemExit(3)",
        "raise SystemExit(300)",
        "raise SystemExit('why')",
        "import os; os._exit(4)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "raise KeyboardInterrupt",
        "import atexit; atexit.register(print, 'last'); print('first')",
        "import threading; threading.Timer(0.2, print, ['late']).start()",
        "import sys; sys.stdout.close()",
        "print('no newline', end=''); raise SystemExit(5)",
    ],
)
def test_it_ends_as_a_fresh_interpreter_ends(tmp_path: Path, code: str) -> None:
    fresh, forked = (
        done(program, "-c", code, cwd=tmp_path) for program in (sys.executable, python(os.environ))
    )
    assert (forked.returncode, forked.stdout) == (fresh.returncode, fresh.stdout)
    assert forked.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


def test_what_a_fork_cannot_do_alike_is_started(tmp_path: Path) -> None:
    def is_forked(*options: str, **env: str) -> bool:
        program = python(os.environ)
        return done(program, *options, "-c", FORKED, cwd=tmp_path, **env).stdout == "True\n"

    assert is_forked()
    assert is_forked(REPLAYT_PROVIDER="offline")
    assert not is_forked("-I")
    assert not is_forked(PYTHONPATH="elsewhere")
    assert not is_forked(LANG="C")
    assert done(python(os.environ), cwd=tmp_path, stdin="print(7)").stdout == "7\n"


def test_the_commands_beside_it_work_in_a_pipe_of_the_shell(tmp_path: Path) -> None:
    folder = programs(os.environ)
    line = 'replayt --version | python -c "print(input())"; echo ${PIPESTATUS[*]}'
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    said = done("bash", "-c", line, cwd=tmp_path, PATH=path).stdout
    assert said.startswith("replayt")
    assert said.endswith("\n0 0\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_stays_closed(tmp_path: Path, closed: str) -> None:
    (tmp_path / "closed.py").write_text(CLOSED, encoding="utf-8")

    def seen(program: str) -> str:
        line = f'"$1" closed.py {closed}'
        ended = done("bash", "-c", line, "bash", program, cwd=tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        return (tmp_path / "seen").read_text(encoding="utf-8")

    fresh = seen(sys.executable)
    (tmp_path / "seen").unlink()
    assert seen(python(os.environ)) == fresh
    assert "True" in fresh


def test_what_runs_ends_with_whoever_called_it(tmp_path: Path) -> None:
    code = "import sys, time; print('begun', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [python(os.environ), "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as called:
        assert called.stdout is not None
        assert called.stdout.readline() == "begun\n"
        called.send_signal(signal.SIGKILL)
        assert called.stdout.read() == "", "the last that holds the pipe is gone"


def test_nothing_is_left_of_a_test_process_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stderr is not None
        folder = Path(owner.stdout.readline().strip())
        assert folder.is_dir()
        assert owner.stderr.readline() == "begun\n"
        owner.send_signal(signal.SIGKILL)
        assert owner.stderr.read() == "", "the server and its fork held it, and are gone"
        assert not folder.exists()


def test_a_caller_that_sends_half_a_command_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = programs(os.environ)
    for sent in (b"", b"\0\0", b"\0\0\0\x09half"):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(folder / "socket"))
            caller.sendall(sent)
    assert done(folder / "python", "-c", FORKED, cwd=tmp_path).stdout == "True\n"
