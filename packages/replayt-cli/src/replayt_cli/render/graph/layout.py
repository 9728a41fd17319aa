"""Where the boxes and lines of a graph stand. Pure: a graph in, coordinates out.

States are few and names are long, so the graph runs from top to bottom. Lines leave a box at its
lower side and enter at the upper one; an edge that leads back runs the other way round. Each line
has its own port, so that two edges between the same states stay two lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from replayt_cli.render.graph.labels import box_labels, columns_of
from replayt_cli.render.graph.layers import Edge, Layering, Link, layered

COLUMN = 7.8
"""The width of a monospaced character at 13 pixels, a little generous."""
LINE = 17.0
CAPTION = 15.0
_PADDING = 14.0
_SIDE_GAP = 28.0
_BEND_WIDTH = 14.0
_LAYER_GAP = 54.0
_PORT_GAP = 20.0
_LOOP = 30.0
_MARGIN = 14.0
_START = 30.0
_SWEEPS = 40

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph to be drawn. States that only edges name are added."""

    initial: str | None
    states: Sequence[str]
    edges: Sequence[Edge]

    @property
    def names(self) -> list[str]:
        """All states, each once, in the order they were given."""
        first = [] if self.initial is None else [self.initial]
        ends = [end for edge in self.edges for end in edge]
        return list(dict.fromkeys([*self.states, *first, *ends]))


