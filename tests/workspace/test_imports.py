"""The arrows of DESIGN.md section 1: who imports whom, and only by public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace.helpers import MEMBERS, ROOT, Member

PACKAGES = {member.import_name for member in MEMBERS.values()}


def imported_names(source: str) -> Iterator[str]:
    """Dotted names that `source` imports: modules, and module.name for what is taken from one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private_sibling_imports(source: str, own: str) -> list[str]:
    """Imports in a module of the package `own` that reach behind a sibling's public names."""
    found = []
    for name in imported_names(source):
        package, *rest = name.split(".")
        if package not in PACKAGES - {own}:
            continue
        if any(part.startswith("_") and not part.startswith("__") for part in rest):
            found.append(name)
    return found


def test_a_private_import_would_be_seen() -> None:
    source = "from replayt_core._fold import fold\nfrom replayt_core import _fold, Runner\n"
    assert private_sibling_imports(source, "replayt_store") == [
        "replayt_core._fold",
        "replayt_core._fold.fold",
        "replayt_core._fold",
    ]
    assert private_sibling_imports(source, "replayt_core") == []


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
def test_siblings_import_only_public_names(member: Member) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in member.modules()
        for name in private_sibling_imports(path.read_text(encoding="utf-8"), member.import_name)
    }
    assert not found


def test_the_facade_has_imports_and_all_and_nothing_else() -> None:
    facade = MEMBERS["replayt"]
    allowed = (ast.Import, ast.ImportFrom, ast.Expr)
    for path in facade.source.glob("*.py"):
        if path.name == "__main__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                assert [ast.unparse(target) for target in node.targets] == ["__all__"], path
            else:
                assert isinstance(node, allowed), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_the_import_contracts_hold() -> None:
    """SC-8. The contracts stand in the root's pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
