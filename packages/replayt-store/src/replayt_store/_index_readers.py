"""Further processes that read logs while this one writes the index.

A reader is a program of its own, started with nothing but a directory and the ids it is to read,
and it writes nothing but its answers, to a pipe. So no handle and no lock is inherited, the
caller's program is not run again, and a reader whose parent is gone ends at its next answer. What
a reader does not answer, whatever became of it, the parent reads itself.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING

from pydantic_core import from_json, to_json

from replayt_store._index_parts import Part, blocks, read_parts
from replayt_store._index_sources import FileSource, Source
from replayt_store.jsonl import JSONLStore

if TYPE_CHECKING:
    import subprocess

# With the parent's own path: what is imported is what the parent has imported.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]
from replayt_store._index_readers import serve
serve(sys.argv[1])
"""
_LENGTH = 8
_ROOM = 1 << 20  # a whole answer, where a pipe can be made to hold it


def read_by_readers(
    source: Source, directory: str, run_ids: Sequence[str], count: int, read: Callable[[], None]
) -> Generator[Part, None, None]:
    """Read these runs of that directory, in this order, by up to `count` processes."""
    dealt = blocks(run_ids)
    count = min(count, len(dealt))
    with _Readers(directory, [dealt[number::count] for number in range(count)]) as readers:
        for number, block in enumerate(dealt):
            left = dict.fromkeys(block)
            for part in readers.answers(number % count, left):
                for run_id in part.run_ids():
                    del left[run_id]
                    read()
                yield part
            yield from read_parts(source, left, read)


class _Readers:
    """The readers and their answers."""

    def __init__(self, directory: str, shares: Sequence[Sequence[Sequence[str]]]) -> None:
        self._directory = directory
        self._shares = shares
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> _Readers:
        try:
            for share in self._shares:
                self._processes.append(_started(self._directory, share))
        except OSError:  # no more processes, no room for their list: those that are there do
            pass
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End them all."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def answers(self, number: int, wanted: dict[str, None]) -> Iterator[Part]:
        """What this reader says of these runs, until they are all told or it says no more."""
        while wanted and number < len(self._processes):
            part = _received(self._processes[number].stdout)
            told = set() if part is None else set(part.run_ids())
            if part is None or not told or not told <= wanted.keys():
                return
            yield part


def _started(directory: str, share: Sequence[Sequence[str]]) -> subprocess.Popen[bytes]:
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise FileNotFoundError("no Python to start")
    arguments = [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else [])]
    # A file, not a pipe: whoever fills a pipe may wait for the one who reads it.
    with tempfile.TemporaryFile() as list_file:
        list_file.write("".join(f"{run_id}\n" for block in share for run_id in block).encode())
        list_file.seek(0)
        return subprocess.Popen(
            [*arguments, "-c", _PROGRAM, directory, *map(str, sys.path)],
            stdin=list_file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a reader cannot do, its parent will complain of
            pipesize=_ROOM if sys.platform == "linux" else -1,
        )


def _received(pipe: IO[bytes] | None) -> Part | None:
    """The next answer; None when there is no whole one any more."""
    if pipe is None:
        return None
    size = pipe.read(_LENGTH)
    if len(size) < _LENGTH:
        return None
    try:
        return Part(*from_json(pipe.read(int.from_bytes(size, "little")), cache_strings=False))
    except (ValueError, TypeError):
        return None


def serve(directory: str) -> None:
    """Be a reader: ids come in by lines, answers go out, each behind its length."""
    source = FileSource(JSONLStore(directory))
    for block in blocks(sys.stdin.read().split()):
        for part in read_parts(source, block):
            data = to_json(part)
            sys.stdout.buffer.write(len(data).to_bytes(_LENGTH, "little") + data)
            sys.stdout.buffer.flush()
