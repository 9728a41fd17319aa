"""What has changed in a store since an index last looked, and reading what has.

A *mark* is what an unchanged run is recognised by. A file changed within the granularity of its
timestamps may look unchanged; its mark is therefore not trusted until the clock has moved on, as
git does with its index.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from replayt_core.errors import StoreError
from replayt_core.ports.store import EventStore, ListsRuns, RunEntry
from replayt_store._files import SUFFIX, is_regular, is_run_id
from replayt_store._index_rows import UNSETTLED, ReadRun
from replayt_store._os import System
from replayt_store._problems import cause
from replayt_store.jsonl import JSONLStore

if TYPE_CHECKING:
    from replayt_core.records import DigestBuilder

# FAT keeps times to two seconds, other file systems to less.
GRANULARITY_NS = 2_000_000_000
EMPTY = ""
"""The mark of a log without a byte: a run that does not exist yet."""
_PIECE = 1 << 22
_EVENTS = 1_000
_LOOKS = 200
_GENERATED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Source(Protocol):
    """A store as the index sees it."""

    def place(self) -> str | None:
        """The mark of everything that is there; None when only listing it tells."""
        ...

    def listing(self, known: Mapping[str, str], *, each: bool) -> Mapping[str, bool]:
        """Every run that is there, and whether it has to be read, given the marks that are known.

        With `each`, every run is looked at; without, a run that is known is taken for unchanged as
        long as it is the same file.
        """
        ...

    def changed(self, run_id: str, mark: str) -> bool | None:
        """Whether a run differs from its mark; None when it is gone."""
        ...

    def gone(self, run_id: str) -> bool:
        """Whether a run that was not listed is really not there, now."""
        ...

    def read(self, run_id: str) -> ReadRun | None:
        """Read a run; None when it is gone or has no byte yet."""
        ...


class FileSource:
    """The files of a `JSONLStore`. It takes no lock and writes nothing."""

    def __init__(
        self,
        store: JSONLStore,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        system: System | None = None,
    ) -> None:
        self._store = store
        self._root = store.place
        self._prefix = self._root + os.sep
        self._now_ns = now_ns
        self._system = system or System()
        self._plain = type(store) is JSONLStore and now_ns is time.time_ns and system is None

    @property
    def directory(self) -> str | None:
        """Where another process reads the same; None for a store with other parts than ours."""
        return self._root if self._plain else None

    def size(self, run_ids: Sequence[str]) -> int:
        """About how many bytes these logs have, by a look at a few of them."""
        looked_at = run_ids[:: len(run_ids) // _LOOKS + 1]
        total = 0
        for run_id in looked_at:
            with suppress(OSError):  # it is gone
                total += os.lstat(self._path(run_id)).st_size
        return total * len(run_ids) // max(len(looked_at), 1)

    def place(self) -> str | None:
        """The mark of the directory, which changes when a file comes, goes or is replaced."""
        try:
            found = os.stat(self._root)
        except OSError:
            return None
        mark = f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}"
        return mark if self._settled(found) else None

    def listing(self, known: Mapping[str, str], *, each: bool) -> Mapping[str, bool]:
        """The names in the directory; a file of another inode is another file."""
        found: dict[str, bool] = {}
        for run_id, inode in _names(self._root):
            mark = known.get(run_id)
            if mark is None:
                found[run_id] = True
            elif each:
                changed = self.changed(run_id, mark)
                if changed is not None:
                    found[run_id] = changed
            else:
                found[run_id] = not mark.startswith(f"{inode}:")
        return found

    def changed(self, run_id: str, mark: str) -> bool | None:
        """By what `lstat` says of the file."""
        try:
            found = os.lstat(f"{self._prefix}{run_id}{SUFFIX}")
        except OSError:
            return None
        if _mark(found) == mark:
            return False  # it was a plain file when it was read
        return True if is_regular(found) else None

    def gone(self, run_id: str) -> bool:
        """Whether there is no such file."""
        return self.changed(run_id, "") is None

    def read(self, run_id: str) -> ReadRun | None:
        """Read it fast, without its chain; where that does not work, as the store reads it."""
        try:
            fd = self._system.open_read(self._path(run_id))
        except OSError:
            return self._as_the_store(run_id)
        try:
            looked_ns = self._now_ns()
            found = self._system.fstat(fd)
            if not is_regular(found) or not found.st_size:
                return None
            builder = _builder(run_id)
            for lines in whole_lines(fd, found.st_size):
                builder.feed_lines(lines)
        except ValueError:
            return self._as_the_store(run_id)
        except OSError:
            return None
        finally:
            os.close(fd)
        return self._read(run_id, found, looked_ns, builder, None)

    def _as_the_store(self, run_id: str) -> ReadRun | None:
        looked_ns = self._now_ns()
        try:
            found = os.lstat(self._path(run_id))
        except OSError:
            return None
        if not is_regular(found) or not found.st_size:
            return None
        builder, problem = read_events(self._store, run_id)
        return self._read(run_id, found, looked_ns, builder, problem)

    def _read(
        self,
        run_id: str,
        found: os.stat_result,
        looked_ns: int,
        builder: DigestBuilder,
        problem: str | None,
    ) -> ReadRun:
        return ReadRun(
            run_id=run_id,
            mark=_mark(found) + ("" if self._settled(found, looked_ns) else UNSETTLED),
            looked_ns=looked_ns,
            size=found.st_size,
            written_us=found.st_mtime_ns // 1_000,
            problem=problem,
            digest=builder.finish(),
        )

    def _settled(self, found: os.stat_result, looked_ns: int | None = None) -> bool:
        latest = max(found.st_mtime_ns, found.st_ctime_ns)
        return latest + GRANULARITY_NS < (self._now_ns() if looked_ns is None else looked_ns)

    def _path(self, run_id: str) -> str:
        return f"{self._prefix}{run_id}{SUFFIX}"


class ListedSource:
    """A store that lists its runs: seq, time and size of the last event are the mark."""

    def __init__(self, store: EventStore, lists: ListsRuns) -> None:
        self._store = store
        self._lists = lists
        self._entries: dict[str, RunEntry] = {}

    def place(self) -> str | None:
        """Nothing short of the listing tells."""
        return None

    def listing(self, known: Mapping[str, str], *, each: bool) -> Mapping[str, bool]:
        """The entries of the store; all are looked at, which costs no more."""
        self._entries = {entry.run_id: entry for entry in self._lists.runs()}
        return {
            run_id: known.get(run_id) != _entry_mark(entry)
            for run_id, entry in self._entries.items()
        }

    def changed(self, run_id: str, mark: str) -> bool | None:
        """By the last listing."""
        entry = self._entries.get(run_id)
        return None if entry is None else mark != _entry_mark(entry)

    def gone(self, run_id: str) -> bool:
        """Whether it has no event."""
        return run_id not in self._entries and _has_no_event(self._store, run_id)

    def read(self, run_id: str) -> ReadRun | None:
        """Read it as the store does; its mark is older than what is read, never newer."""
        entry = self._entries.get(run_id)
        if entry is None:
            return None
        looked_ns = time.time_ns()
        builder, problem = read_events(self._store, run_id)
        return ReadRun(
            run_id, _entry_mark(entry), looked_ns, entry.size, None, problem, builder.finish()
        )


class PlainSource:
    """A store that has the base interface and nothing else: everything is read every time."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def place(self) -> str | None:
        """Nothing tells."""
        return None

    def listing(self, known: Mapping[str, str], *, each: bool) -> Mapping[str, bool]:
        """All runs, all to be read."""
        return dict.fromkeys(self._store.run_ids(), True)

    def changed(self, run_id: str, mark: str) -> bool | None:
        """It may have."""
        return True

    def gone(self, run_id: str) -> bool:
        """Whether it has no event."""
        return _has_no_event(self._store, run_id)

    def read(self, run_id: str) -> ReadRun | None:
        """Read it as the store does."""
        looked_ns = time.time_ns()
        builder, problem = read_events(self._store, run_id)
        found = builder.finish()
        if not found.summary.events and problem is None:
            return None
        return ReadRun(run_id, "", looked_ns, None, None, problem, found)


