from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import ANSWERING, Shell
from tests.forked import parsers


@pytest.fixture(scope="module", autouse=True)
def a_parser_of_each_command_for_all_tests() -> Iterator[None]:
    with parsers.kept():
        yield


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # `environment` says why
    for name in list(os.environ):
        if name.startswith(ANSWERING):
            monkeypatch.delenv(name)
    path, modules = list(sys.path), set(sys.modules)
    yield Shell(tmp_path, capsys)
    sys.path[:] = path
    for name in set(sys.modules) - modules:  # the next test may have another of that name
        place = getattr(sys.modules[name], "__file__", None) or ""
        if name.startswith("replayt_target_") or Path(place).is_relative_to(tmp_path):
            del sys.modules[name]
