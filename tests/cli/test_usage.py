from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import pytest
import typer

from replayt_cli.arguments.options import VARIABLES
from replayt_cli.main import application, commands, groups
from tests.cli.helpers import HELLO, Shell, one_line


def test_bare_replayt_prints_help_and_succeeds(shell: Shell) -> None:
    """SC-117."""
    ended = shell.process()
    assert ended.code == 0
    assert "Usage: replayt" in ended.out
    names = {command.__name__ for command in commands()} | {group.info.name for group in groups()}
    assert names <= set(ended.out.split())


@pytest.mark.parametrize("name", [command.__name__ for command in commands()])
def test_every_command_has_help_within_80_columns(shell: Shell, name: str) -> None:
    """SC-117."""
    ended = shell.call(name, "--help")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nope"], "--nope"),
        (["run", "flow.py", "--nope"], "--nope"),
        (["nope"], "nope"),
        (["run"], "TARGET"),
        (["inspect"], "RUN_ID"),
        (["inspect", "a", "b"], "(b)"),
        (["run", "flow.py", "--output", "xml"], "xml"),
        (["run", "flow.py", "--max-steps", "0"], "--max-steps"),
        (["runs", "--limit", "many"], "--limit"),
        (["runs", "--limit", "0"], "1 to 200"),
        (["runs", "--limit", "201"], "1 to 200"),
        (["runs", "--status", "unknown"], "interrupted"),
        (["run", "flow.py", "--log-mode", "loud"], "redacted"),
        (["run", "flow.py", "--resume"], "--run-id"),
        (["run", "flow.py", "--resume", "--run-id", "a", "--tag", "a=b"], "leave out"),
        (["run", "flow.py", "--tag", "nothing"], "KEY=VALUE"),
        (["run", "flow.py", "--tag", "a=1", "--tag", "a=2"], "twice"),
        (["run", "flow.py", "--log-dir", "a", "--store", "jsonl:///b"], "one of them"),
        (["run", "flow.py", "--log-dir", ""], "--log-dir"),
        (["run", "flow.py", "--store", "nosuch:///x"], "nosuch"),
        (["resume", "flow.py", "a", "--reject"], "--approval"),
        (["resume", "flow.py", "a", "--by", "me"], "--approval"),
        (["resume", "flow.py", "a", "--result", "3", "{"], "--result"),
        (["why"], "RUN_ID"),
        (["stats", "--days", "0"], "--days"),
        (["stats", "--days", "many"], "--days"),
        (["stats", "--tag", "nothing"], "KEY=VALUE"),
        (["query"], "SQL"),
        (["gc"], "--older-than"),
        (["store", "nope"], "nope"),
        (["fork", "flow.py", "a"], "--at"),
        (["verify"], "--all"),
        (["init", "--template", "nope"], "basic, approval, tool-using"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_64(shell: Shell, words: list[str], said: str) -> None:
    """SC-118, SC-119: typer's own usage errors are 2, which belongs to paused runs."""
    shell.write("flow.py", HELLO)
    ended = shell.call(*words)
    assert ended.code == 64
    assert said in one_line(ended)
    assert not shell.directory.joinpath(".replayt").exists()


def test_usage_errors_are_64_in_a_process_of_their_own(shell: Shell) -> None:
    for words in (["--nope"], ["nope"], ["runs", "--limit", "x"]):
        assert shell.process(*words).code == 64


@pytest.mark.parametrize(
    "bad",
    ["../x", "/etc/passwd", "..", "a/b", "a\nb", "ä", "x" * 129, "", "CON", "nul.txt", "a."],
)
def test_a_bad_run_id_is_refused_before_any_file_is_touched(shell: Shell, bad: str) -> None:
    shell.write("flow.py", HELLO)
    before = sorted(shell.directory.rglob("*"))
    for words in (
        ["run", "flow.py", "--run-id", bad],
        ["resume", "flow.py", bad],
        ["inspect", bad],
        ["replay", bad],
        ["verify", bad],
        ["why", bad],
        ["fork", "flow.py", bad, "--at", "greet"],
        ["fork", "flow.py", "a", "--at", "greet", "--run-id", bad],
    ):
        ended = shell.call(*words)
        assert ended.code == 64
        assert "run id" in one_line(ended)
    assert (
        sorted(path for path in shell.directory.rglob("*") if "__pycache__" not in path.parts)
        == before
    )


@pytest.fixture
def database(shell: Shell) -> Shell:
    """A database of runs, known by several names, and a name for one that is not there yet."""
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a", "--store", "sqlite:///runs.db").code == 0
    os.link("runs.db", "hard.db")
    os.symlink("runs.db", "soft.db")
    Path("folder").mkdir()
    os.symlink("folder", "other")
    return shell


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below the folder with what it holds; what Python compiles is left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}