def read_events(store: EventStore, run_id: str) -> tuple[DigestBuilder, str | None]:
    """What can be read of a run, and in one line why it is not everything."""
    builder = _builder(run_id)
    try:
        for event in store.read(run_id):
            builder.feed(event)
    except StoreError as error:
        # A path in it may hold bytes that are no UTF-8, which neither SQLite nor JSON can keep.
        text = str(error).encode(errors="backslashreplace").decode()
        return builder, " ".join(text.split())
    return builder, None


def _builder(run_id: str) -> DigestBuilder:
    # Imported late: a listing of runs that have not changed does without the fold.
    from replayt_core.records import DigestBuilder

    return DigestBuilder(run_id)


def _names(root: str) -> Iterator[tuple[str, int]]:
    """Run id and inode of each file in a directory that may be a log, without a `stat`."""
    try:
        entries = os.scandir(root)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot list the runs in {root}: {cause(error)}") from error
    with entries:
        for entry in entries:
            name = entry.name
            if not name.endswith(SUFFIX) or not entry.is_file(follow_symlinks=False):
                continue
            run_id = name[: -len(SUFFIX)]
            if _GENERATED.fullmatch(run_id) or is_run_id(run_id):
                yield run_id, entry.inode()


def lines_of(store: EventStore, run_id: str, count: int) -> Iterator[bytes]:
    """The first `count` lines of a run, each with its newline, in pieces; fewer if it has fewer."""
    store = reading(store)
    if isinstance(store, JSONLStore):
        yield from _file_lines(f"{store.place}{os.sep}{run_id}{SUFFIX}", count)
        return
    kept: list[bytes] = []
    with suppress(StoreError):
        for event in store.read(run_id):
            if event.seq > count:
                break
            kept.append(event.line + b"\n")
            if len(kept) == _EVENTS:
                yield b"".join(kept)
                kept = []
    if kept:
        yield b"".join(kept)


