from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import ANSWERING, Shell


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(ANSWERING):
            monkeypatch.delenv(name)
    path, modules = list(sys.path), set(sys.modules)
    yield Shell(tmp_path, capsys)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("replayt_target_"):
            del sys.modules[name]
