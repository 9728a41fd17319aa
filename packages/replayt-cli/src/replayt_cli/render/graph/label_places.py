"""Where the words at the lines of a drawn graph go: on their line, and clear of all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from replayt_cli.render.graph.layers import Edge
from replayt_cli.render.graph.layout import Line, Picture, Point

HEIGHT = 18.0
_SHARES = (0.5, 0.35, 0.65, 0.25, 0.75, 0.43, 0.57, 0.18, 0.82)
_AVOIDING = 300
"""How many labels look for room; a drawing with more of them is too dense for any to find it."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text at a line: its middle and its width."""

    line: Line
    text: str
    x: float
    y: float
    width: float

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return _frame((self.x, self.y), self.width)


def place_labels(picture: Picture, texts: Mapping[Edge, str], column: float) -> list[Label]:
    """A label for each line that has a text, `column` being the width of a character.

    Each takes the first place on its line that covers no state and no earlier label, or the one
    that covers least.
    """
    taken = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in picture.boxes]
    placed: list[Label] = []
    for line in (*picture.loops, *picture.lines):
        text = texts.get(line.edge, "")
        if not text:
            continue
        width = len(text) * column + 10
        x, y = line.label
        if len(placed) < _AVOIDING:
            x, y = _freest(line, width, taken)
        label = Label(line=line, text=text, x=x, y=y, width=width)
        taken.append(label.frame)
        placed.append(label)
    return placed


def _freest(line: Line, width: float, taken: list[tuple[float, float, float, float]]) -> Point:
    best, least = line.label, float("inf")
    for place in _candidates(line, width):
        frame = _frame(place, width)
        covered = sum(_overlap(frame, other) for other in taken)
        if covered == 0:
            return place
        if covered < least:
            best, least = place, covered
    return best


def _candidates(line: Line, width: float) -> Iterator[Point]:
    yield line.label
    if line.edge[0] == line.edge[1]:
        (right, _top), (far, y), _end = line.points
        beside = right + width / 2 + 8
        yield from ((beside, y), (far, y - HEIGHT), (far, y + HEIGHT))
        yield from ((beside, y - 1.8 * HEIGHT), (beside, y + 1.8 * HEIGHT))
        return
    # Every second pair of points is joined by a curve, the others by a straight line.
    for share in _SHARES:
        for index in range(len(line.points) - 1):
            ends = line.points[index], line.points[index + 1]
            yield _on_curve(*ends, share) if index % 2 == 0 else _between(*ends, share)


def _on_curve(start: Point, end: Point, share: float) -> Point:
    """A point of the curve that leaves and arrives upright (both handles at half the height)."""
    across = share * share * (3 - 2 * share)
    down = share * (1.5 - 1.5 * share + share * share)
    return start[0] + (end[0] - start[0]) * across, start[1] + (end[1] - start[1]) * down


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _frame(middle: Point, width: float) -> tuple[float, float, float, float]:
    x, y = middle
    return x - width / 2, y - HEIGHT / 2, x + width / 2, y + HEIGHT / 2


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0
