"""What the shells are told may come next; in bash, zsh and fish themselves where they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from replayt_cli.completion.answer import answer
from replayt_cli.completion.bash_line import insertion, read_line
from replayt_cli.completion.patience import Patience, TimeUp
from replayt_cli.completion.runs import newest_runs
from replayt_cli.completion.scripts import SHELLS
from replayt_cli.completion.words import Candidate
from replayt_cli.main import commands, groups
from replayt_cli.project.bundled_examples import load_examples
from replayt_cli.project.scaffold import TEMPLATES
from replayt_core.payloads import PAYLOADS
from replayt_store import JSONLStore
from tests.cli.helpers import GATE, HELLO, Shell, one_line
from tests.cli.shells import Prompt, fish_candidates, with_command

# Of the form that is made for a run; its short id, the end of it, does not begin as it does.
GENERATED = "01a0c9d2-7e55-7000-8f3a-92b4d6e8f1a3"
SHORT = GENERATED[-8:]
ELSEWHERE = "jsonl:///folder/my logs"
LLM_TYPES = ["llm_request", "llm_response", "llm_retry"]
STATUSES = ["completed", "failed", "paused", "interrupted", "running", "damaged"]
ASKS = """
from replayt_core import Workflow

wf = Workflow("release", version="1")
wf.set_initial("look over")


@wf.step("look over", to=["ship"])
def look_over(ctx):
    for approval_id in ("legal", "ship it"):
        if not ctx.is_approved(approval_id):
            ctx.request_approval(approval_id, summary=f"Is it \\t{approval_id}?")
    return "ship"


@wf.step("ship")
def ship(ctx):
    return None
"""
CRASHES = """
import os
from replayt_core import Workflow

wf = Workflow("crashes")
wf.set_initial("pay")


@wf.step("pay")
def pay(ctx):
    @ctx.tools.register
    def charge(amount: int) -> int:
        os._exit(3)

    ctx.tools.call("charge", {"amount": 1})
"""
HOSTILE = (
    'it\'s  "$(touch executed)" `touch executed`; touch executed # \\ ~ * \u2019; touch executed',
    "it's!x",
    "ends in \\",
)
"""Names that a shell would act on, or change, if it read them as its own."""
UNSHOWN = "one\ntouch executed"
HOSTILE_FLOW = """
from replayt_core import Workflow

wf = Workflow("hostile")
wf.set_initial("ask")


@wf.step("ask")
def ask(ctx):
    ctx.request_approval(ctx.get("id"), summary="$(touch executed) `touch executed`")
"""
OPENED = """
import sys
opened = []
sys.addaudithook(
    lambda event, args: event == "open" and str(args[0]).endswith(".jsonl") and opened.append(args)
)
from replayt_cli.completion.patience import Patience
from replayt_cli.completion.runs import newest_runs
from replayt_store import JSONLStore

times = iter(range(0, 1_000_000, 10))
store = JSONLStore(".replayt/runs")
found = list(newest_runs(store, sys.argv[1], Patience(lambda: next(times))))
print(len(opened), *(candidate.value for candidate in found))
"""
LISTED = """
import json, os, sys
from replayt_cli.main import main
code = main()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def runs(shell: Shell) -> Shell:
    """A completed run `alpha`, a paused one `beta`, and one with a generated id elsewhere."""
    shell.write("flow.py", HELLO)
    shell.write("gate.py", GATE)
    shell.write("flat.txt", "")
    assert shell.call("run", "flow.py", "--run-id", "alpha").code == 0
    assert shell.call("run", "gate.py", "--run-id", "beta").code == 2
    elsewhere = ["--log-dir", "folder/my logs", "--run-id", GENERATED]
    assert shell.call("run", "flow.py", *elsewhere).code == 0
    return shell


def ask(shell: Shell, *words: str, **env: str) -> tuple[str, list[list[str]]]:
    """Who completes the last of the words, and the candidates, as zsh is told."""
    kind, *lines = answered(shell, *words, **env).splitlines()
    return kind, [line.split("\t") for line in lines]


