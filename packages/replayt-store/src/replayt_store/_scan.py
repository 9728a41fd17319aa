"""Reading a log file: batch by batch from its start, or its last batch from its end.

Lines end with the byte `\\n` and with nothing else; U+2028 and its like are text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate
from typing import BinaryIO

from replayt_core.chain import ChainReader, decode
from replayt_core.errors import DamagedLogError
from replayt_core.events import Event

_PIECE = 1 << 16
_TAIL = 16_384
_TAIL_MOST = 1 << 28


class _LineDamaged(Exception):
    """Damage, and the byte at which its line begins."""

    def __init__(self, damage: DamagedLogError, offset: int) -> None:
        super().__init__(str(damage))
        self.damage = damage
        self.offset = offset


class Scan:
    """Whole batches of one log, in order; memory stays flat.

    When `batches` has ended, `torn` tells whether something stands behind the last whole batch.
    Damage is raised naming file, line and byte.
    """

    def __init__(self, file: BinaryIO, reader: ChainReader, shown: str, *, start: int = 0) -> None:
        self.file = file
        self.reader = reader
        self.shown = shown
        self.torn = False
        # The lines read last: where each would begin without the newlines, and the seq of the
        # first. A batch that ended before them ended at `_end`.
        self._end = start
        self._starts = [start]
        self._first = reader.next_seq

    @property
    def end(self) -> int:
        """The offset behind the last whole batch."""
        behind = self.reader.seq + 1
        return self._start_of(behind) if behind > self._first else self._end

    def batches(self) -> Iterator[list[Event]]:
        """Each whole batch. A torn tail is left out silently: someone may be writing it."""
        doubted = -1
        while True:
            self.file.seek(self.end)
            try:
                yield from self._batches()
                return
            except _LineDamaged as damaged:
                if doubted == self.end:
                    raise self._damaged(damaged.damage, damaged.offset) from None
                # A failed append that was taken back while we read looks like damage, once.
                doubted = self.end
                self.reader.drop_batch()
                self.file.seek(0, os.SEEK_END)  # drops what is buffered

    def _batches(self) -> Iterator[list[Event]]:
        """The whole batches from where the file stands, which is `end`."""
        reader, start = self.reader, self.end
        for lines in self._lines():
            if not start and not lines[0]:  # what replayt 0.4 wrote begins so
                reader.feed(lines.pop(0))
                start = 1
            self._end, self._first = self.end, reader.next_seq
            self._starts = list(accumulate(map(len, lines), initial=start))
            try:
                yield from reader.feed_all(lines)
            except DamagedLogError as damage:
                raise _LineDamaged(damage, self._start_of(reader.next_seq)) from None
            start = self._starts[-1] + len(lines)
        self.torn = self.torn or reader.in_batch

    def _start_of(self, seq: int) -> int:
        """The byte at which the line with that seq begins, one of those read last or the next."""
        place = seq - self._first
        return self._starts[place] + place

    def _lines(self) -> Iterator[list[bytes]]:
        """The lines that follow, without their newlines; what has none is torn."""
        self.torn = False
        rest: list[bytes] = []
        while piece := self.file.read(_PIECE):
            first, *others = piece.split(b"\n")
            rest.append(first)
            if others:
                lines = [b"".join(rest), *others]
                rest = [lines.pop()]
                yield lines
        self.torn = any(rest)

    def _damaged(self, damage: DamagedLogError, offset: int) -> DamagedLogError:
        # `seq` is the number of the line: every line is one event, from 1 without gaps. Only what
        # replayt 0.4 wrote has an empty line before them.
        self.file.seek(0)
        number = int(damage.where.rpartition(" ")[2]) + (self.file.read(1) == b"\n")
        where = f"{self.shown}, line {number}, byte {offset}"
        return DamagedLogError(
            f"{damage} ({where}). What stands before it can be read; nothing is appended",
            run_id=damage.run_id,
            where=where,
        )


def last_batch_end(file: BinaryIO, size: int) -> Event | None:
    """The last event of the last whole batch, read from the end; None when no line tells.

    For listings: it does not look at the chain, and passes over lines that do not parse.
    """
    span = _TAIL
    while True:
        start = max(size - span, 0)
        file.seek(start)
        lines = file.read(size - start).split(b"\n")
        # The last piece is torn or empty; the first one is whole only at the start of the file.
        for line in reversed(lines[0 if start == 0 else 1 : -1]):
            try:
                event = decode(line)
            except ValueError:
                continue
            if not event.more:
                return event
        if start == 0 or span > _TAIL_MOST:
            return None
        span *= 4