def reading(store: EventStore) -> EventStore:
    """The store that is read when this one is: of a mirrored store its primary."""
    if isinstance(store, JSONLStore):
        return store
    from replayt_store.mirror import MirrorStore

    while isinstance(store, MirrorStore):
        store = store.primary
    return store


def _file_lines(path: str, count: int) -> Iterator[bytes]:
    try:
        fd = System().open_read(path)
    except OSError:
        return
    try:
        pieces = whole_lines(fd, os.fstat(fd).st_size)
        for number, piece in enumerate(pieces):
            # An empty first line is no event: replayt 0.4 began its logs with one.
            lines = piece if number else piece.removeprefix(b"\n")
            if not lines:
                continue
            there = lines.count(b"\n")
            if there > count:
                yield b"".join(part + b"\n" for part in lines.split(b"\n", count)[:count])
                return
            yield lines
            count -= there
            if not count:
                return
    finally:
        os.close(fd)


def whole_lines(fd: int, size: int) -> Iterator[bytes]:
    """The whole lines of the first `size` bytes of a file, in pieces, so that memory stays flat."""
    rest = b""
    while size > 0:
        data = os.read(fd, min(size, _PIECE))
        if not data:
            return
        size -= len(data)
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest += data


def _has_no_event(store: EventStore, run_id: str) -> bool:
    try:
        return next(iter(store.read(run_id)), None) is None
    except StoreError:
        return False


def _mark(found: os.stat_result) -> str:
    if not found.st_size:
        return EMPTY
    return f"{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_size}"


def _entry_mark(entry: RunEntry) -> str:
    return f"{entry.last_seq}:{entry.last_ts}:{entry.size}"