def answered(shell: Shell, *words: str, **env: str) -> str:
    """All that zsh is told, without a word on stderr."""
    asked = {
        "_REPLAYT_COMPLETE": "zsh",
        "_REPLAYT_WORDS": "\n".join(["replayt", *words[:-1]]),
        "_REPLAYT_WORD": words[-1],
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**asked, **env}.items():
            patch.setenv(name, value)
        ended = shell.call_as_program()
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def values(shell: Shell, *words: str, **env: str) -> list[str]:
    kind, candidates = ask(shell, *words, **env)
    assert kind == "values"
    return [value for value, _ in candidates]


# --- what may come next ---------------------------------------------------------------------------


def test_commands_come_with_what_they_are_about(shell: Shell) -> None:
    kind, candidates = ask(shell, "")
    assert kind == "values"
    names = [command.__name__ for command in commands()] + [group.info.name for group in groups()]
    assert [name for name, _ in candidates] == names
    assert all(about for _, about in candidates)
    assert ["runs", "List recent runs, newest first."] in candidates
    assert values(shell, "ru") == ["run", "runs"]
    assert values(shell, "--debug", "doc") == ["doctor"]
    assert values(shell, "store", "") == ["copy", "rebuild", "repair"]
    assert values(shell, "nosuch", "") == []


@pytest.mark.parametrize("command", [command.__name__ for command in commands()])
def test_options_of_each_command_are_those_of_its_help(shell: Shell, command: str) -> None:
    shown = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shell.call(command, "--help").out, re.M))
    assert set(values(shell, command, "--")) == shown


def test_options_that_were_given_are_not_offered_again(shell: Shell) -> None:
    assert "--log-dir" not in values(shell, "run", "--log-dir", "x", "flow.py", "--")
    assert "--tag" in values(shell, "run", "--tag", "a=b", "flow.py", "--")
    assert values(shell, "runs", "--", "--st") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["runs", "--status", ""], STATUSES),
        (["runs", "--status", "pa"], ["paused"]),
        (["runs", "--status=pa"], ["--status=paused"]),
        (["gc", "--status", "d"], ["damaged"]),
        (["run", "--log-mode", ""], ["redacted", "full", "structured_only"]),
        (["doctor", "-o", ""], ["text", "json"]),
        (["query", "SELECT 1", "--format", "p"], ["parquet"]),
        (["init", "--template", ""], list(TEMPLATES)),
        (["init", "--ci", ""], ["github"]),
        (["inspect", "a", "--type", ""], list(PAYLOADS)),
        (["inspect", "a", "--type=llm_re"], [f"--type={name}" for name in LLM_TYPES]),
        (["runs", "--store", ""], ["jsonl:///", "sqlite:///"]),
        (["--show-completion", ""], list(SHELLS)),
        (["runs", "--limit", ""], []),
        (["run", "--debug=x"], []),
    ],
)
def test_choices(shell: Shell, words: list[str], expected: list[str]) -> None:
    assert values(shell, *words) == expected


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["run", ""], "files"),
        (["run", "fl"], "files"),
        (["resume", "--timeout", "3", ""], "files"),
        (["verify", "--target", ""], "files"),
        (["verify", "--target=fl"], "files"),
        (["runs", "--sqlite", ""], "files"),
        (["runs", "--log-dir", ""], "dirs"),
        (["runs", "--log-dir=x"], "dirs"),
        (["init", "-p", ""], "dirs"),
    ],
)
def test_what_the_shell_completes_itself(shell: Shell, words: list[str], kind: str) -> None:
    assert ask(shell, *words) == (kind, [])


# --- runs -----------------------------------------------------------------------------------------


def test_runs_are_offered_newest_first_with_what_they_are(runs: Shell) -> None:
    kind, candidates = ask(runs, "inspect", "")
    assert kind == "values"
    assert [name for name, _ in candidates] == ["@last", "beta", "alpha"]
    assert candidates[0][1].startswith("the newest: paused, gate@1, 20")
    assert candidates[1][1].startswith("paused, gate@1, ")
    assert candidates[2][1].startswith("completed, hello@2, ")
    assert values(runs, "resume", "gate.py", "b") == ["beta"]
    assert values(runs, "replay", "@") == ["@last", "@-2"]
    assert values(runs, "store", "repair", "al") == ["alpha"]


