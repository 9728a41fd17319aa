"""SC-121: `[tool.replayt]` and `.replaytrc.toml`, obeyed by every command the same way."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from replayt_cli.errors import UsageError
from replayt_cli.project.config import KEYS, Config, find_config
from replayt_cli.project.settings import model_environment
from tests.cli.helpers import ASKS_MODEL, GATE, HELLO, SLEEPS, Shell, one_line

COMMANDS_THAT_READ = [
    ["inspect", "a"],
    ["replay", "a"],
    ["why", "a"],
    ["verify", "a"],
    ["verify", "--all"],
    ["runs"],
    ["stats"],
    ["query", "SELECT count(*) FROM runs"],
    ["pin", "a", "--out", "kept"],
    ["report", "a", "--out", "run.html"],
]


@pytest.fixture
def repository(shell: Shell) -> Shell:
    """A repository with a workflow and two folders below each other."""
    shell.directory.joinpath(".git").mkdir()
    shell.directory.joinpath("deep/er").mkdir(parents=True)
    shell.write("flow.py", HELLO)
    return shell


def configure(shell: Shell, text: str, name: str = ".replaytrc.toml") -> Path:
    return shell.write(name, text)


def runs_in(shell: Shell, *words: str) -> list[str]:
    ended = shell.call("runs", "-o", "json", *words)
    assert ended.code == 0, ended.err
    return [row["run_id"] for row in ended.json["runs"]]


def effective(shell: Shell, run_id: str, log_dir: str = ".replayt/runs") -> dict[str, object]:
    """What the first model call of a run was sent with."""
    requests = [e for e in shell.events(run_id, log_dir) if e["type"] == "llm_request"]
    found: dict[str, object] = requests[0]["payload"]["effective"]
    return found


# --- which file -----------------------------------------------------------------------------------


def test_the_nearest_folder_with_a_configuration_counts(
    repository: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(repository, "[tool.replayt]\nlog_mode = 'full'\n", "pyproject.toml")
    configure(repository, "log_mode = 'structured_only'\n", "deep/.replaytrc.toml")
    found = {}
    for folder in (".", "deep", "deep/er"):
        monkeypatch.chdir(repository.directory / folder)
        found[folder] = find_config().log_mode
    assert found == {".": "full", "deep": "structured_only", "deep/er": "structured_only"}


def test_the_rc_file_counts_before_pyproject_of_the_same_folder(repository: Shell) -> None:
    configure(repository, "[tool.replayt]\nlog_dir = 'two'\nmodel = 'm'\n", "pyproject.toml")
    configure(repository, "log_dir = 'one'\n")
    assert find_config() == Config(file=".replaytrc.toml", log_dir="one")


@pytest.mark.parametrize(
    "nearer", ["[project]\nname = 'x'\n", "[tool.other]\nreplayt = 1\n", "this is no TOML\n"]
)
def test_a_pyproject_without_the_table_does_not_stop_the_search(
    repository: Shell, monkeypatch: pytest.MonkeyPatch, nearer: str
) -> None:
    configure(repository, "[tool.replayt]\nlog_mode = 'full'\n", "pyproject.toml")
    configure(repository, nearer, "deep/pyproject.toml")
    monkeypatch.chdir(repository.directory / "deep")
    assert find_config().log_mode == "full"


@pytest.mark.parametrize("git", ["folder", "file"])
def test_nothing_above_the_root_of_the_repository_counts(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, git: str
) -> None:
    """A worktree and a submodule have a file `.git`."""
    configure(shell, "log_mode = 'full'\n")
    inner = shell.directory / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert find_config().log_mode == "full"
    if git == "folder":
        inner.joinpath(".git").mkdir()
    else:
        inner.joinpath(".git").write_text("gitdir: elsewhere\n")
    assert find_config() == Config()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_outside_a_repository_a_file_of_somebody_else_above_does_not_count(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else anyone could say in a shared /tmp where the logs of others go."""
    path = configure(shell, "log_dir = '/tmp/mine'\n")
    os.chown(path, 65534, 65534)
    inner = shell.directory / "inner"
    inner.mkdir()
    assert find_config().log_dir == "/tmp/mine"
    monkeypatch.chdir(inner)
    assert find_config() == Config()
    shell.directory.joinpath(".git").mkdir()
    assert find_config().log_dir == "/tmp/mine"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_the_repository_of_somebody_else_is_refused_unless_one_works_in_his_folder(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can make a `.git` in a shared /tmp; and root works in checkouts that are mounted."""
    path = configure(shell, "log_dir = '/tmp/theirs'\n")
    git, inner = shell.directory / ".git", shell.directory / "inner"
    git.mkdir()
    inner.mkdir()
    for theirs in (path, git):
        os.chown(theirs, 65534, 65534)
    assert find_config().log_dir == "/tmp/theirs"
    monkeypatch.chdir(inner)
    ended = shell.call("runs")
    assert ended.code == 64
    assert "belongs to somebody else (user 65534)" in one_line(ended)
    inner.joinpath(".replaytrc.toml").write_text("log_dir = 'ours'\n")
    assert find_config().log_dir == "ours"
    inner.joinpath(".replaytrc.toml").unlink()
    os.chown(inner, 65534, 65534)
    assert find_config().log_dir == "/tmp/theirs"


def test_relative_paths_are_relative_to_the_file(
    repository: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository.directory
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("USERPROFILE", str(root / "home"))
    configure(repository, "log_dir = 'logs'\nsqlite = '../copy.db'\nprices = '~/prices.json'\n")
    assert find_config() == Config(
        file=".replaytrc.toml",
        log_dir="logs",
        sqlite=str(root.parent / "copy.db"),
        prices=os.path.join("home", "prices.json"),
    )
    monkeypatch.chdir(root / "deep")
    found = find_config()
    assert found.log_dir == str(root / "logs")
    assert found.file == str(root / ".replaytrc.toml")


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("jsonl:///logs", "jsonl:///{root}/logs"),
        ("sqlite:///runs.db?sync=os", "sqlite:///{root}/runs.db?sync=os"),
        ("jsonl:////srv/logs", "jsonl:////srv/logs"),
        ("redis://host/0", "redis://host/0"),
    ],
)
def test_the_path_of_a_store_url_is_relative_to_the_file_too(
    repository: Shell, monkeypatch: pytest.MonkeyPatch, url: str, below: str
) -> None:
    configure(repository, f"store = '{url}'\n")
    monkeypatch.chdir(repository.directory / "deep")
    assert find_config().store == below.format(root=repository.directory)


# --- what is wrong with it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("logdir = 'x'", "no key 'logdir'; did you mean log_dir?"),
        ("log-mode = 'full'", "no key 'log-mode'; did you mean log_mode?"),
        ("colour = 1", "no key 'colour'; known are log_dir, store, sqlite"),
        ("api_key = 'sk-live-0123456789abcdef'", "from the environment alone"),
        ("log_dir = 3", "log_dir must be a text in quotes, not 3"),
        ("log_dir = ' '", "log_dir is empty"),
        ("log_mode = 'loud'", "log_mode must be one of redacted|full|structured_only, not 'loud'"),
        ("timeout = '5'", "timeout must be a number of seconds above 0, up to 1,000,000, not '5'"),
        ("timeout = 0", "timeout must be"),
        ("timeout = true", "timeout must be"),
        ("timeout = nan", "timeout must be"),
        ("sqlite = ':memory:'", "sqlite must name a file"),
        ("model = ['a']", "model must be a text"),
        ("log_dir = 'a'\nstore = 'jsonl:///b'", "log_dir and store name two places"),
        ("log_dir = ", "is no TOML"),
        ("log_dir = 'a'\nlog_dir = 'b'", "is no TOML"),
    ],
)
@pytest.mark.parametrize("name", [".replaytrc.toml", "pyproject.toml"])
def test_a_wrong_configuration_is_one_line_that_names_file_and_key(
    repository: Shell, name: str, text: str, said: str
) -> None:
    configure(repository, text if name[0] == "." else f"[tool.replayt]\n{text}\n", name)
    for words in (["runs"], ["run", "flow.py"], ["verify", "--all"]):
        ended = repository.call(*words)
        assert ended.code == 64
        message = one_line(ended)
        assert message.startswith(f"{name}: ")
        assert said in message
        assert "sk-live" not in message
    assert not repository.directory.joinpath(".replayt").exists()


@pytest.mark.parametrize("digits", ["0x" + "f" * 400, "9" * 5_000, "0x" + "f" * 6_000])
@pytest.mark.parametrize("key", ["timeout", "log_dir"])
def test_a_number_that_python_can_hardly_hold_is_a_wrong_value(
    repository: Shell, key: str, digits: str
) -> None:
    configure(repository, f"{key} = {digits}\n")
    ended = repository.call("runs")
    assert ended.code == 64
    assert one_line(ended).startswith(".replaytrc.toml: ")
    assert len(one_line(ended)) < 250


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links and FIFOs")
def test_an_rc_file_that_is_no_file_is_refused_and_not_passed_over(repository: Shell) -> None:
    """Else the logs of a project whose link is broken would go elsewhere without a word."""
    path = repository.directory / ".replaytrc.toml"
    makers = [
        lambda: path.symlink_to("missing.toml"),
        lambda: path.symlink_to(path.name),
        path.mkdir,
        lambda: os.mkfifo(path),
    ]
    for make in makers:
        make()
        ended = repository.call("runs")
        assert ended.code == 64
        assert one_line(ended).startswith(".replaytrc.toml: ")
        path.rmdir() if path.is_dir() else path.unlink()
    path.symlink_to("deep/real.toml")
    configure(repository, "log_mode = 'full'\n", "deep/real.toml")
    assert find_config().log_mode == "full"


def test_a_store_that_the_configuration_names_wrongly_is_said_to_stand_there(
    repository: Shell,
) -> None:
    configure(repository, "store = 'nowhere:///x'\n")
    told = one_line(repository.call("runs"))
    assert told.startswith(".replaytrc.toml: store: no store is known for nowhere://")
    assert one_line(repository.call("runs", "--store", "nowhere:///y")).startswith("no store is")


def test_a_file_of_a_megabyte_is_not_read_on(repository: Shell) -> None:
    large = f"log_mode = 'full'\n{'#' * 1_000_000}\n"
    configure(repository, large)
    assert "is larger than 1,000,000 bytes" in one_line(repository.call("runs"))
    repository.directory.joinpath(".replaytrc.toml").unlink()
    configure(repository, large, "pyproject.toml")
    assert find_config() == Config()


def test_keys_of_the_rc_file_stand_at_its_top(repository: Shell) -> None:
    configure(repository, "[tool.replayt]\nlog_dir = 'x'\n")
    assert "at the top of this file" in one_line(repository.call("runs"))


def test_a_table_that_is_none_and_bytes_that_are_no_text(repository: Shell) -> None:
    configure(repository, "[tool]\nreplayt = 'yes'\n", "pyproject.toml")
    assert "tool.replayt must be a table" in one_line(repository.call("runs"))
    repository.directory.joinpath(".replaytrc.toml").write_bytes(b"log_dir = '\xff'\n")
    assert "is not UTF-8 text" in one_line(repository.call("runs"))


def test_an_unknown_provider_is_named_before_anything_runs(repository: Shell) -> None:
    configure(repository, "provider = 'olama'\n")
    message = one_line(repository.call("run", "flow.py"))
    assert message == (
        ".replaytrc.toml: provider 'olama' is no provider that is known; did you mean ollama?"
    )
    assert not repository.directory.joinpath(".replayt").exists()


# --- stores ---------------------------------------------------------------------------------------


def test_every_command_takes_the_directory_of_the_configuration(
    repository: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(repository, "[tool.replayt]\nlog_dir = 'logs'\n", "pyproject.toml")
    assert repository.call("run", "flow.py", "--run-id", "a").code == 0
    assert repository.log("a", "logs").is_file()
    for words in COMMANDS_THAT_READ:
        ended = repository.call(*words)
        assert ended.code == 0, (words, ended.err)
    monkeypatch.chdir(repository.directory / "deep/er")
    for words in COMMANDS_THAT_READ:
        assert repository.call(*words).code == 0, words
    assert not list(repository.directory.rglob(".replayt"))


def test_a_store_url_in_the_configuration(repository: Shell) -> None:
    configure(repository, "store = 'sqlite:///runs.db'\n")
    assert repository.call("run", "flow.py", "--run-id", "a").code == 0
    assert runs_in(repository) == ["a"]
    assert not repository.directory.joinpath(".replayt").exists()


@pytest.mark.parametrize("configured", ["log_dir = 'logs'", "store = 'sqlite:///runs.db'"])
@pytest.mark.parametrize(
    "option",
    [["--log-dir", "other"], ["--store", "jsonl:///other"], ["--log-dir", ".replayt/runs"]],
)
def test_a_place_on_the_command_line_wins(
    repository: Shell, configured: str, option: list[str]
) -> None:
    configure(repository, f"{configured}\n")
    assert repository.call("run", "flow.py", "--run-id", "a", *option).code == 0
    assert repository.log("a", option[1].removeprefix("jsonl:///")).is_file()
    assert runs_in(repository, *option) == ["a"]
    assert runs_in(repository) == []


def test_sqlite_in_the_configuration_is_a_mirror_and_never_a_source(repository: Shell) -> None:
    configure(repository, "log_dir = 'logs'\nsqlite = 'copy.db'\n")
    assert repository.call("run", "flow.py", "--run-id", "a").code == 0
    with closing(sqlite3.connect(repository.directory / "copy.db")) as database:
        assert database.execute("SELECT DISTINCT run_id FROM events").fetchall() == [("a",)]
    repository.log("a", "logs").unlink()
    assert runs_in(repository) == []
    assert runs_in(repository, "--sqlite", "copy.db") == ["a"]


def test_sqlite_on_the_command_line_replaces_the_mirror(repository: Shell) -> None:
    configure(repository, "sqlite = 'one.db'\n")
    ended = repository.call("run", "flow.py", "--run-id", "a", "--sqlite", "two.db")
    assert ended.code == 0
    assert not repository.directory.joinpath("one.db").exists()
    assert runs_in(repository, "--sqlite", "two.db") == ["a"]


def test_a_store_that_is_the_mirror_of_the_configuration_has_none(repository: Shell) -> None:
    configure(repository, "sqlite = 'runs.db'\n")
    words = ["run", "flow.py", "--store", "sqlite:///runs.db"]
    assert repository.call(*words, "--run-id", "a").code == 0
    assert runs_in(repository, "--sqlite", "runs.db") == ["a"]
    ended = repository.call(*words, "--sqlite", "runs.db")
    assert ended.code == 64
    assert "is the store itself" in one_line(ended)


@pytest.mark.parametrize(
    "options", [[], ["--log-dir", ".replayt/runs"], ["--sqlite", "my copy.db"]], ids=str
)
def test_the_command_that_is_shown_leads_to_the_same_run(
    repository: Shell, options: list[str]
) -> None:
    """What the configuration says is left to it; what was given is said again."""
    repository.write("gate.py", GATE)
    configure(repository, "log_dir = 'logs'\nsqlite = 'runs.db'\n")
    ended = repository.call("run", "gate.py", "--run-id", "a", *options)
    assert ended.code == 2
    shown = re.findall(r"replayt resume .*", ended.out)[0]
    words = shlex.split(shown)
    assert [word for word in words[4:] if word in ("--log-dir", "--sqlite", "--store")] == [
        option for option in options if option.startswith("--")
    ]
    assert repository.call(*words[1:]).code == 0


# --- runs -----------------------------------------------------------------------------------------


def test_the_log_mode_is_that_of_option_configuration_default(repository: Shell) -> None:
    repository.write("asks.py", ASKS_MODEL)
    modes = {}
    for run_id, text, option in [
        ("a", "", []),
        ("b", "log_mode = 'structured-only'\n", []),
        ("c", "log_mode = 'full'\n", ["--log-mode", "redacted"]),
    ]:
        configure(repository, text)
        words = ["run", "asks.py", "--dry-run", "--run-id", run_id, *option]
        assert repository.call(*words).code == 0
        modes[run_id] = repository.events(run_id)[0]["payload"]["log_mode"]
    assert modes == {"a": "redacted", "b": "structured_only", "c": "redacted"}


def test_a_fork_is_as_private_as_its_parent_whatever_the_configuration_says(
    repository: Shell,
) -> None:
    words = ["run", "flow.py", "--run-id", "a", "--log-mode", "structured_only"]
    assert repository.call(*words).code == 0
    configure(repository, "log_mode = 'full'\n")
    assert repository.call("fork", "flow.py", "a", "--at", "done", "--run-id", "b").code == 0
    assert repository.events("b")[0]["payload"]["log_mode"] == "structured_only"


def test_the_timeout_of_the_configuration_ends_runs(repository: Shell) -> None:
    repository.write("sleeps.py", SLEEPS)
    configure(repository, "timeout = 1\n")  # also a busy machine gets to the second state
    ended = repository.process("run", "sleeps.py", "--run-id", "a")
    assert ended.code == 1, ended.err
    ended = repository.process("resume", "sleeps.py", "a", "--retry-failed")
    assert ended.code == 1, ended.err
    failures = [e["payload"]["error"] for e in repository.events("a") if e["type"] == "run_failed"]
    assert [failure["type"] for failure in failures] == ["StepTimeout"] * 2
    words = ["fork", "sleeps.py", "a", "--at", "second", "--set", "sleep=false"]
    assert repository.process(*words, "--timeout", "60").code == 0


def test_prices_of_the_configuration_count_unless_others_are_named(
    repository: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("asks.py", ASKS_MODEL)
    repository.write("prices.json", "{}")
    configure(repository, "prices = 'prices.json'\n")
    assert repository.call("stats").code == 0
    configure(repository, "prices = 'missing.json'\n")
    ended = repository.call("stats")
    assert ended.code == 64
    assert "missing.json" in one_line(ended)
    assert repository.call("stats", "--prices", "prices.json").code == 0
    monkeypatch.setenv("REPLAYT_PRICES", "prices.json")
    assert repository.call("stats").code == 0


# --- models ---------------------------------------------------------------------------------------


def test_provider_and_model_reach_the_call(
    repository: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, no network: what the request would have been is in the log."""
    repository.write("asks.py", ASKS_MODEL)
    configure(repository, "provider = 'offline'\n")
    assert repository.call("run", "asks.py", "--run-id", "a").code == 0
    assert effective(repository, "a")["provider"] == "offline"
    monkeypatch.setenv("REPLAYT_PROVIDER", "offline")
    configure(repository, "provider = 'groq'\nmodel = 'llama'\n")
    assert repository.call("run", "asks.py", "--run-id", "b").code == 0
    assert effective(repository, "b")["provider"] == "offline"


@pytest.mark.parametrize(
    ("config", "env", "expected"),
    [
        ({"provider": "groq", "model": "m"}, {}, ("groq", "m")),
        ({"provider": "groq", "model": "m"}, {"REPLAYT_MODEL": "n"}, ("groq", "n")),
        ({"provider": "groq", "model": "m"}, {"REPLAYT_PROVIDER": "ollama"}, ("ollama", None)),
        ({"provider": "groq", "model": "m"}, {"REPLAYT_PROVIDER": " Groq "}, (" Groq ", "m")),
        ({"model": "m"}, {"REPLAYT_PROVIDER": "ollama"}, ("ollama", "m")),
        ({"model": "m"}, {"REPLAYT_MODEL": " "}, (None, "m")),
        ({}, {"REPLAYT_MODEL": "n"}, (None, "n")),
    ],
)
def test_the_environment_wins_and_a_model_belongs_to_its_provider(
    config: dict[str, str], env: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    found = model_environment(Config(file="f", **config), env)
    assert (found.get("REPLAYT_PROVIDER"), found.get("REPLAYT_MODEL")) == expected


def test_a_variable_that_is_set_later_is_still_seen() -> None:
    env: dict[str, str] = {}
    found = model_environment(Config(file="f", model="m"), env)
    env["OPENAI_API_KEY"] = "sk-live-0123456789abcdef"
    assert found["OPENAI_API_KEY"] == env["OPENAI_API_KEY"]
    with pytest.raises(UsageError, match="nosuch"):
        model_environment(Config(file="f", provider="nosuch"), env)


def test_verify_compares_with_the_model_of_the_configuration(repository: Shell) -> None:
    repository.write("asks.py", ASKS_MODEL)
    assert repository.call("run", "asks.py", "--dry-run", "--run-id", "a").code == 0
    words = ["verify", "a", "--target", "asks.py", "-o", "json"]
    assert "groq" not in repository.call(*words).out
    configure(repository, "provider = 'groq'\nmodel = 'llama'\n")
    ended = repository.call(*words)
    assert ended.code == 0
    assert "llama" in json.dumps(ended.json)


# --- cost -----------------------------------------------------------------------------------------


def test_a_toml_reader_is_imported_only_where_there_is_a_file_of_ours(repository: Shell) -> None:
    script = (
        "import sys; from replayt_cli.project.config import find_config; find_config(); "
        "print(*{'tomllib', 'tomli'} & set(sys.modules))"
    )

    def imported() -> str:
        return subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {script}"],
            cwd=repository.directory,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert imported() == ""
    configure(repository, "[project]\nname = 'x'\n", "pyproject.toml")
    assert imported() == ""
    configure(repository, "log_dir = 'x'\n")
    assert imported() in ("tomllib", "tomli")


def test_every_key_has_a_row_in_the_documentation() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/configuration.md"
    text = page.read_text(encoding="utf-8")
    assert [key for key in KEYS if f"| `{key}` |" not in text] == []
