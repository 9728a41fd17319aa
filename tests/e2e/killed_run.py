"""Executes random workflows over real files, each in a fork that says so after every append.

A line of stdin is `[DIRECTORY, PROGRAM]`, the program as Python literals. Out come the pid of the
fork, a line after every append, and `ended CODE`. Forks, since importing what they need takes
longer than what they do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from replayt_core import Event
from replayt_store import JSONLStore
from tests.core.programs import StateSpec, World, finish


class TellingStore(JSONLStore):
    """Writes a line to stdout whenever an append was acknowledged."""

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        super().append(run_id, events, after=after)
        tell(events[-1].seq)


def tell(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            directory, text = json.loads(line)
            # The text is this test's own repr of a frozen dataclass tree.
            program = eval(text, {"StateSpec": StateSpec})  # noqa: S307
            tell(os.getpid())
            finish(program, TellingStore(Path(directory)), World())
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