def test_a_short_id_is_what_the_listing_shows_and_a_whole_one_is_completed(runs: Shell) -> None:
    where = ["--log-dir", "folder/my logs"]
    assert SHORT in runs.call("runs", *where).out
    assert values(runs, "why", *where, "") == ["@last", SHORT]
    assert values(runs, "why", *where, SHORT[:3]) == [SHORT]
    assert values(runs, "why", *where, GENERATED[:13]) == [GENERATED]


@pytest.mark.parametrize(
    "earlier",
    [
        ["--log-dir", "folder/my logs"],
        ["--log-dir=folder/my logs"],
        ["--store", "jsonl:///folder/my logs"],
        ["--log-dir", "$HOME/folder/my logs"],
        ["--log-dir", "~/folder/my logs"],
    ],
)
def test_the_store_is_the_one_earlier_on_the_line(runs: Shell, earlier: list[str]) -> None:
    found = values(runs, "inspect", *earlier, "", HOME=str(runs.directory))
    assert found == ["@last", SHORT]


def test_the_store_is_else_that_of_the_configuration(runs: Shell) -> None:
    runs.write(".replaytrc.toml", "log_dir = 'folder/my logs'\n")
    assert len(values(runs, "inspect", "")) == 2
    assert values(runs, "inspect", "--log-dir", ".replayt/runs", "") == ["@last", "beta", "alpha"]


def test_sqlite_is_where_runs_are_read_and_only_a_copy_where_they_are_written(runs: Shell) -> None:
    assert runs.call("run", "flow.py", "--run-id", "copied", "--sqlite", "runs.db").code == 0
    assert values(runs, "inspect", "--sqlite", "runs.db", "") == ["@last", "copied"]
    written = values(runs, "resume", "--sqlite", "runs.db", "gate.py", "")
    assert written == ["@last", "copied", "beta", "alpha"]
    assert values(runs, "store", "copy", "sqlite:///runs.db", "jsonl:///x", "") == [
        "@last",
        "copied",
    ]


def test_what_a_log_holds_cannot_reach_the_terminal_raw(shell: Shell) -> None:
    flow = HELLO.replace('"hello"', r'"a\x1b]0;title\x07\tb\nc"')
    shell.write("flow.py", flow)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    _, candidates = ask(shell, "inspect", "")
    assert [len(candidate) for candidate in candidates] == [2, 2]
    assert all(text.isprintable() for candidate in candidates for text in candidate)


def test_workflows_are_those_of_the_newest_runs(runs: Shell) -> None:
    assert values(runs, "stats", "--workflow", "") == ["gate", "hello"]
    assert values(runs, "stats", "--workflow", "h") == ["hello"]


def test_a_run_that_is_resumed_by_its_id_is_there_and_a_new_one_is_not(runs: Shell) -> None:
    assert values(runs, "run", "gate.py", "--resume", "--run-id", "be") == ["beta"]
    assert values(runs, "run", "gate.py", "--run-id", "be") == []


# --- what is in the run that the line names -------------------------------------------------------


@pytest.fixture
def release(shell: Shell) -> Shell:
    """A run `asks` that waits for `ship it`, after `legal`, which it was given."""
    shell.write("release.py", ASKS)
    assert shell.call("run", "release.py", "--run-id", "asks").code == 2
    assert shell.call("resume", "release.py", "asks", "--approval", "legal").code == 2
    return shell


def test_approvals_are_the_open_ones_of_the_run_that_waits(release: Shell) -> None:
    """With what they ask for; those that have their answer cannot be answered again."""
    resume = ["resume", "release.py", "asks"]
    found = ask(release, *resume, "--approval", "")
    assert found == ("values", [["ship it", r"Is it \x09ship it?"]])
    assert values(release, *resume, "--approval", "sh") == ["ship it"]
    assert values(release, *resume, "--reject", "--approval=") == ["--approval=ship it"]
    assert values(release, *resume, "--approval", "le") == []
    for reference in ("@last", "as", "ks"):
        assert values(release, "resume", "release.py", reference, "--approval", "") == ["ship it"]
    assert release.call("resume", "release.py", "asks", "--approval", "ship it").code == 0
    assert values(release, *resume, "--approval", "") == []


def test_approvals_are_read_where_the_line_says(shell: Shell) -> None:
    shell.write("gate.py", GATE)
    where = ["--log-dir", "folder/my logs"]
    assert shell.call("run", "gate.py", "--run-id", "far", *where).code == 2
    assert values(shell, "resume", *where, "gate.py", "far", "--approval", "") == ["publish"]


