"""Two processes that run the same command at once, over and over: `python -m tests.cli.racers`.

Each racer is a process of its own, forked from one that has imported everything, and both leave the
same barrier: a race between cold interpreters is mostly one between their imports.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from replayt_cli.main import main
from tests.forked import parsers


def race(words: list[str], round_: str) -> list[dict[str, Any]]:
    """What became of both: exit code and what was printed."""
    reading, writing = os.pipe()
    racers = []
    for number in range(2):
        files = [Path(f"racer-{round_}-{number}.{name}") for name in ("out", "err")]
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            for path, descriptor in zip(files, (1, 2), strict=True):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
            os.read(reading, 1)  # returns when the parent opens the barrier
            code = main(words)
            sys.stdout.flush()
            os._exit(code)
        racers.append((pid, files))
    os.close(reading)
    os.close(writing)
    ended = []
    for pid, files in racers:
        _, status = os.waitpid(pid, 0)
        out, err = (path.read_text(encoding="utf-8") for path in files)
        ended.append({"code": os.waitstatus_to_exitcode(status), "out": out, "err": err})
    return ended


if __name__ == "__main__":
    target, warm_up, *run_ids = sys.argv[1:]
    with parsers.kept():
        main(["resume", target, warm_up])
        sys.stdout.flush()
        results = [race(["resume", target, run_id], run_id) for run_id in run_ids]
    Path("races.json").write_text(json.dumps(results), encoding="utf-8")
