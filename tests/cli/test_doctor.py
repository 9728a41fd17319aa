"""`replayt doctor`: what is installed, what holds, and where each setting comes from."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from importlib.metadata import version

import pytest

from tests.cli.helpers import Ended, Shell, environment, on_terminal, one_line
from tests.cli.logs import install_plugin

KEY = "sk-live-0123456789abcdef"
HIDING = """
import importlib.util, sys
hidden = set(sys.argv.pop(1).split(","))
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in hidden else find(name, *more)
from replayt_cli.main import main
sys.exit(main(["doctor", *sys.argv[1:]]))
"""


def without(shell: Shell, modules: str, *options: str) -> str:
    """What doctor prints where these modules cannot be found."""
    path = shell.write("without.py", HIDING)
    done = subprocess.run(
        [sys.executable, str(path), modules, *options],
        env=environment(),
        cwd=shell.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def line(ended: Ended, name: str) -> str:
    return next(line for line in ended.out.splitlines() if line.startswith(f"{name}: "))


def test_what_is_installed_is_listed_with_its_version(shell: Shell) -> None:
    """SC-174."""
    document = shell.fresh("doctor", "-o", "json").json
    assert document["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("replayt", "replayt-core", "replayt-llm", "replayt-store", "replayt-cli"):
        assert document[name] == version(name)
    assert document["llm_clients"] == "default"
    assert document["stores"] == "jsonl, sqlite"


@pytest.mark.parametrize(
    ("extra", "module", "package"),
    [("yaml", "yaml", "PyYAML"), ("notebook", "IPython", "ipython")],
)
def test_a_missing_extra_is_no_error_and_says_how_to_get_it(
    shell: Shell, extra: str, module: str, package: str
) -> None:
    """SC-175. What it says to install is not our name, which is another project's on the index."""
    document = json.loads(without(shell, module, "-o", "json"))
    assert document[f"{extra}_extra"] == "missing"
    assert document["ok"] is True
    text = without(shell, module).splitlines()
    assert f"{extra}_extra: missing  (pip install {package})" in text
    shell.write(f"{module}.py", "")
    ended = shell.fresh("doctor", PYTHONPATH=".")
    assert line(ended, f"{extra}_extra") == f"{extra}_extra: installed"


