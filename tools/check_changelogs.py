"""Check that every package's CHANGELOG.md reads like a changelog and names the current version.

Usage: python tools/check_changelogs.py [ROOT]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?: - \d{4}-\d{2}-\d{2})?")
DECLARED = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


def findings(text: str, version: str) -> list[str]:
    """What is wrong with a changelog of a package whose current version is `version`."""
    found: list[str] = []
    released: list[tuple[int, ...]] = []
    headings: list[str] = []
    for line in text.splitlines():
        if line.startswith("### "):
            if line[4:] not in SECTIONS:
                found.append(f"section {line!r} is none of {', '.join(SECTIONS)}")
        elif line.startswith("## "):
            headings.append(line[3:])
    for number, heading in enumerate(headings):
        if heading == "Unreleased":
            if number:
                found.append("the heading Unreleased is not the first one")
        elif match := VERSION.fullmatch(heading):
            released.append(tuple(int(part) for part in match.groups()))
        else:
            found.append(f"{heading!r} is neither Unreleased nor X.Y.Z nor X.Y.Z - DATE")
    if released != sorted(set(released), reverse=True):
        found.append("the versions do not descend, or one stands twice")
    newest = ".".join(str(part) for part in released[0]) if released else "none"
    if newest != version:
        found.append(f"the newest heading is {newest}, the version in pyproject.toml is {version}")
    return found


def main(root: Path) -> int:
    """Print the findings of every package; 1 if there are any."""
    status = 0
    for project in sorted(root.glob("packages/*/pyproject.toml")):
        changelog = project.with_name("CHANGELOG.md")
        declared = DECLARED.search(project.read_text(encoding="utf-8"))
        version = declared.group(1) if declared else "missing"
        if not changelog.is_file():
            print(f"{changelog}: missing; every package has one")
            status = 1
            continue
        for finding in findings(changelog.read_text(encoding="utf-8"), version):
            print(f"{changelog}: {finding}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
