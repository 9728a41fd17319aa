"""tools/bump.py raises one package and touches the others only when asked."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from tests.workspace.helpers import ROOT
from tools import bump, check_changelogs

DAY = datetime.date(2026, 11, 22)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Every pyproject.toml and the members' CHANGELOG.md, elsewhere, at version 0.3.0."""
    for project in bump.projects(ROOT):
        copy = tmp_path / project.parent.relative_to(ROOT)
        copy.mkdir(parents=True, exist_ok=True)
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


OTHERS = {
    "packages/replayt/src/replayt/examples/patterns/reusable_package/pyproject.toml",
    "tests/third_party/replayt-redis-store/pyproject.toml",
}


def test_ranges_of_packages_that_are_no_members_follow_too(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else they could not be installed beside what they are tested with."""
    changed = bump.bump(workspace, "replayt-core", "minor", ranges=True, today=DAY)
    names = {path.relative_to(workspace).as_posix() for path in changed}
    assert names >= OTHERS
    assert len(changed) == len(set(changed))
    for name in OTHERS:
        assert '"replayt-core>=0.4,<0.5"' in (workspace / name).read_text(encoding="utf-8")
    assert "replayt-redis-store now needs replayt-core>=0.4,<0.5" in capsys.readouterr().out


def test_no_range_in_the_repository_is_out_of_reach_or_out_of_date() -> None:
    """Wherever a range on one of the packages stands, `--ranges` finds it, and it is today's."""
    found = set()
    for path in bump.projects(ROOT):
        text = path.read_text(encoding="utf-8")
        if "replayt-core>=" in text:
            found.add(path.relative_to(ROOT).as_posix())
        for package in bump.PACKAGES.values():
            declared = bump.DECLARED.search(read(ROOT, package))
            assert declared
            major, minor, patch = map(int, declared.groups())
            wanted = bump.sibling_range((major, minor, patch))
            assert bump.with_ranges(text, package, wanted) == text, f"{path}: {package}"
    assert found >= OTHERS
    elsewhere = [
        path.relative_to(ROOT).as_posix()
        for folder in ("docs", "tools", ".ci", ".github")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".toml", ".txt", ".yml", ".md"} and "node_modules" not in path.parts
        if re.search(r"replayt(-[a-z]+)?(\[[\w,-]+\])?>=\d", path.read_text(encoding="utf-8"))
    ]
    assert elsewhere == []


def test_a_bumped_package_passes_the_changelog_check(workspace: Path) -> None:
    bump.bump(workspace, "replayt", "major", ranges=False, today=DAY)
    assert check_changelogs.main(workspace) == 0


def test_nothing_is_written_when_the_changelog_has_no_unreleased_heading(workspace: Path) -> None:
    (workspace / "packages/replayt-llm/CHANGELOG.md").write_text("# Changelog\n\n## 0.3.0\n")
    with pytest.raises(SystemExit, match="Unreleased"):
        bump.bump(workspace, "replayt-llm", "patch", ranges=False, today=DAY)
    assert 'version = "0.3.0"' in read(workspace, "replayt-llm")