@dataclass(frozen=True, kw_only=True)
class Box:
    """A state: its lines of text and its rectangle. `caption` goes below the name."""

    name: str
    lines: tuple[str, ...]
    caption: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The x of its centre."""
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """An edge: `points` from source to target, every second pair joined by a curve.

    `label` is where a word about it fits. `head` is the direction of the arrow at its end.
    """

    edge: Edge
    points: tuple[Point, ...]
    label: Point
    head: Point


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A graph with coordinates, in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    loops: tuple[Line, ...]
    start: Point | None


def lay_out(graph: Graph, captions: Mapping[str, str] | None = None) -> Picture:
    """The picture of a graph; `captions` are written below the names of states."""
    names = graph.names
    labels, captions = box_labels(names), captions or {}
    looping = {source for source, target in graph.edges if source == target}
    layering = layered(graph.initial, names, graph.edges)
    sizes = _Sizes(layering, labels, captions, looping)
    centres = _centres(layering, sizes)
    tops = _tops(layering, sizes, _MARGIN + (_START if graph.initial in labels else 0.0))
    boxes = {}
    for depth, row in enumerate(layering.layers):
        for place in row:
            name = layering.names[place]
            if name is not None:
                width, height = sizes.box[place]
                boxes[name] = Box(
                    name=name,
                    lines=labels[name],
                    caption=captions.get(name, ""),
                    x=centres[place] - width / 2,
                    y=tops[depth] + (sizes.rows[depth] - height) / 2,
                    width=width,
                    height=height,
                )
    frame = _Frame(layering, sizes, centres, tops, boxes)
    start = None
    if graph.initial in boxes:
        first = boxes[graph.initial]
        start = (first.middle, first.y - _START + 6)
    return Picture(
        width=max((box.x + box.width for box in boxes.values()), default=0.0)
        + (_LOOP * 1.6 if looping else 0.0)
        + _MARGIN
        if boxes
        else 2 * _MARGIN,
        height=(tops[-1] + sizes.rows[-1] if tops else 0.0) + _MARGIN,
        boxes=tuple(boxes[name] for name in names),
        lines=tuple(frame.line(number, link) for number, link in enumerate(layering.links)),
        loops=tuple(_loop(boxes[name]) for name in names if name in looping),
        start=start,
    )


class _Sizes:
    """How much room each place and each layer takes."""

    def __init__(
        self,
        layering: Layering,
        labels: Mapping[str, tuple[str, ...]],
        captions: Mapping[str, str],
        looping: set[str],
    ) -> None:
        self.box: dict[int, tuple[float, float]] = {}
        self.room: dict[int, float] = {}
        for place, name in enumerate(layering.names):
            if name is None:
                self.room[place] = _BEND_WIDTH
                continue
            caption = captions.get(name, "")
            wide = max(
                *(columns_of(line) * COLUMN for line in labels[name]),
                columns_of(caption) * COLUMN * 0.85,
                4 * COLUMN,
            )
            height = len(labels[name]) * LINE + (CAPTION if caption else 0.0) + 1.2 * _PADDING
            self.box[place] = (wide + 2 * _PADDING, height)
            self.room[place] = wide + 2 * _PADDING + (2 * _LOOP if name in looping else 0.0)
        self.rows = [
            max((self.box[place][1] for place in row if place in self.box), default=LINE)
            for row in layering.layers
        ]


def _tops(layering: Layering, sizes: _Sizes, start: float) -> list[float]:
    tops, y = [], start
    for depth in range(len(layering.layers)):
        tops.append(y)
        y += sizes.rows[depth] + _LAYER_GAP
    return tops


def _centres(layering: Layering, sizes: _Sizes) -> dict[int, float]:
    """The x of each place: close to its neighbours, in order, and with room for each.

    Each sweep solves one layer after the other exactly: the least sum of squared distances to
    the neighbours, with the gaps as constraints.
    """
    near: dict[int, list[tuple[int, float]]] = {place: [] for place in range(len(layering.names))}
    for link in layering.links:
        for upper, lower in pairwise(link.chain):
            bends = (layering.names[upper] is None) + (layering.names[lower] is None)
            weight = (1.0, 2.0, 8.0)[bends]  # long edges are to run straight
            near[upper].append((lower, weight))
            near[lower].append((upper, weight))
    at: dict[int, float] = {}
    for row in layering.layers:
        x = 0.0
        for place in row:
            at[place] = x + sizes.room[place] / 2
            x += sizes.room[place] + _SIDE_GAP
        for place in row:
            at[place] -= (x - _SIDE_GAP) / 2
    for sweep in range(_SWEEPS):
        rows = layering.layers if sweep % 2 == 0 else layering.layers[::-1]
        for row in rows:
            _place_row(row, near, sizes, at)
    left = min((at[place] - sizes.room[place] / 2 for place in at), default=0.0)
    return {place: x - left + _MARGIN for place, x in at.items()}


def _place_row(
    row: Sequence[int],
    near: Mapping[int, Sequence[tuple[int, float]]],
    sizes: _Sizes,
    at: dict[int, float],
) -> None:
    """Pool adjacent violators: blocks of places that touch share the mean of what they want."""
    shift, shifts = 0.0, []
    blocks: list[tuple[float, float, int]] = []  # the sum of wishes, of weights, how many places
    for index, place in enumerate(row):
        if index:
            before = row[index - 1]
            shift += (sizes.room[before] + sizes.room[place]) / 2 + _SIDE_GAP
        shifts.append(shift)
        weight = sum(w for _other, w in near[place]) or 0.01
        wish = sum(at[other] * w for other, w in near[place]) / weight if near[place] else at[place]
        block = ((wish - shift) * weight, weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] > block[0] / block[1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    index = 0
    for total, weight, count in blocks:
        for _ in range(count):
            at[row[index]] = total / weight + shifts[index]
            index += 1


@dataclass(slots=True)
class _Frame:
    """What is placed already, while lines are drawn between."""

    layering: Layering
    sizes: _Sizes
    centres: Mapping[int, float]
    tops: Sequence[float]
    boxes: Mapping[str, Box]
    _ports: dict[tuple[int, int], float] = field(default_factory=dict)
    _depth: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._depth = {
            place: depth for depth, row in enumerate(self.layering.layers) for place in row
        }
        lower_side: dict[int, list[tuple[float, int]]] = {}
        upper_side: dict[int, list[tuple[float, int]]] = {}
        for index, link in enumerate(self.layering.links):
            first, second, last, before = (
                link.chain[0],
                link.chain[1],
                link.chain[-1],
                link.chain[-2],
            )
            lower_side.setdefault(first, []).append((self.centres[second], index))
            upper_side.setdefault(last, []).append((self.centres[before], index))
        for side, ports in enumerate((lower_side, upper_side)):
            for place, wanted in ports.items():
                self._spread(place, sorted(wanted), side)

    def _spread(self, place: int, wanted: Sequence[tuple[float, int]], side: int) -> None:
        width = self.sizes.box[place][0] - _PADDING
        gap = min(_PORT_GAP, width / len(wanted))
        first = self.centres[place] - gap * (len(wanted) - 1) / 2
        for index, (_x, link) in enumerate(wanted):
            self._ports[side, link] = first + index * gap

    def line(self, number: int, link: Link) -> Line:
        """The points of one edge, from its source to its target."""
        upper = self.boxes[str(self.layering.names[link.chain[0]])]
        lower = self.boxes[str(self.layering.names[link.chain[-1]])]
        points: list[Point] = [(self._ports[0, number], upper.y + upper.height)]
        for place in link.chain[1:-1]:
            depth = self._depth[place]
            x = self.centres[place]
            points += [(x, self.tops[depth]), (x, self.tops[depth] + self.sizes.rows[depth])]
        points.append((self._ports[1, number], lower.y))
        bends = points[1:-1]
        if bends:
            x, y = bends[len(bends) // 2 - 1]
            label = (x, (y + bends[len(bends) // 2][1]) / 2)
        else:
            share = 0.7 if link.turned else 0.3
            (x, y), (to_x, to_y) = points
            label = (x + (to_x - x) * _eased(share), y + (to_y - y) * share)
        if link.turned:
            points.reverse()
        head = (0.0, -1.0) if link.turned else (0.0, 1.0)
        return Line(edge=link.edge, points=tuple(points), label=label, head=head)


def _eased(share: float) -> float:
    """How far to the side a curve is that starts and ends upright, `share` of the way down."""
    return share * share * (3 - 2 * share)


def _loop(box: Box) -> Line:
    right, y = box.x + box.width, box.y + box.height / 2
    return Line(
        edge=(box.name, box.name),
        points=((right, y - 8), (right + _LOOP, y), (right, y + 8)),
        label=(right + _LOOP - 2, y),
        head=(-1.0, 0.0),
    )
