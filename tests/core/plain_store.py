"""A store on plain files that is as short as a right one can be, for breaking it in one place."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from replayt_core.chain import line_hash, read_lines, seal
from replayt_core.errors import ConflictError, DamagedLogError, RunLockedError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import TornTail
from replayt_core.run_ids import check_run_id


class PlainStore:
    """One file a run and a lock file beside it; reads everything at every append."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: set[str] = set()

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if [event.seq for event in events] != [after + n for n in range(1, len(events) + 1)]:
            raise ValueError("not numbered")
        if run_id not in self.held and self.locked(run_id):
            raise RunLockedError("held")
        with self._exclusive(run_id):
            if self.torn(run_id):
                raise DamagedLogError("torn")
            if len(list(self.read(run_id))) != after:
                raise ConflictError("someone else wrote")
            self.write(run_id, events)

    def write(self, run_id: str, events: Sequence[Event]) -> None:
        with self.path(run_id).open("ab", buffering=0) as file:
            file.write(b"".join(event.line + b"\n" for event in events))

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        events = read_lines(run_id, self.lines(run_id))
        return (event for event in events if event.seq > after)

    def run_ids(self) -> Iterator[str]:
        return (path.stem for path in self.folder.glob("*.log") if path.stat().st_size)

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        with self._locked_file(run_id, "executes"):
            self.held.add(run_id)
            try:
                yield
            finally:
                self.held.discard(run_id)

    def locked(self, run_id: str) -> bool:
        try:
            with self._locked_file(run_id, "executes"):
                return False
        except RunLockedError:
            return True

    def repair(self, run_id: str) -> TornTail | None:
        tail = self.torn(run_id)
        if not tail:
            return None
        aside = self.path(run_id).with_suffix(".torn")
        aside.write_bytes(tail)
        with self.path(run_id).open("rb+") as file:
            file.truncate(self.path(run_id).stat().st_size - len(tail))
        return TornTail(
            bytes=len(tail), sha256=hashlib.sha256(tail).hexdigest(), saved_as=str(aside)
        )

    # --- how, and where to break it -------------------------------------------------------------

    def path(self, run_id: str) -> Path:
        return self.folder / f"{check_run_id(run_id)}.log"

    def data(self, run_id: str) -> bytes:
        return self.path(run_id).read_bytes() if self.path(run_id).exists() else b""

    def lines(self, run_id: str) -> list[bytes]:
        return self.data(run_id).split(b"\n")[:-1]

    def torn(self, run_id: str) -> bytes:
        """What stands behind the last whole batch."""
        tail = b""
        pieces = self.data(run_id).split(b"\n")
        for line in reversed(pieces[:-1]):
            if not line.endswith(b'"more":true}'):
                break
            tail = line + b"\n" + tail
        return tail + pieces[-1]

    @contextmanager
    def _exclusive(self, run_id: str) -> Iterator[None]:
        fd = os.open(self.path(run_id).with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _locked_file(self, run_id: str, kind: str) -> Iterator[None]:
        path = self.folder / f"{check_run_id(run_id)}.{kind}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise RunLockedError("held") from None
        finally:
            os.close(fd)


def tear(folder: Path, run_id: str) -> bytes:
    """A whole line that announces more, and half of the next."""
    store = PlainStore(folder)
    kept = store.lines(run_id)
    drafts = [Draft("note", {}), Draft("note", {})]
    head = line_hash(kept[-1])
    whole, half = seal(run_id, drafts, after=len(kept), head=head, ts="2026-01-02T03:04:05Z")
    left = whole.line + b"\n" + half.line[:20]
    with store.path(run_id).open("ab") as file:
        file.write(left)
    return left


def damage(folder: Path, run_id: str, seq: int) -> None:
    """Another number in the payload of that event."""
    store = PlainStore(folder)
    lines = store.lines(run_id)
    lines[seq - 1] = lines[seq - 1].replace(b'{"n":', b'{"n":7')
    store.path(run_id).write_bytes(b"".join(line + b"\n" for line in lines))
