"""Reading a log file: batch by batch from its start, or its last batch from its end.

Lines end with the byte `\\n` and with nothing else; U+2028 and its like are text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from replayt_core.chain import ChainReader, decode
from replayt_core.errors import DamagedLogError
from replayt_core.events import Event

_TAIL = 16_384
_TAIL_MOST = 1 << 28


class Scan:
    """Whole batches of one log, in order; memory stays flat.

    When `batches` has ended, `end` is the offset behind the last whole batch and `torn` tells
    whether something stands behind it. Damage is raised naming file, line and byte.
    """

    def __init__(self, file: BinaryIO, reader: ChainReader, shown: str, *, start: int = 0) -> None:
        self.file = file
        self.reader = reader
        self.shown = shown
        self.end = start
        self.torn = False

    def batches(self) -> Iterator[list[Event]]:
        """Each whole batch. A torn tail is left out silently: someone may be writing it."""
        readline, feed = self.file.readline, self.reader.feed
        self.file.seek(self.end)
        offset = self.end
        doubted = -1
        while True:
            line = readline()
            if not line.endswith(b"\n"):
                self.torn = bool(line) or self.reader.in_batch
                return
            try:
                batch = feed(line[:-1])
            except DamagedLogError as damage:
                if doubted == self.end:
                    raise self._damaged(damage, offset) from None
                # A failed append that was taken back while we read looks like damage, once.
                doubted = self.end
                self.reader.drop_batch()
                offset = self.end
                self.file.seek(0, os.SEEK_END)  # drops what is buffered
                self.file.seek(offset)
                continue
            offset += len(line)
            if batch:
                self.end = offset
                yield batch

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
