"""Seeing a run while it is executed, in a pseudo-terminal (issue 6 point 2)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import ASKS_MODEL, FAILS, GATE, HELLO, SORTS, Ended, Shell, environment
from tests.cli.model import Model, answering
from tests.cli.terminal import ended, run, screen, spawn, too_wide

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

LABELS = """
from pydantic import BaseModel
from replayt_core import Workflow

wf = Workflow("labels", version="1")
wf.set_initial("ask")


class Label(BaseModel):
    label: str


@wf.step("ask", to=["look"])
def ask(ctx):
    ctx.llm.parse(Label, messages=[{"role": "user", "content": "which?"}])
    return "look"


@wf.step("look")
def look(ctx):
    @ctx.tools.register
    def look_up(name: str) -> str:
        return open(name).read()

    ctx.tools.call("look_up", {"name": "pipe"})
"""

WAITS = """
import os
from replayt_core import RetryPolicy, Workflow

wf = Workflow("waits", version="1")
wf.set_initial("start")


@wf.step("start", to=["wait"])
def start(ctx):
    return "wait"


@wf.step("wait", to=["wait"], retries=RetryPolicy(max_attempts=2, backoff_seconds=0.3))
def wait(ctx):
    HERE
"""


def waits(shell: Shell, *lines: str) -> None:
    shell.write("flow.py", WAITS.replace("HERE", "\n    ".join(lines)))


HELD = "open('pipe').read()"
"""What a handler does that goes on when the test says so."""


def run_held(shell: Shell, *words: str, drawn: str, **options: Any) -> tuple[int, str]:
    """As `run`, of a flow with a handler that is `HELD` until a line with that text is drawn."""
    pipe = shell.directory / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    child = spawn(shell.directory, *words, **options)
    child.expect_exact(drawn)
    before = child.before + drawn
    pipe.write_text("go")
    code, sent = ended(child)
    return code, before + sent


def shown(sent: str) -> list[str]:
    """What stands above the outcome, with every time as N."""
    lines = screen(sent)
    assert "" in lines, sent
    return [re.sub(r" +\d+(\.\d+)? m?s", " N", line) for line in lines[: lines.index("")]]


def draws(sent: str) -> list[str]:
    """All that was drawn on the line for what is going on."""
    drawn = re.findall(r"\r([⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏|/\\-] [^\r\n]*)", sent)
    return [text.rstrip() for text in drawn]


@pytest.fixture
def model() -> Model:
    with answering() as server:
        yield server


def test_each_finished_visit_is_a_line(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 0
    assert shown(sent) == ["run a  hello@2", "greet N", "done N"]
    assert screen(sent)[4].startswith("run_id=a")


def test_it_says_which_model_is_waited_for_and_when_it_is_asked_again(
    shell: Shell, model: Model
) -> None:
    """The wait, the retry and its reason, tokens and tool: all of it from the log."""
    shell.write("flow.py", LABELS)
    os.mkfifo(shell.directory / "pipe")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a", **model.env)
    child.expect_exact("ask: waiting for model tiny, 0 s")
    model.answer(429, {"error": {"message": "slow down"}}, Retry_After_Ms="400")
    child.expect(r"ask: waiting for model tiny, retry 1 of 2 in \d+ s")
    model.answer(503, {}, Retry_After_Ms="300")
    child.expect(r"ask: waiting for model tiny, retry 2 of 2 in \d+ s")
    model.answer()
    child.expect_exact("look: tool look_up, 0 s")
    (shell.directory / "pipe").write_text("found")
    code, sent = ended(child)
    assert code == 0
    assert shown(sent)[-1] == "look N  tool look_up"
    retries = [event["payload"] for event in shell.events("a") if event["type"] == "llm_retry"]
    assert [retry["max_retries"] for retry in retries] == [2, 2]


def test_the_line_of_a_visit_names_models_tokens_retries_cost_and_tools(
    shell: Shell, model: Model
) -> None:
    shell.write("flow.py", LABELS)
    shell.write("pipe", "found")
    shell.write("prices.json", '{"tiny": {"input": 1000, "output": 2000}}')
    model.answer(503, {}, Retry_After="0")
    model.answer()
    words = ("run", "flow.py", "--run-id", "a", "--prices", "prices.json")
    code, sent = run(shell.directory, *words, columns=100, **model.env)
    assert code == 0
    assert shown(sent) == [
        "run a  labels@1",
        "ask N  tiny, 400 tokens; 1 retry (503; waited N); $0.5000",
        "look N  tool look_up",
    ]
    said = "\n".join(screen(sent))
    assert re.search(r"1 model call \(to .+\), 1 tool call, 400 tokens, \$0.5000, 1 retry;", said)


def test_a_failed_attempt_says_what_follows_and_the_wait_is_counted_down(shell: Shell) -> None:
    waits(shell, "if ctx.attempt == 1:", "    raise ValueError('no luck')")
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 0
    lines = shown(sent)
    assert lines[1] == "start N"
    assert re.fullmatch(r"wait N  attempt 2 of 2 in N: ValueError: no luck", lines[2])
    assert lines[3] == "wait (attempt 2) N"
    assert any(text[2:].startswith("wait: attempt 2 of 2 in") for text in draws(sent))


def test_lines_below_a_long_name_stay_in_its_columns(shell: Shell) -> None:
    waits(
        shell,
        "if (ctx.visit, ctx.attempt) == (2, 1): raise ValueError('no luck')",
        "return None if ctx.visit == 3 else 'wait'",
    )
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 0
    lines = [
        line for line in screen(sent) if line.startswith(("wait (visit 2, at", "wait (visit 3"))
    ]
    assert len(lines) == 2
    assert len({len(line) for line in lines}) == 1, lines


def test_a_run_that_fails_says_where_and_how_to_go_on(shell: Shell) -> None:
    """SC-110, SC-119: escaped, with the place, and the command that retries."""
    shell.write("flow.py", FAILS)
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 1
    assert shown(sent)[1] == r"only N  failed: ValueError: bad \x1b[31mnews\u202e"
    assert "to try its last state again: replayt resume flow.py a --retry-failed" in screen(sent)


def test_a_pause_shows_what_answers_it_and_the_resume_what_was_served(shell: Shell) -> None:
    gate = GATE.replace("    if ctx.is_approved", CALLS + "    if ctx.is_approved", 1)
    shell.write("flow.py", gate)
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 2
    assert shown(sent)[1] == "review N  waits for approval publish; tool look_up x2"
    (command,) = re.findall(r"approve: replayt (.+)", "\n".join(screen(sent)))
    code, sent = run(shell.directory, *command.split())
    assert code == 0
    assert shown(sent) == [
        "run a  gate@1 goes on after an approval",
        "review N  2 calls served from the log",
        "publish N",
    ]
    assert any("2 served from the log" in line for line in screen(sent))


CALLS = """
    @ctx.tools.register
    def look_up(number: int) -> int:
        return number

    for number in (1, 2):
        ctx.tools.call("look_up", {"number": number})