def test_every_setting_says_where_it_comes_from(shell: Shell) -> None:
    """SC-121, SC-174."""
    shell.write(
        ".replaytrc.toml", "log_dir = 'logs'\nlog_mode = 'full'\nmodel = 'm'\ntimeout = 90\n"
    )
    env = {"REPLAYT_PROVIDER": "groq", "OPENAI_API_KEY": KEY, "REPLAYT_PRICES": "prices.json"}
    shell.write("prices.json", "{}")
    with socket.socket() as silent:  # the port is taken, and nobody listens there
        silent.bind(("127.0.0.1", 0))
        env["OPENAI_BASE_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        document = shell.process("doctor", "--sqlite", "runs.db", "-o", "json", **env).json
    assert document["sources"] == {
        "provider": "REPLAYT_PROVIDER",
        "base_url": "OPENAI_BASE_URL",
        "model": ".replaytrc.toml: model",
        "api_key": "OPENAI_API_KEY",
        "log_dir": ".replaytrc.toml: log_dir",
        "sqlite": "--sqlite",
        "log_mode": ".replaytrc.toml: log_mode",
        "timeout": ".replaytrc.toml: timeout",
        "prices": "REPLAYT_PRICES",
    }
    values = {name: document[name] for name in ("config", "model", "log_dir", "timeout", "prices")}
    assert values == {
        "config": ".replaytrc.toml",
        "model": "m",
        "log_dir": "logs",
        "timeout": "90",
        "prices": "prices.json",
    }
    assert KEY not in str(document)


def test_without_a_file_everything_is_a_default(shell: Shell) -> None:
    document = shell.process("doctor", "-o", "json").json
    assert document["config"] == "none"
    assert set(document["sources"].values()) == {"default"}
    assert document["log_mode"] == "redacted"


def test_a_model_that_belongs_to_another_provider_does_not_hold(shell: Shell) -> None:
    shell.write(".replaytrc.toml", "provider = 'groq'\nmodel = 'llama'\n")
    document = shell.process("doctor", "-o", "json", REPLAYT_PROVIDER="offline").json
    assert document["provider"] == "offline"
    assert document["model"] != "llama"
    assert document["sources"]["model"] == "default"


@pytest.mark.parametrize(
    ("text", "name"), [("logdir = 'x'", "config"), ("provider = 'olama'", "provider")]
)
def test_a_wrong_configuration_is_a_finding_among_the_others(
    shell: Shell, text: str, name: str
) -> None:
    """Every other command refuses; this one says all that is wrong at once."""
    shell.write(".replaytrc.toml", text + "\n")
    ended = shell.process("doctor", "-o", "json")
    assert ended.code == 1
    assert ended.json[name] == "unusable"
    (error,) = ended.json["errors"]
    assert error.startswith(f"{name}: .replaytrc.toml: ")
    assert "did you mean" in error
    assert ended.json["log_dir"] == os.path.join(".replayt", "runs")


def test_a_wrong_option_is_still_a_mistake_on_the_command_line(shell: Shell) -> None:
    ended = shell.call("doctor", "--log-dir", "a", "--store", "jsonl:///b")
    assert ended.code == 64
    assert "one of them" in one_line(ended)


def test_the_configured_provider_is_the_one_that_is_asked(shell: Shell) -> None:
    """SC-176, SC-177: `GET <base>/models`, with the key of that provider."""
    shell.write(".replaytrc.toml", "provider = 'groq'\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen: list[bytes] = []

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        ended = shell.process(
            "doctor",
            GROQ_API_KEY=KEY,
            OPENAI_BASE_URL=f"http://user:hunter22@127.0.0.1:{port}/v1",
        )
        thread.join(30)
    assert line(ended, "provider_connectivity").startswith("provider_connectivity: reachable")
    assert seen[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert line(ended, "api_key") == "api_key: set  [GROQ_API_KEY]"
    assert "hunter22" not in ended.out + ended.err
    assert KEY not in ended.out + ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_place_that_cannot_be_written_is_an_error(shell: Shell) -> None:
    shell.directory.joinpath("taken.db").mkdir()
    shell.write("file", "")
    for words, name in [
        (["--sqlite", "taken.db"], "sqlite"),
        (["--store", "sqlite:///taken.db"], "store"),
        (["--store", "jsonl:///file/logs"], "store"),
        (["--store", "nosuch:///x"], "store"),
    ]:
        ended = shell.process("doctor", "-o", "json", *words)
        assert ended.code == 1, words
        assert ended.json["errors"][0].startswith(f"{name}: "), words
    assert sorted(path.name for path in shell.directory.iterdir()) == ["file", "taken.db"]


def test_prices_that_cannot_be_read_are_a_warning(shell: Shell) -> None:
    shell.write(".replaytrc.toml", "prices = 'missing.json'\n")
    document = shell.process("doctor", "-o", "json").json
    assert document["ok"] is True
    assert any("missing.json" in warning for warning in document["warnings"])


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_on_a_terminal_no_line_is_longer_than_it(shell: Shell) -> None:
    code, shown = on_terminal(shell, "doctor")
    assert code == 0
    assert max(map(len, shown.replace("\r", "").split("\n"))) <= 80


def test_doctor_never_shows_a_key_or_what_a_url_hides(shell: Shell) -> None:
    """SC-174, SC-178."""
    ended = shell.process(
        "doctor",
        OPENAI_API_KEY="sk-live-0123456789abcdef",
        OPENAI_BASE_URL="https://user:hunter22@llm.example/v1?token=abcdefgh",
    )
    assert ended.code == 0
    assert "api_key: set" in ended.out
    assert "llm.example" in ended.out
    for secret in ("sk-live", "hunter22", "abcdefgh"):
        assert secret not in ended.out + ended.err


def test_doctor_without_a_key_warns_and_makes_no_request(shell: Shell) -> None:
    """SC-174, SC-176."""
    document = shell.process("doctor", "-o", "json").json
    assert document["ok"] is True
    assert document["api_key"] == "not set"
    assert document["provider"] == "openai"
    assert document["provider_connectivity"] == "skipped"
    assert document["model"] == "gpt-4o-mini"
    assert any("2027-01-14" in warning for warning in document["warnings"])
    assert document["yaml_extra"] in {"installed", "missing"}
    assert not shell.directory.joinpath(".replayt").exists()


def test_doctor_exits_1_when_something_needed_is_wrong(shell: Shell) -> None:
    assert shell.process("doctor", REPLAYT_PROVIDER="nosuch").code == 1
    shell.write("file", "")
    ended = shell.process("doctor", "--log-dir", "file/runs", "-o", "json")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert "log_dir" in ended.json["errors"][0]


def test_doctor_tells_whether_the_provider_can_be_reached(shell: Shell) -> None:
    """SC-176, SC-177."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen: list[bytes] = []

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        env = {
            "OPENAI_API_KEY": "sk-live-0123456789abcdef",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        }
        document = shell.process("doctor", "-o", "json", **env).json
        thread.join(30)
    assert document["provider_connectivity"] == "reachable"
    assert seen[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    with socket.socket() as silent:  # the port is taken, and nobody listens there
        silent.bind(("127.0.0.1", 0))
        env["OPENAI_BASE_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        document = shell.process("doctor", "-o", "json", **env).json
    assert document["provider_connectivity"] == "unreachable"
    assert document["ok"] is True
    assert "sk-live" not in str(document)
    assert any("provider_connectivity" in warning for warning in document["warnings"])


def test_doctor_asks_nobody_offline(shell: Shell) -> None:
    """SC-176."""
    document = shell.process("doctor", "-o", "json", REPLAYT_PROVIDER="offline").json
    assert document["provider_connectivity"] == "skipped"


def test_doctor_lists_the_stores_and_names_what_cannot_be_loaded(shell: Shell) -> None:
    install_plugin(shell.directory)
    ended = shell.process("doctor", "-o", "json", PYTHONPATH=".")
    assert "Traceback" not in ended.err
    document = ended.json
    assert document["stores"] == "jsonl, keeps, odd, slow, sqlite"
    warning = next(text for text in document["warnings"] if text.startswith("stores: "))
    assert "gone:// (odd_stores_gone:open_gone) cannot be loaded: ModuleNotFoundError" in warning
    assert document["duckdb"][0].isdigit()
    assert document["ok"] is True


def test_doctor_says_when_duckdb_is_missing(shell: Shell) -> None:
    hidden = (
        "import sys\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'duckdb' else find(name)\n"
        "from replayt_cli.main import main\n"
        "sys.exit(main(['doctor', '-o', 'json']))\n"
    )
    path = shell.write("without.py", hidden)
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment(),
        cwd=shell.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(done.stdout)
    assert document["duckdb"] == "missing"
    assert any("replayt-store[duckdb]" in text for text in document["warnings"])


def test_doctor_looks_where_a_copy_would_be_written(shell: Shell) -> None:
    assert shell.process("doctor", "--sqlite", "runs.db", "-o", "json").json["sqlite"] == "runs.db"
    shell.write("file", "")
    ended = shell.process("doctor", "--sqlite", "file/runs.db", "-o", "json")
    assert ended.code == 1
    assert ended.json["errors"][0].startswith("sqlite: ")


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use cannot be removed")
@pytest.mark.parametrize("options", [[], ["--sqlite", "runs.db"]])
def test_a_working_directory_that_is_gone_is_a_finding(shell: Shell, options: list[str]) -> None:
    words = [sys.executable, "-m", "replayt_cli", "doctor", "-o", "json", *options]
    done = subprocess.run(
        ["/bin/sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *words],
        env=environment(),
        cwd=shell.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "log_dir: the working directory is gone: go to another" in json.loads(done.stdout)["errors"]
    )