def test_calls_are_the_one_whose_outcome_the_run_waits_for(shell: Shell) -> None:
    shell.write("flow.py", CRASHES)
    assert shell.fresh("run", "flow.py", "--run-id", "a").code == 3
    assert shell.call("resume", "flow.py", "a").code == 2
    call = next(event["seq"] for event in shell.events("a") if event["type"] == "tool_call")
    for option in ("--retry", "--fail", "--result"):
        assert ask(shell, "resume", "flow.py", "a", option, "") == (
            "values",
            [[str(call), "charge"]],
        )
    assert values(shell, "resume", "flow.py", "a", "--result", str(call), "") == []
    assert values(shell, "resume", "flow.py", "a", "--approval", "") == []


def test_states_are_those_that_the_run_has_entered(release: Shell) -> None:
    assert ask(release, "inspect", "asks", "--state", "") == ("values", [["look over", "1 visit"]])
    assert release.call("resume", "release.py", "asks", "--approval", "ship it").code == 0
    states = ["look over", "ship"]
    assert values(release, "inspect", "asks", "--state", "") == states
    assert values(release, "why", "asks", "") == states
    assert values(release, "fork", "release.py", "asks", "--at", "") == states
    assert values(release, "fork", "release.py", "asks", "--at=sh") == ["--at=ship"]


@pytest.mark.parametrize("words", [["resume", "release.py"], ["resume", "release.py", "nobody"]])
def test_without_such_a_run_nothing_is_offered_or_said(release: Shell, words: list[str]) -> None:
    assert answered(release, *words, "--approval", "") == ""


def test_examples_are_named_with_what_they_do(shell: Shell) -> None:
    kind, candidates = ask(shell, "examples", "")
    assert kind == "values"
    assert candidates == [[example.name, example.title] for example in load_examples()]
    assert values(shell, "examples", "--out", "tutorial", "e08") == ["e08_travel_approval"]


class Clock:
    """A clock that jumps ahead at every look."""

    def __init__(self, step: float) -> None:
        self._now = 0.0
        self._step = step

    def __call__(self) -> float:
        self._now += self._step
        return self._now


def test_where_reading_would_take_too_long_the_ids_alone_are_offered(runs: Shell) -> None:
    store = JSONLStore(runs.directory / ".replayt/runs")
    slow = list(newest_runs(store, "", Patience(Clock(10.0))))
    assert slow == [Candidate(value="beta"), Candidate(value="alpha")]
    quick = newest_runs(store, "", Patience(Clock(0.0)))
    assert [candidate.value for candidate in quick] == ["@last", "beta", "alpha"]


def copies(shell: Shell, count: int) -> list[str]:
    """So many runs more, with generated ids of the same minute; the ids."""
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", GENERATED).code == 0
    text = shell.log(GENERATED).read_text(encoding="utf-8")
    made = [f"{GENERATED[:-12]}92b4{number:08x}" for number in range(count)]
    for run_id in made:
        shell.log(run_id).write_text(text.replace(GENERATED, run_id), encoding="utf-8")
    return made


def test_when_time_is_up_names_are_listed_and_no_more_logs_are_read(shell: Shell) -> None:
    """A store of many runs, on a slow disk, would be read for as long as it takes."""
    made = copies(shell, 60)
    program = shell.write("opened.py", OPENED)
    for word, expected in (("", [GENERATED, *made[:10:-1]]), (made[7], made[7:8])):
        done = subprocess.run(
            [sys.executable, str(program), word],
            cwd=shell.directory,
            env=with_command(shell),
            capture_output=True,
            text=True,
            check=True,
        )
        opened, *names = done.stdout.split()
        assert names == expected
        assert int(opened) <= 1  # the one after which the time was up


def test_a_word_finds_runs_that_are_not_among_the_newest(shell: Shell) -> None:
    made = copies(shell, 60)
    assert values(shell, "inspect", made[3]) == [made[3]]
    assert values(shell, "inspect", made[3][-8:-1]) == [run_id[-8:] for run_id in made[15::-1]]
    assert len(values(shell, "inspect", GENERATED[:8])) == 50


