"""`replayt examples`: the list, one of them, and copies (issue E point 1, issue F point 2)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import Shell, environment, on_terminal, one_line

TRIP = ["e08_travel_approval.py", "e08_travel_approval.json", "e08_travel_approval_routine.json"]


@pytest.fixture
def bundled() -> Path:
    """The folder of the examples; they come with another package than this one."""
    examples = pytest.importorskip("replayt.examples")
    return Path(examples.__file__).parent


def test_the_list_is_in_the_order_of_the_tutorial(shell: Shell, bundled: Path) -> None:
    ended = shell.call("examples")
    lines = ended.out.splitlines()
    assert (ended.code, ended.err, len(lines)) == (0, "", 17)
    assert [int(line.split()[0]) for line in lines] == list(range(1, 18))
    assert lines[0].split(maxsplit=2)[1:] == ["e01_hello_world", "Greet a customer by name"]
    assert lines[9].split()[1] == "issue_triage"
    assert all(len(line) <= 80 for line in lines)
    assert not list(shell.directory.iterdir())


def test_the_list_as_json_names_files_that_are_there(shell: Shell, bundled: Path) -> None:
    listed = shell.call("examples", "--output", "json").json["examples"]
    assert [entry["number"] for entry in listed] == list(range(1, 18))
    assert all(entry.keys() == listed[0].keys() for entry in listed)
    assert listed[7] == {
        "number": 8,
        "name": "e08_travel_approval",
        "title": "Approve a business trip",
        "asks_model": False,
        "files": TRIP,
    }
    named = {name for entry in listed for name in entry["files"]}
    there = {
        path.relative_to(bundled).as_posix()
        for path in bundled.rglob("*")
        if path.is_file() and {"__pycache__", "patterns"}.isdisjoint(path.parts)
    }
    assert named == there - {"README.md", "__init__.py", "catalogue.json"}


@pytest.mark.parametrize(
    "name",
    ["8", "08", "e08", "e08_travel_approval", "travel", "Travel-Approval", TRIP[0]],
)
def test_an_example_is_found_by_number_name_or_a_part_of_it(
    shell: Shell, bundled: Path, name: str
) -> None:
    ended = shell.call("examples", name, "-o", "json")
    assert (ended.code, ended.json["name"]) == (0, "e08_travel_approval")
    assert "Why it exists:" in ended.json["about"]


def test_what_one_is_about_ends_with_the_commands(shell: Shell, bundled: Path) -> None:
    ended = shell.call("examples", "issue_triage")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("10. issue_triage\n\nSort an incoming issue: ")
    assert "    check_report --> request_more_info\n" in ended.out
    commands = ended.out.partition("Copy it, and run it\n")[2].splitlines()
    assert commands[:2] == [
        "  replayt examples issue_triage --out .",
        "  export REPLAYT_PROVIDER=offline",
    ]
    assert commands[3].endswith("--run-id triage-1  # exits with 2")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_prose_is_folded_to_the_terminal_and_drawings_are_not(shell: Shell, bundled: Path) -> None:
    code, shown = on_terminal(shell, "examples", "sdk", columns=60)
    lines = shown.replace("\r", "").splitlines()
    assert code == 0
    assert "    ask --> file_it" in lines
    prose = lines[: lines.index("Files")]
    assert max(map(len, prose)) in range(50, 61)
    code, shown = on_terminal(shell, "examples", columns=50)
    assert max(map(len, shown.replace("\r", "").splitlines()[:17])) == 50


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("travel_aproval", "perhaps e08_travel_approval; "),
        ("e09_incident_respnse", "perhaps e09_incident_response; "),
        ("lookup_retires", "perhaps e05_vendor_lookup_retries; "),
        ("in", "perhaps e02_intake_normalization or "),
        ("18", "numbered 1 to 17"),
        ("0", "numbered 1 to 17"),
        ("\x1b]0;x\x07", "lists them all"),
        ("", "lists them all"),
    ],
)
def test_an_unknown_name_says_what_was_probably_meant(
    shell: Shell, bundled: Path, name: str, meant: str
) -> None:
    ended = shell.call("examples", name)
    assert (ended.code, meant in one_line(ended)) == (66, True)
    assert "\x1b" not in ended.err


def test_a_copy_is_the_same_byte_for_byte_and_is_not_overwritten(
    shell: Shell, bundled: Path
) -> None:
    ended = shell.call("examples", "8", "--out", "new/trip")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [f"wrote {Path('new/trip', name)}" for name in TRIP]
    copies = [shell.directory / "new/trip" / name for name in TRIP]
    assert [copy.read_bytes() for copy in copies] == [(bundled / n).read_bytes() for n in TRIP]

    copies[0].write_text("mine")
    copies[1].unlink()
    ended = shell.call("examples", "8", "--out", "new/trip")
    assert ended.code == 1
    assert one_line(ended) == (
        f"{Path('new/trip', TRIP[0])} and {Path('new/trip', TRIP[2])} exist already and were left "
        "alone; --force overwrites, --out DIR writes elsewhere"
    )
    assert (copies[0].read_text(), copies[1].exists()) == ("mine", False)
    assert shell.call("examples", "8", "--out", "new/trip", "--force").code == 0
    assert [copy.read_bytes() for copy in copies] == [(bundled / n).read_bytes() for n in TRIP]


def test_all_of_them_are_copied_with_what_they_need(shell: Shell, bundled: Path) -> None:
    ended = shell.call("examples", "--out", "all", "--output", "json")
    assert ended.code == 0
    assert len(ended.json["examples"]) == 17
    there = [path for path in (shell.directory / "all").rglob("*") if path.is_file()]
    assert sorted(ended.json["written"]) == sorted(
        str(path.relative_to(shell.directory)) for path in there
    )
    assert (shell.directory / "all/e17_verify_gate_runs/discount-granted.jsonl").is_file()
    ended = shell.call("examples", "17", "--out", "all")
    assert (ended.code, " and 4 more files exist already" in one_line(ended)) == (1, True)


def test_the_commands_of_a_copy_name_its_folder(shell: Shell, bundled: Path) -> None:
    (entry,) = shell.call("examples", "8", "--out", "a b", "-o", "json").json["examples"]
    assert entry["commands"][1:] == [
        {
            "command": "replayt run 'a b/e08_travel_approval.py' --inputs-json "
            "'@a b/e08_travel_approval.json' --run-id trip-1",
            "exit_code": 2,
        },
        {
            "command": "replayt resume 'a b/e08_travel_approval.py' trip-1 --approval trip",
            "exit_code": 0,
        },
    ]
    (entry,) = shell.call("examples", "17", "--out", "ci", "-o", "json").json["examples"]
    assert entry["commands"][1]["command"] == (
        "replayt verify --all --log-dir ci/e17_verify_gate_runs --target ci/e17_verify_gate.py"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["8", "--force"], 64, "--out DIR"),
        (["8", "--out", " "], 64, "--out is empty"),
        (["8", "9"], 64, "unexpected extra argument"),
        (["8", "--output", "yaml"], 64, "--output"),
        (["8", "--out", "file/x"], 74, "cannot write"),
    ],
)
def test_mistakes_are_one_line(
    shell: Shell, bundled: Path, words: list[str], code: int, said: str
) -> None:
    shell.write("file", "")
    ended = shell.call("examples", *words)
    assert (ended.code, said in one_line(ended)) == (code, True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_leaves_nothing_half_written(shell: Shell, bundled: Path) -> None:
    import resource

    ended = subprocess.run(
        [sys.executable, "-B", "-m", "replayt_cli", "examples", "8", "--out", "new"],
        cwd=shell.directory,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (74, "")
    assert "cannot write" in ended.stderr
    assert not (shell.directory / "new").exists()


ALONE = """
import json, sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "replayt" else find(name, *more)
from replayt_cli.main import main
sys.exit(main(["examples", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("words", [[], ["8"], ["--out", "all"]])
def test_without_the_package_replayt_it_says_where_they_are(shell: Shell, words: list[str]) -> None:
    path = shell.write("alone.py", ALONE)
    done = subprocess.run(
        [sys.executable, str(path), *words],
        cwd=shell.directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (66, "")
    assert "come with the package replayt" in done.stderr
    assert not (shell.directory / "all").exists()


IMPORTED = """
import json, sys
from replayt_cli.main import main
code = main(["examples", *sys.argv[1:]])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [[], ["8"]])
def test_listing_imports_no_example_and_nothing_heavy(
    shell: Shell, bundled: Path, words: list[str]
) -> None:
    path = shell.write("imported.py", IMPORTED)
    done = subprocess.run(
        [sys.executable, str(path), *words],
        cwd=shell.directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert not {"replayt", "replayt_llm", "replayt_store", "httpx", "duckdb", "jinja2", "yaml"} & {
        *modules
    }
