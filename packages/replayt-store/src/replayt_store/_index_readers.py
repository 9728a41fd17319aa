"""Further processes that read logs while this one writes the index.

A reader is a program of its own, started with nothing but a directory and the ids it is to read,
and it writes nothing but its answers, to a pipe. So no handle and no lock is inherited, the
caller's program is not run again, and a reader whose parent is gone ends at its next answer. What
a reader does not answer, whatever became of it, the parent reads itself; and one whose answer was
wrong, or not its own, is not asked again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import IO, TYPE_CHECKING

from pydantic_core import from_json, to_json

from replayt_store._index_parts import Part, blocks, read_parts
from replayt_store._index_rows import CALL_COLUMNS, COLUMNS
from replayt_store._index_sources import FileSource, Source
from replayt_store.jsonl import JSONLStore

if TYPE_CHECKING:
    import subprocess

if sys.platform == "linux":
    import fcntl

# With the parent's own path: what is imported is what the parent has imported.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]
from replayt_store._index_readers import serve
serve(sys.argv[1])
"""
_LENGTH = 8
_LONGEST = 1 << 30  # no answer of ours, but of somebody who writes to stdout before us
_ROOM = 1 << 20  # a whole answer, where a pipe can be made to hold it
_VALUES = {str, int, float, bool, type(None)}


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
        self._wrong: set[int] = set()

    def __enter__(self) -> _Readers:
        try:
            for share in self._shares:
                process = _started(self._directory, share)
                self._processes.append(process)
                _make_room(process.stdout)
        except (OSError, ValueError):
            # No more processes, no room for their list, a path that cannot be handed over: those
            # that are there do.
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
        while wanted and number < len(self._processes) and number not in self._wrong:
            process = self._processes[number]
            part = _received(process.stdout, wanted.keys())
            if part is None:
                # What comes next is no answer to what is asked next.
                self._wrong.add(number)
                process.kill()
                return
            yield part


def _started(directory: str, share: Sequence[Sequence[str]]) -> subprocess.Popen[bytes]:
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise FileNotFoundError("no Python to start")
    # Without `site`, whose hooks run first and may write to stdout; the path is handed over.
    arguments = [sys.executable, "-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    # A file, not a pipe: whoever fills a pipe may wait for the one who reads it.
    with tempfile.TemporaryFile() as list_file:
        list_file.write("".join(f"{run_id}\n" for block in share for run_id in block).encode())
        list_file.seek(0)
        return subprocess.Popen(
            [*arguments, "-c", _PROGRAM, directory, *map(str, sys.path)],
            stdin=list_file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a reader cannot do, its parent will complain of
        )


def _make_room(pipe: IO[bytes] | None) -> None:
    """Let a reader write on while its last answer waits, where the system allows it."""
    if sys.platform == "linux" and pipe is not None:
        with suppress(OSError):  # refused where this user's pipes hold much already
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _ROOM)


def _received(pipe: IO[bytes] | None, wanted: Set[str]) -> Part | None:
    """The next answer; None when there is none, or none that is right."""
    try:
        if pipe is None:
            return None
        size = pipe.read(_LENGTH)
        length = int.from_bytes(size, "little")
        if len(size) < _LENGTH or length > _LONGEST:
            return None
        part = Part(*from_json(pipe.read(length), cache_strings=False))
        return part if _is_answer(part, wanted) else None
    # Whatever bytes came: they are no JSON, of another shape, or more than memory holds.
    except (OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError):
        return None


def _is_answer(part: Part, wanted: Set[str]) -> bool:
    """Whether it is of some of these runs, each once, in rows as they are kept."""
    read = [row[0] for row in part.runs]
    ids = [*read, *part.absent]
    return (
        bool(ids)
        and len(set(ids)) == len(ids)
        and set(ids) <= wanted
        and {row[0] for row in part.calls} <= set(read)
        and set(map(type, chain(part.runs, part.calls))) <= {list}
        and set(map(len, part.runs)) <= {len(COLUMNS)}
        and set(map(len, part.calls)) <= {len(CALL_COLUMNS)}
        and set(map(type, chain.from_iterable((*part.runs, *part.calls)))) <= _VALUES
    )


def serve(directory: str) -> None:
    """Be a reader: ids come in by lines, answers go out, each behind its length."""
    source = FileSource(JSONLStore(directory))
    for block in blocks(sys.stdin.read().split()):
        for part in read_parts(source, block):
            data = to_json(part)
            sys.stdout.buffer.write(len(data).to_bytes(_LENGTH, "little") + data)
            sys.stdout.buffer.flush()