def test_of_a_run_without_a_beginning_only_what_is_known_is_told(runs: Shell) -> None:
    log = runs.log("alpha")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
    _, candidates = ask(runs, "inspect", "al")
    assert candidates[0][0] == "alpha"
    assert "None" not in candidates[0][1]


def test_a_log_that_takes_too_long_to_read_is_left(runs: Shell) -> None:
    store = JSONLStore(runs.directory / ".replayt/runs")
    with pytest.raises(TimeUp):
        list(Patience(Clock(0.3)).over(store.read("alpha")))
    assert len(list(Patience(Clock(0.0)).over(store.read("alpha")))) > 3


# --- quick and quiet ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", ""],
        ["store", "copy", "nosuch:///x", "y", ""],
        ["resume", "flow.py", "@last", "--approval", ""],
        ["why", "a", ""],
    ],
)
@pytest.mark.parametrize("wrong", ["nothing", "config", "file"])
def test_what_is_wrong_is_not_said_in_the_middle_of_a_line(
    shell: Shell, wrong: str, words: list[str]
) -> None:
    if wrong == "config":
        shell.write(".replaytrc.toml", "nonsense = 1\n")
    elif wrong == "file":
        shell.write(".replayt", "no directory")
    before = sorted(shell.directory.rglob("*"))
    assert answered(shell, *words) in ("", "values\n")
    assert sorted(shell.directory.rglob("*")) == before


@pytest.mark.parametrize("asked", [{"_REPLAYT_COMPLETE": "nosuch"}, {"_REPLAYT_COMPLETE": ""}])
def test_a_question_that_is_none_is_answered_quietly(shell: Shell, asked: dict[str, str]) -> None:
    ended = shell.process(**asked)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "without"),
    [
        (["ru"], {"pydantic", "httpx", "duckdb", "jinja2", "yaml", "replayt_core"}),
        (["run", "--l"], {"pydantic", "httpx", "duckdb", "jinja2", "yaml", "replayt_core"}),
        (["runs", "--status", ""], {"pydantic", "httpx", "duckdb", "jinja2", "yaml"}),
        (["inspect", ""], {"httpx", "duckdb", "jinja2", "yaml", "replayt_llm"}),
    ],
)
def test_little_is_imported_for_a_completion(
    runs: Shell, words: list[str], without: set[str]
) -> None:
    path = runs.write("listed.py", LISTED)
    env = with_command(runs) | {
        "_REPLAYT_COMPLETE": "fish",
        "_REPLAYT_WORDS": "\n".join(["replayt", *words[:-1]]),
        "_REPLAYT_WORD": words[-1],
    }
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=runs.directory,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) > 1
    assert set(json.loads(done.stderr)) & without == set()


# --- the shells -----------------------------------------------------------------------------------


def test_the_scripts_are_shown_and_other_shells_are_not_known(shell: Shell) -> None:
    for name in SHELLS:
        ended = shell.call("--show-completion", name)
        assert (ended.code, ended.err) == (0, "")
        assert f"replayt --show-completion {name}" in ended.out
    assert shell.call("--show-completion", "pwsh").out == ended.out
    ended = shell.call("--show-completion", "tcsh")
    assert ended.code == 64
    assert "bash, zsh, fish, powershell" in one_line(ended)
    assert shell.call("--show-completion").code == 64


posix = pytest.mark.skipif(sys.platform == "win32", reason="the shells of POSIX, on a terminal")


@pytest.fixture(scope="module", params=["bash", "zsh"])
def prompt(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prompt]:
    """The prompt of a shell where there are runs; `ship it` waits for an approval of that name."""
    pytest.importorskip("pexpect", reason="pexpect types at the shell's prompt")
    shell = Shell(tmp_path_factory.mktemp("prompt"), None)
    shell.write("flow.py", HELLO)
    shell.write("release.py", ASKS)
    elsewhere = ["--log-dir", "folder/my logs", "--run-id", GENERATED]
    assert shell.process("run", "flow.py", *elsewhere).code == 0
    assert shell.process("run", "flow.py", "--run-id", "alpha").code == 0
    assert shell.process("run", "release.py", "--run-id", "beta").code == 2
    assert shell.process("resume", "release.py", "beta", "--approval", "legal").code == 2
    with Prompt(shell, str(request.param)) as prompt:
        yield prompt


