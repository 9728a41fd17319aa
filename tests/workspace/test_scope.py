"""SC-196: what docs/scope.md leaves out is not here. Each test would see it come in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replayt_cli.main import commands, groups
from replayt_core.payloads import PAYLOADS
from tests.workspace.helpers import MEMBERS, ROOT, Member

PAGE = (ROOT / "docs/scope.md").read_text(encoding="utf-8")
PROMISED = {
    *("run", "resume", "fork", "inspect", "replay", "report", "why", "diff", "verify", "pin"),
    *("runs", "stats", "query", "gc", "graph", "validate", "init", "examples", "doctor", "store"),
}
PARTS = {"store": {"copy", "rebuild", "repair"}}

THIRD_PARTIES = {
    "replayt-core": {"pydantic", "pydantic_core", "typing_extensions", "yaml", "pytest"},
    "replayt-llm": {"httpx", "pydantic", "pydantic_core"},
    "replayt-store": {"duckdb", "pydantic", "pydantic_core"},
    "replayt-cli": {"typer", "jinja2", "markupsafe", "pydantic", "pydantic_core", "tomli"},
    "replayt": {"pytest"},
}
"""What each package imports of others: SDKs, tracers, brokers and the like would be news here.
pytest is imported by the kits and the plugin, which run inside of it."""

KINDS = (
    r"agents?|planners?|crews?|swarms?|schedulers?|cron|daemons?|workers?|queues?|batch|rag|"
    r"embeddings?|vectors?|evals?|evaluations?|judges?|plugins?|hooks?|marketplace|rbac|roles?|"
    r"permissions?|users?|accounts?|telemetry|otel|opentelemetry|tracing|spans?|dashboard|prompts?|"
    r"streaming|celery|redis|openai|anthropic|langchain|langgraph|uploads?"
)
OF_A_KIND = re.compile(rf"(^|_)({KINDS})($|_)")


def modules_of(member: Member) -> Iterator[tuple[str, Path]]:
    """Every module of a package by its dotted name, but for the examples."""
    for path in member.modules():
        parts = path.relative_to(member.source.parent).with_suffix("").parts
        name = ".".join(parts)
        if not name.startswith("replayt.examples"):
            yield name, path


def third_parties(source: str) -> set[str]:
    """The top names of what a module imports and neither Python nor this repository has."""
    own = {member.import_name for member in MEMBERS.values()}
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    # Python 3.10 has no tomllib, and the module that imports it does so on later ones only.
    return {name.split(".")[0] for name in found} - own - {*sys.stdlib_module_names, "tomllib"}


def test_the_commands_are_those_that_were_promised() -> None:
    names = [command.__name__ for command in commands()] + [str(g.info.name) for g in groups()]
    assert sorted(names) == sorted(PROMISED), "few commands: docs/scope.md says why"
    parts = {
        str(group.info.name): {
            getattr(c.callback, "__name__", "") for c in group.registered_commands
        }
        for group in groups()
    }
    assert parts == PARTS


def test_the_page_names_the_commands_there_are() -> None:
    listed = PAGE[PAGE.rindex("The commands are") :].partition(". A test")[0]
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(PROMISED)


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
def test_nothing_is_imported_that_was_not_agreed_on(member: Member) -> None:
    found: dict[str, set[str]] = {}
    for name, path in modules_of(member):
        for imported in third_parties(path.read_text(encoding="utf-8")):
            found.setdefault(imported, set()).add(name)
    plugin = ROOT / "packages/replayt/src/pytest_replayt.py"
    if member.name == "replayt":
        for imported in third_parties(plugin.read_text(encoding="utf-8")):
            found.setdefault(imported, set()).add("pytest_replayt")
    news = {name: sorted(where) for name, where in found.items()}
    assert set(found) == THIRD_PARTIES[member.name], news


def test_an_import_that_was_not_agreed_on_would_be_seen() -> None:
    source = (
        "import os, openai\nfrom opentelemetry.sdk import trace\nfrom replayt_core import fold\n"
    )
    assert third_parties(source) == {"openai", "opentelemetry"}


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
def test_no_module_is_of_a_kind_that_stays_out(member: Member) -> None:
    found = [
        name
        for name, _ in modules_of(member)
        if any(OF_A_KIND.search(part) for part in name.split("."))
    ]
    assert not found, "docs/scope.md says what to do instead"
    assert OF_A_KIND.search("vector_store")
    assert not OF_A_KIND.search("evaluated")


def test_only_stores_and_clients_and_pytest_are_found_by_entry_point() -> None:
    """No plugins: two ports can be filled by other packages, and pytest loads its fixture."""
    groups = {
        group for member in MEMBERS.values() for group in member.project.get("entry-points", {})
    }
    assert groups == {"replayt.llm_clients", "replayt.stores", "pytest11"}
    scripts = {name for member in MEMBERS.values() for name in member.project.get("scripts", {})}
    assert scripts == {"replayt"}
    asked = {
        text
        for member in MEMBERS.values()
        for _, path in modules_of(member)
        for text in re.findall(r"[\"'](replayt\.[a-z_]+)[\"']", path.read_text(encoding="utf-8"))
        if "entry_points" in path.read_text(encoding="utf-8")
    }
    assert asked == {"replayt.llm_clients", "replayt.stores"}


def test_no_event_is_a_piece_of_a_reply() -> None:
    """SC-69: the final output is an event; tokens on their way are none."""
    assert not [kind for kind in PAYLOADS if re.search("token|chunk|delta|stream|part", kind)]


def test_a_run_leaves_no_process_thread_or_open_port(tmp_path: Path) -> None:
    """No daemon: what a run started has ended when `run` returns, and nothing ever listened."""
    program = (
        "import sys, threading\n"
        "seen = []\n"
        "watched = ('socket.bind', 'socket.connect', 'subprocess.Popen', 'os.fork', 'os.spawn',\n"
        "           'os.posix_spawn', 'os.exec', 'os.system')\n"
        "sys.addaudithook(lambda name, args: name in watched and seen.append(name))\n"
        "from replayt import Runner\n"
        "from replayt.examples.issue_triage import wf\n"
        "from replayt.llm import LLMSettings\n"
        "from replayt.persistence import JSONLStore\n"
        "settings = LLMSettings.for_provider('offline')\n"
        "body = 'It stops with an error as soon as I open a file. ' * 4\n"
        "issue = {'number': 1, 'title': 'It stops', 'body': body}\n"
        "result = Runner(wf, JSONLStore('runs'), llm_settings=settings).run({'issue': issue})\n"
        "assert result.summary.llm_calls, 'or the test says little'\n"
        "print(result.status, threading.active_count(), seen)\n"
        "import socket\n"
        "socket.socket().bind(('127.0.0.1', 0))\n"
        "print(seen)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "paused 1 []\n['socket.bind']\n"


def test_the_page_answers_every_row() -> None:
    """Each row has what is wanted, why it is not here, and what to do instead."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.startswith("| Wanted")]
    assert len(rows) >= 30
    for row in rows:
        wanted, why, instead = (cell.strip() for cell in row.strip("|").split(" | "))
        assert all((wanted, why, instead)), row
    for kind in (
        "planners", "RBAC", "retrieval", "evaluation", "plugin marketplace", "daemon", "scheduler",
        "OpenTelemetry", "token streaming", "provider SDKs", "batch engine", "prompt management",
        "vector stores", "hosted service", "web server",
    ):  # fmt: skip
        assert any(kind in row for row in rows), kind
