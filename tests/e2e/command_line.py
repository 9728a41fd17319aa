"""The `replayt` command as a subprocess, in a directory of its own and without any key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked.programs import python


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class CommandLine:
    """Runs `replayt` in one directory; `env` is added to an environment without keys."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self._env = environment(env)

    def __call__(self, *arguments: str) -> Ended:
        """One command, in a process of its own (a fork). A traceback is never an answer."""
        done = subprocess.run(
            [python(self._env), "-m", "replayt", *arguments],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    def log(self, run_id: str) -> list[dict[str, Any]]:
        """The events of a run, read from its file as anyone could."""
        path = self.folder / ".replayt" / "runs" / f"{run_id}.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without keys and providers, and with `added`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "REPLAYT_"))}
    # No bytecode: a module that is rewritten within the second would be taken for the old one.
    return {**kept, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", **added}