"""


def test_a_fork_is_shown_with_its_parent(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    code, sent = run(shell.directory, "fork", "flow.py", "a", "--at", "done", "--run-id", "b")
    assert code == 0
    assert shown(sent) == ["run b  hello@2  forked from a", "done N"]


def test_what_the_users_code_prints_stands_on_lines_of_its_own(shell: Shell) -> None:
    """Whatever way it takes to the terminal, and while the line below is drawn."""
    waits(
        shell,
        "import logging, subprocess, sys, time",
        HELD,
        "logging.basicConfig(format='%(message)s', force=True)",
        "for number in range(3):",
        "    time.sleep(0.12)",
        "    print('printed', number)",
        "logging.warning('logged')",
        "print('on stdout', file=sys.__stdout__)",
        "print('half ', end='', flush=True)",
        "time.sleep(0.12)",
        "print('a line')",
        "time.sleep(0.12)",
        "subprocess.run(['sh', '-c', 'echo from a child; sleep 0.2; echo and again'])",
        "print('\\x1b[1mbold\\x1b[0m')",
        "print('left open', end='')",
    )
    code, sent = run_held(shell, "run", "flow.py", "--run-id", "a", drawn="wait, 0 s")
    assert code == 0
    assert shown(sent) == [
        "run a  waits@1",
        "start N",
        "printed 0",
        "printed 1",
        "printed 2",
        "logged",
        "on stdout",
        "half a line",
        "wait …",
        "from a child",
        "and again",
        "bold",
        "left open",
        "wait N",
    ]
    assert any(text[2:].startswith("wait, ") for text in draws(sent))


def test_a_question_of_the_users_code_is_not_drawn_over(shell: Shell) -> None:
    waits(shell, "print('hello', input('your name? '))", "input()")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.setecho(True)
    child.expect_exact("your name? ")
    before = child.before
    child.sendline("Ada")
    child.expect_exact("hello Ada")
    asked = child.before
    child.sendline("")
    code, sent = ended(child)
    assert code == 0
    assert draws(asked) == []
    lines = shown(f"{before}your name? {asked}hello Ada{sent}")
    assert lines[:4] == ["run a  waits@1", "start N", "your name? Ada", "hello Ada"]


@pytest.mark.parametrize(
    "asks",
    [
        "import getpass; getpass.getpass('word? ')",
        "import sys; print('word? ', end='', flush=True); sys.stdin.readline()",
        "print('word? ', end=''); input()",
    ],
    ids=["getpass", "stdin", "input"],
)
def test_whatever_way_is_asked_the_line_stays_away(shell: Shell, asks: str) -> None:
    """And a line that the answer has ended is not ended again."""
    waits(shell, HELD, asks)
    os.mkfifo(shell.directory / "pipe")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.expect_exact("wait, 0 s")
    (shell.directory / "pipe").write_text("go")
    before = child.before + "wait, 0 s"
    child.expect_exact("word? ")
    before += child.before + "word? "
    time.sleep(0.25)  # what must not happen takes its time: two draws
    child.sendline("")
    code, sent = ended(child)
    assert code == 0
    assert draws(sent) == []
    # This terminal does not echo the Enter; `getpass` ends the line by itself.
    enter = "" if "getpass" in asks else "\r\n"
    lines = shown(f"{before}{enter}{sent}")
    assert lines == ["run a  waits@1", "start N", "word?", "wait N"]


def test_a_second_process_finds_the_line_free(shell: Shell) -> None:
    """Also where the state before had started one too, and no look was between them."""
    waits(
        shell,
        "import subprocess",
        f"if ctx.visit == 3: {HELD}",
        "subprocess.run(['sh', '-c', 'sleep 0.25; printf open'])",
        "return None if ctx.visit == 3 else 'wait'",
    )
    # It comes back, behind what the second process has left open.
    code, sent = run_held(shell, "run", "flow.py", "--run-id", "a", drawn="wait (visit 3), 0 s")
    assert code == 0
    assert sum("open" in line for line in screen(sent)) == 3


def test_a_handler_may_fork_while_the_line_is_drawn(shell: Shell) -> None:
    """A child must not inherit a lock that nobody in it releases."""
    waits(
        shell,
        "import multiprocessing, warnings",
        "warnings.simplefilter('ignore')",
        "for number in range(20):",
        "    print('parent', number)",
        "    pid = os.fork()",
        "    if pid == 0:",
        "        print('child', number, flush=True)",
        "        os._exit(0)",
        "    os.waitpid(pid, 0)",
        "process = multiprocessing.get_context('fork').Process(target=print, args=('other',))",
        "process.start()",
        "process.join()",
    )
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a")
    assert code == 0
    lines = screen(sent)
    assert [line for line in lines if line.startswith("child")] == [
        f"child {number}" for number in range(20)
    ]
    assert "other" in lines


def test_it_is_drawn_at_most_ten_times_a_second(shell: Shell) -> None:
    waits(shell, "import time", "time.sleep(0.5)")
    started = time.monotonic()
    code, sent = run(shell.directory, "run", "flow.py")
    assert code == 0
    assert 1 <= len(draws(sent)) <= 10 * (time.monotonic() - started) + 1


def test_no_colour_is_no_escape_sequence_and_all_the_rest(shell: Shell) -> None:
    """The cursor is never hidden, so nothing is left behind by a process that is killed."""
    waits(shell, HELD)
    words = ("run", "flow.py", "--run-id")
    _, plain = run_held(shell, *words, "a", drawn="wait, 0 s", NO_COLOR="1")
    _, coloured = run_held(shell, *words, "b", drawn="wait, 0 s")
    assert "\x1b" not in plain
    assert "\x1b[32mstart" in coloured
    assert shown(coloured.replace("run b", "run a")) == shown(plain)
    assert draws(plain)
    assert set(re.findall(r"\x1b\[[^m]*[a-zA-Z]", coloured)) <= {"\x1b[1m", "\x1b[32m", "\x1b[0m"}


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
def test_where_nothing_can_be_drawn_there_are_plain_lines(
    shell: Shell, env: dict[str, str]
) -> None:
    waits(shell, "import time", "time.sleep(0.25)")
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a", **env)
    assert code == 0
    assert shown(sent) == ["run a  waits@1", "start N", "wait N"]
    assert "\r" not in sent.replace("\r\n", "")


def test_it_can_be_switched_off(shell: Shell) -> None:
    """SC-137: with `--output json` nothing but the document, whatever a person looks at."""
    waits(shell, "import time", "time.sleep(0.15)")
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a", "--quiet")
    assert (code, screen(sent)[0]) == (0, "run_id=a")
    code, sent = run(shell.directory, "fork", "flow.py", "a", "--at", "wait", "-q")
    assert code == 0
    assert screen(sent)[0].startswith("run_id=")
    code, sent = run(shell.directory, "run", "flow.py", "--output", "json")
    assert code == 0
    assert json.loads(sent)["status"] == "completed"


def test_a_pipe_is_shown_nothing(shell: Shell) -> None:
    """SC-119: progress is for a terminal."""
    shell.write("flow.py", HELLO)
    ended = shell.call("run", "flow.py")
    assert (ended.code, ended.err) == (0, "")


WIDE = """
from replayt_core import Workflow

