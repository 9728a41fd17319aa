"""The command line as tests use it: in a process of its own, or here where that is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from replayt_cli.main import main
from tests.forked import processes
from tests.forked.programs import CAN_FORK, read_at_start

ANSWERING = ("OPENAI_", "REPLAYT_", "NO_COLOR", "FORCE_COLOR")

HELLO = """
from replayt_core import Workflow

wf = Workflow("hello", version="2")
wf.set_initial("greet")


@wf.step("greet", to=["done"])
def greet(ctx):
    ctx.set("greeting", f"Hello, {ctx.get('name', 'world')}")
    ctx.because("everybody is greeted")
    return "done"


@wf.step("done")
def done(ctx):
    ctx.note("result", summary=ctx.get("greeting"))
"""

GATE = """
from replayt_core import Workflow

wf = Workflow("gate", version="1")
wf.set_initial("review")


@wf.step("review", to=["publish", "discard"])
def review(ctx):
    if ctx.is_approved("publish"):
        return "publish"
    if ctx.is_rejected("publish"):
        return "discard"
    ctx.request_approval("publish", summary="Publish it?", details={"words": 120})


@wf.step("publish")
def publish(ctx):
    return None


@wf.step("discard")
def discard(ctx):
    return None
"""

ASKS_MODEL = """
from pydantic import BaseModel
from replayt_core import Workflow

wf = Workflow("asks")
wf.set_initial("ask")


class Answer(BaseModel):
    label: str
    score: float


@wf.step("ask")
def ask(ctx):
    @ctx.tools.register
    def double(x: float) -> float:
        return 2 * x

    answer = ctx.llm.parse(Answer, messages=[{"role": "user", "content": "which?"}])
    ctx.set("score", ctx.tools.call("double", {"x": answer.score}))
"""

SLEEPS = """
import time
from replayt_core import Workflow

wf = Workflow("sleeps")
wf.set_initial("first")


@wf.step("first", to=["second"])
def first(ctx):
    return "second"


@wf.step("second")
def second(ctx):
    open("started", "w").close()
    time.sleep(60 if ctx.get("sleep", True) else 0)
"""

FAILS = """
from replayt_core import Workflow

wf = Workflow("fails")
wf.set_initial("only")


@wf.step("only")
def only(ctx):
    raise ValueError("bad \\x1b[31mnews\\u202e")
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """This environment without what would answer for the user.

    Nor is bytecode kept: Python takes it for that of a file which is as long and was written within
    the same second, and tests write the next version of a workflow at once.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ANSWERING)}
    return {**kept, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


class Shell:
    """A directory to run commands in."""

    def __init__(self, directory: Path, capsys: Any) -> None:
        self.directory = directory
        self._capsys = capsys

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "replayt_cli", *words],
            cwd=self.directory,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def process(self, *words: str, stdin: str | None = None, **env: str) -> Ended:
        """The command in a process of its own, forked where that does (see `processes`)."""
        if not CAN_FORK or read_at_start(env):
            return self.fresh(*words, stdin=stdin, **env)
        with TemporaryFile() as out:
            code, err = self.into(out.fileno(), *words, stdin=stdin, **env)
            out.seek(0)
            return Ended(code, out.read().decode(), err)

    def into(
        self, stdout: int | None, *words: str, stdin: str | None = None, **env: str
    ) -> tuple[int, str]:
        """The command in a process whose stdout is that, or closed: exit code and stderr."""
        with TemporaryFile() as given, TemporaryFile() as err:
            given.write((stdin or "").encode())
            given.seek(0)
            streams = (given.fileno(), stdout, err.fileno())
            forked = processes.fork(
                *words, directory=self.directory, env=environment(**env), streams=streams
            )
            with closing(forked):
                code = forked.wait(60)
            err.seek(0)
            return code, err.read().decode()

    def fresh(self, *words: str, stdin: str | None = None, **env: str) -> Ended:
        """The command in an interpreter that starts for it, as it does for a user."""
        done = subprocess.run(
            [sys.executable, "-m", "replayt_cli", *words],
            cwd=self.directory,
            env=environment(**env),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def call(self, *words: str) -> Ended:
        """The command in this process; the working directory is ours already."""
        self._capsys.readouterr()
        code = main(words)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def call_as_program(self) -> Ended:
        """The program without words, in this process: the environment says what it does."""
        self._capsys.readouterr()
        code = main()
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def log(self, run_id: str, log_dir: str = ".replayt/runs") -> Path:
        return self.directory / log_dir / f"{run_id}.jsonl"

    def events(self, run_id: str, log_dir: str = ".replayt/runs") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log(run_id, log_dir).read_bytes().splitlines()]


def one_line(ended: Ended) -> str:
    """The one line on stderr that a mistake leads to; nothing on stdout, no traceback (SC-119)."""
    assert ended.out == ""
    assert "Traceback" not in ended.err
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("replayt: ")
    return lines[0].removeprefix("replayt: ")


SORTS = """
from pydantic import BaseModel
from replayt_core import Workflow

wf = Workflow("sorts", version="1")
wf.set_initial("read")


class Label(BaseModel):
    label: str


@wf.step("read", to=["urgent", "later"])
def read(ctx):
    @ctx.tools.register
    def look_up(number: int) -> str:
        return f"issue {number}"

    number = ctx.get("number")
    text = ctx.tools.call("look_up", {"number": number})
    prompt = f"Choose a label for {text}.\\nOne word."
    answer = ctx.llm.parse(Label, messages=[{"role": "user", "content": prompt}])
    ctx.set("label", answer.label)
    ctx.set("number", number)
    ctx.because("numbers above 10 are urgent")
    return "urgent" if number > 10 else "later"


@wf.step("urgent")
def urgent(ctx):
    ctx.set("done", True)


@wf.step("later")
def later(ctx):
    return None
"""


def on_terminal(shell: Shell, *words: str, columns: int = 80) -> tuple[int, str]:
    """The exit code of a command, and what a terminal of that width was sent."""
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(TERM="dumb")
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    try:
        forked = processes.fork(*words, directory=shell.directory, env=env, streams=(theirs,) * 3)
    finally:
        os.close(theirs)
    sent = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # so Linux says that the other side is closed
            break
        if not part:
            break
        sent += part
    os.close(ours)
    return forked.wait(60), sent.decode()
