from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import pytest

from replayt_cli.scaffold import TEMPLATES
from tests.cli.helpers import Shell, environment, one_line
from tests.cli.logs import install_plugin


def test_init_writes_two_files_and_a_second_one_leaves_them_alone(shell: Shell) -> None:
    """SC-122, SC-123."""
    assert shell.call("init").code == 0
    files = [shell.directory / name for name in ("workflow.py", ".env.example")]
    before = [path.read_bytes() for path in files]
    files[0].write_text("mine")
    ended = shell.call("init")
    assert ended.code == 1
    assert "--force" in one_line(ended)
    assert files[0].read_text() == "mine"
    assert shell.call("init", "--force").code == 0
    assert [path.read_bytes() for path in files] == before


def test_init_elsewhere_creates_the_directory(shell: Shell) -> None:
    """SC-122."""
    assert shell.call("init", "-p", "deep/er").code == 0
    assert (shell.directory / "deep/er/workflow.py").is_file()
    shell.write("file", "")
    ended = shell.call("init", "--path", "file/x")
    assert ended.code == 74
    one_line(ended)


def test_the_env_example_says_that_it_is_not_loaded(shell: Shell) -> None:
    """SC-126."""
    shell.call("init")
    text = (shell.directory / ".env.example").read_text()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REPLAYT_MODEL", "REPLAYT_PROVIDER"):
        assert name in text
    assert "NOT loaded" in text


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_validates_and_runs_without_a_key(shell: Shell, template: str) -> None:
    """SC-124, SC-125."""
    assert shell.call("init", "--template", template).code == 0
    assert shell.process("validate", "workflow.py").code == 0
    ended = shell.process("run", "workflow.py", "--inputs-json", "{}", "--run-id", "a")
    if template == "approval":
        assert ended.code == 2
        ended = shell.process("resume", "workflow.py", "a", "--approval", "publish")
    assert (ended.code, ended.err) == (0, "")


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

        thread = threading.Thread(target=answer)
        thread.start()
        env = {
            "OPENAI_API_KEY": "sk-live-0123456789abcdef",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        }
        document = shell.process("doctor", "-o", "json", **env).json
        thread.join(30)
    assert document["provider_connectivity"] == "reachable"
    assert seen[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    document = shell.process("doctor", "-o", "json", **env).json
    assert document["provider_connectivity"] == "unreachable"
    assert document["ok"] is True
    assert "sk-live" not in str(document)
    assert any("provider_connectivity" in warning for warning in document["warnings"])


def test_doctor_asks_nobody_offline(shell: Shell) -> None:
    """SC-176."""
    document = shell.process("doctor", "-o", "json", REPLAYT_PROVIDER="offline").json
    assert document["provider_connectivity"] == "skipped"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_init_on_a_full_disk_leaves_nothing_half_written(shell: Shell) -> None:
    """R5: and the next try is not refused because of what this one left."""
    import resource

    ended = subprocess.run(
        [sys.executable, "-B", "-m", "replayt_cli", "init", "--path", "new"],
        cwd=shell.directory,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (74, "")
    assert "cannot write" in ended.stderr
    assert list((shell.directory / "new").iterdir()) == []
    assert shell.call("init", "--path", "new").code == 0
    names = sorted(path.name for path in (shell.directory / "new").iterdir())
    assert names == [".env.example", "workflow.py"]


def test_doctor_lists_the_stores_and_names_what_cannot_be_loaded(shell: Shell) -> None:
    install_plugin(shell.directory)
    ended = shell.process("doctor", "-o", "json", PYTHONPATH=".")
    assert "Traceback" not in ended.err
    document = ended.json
    assert document["stores"] == "jsonl, keeps, odd, sqlite"
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