SAME = [
    ("runs.db", "runs.db"),
    ("runs.db", "./folder/../runs.db"),
    ("runs.db", "soft.db"),
    ("soft.db", "runs.db"),
    ("runs.db", "hard.db"),
    ("folder/new.db", "other/new.db"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize(("store", "mirror"), [*SAME, ("runs.db", "ABSOLUTE")])
def test_a_database_is_no_mirror_of_itself(database: Shell, store: str, mirror: str) -> None:
    """By whatever name: said in one line, before anything is written."""
    mirror = mirror.replace("ABSOLUTE", str(database.directory / "runs.db"))
    before = contents(database.directory)
    for words in (["run", "flow.py"], ["resume", "flow.py", "a"], ["store", "repair", "a"]):
        ended = database.call(*words, "--store", f"sqlite:///{store}", "--sqlite", mirror)
        assert ended.code == 64
        assert one_line(ended) == f"--sqlite {mirror} is the store itself: leave it out"
    gone = database.call(
        "gc", "--older-than", "0s", "--store", f"sqlite:///{store}", "--sqlite", mirror
    )
    assert gone.code == 64
    one, other = f"sqlite:///{store}", f"sqlite:///{mirror}"
    ended = database.call("store", "copy", one, other)
    assert (ended.code, one_line(ended)) == (
        64,
        "FROM_URL and TO_URL are the same store: name two",
    )
    ended = database.call("store", "rebuild", other, "--store", one)
    assert (ended.code, "are the same store" in one_line(ended)) == (64, True)
    assert contents(database.directory) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_configuration_that_mirrors_a_store_in_itself_is_refused(database: Shell) -> None:
    database.write(".replaytrc.toml", "store = 'sqlite:///runs.db'\nsqlite = 'hard.db'\n")
    before = contents(database.directory)
    ended = database.call("run", "flow.py")
    assert ended.code == 64
    assert one_line(ended) == ".replaytrc.toml: sqlite names the store itself: leave it out"
    assert contents(database.directory) == before
    # A store on the command line that happens to be the mirror of the usual one is no mistake.
    database.write(".replaytrc.toml", "sqlite = 'hard.db'\n")
    there = ["--store", "sqlite:///runs.db"]
    assert database.call("run", "flow.py", "--run-id", "b", *there).code == 0
    assert database.call("inspect", "b", *there).code == 0


def test_debug_shows_the_traceback(shell: Shell) -> None:
    shell.write("flow.py", "wf = missing\n")
    for words in (["run", "flow.py", "--debug"], ["--debug", "run", "flow.py"]):
        ended = shell.call(*words)
        assert ended.code == 1
        assert "Traceback" in ended.err
        assert "flow.py" in ended.err


def test_help_and_runs_import_nothing_heavy(shell: Shell) -> None:
    script = (
        "import sys\n"
        "from replayt_cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = {'httpx', 'duckdb', 'jinja2', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy or code else 0)\n"
    )
    path = shell.write("measure.py", script)
    import subprocess

    for words in (["--help"], ["run", "--help"], ["runs"]):
        done = subprocess.run(
            [sys.executable, str(path), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_command_without_words_gets_what_the_parser_would_give_it() -> None:
    """The name of a command alone is not parsed: typer would import pydantic for it."""
    alone = []
    for command in commands():
        parameters = inspect.signature(command).parameters.values()
        if any(one.default is one.empty for one in parameters):
            continue
        alone.append(command.__name__)
        parser = typer.main.get_command(application([command], [])).commands[command.__name__]
        parsed = parser.make_context(command.__name__, []).params
        # For a list that is not given, releases of typer pass None, [] or ().
        parsed = {name: None if value in ([], ()) else value for name, value in parsed.items()}
        assert parsed == {one.name: one.default for one in parameters}
    assert set(alone) == {"verify", "runs", "stats", "examples", "init", "doctor"}


def test_a_variable_that_stands_for_an_option_is_read_without_words_too(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = typer.main.get_command(application(commands(), groups()))
    named = {
        parameter.envvar
        for command in made.commands.values()
        for each in [command, *getattr(command, "commands", {}).values()]
        for parameter in each.params
    }
    assert named - {None} == set(VARIABLES)
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py").code == 0
    assert shell.call("stats").code == 0
    monkeypatch.setenv("REPLAYT_PRICES", "missing.json")
    ended = shell.call("stats")
    assert ended.code == 64
    assert "missing.json" in one_line(ended)


def test_a_listing_brings_no_engine_and_no_model_client(shell: Shell) -> None:
    """PERFORMANCE.md P6 and P9, held by what is imported: the log is read, nothing can be run."""
    import subprocess

    shell.write("hello.py", HELLO)
    assert shell.process("run", "hello.py").code == 0
    script = (
        "import sys; from replayt_cli.main import main; main(['runs']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    loaded = {name for name in done.stderr.split() if name.startswith("replayt_")}
    assert "replayt_store.index" in loaded
    engine = {"runner", "workflow", "_turns", "_journal", "_llm_bridge", "verification"}
    assert not {f"replayt_core.{name}" for name in engine} & loaded
    assert not {name for name in loaded if name.startswith("replayt_llm")}
    assert {"replayt_store.sqlite", "replayt_store.analytics"}.isdisjoint(loaded)


def test_help_does_not_import_the_core(shell: Shell) -> None:
    import subprocess

    script = (
        "import sys; from replayt_cli.main import main; main(['--help']); "
        "sys.exit('replayt_core' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["verify", "--help"], ["fork", "--help"]])
def test_help_stays_light(shell: Shell, words: list[str]) -> None:
    """Of ours: the commands' signatures and the options, and no package below."""
    import subprocess

    script = (
        "import sys; from replayt_cli.main import main; "
        f"main({words!r}); "
        "sys.exit(','.join(sorted(name for name in sys.modules if name.startswith('replayt'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    loaded = set(done.stderr.strip().split(","))
    called = [word for word in words if not word.startswith("-")]
    modules = {f"replayt_cli.commands.{name}" for name in called}
    if not called:
        modules = {f"replayt_cli.commands.{command.__name__}" for command in commands()}
        modules |= {f"replayt_cli.commands.{group.info.name}" for group in groups()}
    assert modules <= loaded
    others = {name.removeprefix("replayt_cli") for name in loaded - modules}
    assert others == {"", ".arguments", ".commands", ".exit_codes", ".main", ".render"} | {
        ".render.columns",
        ".render.text",
        ".streams",
        ".arguments.help_examples",
        ".arguments.options",
    }


def test_a_closed_pipe_is_quiet(shell: Shell) -> None:
    shell.write("flow.py", HELLO)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    process = shell.start("replay", "a")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()
