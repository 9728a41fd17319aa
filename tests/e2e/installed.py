"""Wheels and what they are installed into: virtual environments away from this source tree.

Building and installing takes long, so one process of a test run does it for the others: the wheels
once, the core once, and what goes on top of these into copies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.workspace.helpers import MEMBERS, Member

INSTALL_SECONDS = 900
"""For a test whose fixtures download and install, or wait for another process that does."""
LISTING = (
    "import json; from importlib.metadata import distributions; "
    "print(json.dumps([each.metadata['Name'] for each in distributions()]))"
)


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd` without this tree, this user's keys or a terminal."""
    secret = ("PYTHONPATH", "OPENAI_", "REPLAYT_", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=600,
    )
    if check and result.returncode:
        pytest.fail(
            f"{command} ended with {result.returncode}\n{result.stdout}\n{result.stderr}",
            pytrace=False,
        )
    return result


def build(source: Path, into: Path, *options: str) -> None:
    run(sys.executable, "-m", "hatchling", "build", *options, "-d", into, cwd=source)


def wheel_of(member: Member, dist: Path) -> Path:
    return dist / f"{member.import_name}-{member.version}-py3-none-any.whl"


class Venv:
    """A virtual environment, which this environment's pip installs into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bin = path / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / ("python.exe" if os.name == "nt" else "python")

    def make(self, like: Venv | None = None) -> Venv:
        """Make it: empty, or with the packages of another one, but without their commands."""
        run(sys.executable, "-m", "venv", "--without-pip", self.path, cwd=self.path.parent)
        if like is not None:
            # pip replaces files and never writes into one, so the two can share them.
            shutil.copytree(
                like.packages(), self.packages(), copy_function=os.link, dirs_exist_ok=True
            )
        return self

    def packages(self) -> Path:
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        return Path(run(self.python, "-c", where, cwd=self.path).stdout.strip())

    def install(self, *what: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        run(*pip, "install", "--quiet", *what, cwd=self.path)

    def installed(self) -> set[str]:
        """The names of the packages in it."""
        listing = run(self.python, "-I", "-c", LISTING, cwd=self.path).stdout
        return {name.lower().replace("_", "-") for name in json.loads(listing)}


class Workshop:
    """What several test modules need, made by the first of them in whatever process it runs."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        base = tmp_path_factory.getbasetemp()
        self._base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def dist(self) -> Path:
        """Wheel and sdist of every member."""

        def make(folder: Path) -> None:
            for member in MEMBERS.values():
                build(member.path, folder)

        return self._once("dist", make)

    def core(self) -> Venv:
        """The wheel of the core, and what it brings."""

        def make(folder: Path) -> None:
            Venv(folder / "venv").make().install(*self._wheels(["replayt-core"]))

        return Venv(self._once("core", make) / "venv")

    def everything(self) -> Venv:
        """The wheels of all members, and what they bring."""

        def make(folder: Path) -> None:
            Venv(folder / "venv").make(self.core()).install(*self._wheels(MEMBERS))

        return Venv(self._once("everything", make) / "venv")

    def _wheels(self, names: Iterable[str]) -> list[Path]:
        return [wheel_of(MEMBERS[name], self.dist()) for name in names]

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder that one process makes while the others wait for it."""
        import fcntl

        folder = self._base / f"installed-{name}"
        made = folder / ".made"
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one who did not finish
                folder.mkdir()
                make(folder)
                made.touch()
        return folder
