"""Names of two columns a character: what the commands show of them ends where the terminal does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replayt_cli.render.columns import columns_of
from replayt_cli.render.text import hang, wrap
from tests.cli.helpers import Shell

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

FIRST, SECOND = "問い合わせを読む段階の長い名前です", "承認を待っている状態の長い名前です"
FLOW = f"""
from pydantic import BaseModel
from replayt_core import RetryPolicy, Workflow

FIRST, SECOND = {FIRST!r}, {SECOND!r}
wf = Workflow("問い合わせを読んで振り分ける作業流れ" * 3, version="版一二三")
wf.set_initial(FIRST)


class Label(BaseModel):
    札: str


@wf.step(FIRST, to=[SECOND], retries=RetryPolicy(max_attempts=2, backoff_seconds=0.01))
def first(ctx):
    @ctx.tools.register
    def 調べる(番号: int) -> str:
        return "結果" * 30

    ctx.tools.call("調べる", {{"番号": 3}})
    ctx.llm.parse(Label, messages=[{{"role": "user", "content": "質問" * 40}}])
    ctx.set("鍵" * 12, "値" * 60)
    ctx.note("覚え書き", summary="要約" * 40)
    ctx.because("理由を述べる" * 20)
    if ctx.get("bad"):
        raise ValueError("失敗した" * 30)
    return SECOND


@wf.step(SECOND)
def second(ctx):
    ctx.request_approval("承認" * 8, summary="公開しますか" * 9, details={{"詳細": "内容" * 40}})
"""
COMMANDS = [
    "runs",
    "runs --status paused",
    "inspect a",
    "inspect b",
    "replay a",
    "replay b",
    "why a",
    "diff a b",
    "diff a a",
    "verify a",
    "verify --all --target flow.py",
    "stats",
    "query|SELECT run_id, workflow, state, tags, path FROM runs",
    "query|SELECT * FROM runs",
    "query|SELECT workflow AS 作業の流れ, count(*) AS 数 FROM runs GROUP BY ALL",
    "gc --older-than 0s --dry-run",
    "doctor --log-dir 記録をここに置くことにしました",
    "resume flow.py a",
]
WHOLE = (" resume ", "workflow=", "--by NAME")
"""In lines that are as long as what they say: commands to copy, values for programs, hints."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paused run `a` and a failed one `b`."""
    shell = Shell(tmp_path_factory.mktemp("wide"), None)
    shell.write("flow.py", FLOW)
    words = ("run", "flow.py", "--dry-run", "--tag", "環境=本番の環境です", "--run-id")
    assert shell.process(*words, "a").code == 2
    assert shell.process(*words, "b", "--input", "bad=true").code == 1
    return shell.directory


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("line", COMMANDS)
def test_no_line_is_wider_than_the_terminal(runs: Path, line: str, columns: int) -> None:
    from tests.cli.terminal import run, too_wide

    words = line.split("|") if "|" in line else line.split()
    code, sent = run(runs, *words, columns=columns)
    assert code in (0, 2), sent
    wide = [shown for shown in too_wide(sent, columns) if not any(part in shown for part in WHOLE)]
    assert wide == []


def test_a_title_goes_on_below_itself(runs: Path) -> None:
    """Not two columns further to the right, where the last word would pass the edge."""
    from tests.cli.terminal import run, screen

    _, sent = run(runs, "replay", "b", columns=80)
    lines = screen(sent)
    at = next(number for number, line in enumerate(lines) if line.endswith("note 覚え書き:"))
    title = lines[at].index("note")
    continued = lines[at + 1]
    assert len(continued) - len(continued.lstrip()) == title + 2
    assert columns_of(continued) in (79, 80)


def test_colour_takes_no_room() -> None:
    painted = "\x1b[31mfailed\x1b[0m"
    assert columns_of(painted) == len("failed")
    assert wrap(f"run abc  {painted}", len("run abc  failed"), indent="") == [f"run abc  {painted}"]
    assert wrap(f"run abc  {painted}", 12, indent="") == ["run abc", f"  {painted}"]


def test_what_hangs_beside_a_label_goes_on_below_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replayt_cli.render.text.width", lambda: 40)
    hang("  looked at  ", "an input that is longer than what is left of the line")
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "  looked at  an input that is longer"
    assert others == ["             than what is left of the", "             line"]
