"""The files that `init` writes: a workflow with its test, and what CI runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from replayt_cli.errors import UsageError
from replayt_cli.files.all_or_none import write_files

FIRST_RUN = "first"
"""The id of the run that a project with CI begins with."""
_WORKFLOWS = ("workflow.py", "workflow.yaml")
_CI_FILE = ".github/workflows/replayt.yml"
# The command can be installed without the package that has the short names.
_LONG_NAMES = {
    "from replayt import": "from replayt_core import",
    "from replayt.testing import": "from replayt_core.testing import",
}


@dataclass(frozen=True, kw_only=True)
class Template:
    """A project to start from: its files, and the inputs that show what it does.

    `files` maps the path that is written to the text below `templates/init`.
    """

    files: Mapping[str, str]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    calls_model: bool = False
    waits: bool = False
    ci: bool = False

    @property
    def workflow(self) -> str:
        """The file that is the target of the other commands."""
        return next(name for name in _WORKFLOWS if name in self.files)


def _template(name: str, workflow: str = "workflow.py", **more: Any) -> Template:
    paths = {
        workflow: f"{name}/{workflow}.txt",
        "test_workflow.py": f"{name}/test_workflow.py.txt",
        ".env.example": "env.example.txt",
    }
    return Template(files={**paths, **more.pop("files", {})}, **more)


_MESSAGE = {"text": "I was charged twice."}
TEMPLATES: Mapping[str, Template] = {
    "basic": _template("basic", inputs={"name": "Ada"}),
    "approval": _template("approval", inputs={"title": "Release notes"}, waits=True),
    "tool-using": _template("tool-using"),
    "yaml": _template("yaml", "workflow.yaml"),
    "llm": _template("llm", inputs=_MESSAGE, calls_model=True),
    "ci": _template(
        "ci",
        files={"workflow.py": "llm/workflow.py.txt"},
        inputs=_MESSAGE,
        calls_model=True,
        ci=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """What was written where. `template` is None where only the CI file was added."""

    template: Template | None
    workflow: Path
    written: tuple[Path, ...]


def write_scaffold(
    directory: str, template: str | None, *, ci: bool = False, force: bool = False
) -> Scaffold:
    """Write a project into `directory`: that of `template`, or of `basic`.

    With `ci` also the workflow for GitHub and a first pinned run. A directory that has a workflow
    already gets the file for GitHub alone, unless a template is named.
    All or nothing: without `force` existing files are left alone and `CommandError` names them.
    """
    if template is not None and template not in TEMPLATES:
        raise UsageError(f"--template {template!r:.40} is none of {', '.join(TEMPLATES)}")
    root = Path(directory)
    there = next((name for name in _WORKFLOWS if (root / name).is_file()), None)
    if ci and template is None and there is not None:
        contents = {_CI_FILE: _ci_file(there)}
        return _put(root, None, there, contents, force=force)
    chosen = TEMPLATES[template or "basic"]
    contents = {path: _text(source).encode() for path, source in chosen.files.items()}
    if ci or chosen.ci:
        from replayt_cli.project.first_run import record_run

        contents[_CI_FILE] = _ci_file(chosen.workflow)
        workflow = contents[chosen.workflow]
        log = record_run(chosen.workflow, workflow, FIRST_RUN, chosen.inputs)
        contents[f"runs/{FIRST_RUN}.jsonl"] = log
    return _put(root, chosen, chosen.workflow, contents, force=force)


def _put(
    root: Path,
    template: Template | None,
    workflow: str,
    contents: Mapping[str, bytes],
    *,
    force: bool,
) -> Scaffold:
    paths = {root / name: data for name, data in contents.items()}
    written = write_files(paths, force=force, elsewhere="--path DIR")
    return Scaffold(template=template, workflow=root / workflow, written=tuple(written))


def _ci_file(workflow: str) -> bytes:
    return _text("github.yml.txt").replace("TARGET", workflow).encode()


def _text(source: str) -> str:
    folder = files("replayt_cli") / "templates" / "init"
    if find_spec("replayt") is None:
        other = folder / source.replace(".py.txt", "_core.py.txt")
        if source.endswith(".py.txt") and other.is_file():
            return other.read_text(encoding="utf-8")
        text = (folder / source).read_text(encoding="utf-8")
        for short, long in _LONG_NAMES.items():
            text = text.replace(short, long)
        return text
    return (folder / source).read_text(encoding="utf-8")
