"""The root of the repository is not a package and says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace.helpers import ROOT


@pytest.fixture
def root_copy(tmp_path: Path) -> Path:
    """What matters of the root, elsewhere, so that pip writes nothing here."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "workspace_root.py", tmp_path / "tools")
    (tmp_path / "packages").mkdir()
    return tmp_path


@pytest.mark.parametrize("how", [["."], ["--editable", "."]], ids=["plain", "editable"])
def test_installing_the_root_fails_and_names_the_two_commands(
    root_copy: Path, how: list[str]
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", *how],
        cwd=root_copy,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "hatch run demo" in said
    assert "hatch test" in said
    assert "Traceback" not in said
