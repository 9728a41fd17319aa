"""What the tests of the workspace read: the members, their metadata and their source."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One package of the workspace."""

    path: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def version(self) -> str:
        return self.project["version"]

    @property
    def import_name(self) -> str:
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        return self.path / "src" / self.import_name

    def modules(self) -> list[Path]:
        return sorted(self.source.rglob("*.py"))

    def requirements(self) -> list[str]:
        """Every requirement, those of the extras included."""
        extras = self.project.get("optional-dependencies", {}).values()
        return [
            *self.project.get("dependencies", []),
            *(line for extra in extras for line in extra),
        ]


def _load(path: Path) -> Member:
    with (path / "pyproject.toml").open("rb") as file:
        return Member(path=path, project=tomllib.load(file)["project"])


MEMBERS = {
    member.name: member
    for member in map(_load, sorted(p.parent for p in (ROOT / "packages").glob("*/pyproject.toml")))
}