@posix
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("runs --status=pau", "runs --status=paused"),
        ("inspect @la", "inspect @last"),
        ("verify alpha --target=flo", "verify alpha --target=flow.py"),
        ("runs --store=jsonl:", "runs --store=jsonl:///"),
        ("why --store 'jsonl:///folder/my logs' 0", f"why --store '{ELSEWHERE}' {GENERATED}"),
        ("inspect --log-dir fol", "inspect --log-dir folder/"),
        ("inspect --log-dir folder/my\\ logs 0", f"inspect --log-dir 'folder/my logs' {GENERATED}"),
        ("resume release.py @last --approval sh", "resume release.py @last --approval 'ship it'"),
        ("resume release.py beta --approval 'sh", "resume release.py beta --approval 'ship it'"),
        (
            "resume release.py beta --approval=ship\\ ",
            "resume release.py beta '--approval=ship it'",
        ),
    ],
)
def test_tab_completes_the_line(prompt: Prompt, typed: str, expected: str) -> None:
    completed = prompt.completed(f"replayt {typed}")
    assert completed.rstrip("/") == f"replayt {expected}".rstrip("/")


@posix
def test_a_second_tab_lists_the_runs_newest_first(prompt: Prompt) -> None:
    shown = prompt.offered("true && replayt inspect ")
    places = [shown.index(name) for name in ("@last", "beta", "alpha")]
    assert places == sorted(places)
    if prompt.program == "zsh":
        assert "paused, release@1" in shown


@posix
def test_fish_completes(release: Shell) -> None:
    release.write("flow.py", HELLO)
    assert release.call("run", "flow.py", "--run-id", "alpha", "--log-dir", "my logs").code == 0
    expected = {
        "inspect ": ["@last", "asks"],
        "runs --status=pa": ["--status=paused"],
        "verify asks --target=flo": ["--target=flow.py"],
        "inspect --log-dir=my": ["--log-dir=my logs/"],
        "inspect --log-dir 'my logs' ": ["@last", "alpha"],
        "resume release.py asks --approval='sh": ["--approval=ship it"],
        "resume release.py asks --approval ship\\ ": ["ship it"],
        "nosuch ": [],
    }
    found = fish_candidates(release, *(f"replayt {line}" for line in expected))
    for line, candidates in zip(expected, found, strict=True):
        assert [candidate[0] for candidate in candidates] == expected[line], line
    assert found[0][1][1].startswith("paused, release@1")


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def hostile(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Prompt, Shell]]:
    """The prompt of a shell where runs `h0`, `h1` and so on wait for approvals of those names."""
    pytest.importorskip("pexpect", reason="pexpect types at the shell's prompt")
    shell = Shell(tmp_path_factory.mktemp("hostile"), None)
    shell.write("flow.py", HOSTILE_FLOW)
    for number, name in enumerate([*HOSTILE, UNSHOWN]):
        inputs = ["--inputs-json", json.dumps({"id": name}), "--run-id", f"h{number}"]
        assert shell.process("run", "flow.py", *inputs).code == 2
    with Prompt(shell, str(request.param)) as prompt:
        yield prompt, shell


@posix
@pytest.mark.parametrize("number", range(len(HOSTILE)))
@pytest.mark.parametrize("behind", [" ", '="', "='"])
def test_a_name_arrives_as_it_is_and_nothing_of_it_is_executed(
    hostile: tuple[Prompt, Shell], behind: str, number: int
) -> None:
    prompt, shell = hostile
    line = f"replayt resume flow.py h{number} --approval{behind}"
    name = HOSTILE[number]
    if prompt.program == "bash" and behind == '="' and "!" in name:
        # Nothing keeps `!` from the history there without being part of the word.
        words = prompt.words(line, then='"')
        assert words[-1] == "--approval="
    else:
        words = prompt.words(line)
        assert words[-1].removeprefix("--approval=") == name
    assert not (shell.directory / "executed").exists()


@posix
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_behind_a_backtick_no_such_name_is_offered(
    hostile: tuple[Prompt, Shell], quote: str
) -> None:
    """What is escaped there is unescaped once more, before it is read as a command."""
    prompt, shell = hostile
    if prompt.program == "fish":
        pytest.skip("a backtick means nothing to fish")
    line = f"echo `replayt resume flow.py h0 --approval {quote}"
    assert prompt.words(line, then=f"{quote}`") == ["echo"]
    assert not (shell.directory / "executed").exists()


