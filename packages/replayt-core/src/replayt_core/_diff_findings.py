"""Where a comparison keeps what it finds, in the order in which things happened."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from replayt_core._diff_result import PARTS, NotCompared, Part, PartDiff, RunDifference
from replayt_core._diff_values import Change, Side

Seq = int | None


class Findings:
    """What differs, what was compared, and what could not be."""

    def __init__(self) -> None:
        self.differences: list[RunDifference] = []
        self.not_compared: list[NotCompared] = []
        self.state: str | None = None
        self.visit: int | None = None
        self._compared: Counter[Part] = Counter()
        self._held: list[RunDifference] = []
        self._met: list[tuple[int, int]] = []

    def look(
        self, part: Part, what: str, seq_a: Seq, seq_b: Seq, changes: Iterable[Change]
    ) -> None:
        """Something that both runs have, and where it differs."""
        self._compared[part] += 1
        if seq_a is not None and seq_b is not None:
            self._met.append((seq_b, seq_a))
        found = tuple(changes)
        if found:
            self._hold(part, what, seq_a, seq_b, found, None)

    def alone(self, side: Side, part: Part, what: str, seq: Seq, changes: Iterable[Change]) -> None:
        """Something that one run alone has."""
        seq_a, seq_b = (seq, None) if side == "a" else (None, seq)
        self._hold(part, what, seq_a, seq_b, tuple(changes), side)

    def leave(self, part: Part | None, what: str, why: str, seq_a: Seq, seq_b: Seq) -> None:
        """Something that cannot be compared."""
        self.not_compared.append(
            NotCompared(part=part, what=what, why=why, state=self.state, seq_a=seq_a, seq_b=seq_b)
        )

    def enter(self, state: str, visit: int) -> None:
        """What comes next is in this visit."""
        self.close()
        self.state, self.visit = state, visit

    def close(self) -> None:
        """The visit is over: bring what was found in it into the order of the log.

        That is the order of A. What only B has stands behind what came before it in both.
        """
        self._met.sort()
        seqs_b = [seq_b for seq_b, _ in self._met]

        def place(found: RunDifference) -> tuple[int, int, int]:
            if found.seq_a is not None:
                return found.seq_a, 0, 0
            before = bisect_right(seqs_b, found.seq_b or 0)
            return (self._met[before - 1][1] if before else 0), 1, found.seq_b or 0

        self.differences += sorted(self._held, key=place)
        self._held, self._met = [], []
        self.state = self.visit = None

    def parts(self) -> dict[Part, PartDiff]:
        """All parts, changed or not."""
        by_part: dict[Part, list[RunDifference]] = {part: [] for part in PARTS}
        for found in self.differences:
            by_part[found.part].append(found)
        return {
            part: PartDiff(
                part=part, compared=self._compared[part], differences=tuple(by_part[part])
            )
            for part in PARTS
        }

    def _hold(
        self,
        part: Part,
        what: str,
        seq_a: Seq,
        seq_b: Seq,
        changes: tuple[Change, ...],
        only: Side | None,
    ) -> None:
        self._held.append(
            RunDifference(
                part=part,
                what=what,
                state=self.state,
                visit=self.visit,
                seq_a=seq_a,
                seq_b=seq_b,
                only=only,
                changes=changes,
            )
        )
