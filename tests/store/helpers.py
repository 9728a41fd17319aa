"""Writing runs in tests, and a system that fails on command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft, Event
from replayt_core.ports.store import EventStore
from replayt_core.ports.system import SystemClock
from replayt_store import JSONLStore
from replayt_store._os import System

TS = "2026-01-02T03:04:05.678901Z"


def batch(
    *kinds: str, after: Sequence[Event] = (), run_id: str = "r1", text: str = "x"
) -> list[Event]:
    """A sealed batch that follows those events."""
    head = line_hash(after[-1].line) if after else first_prev(run_id)
    drafts = [Draft(kind, {"text": text}) for kind in kinds]
    return seal(run_id, drafts, after=len(after), head=head, ts=TS)


def write(store: EventStore, *sizes: int, run_id: str = "r1", text: str = "x") -> list[Event]:
    """Append batches of those sizes behind what the run has; all its events."""
    events = list(store.read(run_id))
    for size in sizes:
        more = batch(*["state_entered"] * size, after=events, run_id=run_id, text=text)
        store.append(run_id, more, after=len(events))
        events += more
    return events


def seqs(store: EventStore, run_id: str = "r1") -> list[int]:
    """What a reader sees."""
    return [event.seq for event in store.read(run_id)]


def add_bytes(store: JSONLStore, data: bytes, run_id: str = "r1") -> None:
    """Append to the file itself, as a crash or a stranger would."""
    with store.path(run_id).open("ab") as file:
        file.write(data)


def tear_file(path: Path) -> bytes:
    """Leave a whole line that announces more and half of the next; what was left."""
    store = JSONLStore(path.parent)
    more = batch("note", "note", after=list(store.read(path.stem)), run_id=path.stem)
    left = more[0].line + b"\n" + more[1].line[:30]
    add_bytes(store, left, path.stem)
    return left


def damage_file(path: Path, seq: int) -> None:
    """Change a byte in the payload of that event."""
    lines = path.read_bytes().split(b"\n")
    lines[seq - 1] = lines[seq - 1].replace(b'"payload":{"', b'"payload":{"_', 1)
    path.write_bytes(b"\n".join(lines))


@dataclass
class FakeClock:
    """Time that passes only by sleeping; `then` runs at each sleep."""

    seconds: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def now(self) -> object:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds
        self.then()


class HurriedClock(SystemClock):
    """Real time, ten times as fast: who waits a second for a lock gives up after a tenth of one.

    For the kit, whose clauses on locks wait in vain. Under a clock that stands still the patience
    of a writer who meets another would be over at once.
    """

    def monotonic(self) -> float:
        return super().monotonic() * 10


class FaultySystem(System):
    """Counts calls, and raises or writes short where a test says so."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, BaseException] = {}
        self.write_at_most: int | None = None

    def fail_with(self, call: str, code: int) -> None:
        self.fail[call] = OSError(code, os.strerror(code))

    def _count(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise self.fail[name]

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.write_at_most is None:
            self._count("write")
            return super().write(fd, data)
        # A short write, and then the error, as a full disk gives it.
        if "write" in self.fail and "short" in self.calls:
            self._count("write")
        self.calls.append("short")
        return super().write(fd, memoryview(data)[: self.write_at_most])

    def fstat(self, fd: int) -> os.stat_result:
        self._count("fstat")
        return super().fstat(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._count("truncate")
        super().truncate(fd, size)

    def sync_data(self, fd: int) -> None:
        self._count("sync_data")
        super().sync_data(fd)

    def sync_directory(self, path: str) -> None:
        self._count("sync_directory")
        super().sync_directory(path)

    def open_new(self, path: str) -> int:
        self._count("open_new")
        return super().open_new(path)