A, B = "質問" * 20, "b \\x1b[31m\\u202e" + "x" * 90
wf = Workflow("wide", version="1")
wf.set_initial(A)


@wf.step(A, to=[B])
def first(ctx):
    HELD
    return B


@wf.step(B)
def second(ctx):
    raise ValueError("質問 " * 40)
""".replace("HELD", HELD)


@pytest.mark.parametrize("columns", [40, 200])
def test_lines_are_cut_to_the_width(shell: Shell, columns: int) -> None:
    shell.write("flow.py", WIDE)
    words = ("run", "flow.py", "--run-id", "a")
    code, sent = run_held(shell, *words, drawn="質…, 0 s", columns=columns)
    assert code == 1
    assert draws(sent)
    commands = [line for line in too_wide(sent, columns) if "replayt resume" in line]
    states = [line for line in too_wide(sent, columns) if line.startswith("final_state=")]
    assert too_wide(sent, columns) == [*states, *commands]


def test_a_terminal_that_gets_narrower_is_asked_again(shell: Shell) -> None:
    waits(shell, "print('now', flush=True)", "input()")
    shell.write(
        "flow.py", (shell.directory / "flow.py").read_text().replace('"wait"', f'"{"w" * 60}"')
    )
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.expect_exact("now")
    child.setwinsize(24, 30)
    child.sendline("")
    code, sent = ended(child)
    assert code == 0
    assert [line for line in screen(sent) if line.startswith("ww")]
    assert [line for line in too_wide(sent, 30) if line.startswith("w")] == []


def test_ctrl_c_takes_the_line_away_and_says_how_to_go_on(shell: Shell) -> None:
    waits(shell, "import threading", "threading.Event().wait()")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.expect_exact("wait, 0 s")
    child.sendintr()
    code, sent = ended(child)
    assert code == 130
    lines = screen(sent)
    assert re.fullmatch(r"wait +[0-9.]+ m?s  interrupted by SIGINT", lines[0])
    assert lines[1:] == ["", "replayt: interrupted; to go on: replayt resume flow.py a", ""]
    assert shell.events("a")[-1]["type"] == "run_interrupted"


def test_the_watchdog_ends_a_run_that_is_shown(shell: Shell) -> None:
    waits(
        shell,
        "import threading",
        "while True:",
        "    try: threading.Event().wait()",
        "    except BaseException: pass",
    )
    code, sent = run(shell.directory, "run", "flow.py", "--run-id", "a", "--timeout", "0.3")
    assert code == 1
    assert screen(sent)[2].startswith("replayt: timed out after 0.3 s")
    assert shell.events("a")[-1]["payload"]["status"] == "failed"


def test_a_terminal_that_stops_does_not_stop_the_run(shell: Shell) -> None:
    """Ctrl-S: the run goes on to its end, and is shown when the terminal goes on."""
    waits(
        shell,
        "if ctx.visit == 1:",
        "    open('pipe').read()",
        "if ctx.visit <= 30: return 'wait'",
        "open('end', 'w').close()",
    )
    os.mkfifo(shell.directory / "pipe")
    os.mkfifo(shell.directory / "end")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.expect_exact("wait, 0 s")
    terminal = os.open(os.ttyname(child.child_fd), os.O_RDWR | os.O_NOCTTY)
    termios.tcflow(terminal, termios.TCOOFF)
    (shell.directory / "pipe").write_text("go")
    (shell.directory / "end").read_text()  # until the last visit
    while b"run_completed" not in shell.log("a").read_bytes():
        assert child.isalive()
    termios.tcflow(terminal, termios.TCOON)
    os.close(terminal)
    code, sent = ended(child)
    assert code == 0
    assert shown(sent)[-1] == "wait (visit 31) N"


def test_a_terminal_that_stops_does_not_hold_up_a_process_that_is_started(shell: Shell) -> None:
    """Its start is told to the display, which does not get on; the run does."""
    waits(
        shell,
        "import subprocess",
        "subprocess.run(['true'])",
        "if ctx.visit <= 5: return 'wait'",
        "open('end', 'w').close()",
    )
    os.mkfifo(shell.directory / "end")
    ours, theirs = os.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    with subprocess.Popen(
        [sys.executable, "-m", "replayt_cli", "run", "flow.py", "--run-id", "a"],
        cwd=shell.directory,
        env=environment(TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        (shell.directory / "end").read_text()  # until the last visit
        while b"run_completed" not in shell.log("a").read_bytes():
            assert process.poll() is None
        termios.tcflow(theirs, termios.TCOON)
        os.close(theirs)
        while read_some(ours):
            pass
    os.close(ours)
    assert process.returncode == 0


def read_some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # so Linux says that the other side is closed
        return b""


def test_a_terminal_that_goes_away_does_not_harm_the_run(shell: Shell) -> None:
    """An error of the display ends the display."""
    waits(
        shell,
        "if ctx.visit == 1:",
        "    open('pipe').read()",
        "return None if ctx.visit > 5 else 'wait'",
    )
    os.mkfifo(shell.directory / "pipe")
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "replayt_cli", "run", "flow.py", "--run-id", "a"],
        cwd=shell.directory,
        env=environment(TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        assert os.read(ours, 100)
        os.close(ours)
        (shell.directory / "pipe").write_text("go")
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "status=completed" in out
    assert shell.events("a")[-1]["payload"]["status"] == "completed"


ASYNC = """
import asyncio
from pydantic import BaseModel
from replayt_core import Workflow

