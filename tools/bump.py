"""Raise the version of one package: pyproject.toml, changelog and, if asked, the ranges of others.

Usage: python tools/bump.py PACKAGE {major,minor,patch} [--ranges] [--commit]
PACKAGE is core, llm, store, cli or replayt. Run it in the root of the repository.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

DECLARED = re.compile(r'^version = "(\d+)\.(\d+)\.(\d+)"$', re.MULTILINE)
NAME = re.compile(r'^name = "([^"]+)"$', re.MULTILINE)
PACKAGES = {"replayt": "replayt"} | {p: f"replayt-{p}" for p in ("core", "llm", "store", "cli")}


def raised(version: tuple[int, int, int], part: str) -> tuple[int, int, int]:
    """The version that follows when `part` is raised."""
    major, minor, patch = version
    if part == "major":
        return major + 1, 0, 0
    if part == "minor":
        return major, minor + 1, 0
    return major, minor, patch + 1


def sibling_range(version: tuple[int, int, int]) -> str:
    """The range that siblings declare: >=X.Y,<X.(Y+1), since a minor version may break at 0.x."""
    major, minor, _ = version
    return f">={major}.{minor},<{major}.{minor + 1}"


def with_ranges(text: str, package: str, wanted: str) -> str:
    """The pyproject.toml `text` with every requirement on `package` set to the range `wanted`."""
    requirement = re.compile(rf'"({re.escape(package)}(?:\[[\w,-]+\])?)>=[\d.]+,<[\d.]+"')
    return requirement.sub(rf'"\g<1>{wanted}"', text)


def projects(root: Path) -> list[Path]:
    """Every pyproject.toml that may need one of the packages.

    The members', those of the examples that are packages, and those of the tests' third parties.
    """
    folders = ("packages", "tests")
    return sorted(path for name in folders for path in (root / name).rglob("pyproject.toml"))


def with_heading(changelog: str, version: str, today: datetime.date) -> str:
    """The changelog with what stands under Unreleased moved under a heading for `version`."""
    if not re.search(r"^## Unreleased$", changelog, re.MULTILINE):
        raise SystemExit("bump: the changelog has no heading '## Unreleased'; add it")
    return re.sub(
        r"^## Unreleased$",
        f"## Unreleased\n\n## {version} - {today.isoformat()}",
        changelog,
        count=1,
        flags=re.MULTILINE,
    )


def bump(root: Path, package: str, part: str, *, ranges: bool, today: datetime.date) -> list[Path]:
    """Write the new version; returns the files that changed."""
    project = root / "packages" / package / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    declared = DECLARED.search(text)
    if declared is None:
        raise SystemExit(f'bump: {project} has no line version = "X.Y.Z"')
    major, minor, patch = (int(number) for number in declared.groups())
    new = raised((major, minor, patch), part)
    version = ".".join(str(number) for number in new)

    changelog = project.with_name("CHANGELOG.md")
    entry = with_heading(changelog.read_text(encoding="utf-8"), version, today)
    project.write_text(DECLARED.sub(f'version = "{version}"', text), encoding="utf-8")
    changelog.write_text(entry, encoding="utf-8")
    changed = [project, changelog]
    print(f"{package} {version}")

    for other in projects(root):
        before = other.read_text(encoding="utf-8")
        after = with_ranges(before, package, sibling_range(new))
        if after == before:
            continue
        named = NAME.search(before)
        name = named[1] if named else other.relative_to(root).as_posix()
        if ranges:
            other.write_text(after, encoding="utf-8")
            if other not in changed:
                changed.append(other)
            print(f"{name} now needs {package}{sibling_range(new)}")
        else:
            print(f"{name} does not allow {package} {version} yet (see --ranges)")
    return changed


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bump")
    parser.add_argument("package", choices=sorted(PACKAGES))
    parser.add_argument("part", choices=("major", "minor", "patch"))
    parser.add_argument("--ranges", action="store_true", help="let the others need it")
    parser.add_argument("--commit", action="store_true", help="commit the files that changed")
    options = parser.parse_args(arguments)
    package = PACKAGES[options.package]
    today = datetime.datetime.now(datetime.timezone.utc).date()
    changed = bump(Path(), package, options.part, ranges=options.ranges, today=today)
    if options.commit:
        names = [str(path) for path in changed]
        version = DECLARED.search(changed[0].read_text(encoding="utf-8"))
        message = f"{package} {'.'.join(version.groups()) if version else ''}"
        subprocess.run(["git", "commit", "--quiet", "--message", message, "--", *names], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
