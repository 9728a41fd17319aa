"""Each package has its own version, and what goes with a release of it."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from tests.workspace.helpers import MEMBERS, ROOT, Member
from tools import check_changelogs

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
REQUIREMENT = re.compile(r"([A-Za-z0-9-]+)(\[[\w,-]+\])?(.*)")


def test_the_five_packages_are_here() -> None:
    assert set(MEMBERS) == {
        "replayt",
        "replayt-cli",
        "replayt-core",
        "replayt-llm",
        "replayt-store",
    }


@each_member
def test_sibling_ranges_allow_the_current_minor_version_and_no_other(member: Member) -> None:
    for requirement in member.requirements():
        match = REQUIREMENT.fullmatch(requirement)
        assert match, requirement
        name, _, declared = match.groups()
        if name not in MEMBERS:
            continue
        major, minor, _ = MEMBERS[name].version.split(".")
        assert declared == f">={major}.{minor},<{major}.{int(minor) + 1}", requirement


@each_member
def test_what_is_installed_here_is_this_source(member: Member) -> None:
    assert metadata.version(member.name) == member.version


@each_member
def test_the_changelog_names_the_current_version(member: Member) -> None:
    changelog = (member.path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert check_changelogs.findings(changelog, member.version) == []


@each_member
def test_python_3_10_and_the_licence_are_declared_and_shipped(member: Member) -> None:
    """SC-2."""
    assert member.project["requires-python"] == ">=3.10"
    assert member.project["license"] == "Apache-2.0"
    assert member.project["license-files"] == ["LICENSE"]
    assert (member.path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@each_member
def test_every_package_is_typed(member: Member) -> None:
    """SC-9."""
    assert (member.source / "py.typed").is_file()
    assert "Typing :: Typed" in member.project["classifiers"]


@each_member
def test_every_package_has_a_readme_of_its_own(member: Member) -> None:
    readme = (member.path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {member.name}\n")
    assert member.project["readme"] == "README.md"


def test_the_command_is_named_replayt() -> None:
    """SC-1."""
    assert MEMBERS["replayt-cli"].project["scripts"] == {"replayt": "replayt_cli.__main__:program"}
    assert any(line.startswith("replayt-cli") for line in MEMBERS["replayt"].requirements())


@pytest.mark.parametrize(
    ("changelog", "complaint"),
    [
        ("# C\n\n## 0.3.0\n", None),
        ("# C\n\n## Unreleased\n\n## 0.3.0 - 2026-11-22\n\n### Fixed\n", None),
        ("# C\n\n## 0.2.0\n", "the newest heading is 0.2.0"),
        ("# C\n", "the newest heading is none"),
        ("# C\n\n## 0.3.0\n\n## Unreleased\n", "Unreleased is not the first"),
        ("# C\n\n## 0.3.0\n\n## 0.3.0\n", "do not descend"),
        ("# C\n\n## 0.3.0\n\n### News\n", "is none of"),
        ("# C\n\n## v0.3.0\n", "is neither"),
    ],
)
def test_the_changelog_check_sees_what_is_wrong(changelog: str, complaint: str | None) -> None:
    found = check_changelogs.findings(changelog, "0.3.0")
    if complaint is None:
        assert found == []
    else:
        assert complaint in " / ".join(found)