wf = Workflow("both", version="1")
wf.set_initial("ask")


class Label(BaseModel):
    label: str


@wf.step("ask")
async def ask(ctx):
    asked = [{"role": "user", "content": "which?"}]
    await asyncio.gather(*(ctx.llm.parse(Label, messages=asked) for _ in range(2)))
"""


def test_calls_at_the_same_time_are_shown_together(shell: Shell, model: Model) -> None:
    shell.write("flow.py", ASYNC)
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a", **model.env)
    child.expect_exact("ask: waiting for model tiny x2, 0 s")
    model.answer()
    model.answer()
    code, sent = ended(child)
    assert code == 0
    assert "tiny x2, 800 tokens" in sent


# The closing line, which is there on a pipe too.


@pytest.fixture
def asks(shell: Shell, model: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs a workflow that asks the model, which answers."""
    for name, value in model.env.items():
        monkeypatch.setenv(name, value)
    shell.write("flow.py", ASKS_MODEL.replace("    score: float", "").replace("answer.score", "1"))

    def ask(*words: str) -> Ended:
        model.answer()
        ended = shell.call("run", "flow.py", *words)
        assert ended.code == 0, ended.err
        return ended

    return ask


def test_the_closing_line_says_what_it_cost_or_what_has_no_price(
    shell: Shell, asks: Callable[..., Ended]
) -> None:
    """SC-128, and the cost in the document: null where a part of it is not known."""

    def closing(*words: str) -> str:
        return asks(*words).out.splitlines()[-1]

    assert ", 400 tokens, unpriced: tiny-1, 0 retries; log " in closing()
    shell.write("prices.json", '{"tiny-1": {"input": 1, "output": 2}}')
    priced = ("--prices", "prices.json")
    assert ", 400 tokens, $0.0005, 0 retries; log " in closing(*priced)
    shell.write("others.json", '{"large": {"input": 1, "output": 2}}')
    assert ", unpriced: tiny-1, " in closing("--prices", "others.json")
    asked = asks("-o", "json", *priced).json
    assert (asked["cost_usd"], asked["unpriced_models"]) == (0.0005, [])
    asked = asks("-o", "json").json
    assert (asked["cost_usd"], asked["unpriced_models"]) == (None, ["tiny-1"])


