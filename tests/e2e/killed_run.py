"""A process that executes a random workflow over real files and says so after every append."""

from __future__ import annotations

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
        sys.stdout.write(f"{events[-1].seq}\n")
        sys.stdout.flush()


def main() -> None:
    """`killed_run.py DIRECTORY PROGRAM`: the program as Python literals."""
    directory, text = sys.argv[1:]
    # The text is this test's own repr of a frozen dataclass tree.
    program = eval(text, {"StateSpec": StateSpec})  # noqa: S307
    finish(program, TellingStore(Path(directory)), World())


if __name__ == "__main__":
    main()
