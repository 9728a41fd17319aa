"""The time axis of a run: linear while something happens, shortened while the run waits for people.

A run may wait three days for an answer and then work for a second. Both are to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TICKS = 4
_PAUSE_SHARE = 0.08
"""The most that one pause takes of the axis, as a share of the time that was worked."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the axis: seconds on one side, percent on the other."""

    start: float
    end: float
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds since the start of the run to percent of the width, and back."""

    pieces: tuple[Piece, ...]
    shortened: bool

    def at(self, seconds: float) -> float:
        """Where on the axis a moment stands."""
        for piece in self.pieces:
            if seconds <= piece.end:
                share = (max(seconds, piece.start) - piece.start) / (piece.end - piece.start)
                return piece.left + share * (piece.right - piece.left)
        return 100.0 if self.pieces else 0.0

    def ticks(self) -> list[tuple[float, float]]:
        """Places on the axis with their moments; none where no time went by."""
        if not self.pieces:
            return []
        return [(at, self._moment(at)) for at in (100.0 * n / TICKS for n in range(TICKS + 1))]

    def _moment(self, at: float) -> float:
        for piece in self.pieces:
            if at <= piece.right:
                share = (at - piece.left) / (piece.right - piece.left)
                return piece.start + share * (piece.end - piece.start)
        return self.pieces[-1].end


def make_scale(start: float, end: float, pauses: Sequence[Interval]) -> Scale:
    """The axis from `start` to `end`; `pauses` come in order and do not overlap."""
    inside = [(max(since, start), min(until, end)) for since, until in pauses]
    inside = [(since, until) for since, until in inside if since < until]
    worked = end - start - sum(until - since for since, until in inside)
    most = _PAUSE_SHARE * worked if worked > 0 else end - start
    parts: list[tuple[float, float, float]] = []  # from, to, how long it is drawn
    reached, shortened = start, False
    for since, until in inside:
        drawn = min(until - since, most)
        shortened = shortened or drawn < until - since
        parts += [(reached, since, since - reached), (since, until, drawn)]
        reached = until
    parts.append((reached, end, end - reached))
    parts = [part for part in parts if part[1] > part[0] and part[2] > 0]
    whole = sum(drawn for _since, _until, drawn in parts)
    pieces, left = [], 0.0
    for since, until, drawn in parts:
        right = left + 100.0 * drawn / whole
        pieces.append(Piece(since, until, left, right))
        left = right
    return Scale(tuple(pieces), shortened)
