"""Generated pages are current: the run log (SC-111; real logs are as it says), commands, names."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from replayt_cli.main import application, commands, groups
from replayt_core.payloads import PAYLOADS
from tests.forked.programs import python
from tests.workspace.helpers import ROOT

SCHEMA = json.loads((ROOT / "docs/run-log.schema.json").read_text(encoding="utf-8"))
FIXTURES = sorted((ROOT / "tests/fixtures/schema-1").glob("*.jsonl"))


def faults(event: Any) -> list[str]:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in checker.iter_errors(event)]


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n"):
        if line:
            yield json.loads(line)


def test_the_page_and_the_schema_are_what_the_types_say() -> None:
    done = subprocess.run(
        [python(os.environ), "tools/gen_schema_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}run python tools/gen_schema_docs.py"


def test_a_wrong_word_is_the_usage_text() -> None:
    done = subprocess.run(
        [python(os.environ), "tools/gen_schema_docs.py", "--chek"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert "Usage: python tools/gen_schema_docs.py [--check]" in done.stderr


def test_every_event_type_is_on_the_page() -> None:
    page = (ROOT / "docs/RUN_LOG_SCHEMA.md").read_text(encoding="utf-8")
    for kind in PAYLOADS:
        assert f"\n### {kind}\n" in page


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_log_of_this_schema_is_what_it_says(path: Path) -> None:
    events = list(lines_of(path))
    assert events
    assert [faults(event) for event in events] == [[] for _ in events]


def test_the_logs_of_the_fixtures_hold_nearly_every_type() -> None:
    """Else the test above would say little."""
    seen = {event["type"] for path in FIXTURES for event in lines_of(path)}
    assert set(PAYLOADS) - seen <= {"llm_retry", "log_repaired", "structured_output_failed"}


def test_what_breaks_a_type_is_a_fault() -> None:
    started = next(lines_of(FIXTURES[0]))
    assert faults(started) == []
    for change in (
        {"seq": 0},
        {"seq": "1"},
        {"ts": "2026-01-01 00:00:00"},
        {"run_id": "../etc"},
        {"more": False},
        {"payload": []},
        {"payload": {**started["payload"], "graph": None}},
        {"payload": {key: v for key, v in started["payload"].items() if key != "inputs"}},
    ):
        assert faults({**started, **change}), change
    # What a later release may add is no fault.
    later = {**started["payload"], "added": 1}
    assert faults({**started, "type": "of_a_later_release", "payload": {}, "added": 1}) == []
    assert faults({**started, "payload": later}) == []


def test_a_run_of_today_is_what_it_says(tmp_path: Path) -> None:
    program = (
        "from replayt.examples.issue_triage import wf\n"
        "from replayt import Runner\n"
        "from replayt.llm import LLMSettings\n"
        "from replayt.persistence import JSONLStore\n"
        "settings = LLMSettings.for_provider('offline')\n"
        "for mode in ('full', 'redacted', 'structured_only'):\n"
        "    runner = Runner(wf, JSONLStore('runs'), llm_settings=settings, log_mode=mode)\n"
        "    body = 'It stops with an error as soon as I open a file. ' * 4\n"
        "    issue = {'number': 1, 'title': 'It stops', 'body': body}\n"
        "    assert runner.run({'issue': issue}).status == 'paused'\n"
    )
    done = subprocess.run(
        [python(os.environ), "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logs = sorted((tmp_path / "runs").glob("*.jsonl"))
    assert len(logs) == 3
    found = [event for log in logs for event in lines_of(log)]
    assert {"llm_request", "llm_response", "structured_output", "tool_call"} <= {
        event["type"] for event in found
    }
    assert [fault for event in found for fault in faults(event)] == []


def checked(tool: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python(os.environ), f"tools/{tool}", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("tool", ["gen_cli_docs.py", "gen_api_docs.py"])
def test_the_pages_of_commands_and_names_are_what_the_code_says(tool: str) -> None:
    done = checked(tool)
    assert done.returncode == 0, f"{done.stderr}run python tools/{tool}"


def test_every_command_and_every_flag_is_on_the_page() -> None:
    """Issue 6. Told by typer's own parser, which the page is not made from."""
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    seen = 0
    for words, command in walk(typer.main.get_command(application(commands(), groups())), ()):
        section = page.partition(f"\n### {' '.join(('replayt', *words))}\n")[2].partition("\n##")[0]
        if not words:
            section = page.partition("\n## The command itself\n")[2].partition("\n##")[0]
        assert section, f"{' '.join(words)} has no section"
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-") and option != "--help":
                    assert re.search(rf"`{re.escape(option)}[` ]", section), (words, option)
                    seen += 1
        for variable in (p.envvar for p in command.params if getattr(p, "envvar", None)):
            assert f"`{variable}`" in section, (words, variable)
    assert seen > 150


def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, part in getattr(command, "commands", {}).items():
        yield from walk(part, (*words, name))


def test_every_section_of_a_command_ends_with_an_example() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    sections = re.split(r"\n### (replayt [^\n]+)\n", page)[1:]
    for heading, section in zip(sections[::2], sections[1::2], strict=True):
        assert re.search(rf"\nExamples?:\n\n- `{heading}", section), heading


def test_a_stale_page_is_told(tmp_path: Path) -> None:
    """In a copy of what the tool reads and writes."""
    for name in ("gen_cli_docs.py", "generated_pages.py"):
        (tmp_path / "tools").mkdir(exist_ok=True)
        text = (ROOT / "tools" / name).read_text(encoding="utf-8")
        (tmp_path / "tools" / name).write_text(text, encoding="utf-8")
    page = tmp_path / "docs/cli.md"
    page.parent.mkdir()
    whole = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    page.write_text(whole.replace("--take-over", "--take"), encoding="utf-8")
    command = [python(os.environ), str(tmp_path / "tools/gen_cli_docs.py")]
    told = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (1, "docs/cli.md is not what the commands say\n")
    mended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (mended.returncode, mended.stdout) == (0, "wrote docs/cli.md\n")
    assert page.read_text(encoding="utf-8") == whole
