"""tools/bump.py raises one package and touches the others only when asked."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.workspace.helpers import ROOT
from tools import bump, check_changelogs

DAY = datetime.date(2026, 11, 22)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The members' pyproject.toml and CHANGELOG.md, elsewhere, at version 0.3.0."""
    for project in sorted(ROOT.glob("packages/*/pyproject.toml")):
        copy = tmp_path / "packages" / project.parent.name
        copy.mkdir(parents=True)
        text = project.read_text(encoding="utf-8")
        declared = bump.DECLARED.search(text)
        assert declared
        text = bump.DECLARED.sub('version = "0.3.0"', text)
        for sibling in bump.PACKAGES.values():
            text = bump.with_ranges(text, sibling, ">=0.3,<0.4")
        (copy / "pyproject.toml").write_text(text, encoding="utf-8")
        (copy / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.3.0\n")
    return tmp_path


def read(workspace: Path, package: str, name: str = "pyproject.toml") -> str:
    return (workspace / "packages" / package / name).read_text(encoding="utf-8")


def test_a_patch_leaves_the_siblings_alone(workspace: Path) -> None:
    bump.bump(workspace, "replayt-core", "patch", ranges=True, today=DAY)
    assert 'version = "0.3.1"' in read(workspace, "replayt-core")
    assert "## Unreleased\n\n## 0.3.1 - 2026-11-22" in read(
        workspace, "replayt-core", "CHANGELOG.md"
    )
    assert '"replayt-core>=0.3,<0.4"' in read(workspace, "replayt-llm")
    assert 'version = "0.3.0"' in read(workspace, "replayt-llm")


def test_a_minor_bump_says_who_does_not_allow_it_yet(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = bump.bump(workspace, "replayt-core", "minor", ranges=False, today=DAY)
    assert [path.name for path in changed] == ["pyproject.toml", "CHANGELOG.md"]
    assert "replayt-llm does not allow replayt-core 0.4.0 yet" in capsys.readouterr().out
    assert '"replayt-core>=0.3,<0.4"' in read(workspace, "replayt-llm")


def test_ranges_follow_when_asked_extras_included(workspace: Path) -> None:
    bump.bump(workspace, "replayt-store", "minor", ranges=True, today=DAY)
    assert '"replayt-store[duckdb]>=0.4,<0.5"' in read(workspace, "replayt-cli")
    assert '"replayt-core>=0.3,<0.4"' in read(workspace, "replayt-cli")


def test_a_bumped_package_passes_the_changelog_check(workspace: Path) -> None:
    bump.bump(workspace, "replayt", "major", ranges=False, today=DAY)
    assert check_changelogs.main(workspace) == 0


def test_nothing_is_written_when_the_changelog_has_no_unreleased_heading(workspace: Path) -> None:
    (workspace / "packages/replayt-llm/CHANGELOG.md").write_text("# Changelog\n\n## 0.3.0\n")
    with pytest.raises(SystemExit, match="Unreleased"):
        bump.bump(workspace, "replayt-llm", "patch", ranges=False, today=DAY)
    assert 'version = "0.3.0"' in read(workspace, "replayt-llm")