def test_what_no_model_was_called_for_costs_nothing(shell: Shell) -> None:
    """SC-128: an answer that is made up never looks like one that was paid for."""
    shell.write("flow.py", SORTS)
    words = ("run", "flow.py", "--input", "number=1", "--dry-run")
    last = shell.call(*words).out.splitlines()[-1]
    assert last.startswith("1 model call (offline: no model was called), 1 tool call, 0 tokens, ")
    assert "unpriced" not in last
    document = shell.call(*words, "-o", "json").json
    assert (document["cost_usd"], document["unpriced_models"]) == (0, [])


@pytest.mark.parametrize("command", ["run", "resume", "fork"])
def test_prices_that_cannot_be_used_are_64_before_anything_happens(
    shell: Shell, command: str
) -> None:
    shell.write("flow.py", GATE)
    shell.write("prices.json", "[]")
    assert shell.call("run", "flow.py", "--run-id", "a").code == 2
    before = shell.log("a").read_bytes()
    words = {"run": (), "resume": ("a", "--approval", "publish"), "fork": ("a", "--at", "review")}
    refused = shell.call(command, "flow.py", *words[command], "--prices", "prices.json")
    assert refused.code == 64
    assert "prices.json" in refused.err
    assert shell.log("a").read_bytes() == before
    assert [path.name for path in Path(".replayt/runs").glob("*.jsonl")] == ["a.jsonl"]


def test_a_signal_while_the_line_is_drawn_leaves_128_plus_n(shell: Shell) -> None:
    waits(shell, "import threading", "threading.Event().wait()")
    child = spawn(shell.directory, "run", "flow.py", "--run-id", "a")
    child.expect_exact("wait, 0 s")
    child.kill(signal.SIGTERM)
    code, sent = ended(child)
    assert code == 143
    assert "interrupted by SIGTERM" in sent