@posix
@pytest.mark.parametrize(("behind", "closing"), [(" ", "''"), ('="', '"'), ("='", "'")])
def test_a_name_that_cannot_be_shown_is_not_offered(
    hostile: tuple[Prompt, Shell], behind: str, closing: str
) -> None:
    prompt, shell = hostile
    line = f"replayt resume flow.py h{len(HOSTILE)} --approval{behind}"
    assert prompt.words(line, then=closing)[-1].removeprefix("--approval=") == ""
    assert not (shell.directory / "executed").exists()


@pytest.mark.parametrize(
    ("line", "typed", "value", "expected"),
    [
        ("r a", "a", "a$(b)", r"a\$\(b\)"),
        ('r "a', "a", "a$(b)", r"a\$(b)"),
        ("r 'a", "a", "a$(b)", "a$(b)"),
        ("r 'it", "it", "it's", r"it'\''s"),
        ('r "two w', "two w", "two words", "two words"),
        (r"r two\ w", r"two\ w", "two words", r"two\ words"),
        ('r --x="two w', "two w", "--x=two words", "two words"),
        ('r "a b"c', "c", "a bcd", "cd"),
        (r'r "a\"b', r"a\"b", 'a"bc', r"a\"bc"),
        ("r 'a\\", "a\\", r"a\b", r"a\b"),
        ("r --x=a", "a", "--x=a:b", "a:b"),
        ("r --x=a:b", "b", "--x=a:bc", "bc"),
        ('r "a', "a", "a!b", None),
        ("r 'a", "a", "a!b", "a!b"),
        ("r a", "a", "a!b", r"a\!b"),
        ("r a", "a", "a\nb", None),
        # Where something may hold quotes of its own, what is open is not certain.
        ("r $'a", "a", "$a';b", None),
        ("r $'a", "a", "$ab", "ab"),
        ("r \"$(c 'd\"e')\" 'a", "a", "a;b", None),
        # Bash takes it apart in another way than this does.
        ('r "a', '"a', "ab", None),
        ("r a", "b", "ab", None),
    ],
)
def test_bash_is_given_what_the_place_in_the_line_asks_for(
    line: str, typed: str, value: str, expected: str | None
) -> None:
    assert insertion(value, read_line(line), typed) == expected


def test_powershell_is_given_words_that_it_takes_as_they_are() -> None:
    """PowerShell itself is not run here: the script's text, and the answers that it reads."""
    env = {"_REPLAYT_COMPLETE": "powershell", "_REPLAYT_WORDS": "replayt", "_REPLAYT_WORD": ""}
    summary = [
        Candidate(value="@last", help="x"),
        Candidate(value="it's"),
        Candidate(value="x\u2019; Write-Host; \u2018y\u201a\u201b"),
        Candidate(value="a-1.b"),
    ]
    told = answer(env, lambda words: None, summary)
    assert told.splitlines() == [
        "values",
        "'@last'\tx",
        "'it''s'\t",
        "'x\u2019\u2019; Write-Host; \u2018\u2018y\u201a\u201a\u201b\u201b'\t",
        "a-1.b\t",
    ]


def test_fish_is_not_offered_what_it_would_take_for_a_home() -> None:
    env = {"_REPLAYT_COMPLETE": "fish", "_REPLAYT_WORDS": "replayt", "_REPLAYT_WORD": ""}
    summary = [Candidate(value="~root"), Candidate(value="a~b")]
    assert answer(env, lambda words: None, summary).splitlines() == ["values", "a~b\t"]


def test_the_script_for_powershell_asks_as_the_others_do(shell: Shell) -> None:
    script = shell.call("--show-completion", "powershell").out
    assert "Register-ArgumentCompleter -Native -CommandName replayt" in script
    for name in ("_REPLAYT_COMPLETE", "_REPLAYT_WORDS", "_REPLAYT_WORD"):
        assert f"$Env:{name} =" in script
    assert "Remove-Item Env:_REPLAYT_*" in script
    for opening, closing in ("{}", "()", "[]"):
        assert script.count(opening) == script.count(closing)
