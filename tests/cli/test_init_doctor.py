from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

from tests.cli.helpers import Shell, environment
from tests.cli.logs import install_plugin


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
