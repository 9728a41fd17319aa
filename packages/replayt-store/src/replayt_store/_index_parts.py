"""Runs as the rows that an index keeps, read in parts, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple

from replayt_store._index_rows import call_values, run_values
from replayt_store._index_sources import FileSource, Source

Row = tuple[object, ...]

BLOCK = 200
"""How many runs a part has at most."""
_CALLS = 10_000
WORTHWHILE = 1 << 25
"""How many bytes of logs take clearly longer to read than it takes to start another process.

Some 3,500 runs of 25 events. A run costs a little for itself, too, which counts for nothing here:
many tiny logs are read by one process although two would be a little sooner.
"""


class Part(NamedTuple):
    """Some runs that were read: values of `COLUMNS` and of `CALL_COLUMNS`, and who is not there."""

    runs: list[Row]
    calls: list[Row]
    absent: list[str]

    def run_ids(self) -> list[str]:
        """The runs that were looked for."""
        return [*(str(row[0]) for row in self.runs), *self.absent]


def read_stale(
    source: Source, run_ids: Sequence[str], readers: int, read: Callable[[], None]
) -> Generator[Part, None, None]:
    """Read these runs, in this order; where it is worth it, by up to so many processes.

    `read` is called once a run. When the iterator is closed, no process is left.
    """
    if not isinstance(source, FileSource):
        return read_parts(source, run_ids, read)
    directory = source.directory
    if not readers or directory is None or not _is_much(source, run_ids):
        return read_parts(source, run_ids, read)
    # Imported late: it needs modules that a listing does without.
    from replayt_store._index_readers import read_by_readers

    return read_by_readers(source, directory, run_ids, readers, read)


def _is_much(source: FileSource, run_ids: Sequence[str]) -> bool:
    # A single block is one reader's, and this process would only wait for it.
    return len(run_ids) > BLOCK and source.size(run_ids) >= WORTHWHILE


def read_parts(
    source: Source, run_ids: Iterable[str], read: Callable[[], None] | None = None
) -> Generator[Part, None, None]:
    """Read these runs, in this order; `read` is called after each."""
    part = Part([], [], [])
    for run_id in run_ids:
        found = source.read(run_id)
        if found is None:
            part.absent.append(run_id)
        else:
            part.runs.append(run_values(found))
            part.calls.extend([call_values(run_id, row) for row in found.digest.llm_calls])
        if read is not None:
            read()
        if len(part.runs) + len(part.absent) == BLOCK or len(part.calls) >= _CALLS:
            yield part
            part = Part([], [], [])
    if part.runs or part.absent:
        yield part


def blocks(run_ids: Sequence[str]) -> list[Sequence[str]]:
    """The ids in groups of `BLOCK`."""
    return [run_ids[first : first + BLOCK] for first in range(0, len(run_ids), BLOCK)]
