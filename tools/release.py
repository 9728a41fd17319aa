"""Build the release that a tag names: check it, then make the wheel and the source archive.

Usage: python tools/release.py TAG [--out DIR]
TAG is PACKAGE-vX.Y.Z, such as replayt-core-v0.3.1. Run it in the root of the repository, with
hatchling installed. Prints the paths of what was built.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

TAG = re.compile(r"(?P<package>replayt(?:-[a-z]+)?)-v(?P<version>\d+\.\d+\.\d+)")
DECLARED = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


class ReleaseError(Exception):
    """The tag cannot be released; the message says why and what to do."""


def member_of(root: Path, tag: str) -> Path:
    """The folder of the package that a tag names, if that version may be released.

    Raises `ReleaseError` for a tag of another form, a package that is not here, a version that is
    not the declared one, and a version that the changelog does not date.
    """
    found = TAG.fullmatch(tag)
    if found is None:
        raise ReleaseError(f"{tag!r} is no tag of a release: use PACKAGE-vX.Y.Z")
    package, version = found["package"], found["version"]
    folder = root / "packages" / package
    if not (folder / "pyproject.toml").is_file():
        raise ReleaseError(f"{tag}: there is no package {package} here")
    declared = DECLARED.search((folder / "pyproject.toml").read_text(encoding="utf-8"))
    if declared is None or declared[1] != version:
        there = declared[1] if declared else "none"
        raise ReleaseError(
            f"{tag}: {package} declares version {there}; run tools/bump.py, tag then"
        )
    changelog = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        raise ReleaseError(f"{tag}: CHANGELOG.md of {package} has no heading ## {version} - DATE")
    return folder


def build(folder: Path, out: Path) -> list[Path]:
    """Wheel and source archive of a package, in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out.resolve())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{folder.name} does not build: {done.stderr.strip()}")
    return sorted(set(out.iterdir()) - before)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="release")
    parser.add_argument("tag")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        for path in build(member_of(Path(), options.tag), options.out):
            print(path)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
