"""Someone else's loop in a process of its own: bounded, without network, JSON in and out.

Why it exists: a framework that plans and calls models in a loop of its own can be useful, but it
cannot be replayed, and nobody knows beforehand what it uses. So it runs in a subprocess with limits
and without this process's environment, and its answer is validated. `sandbox_step` shows the step.

The limits hold on POSIX. The network is closed with `unshare` on Linux where the system permits
it; where it cannot be closed, nothing is run. This stops mistakes and runaway loops. It does not
hide the file system: code that you do not trust belongs in a container or a virtual machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

CLOSE_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
CHILD = Path(__file__).with_name("sandbox_child.py")
Answer = TypeVar("Answer", bound=BaseModel)


class SandboxError(Exception):
    """The loop could not be contained, broke a limit, or answered with something else."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one task may use; memory and output are those of one process."""

    seconds: int = 60
    memory_mb: int = 512
    output_bytes: int = 1_000_000
    network: Literal["closed", "open"] = "closed"


@cache
def can_close_network() -> bool:
    """Whether this system lets us start a process without a network."""
    with suppress(OSError):
        done = subprocess.run([*CLOSE_NETWORK, "true"], capture_output=True, check=False)
        return done.returncode == 0
    return False


def run_contained(
    program: Path,
    task: Any,
    answer: type[Answer],
    limits: Limits,
    *,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """What `main(task)` of that file returns, as an `answer`. Raises `SandboxError`.

    The loop sees the variables in `environment` and none of ours: no key that it was not given.
    """
    if os.name != "posix":
        raise SandboxError("limits of memory and time need a POSIX system")
    if limits.network == "closed" and not can_close_network():
        raise SandboxError("this system does not permit `unshare`, so the network stays open")
    numbers = (limits.seconds, limits.memory_mb * 2**20, limits.output_bytes)
    command = [sys.executable, "-I", str(CHILD), str(program.resolve()), *map(str, numbers)]
    if limits.network == "closed":
        command = [*CLOSE_NETWORK, *command]
    # A file, since a limit holds for it: a pipe would be read into this process's memory.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder, "LANG": "C.UTF-8", **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(task).encode(), timeout=limits.seconds + 1)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"no answer within {limits.seconds} seconds") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it has started
            process.wait()
        out.seek(0)
        text = out.read()
    if process.returncode:
        raise SandboxError(f"the loop ended with {process.returncode}: an error, or a limit")
    try:
        return answer.model_validate_json(text)
    except ValidationError as error:
        raise SandboxError(f"no {answer.__name__}: {error.error_count()} fault(s)") from None
