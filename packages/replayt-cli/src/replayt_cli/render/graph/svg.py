"""A graph as SVG: accessible, no script, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape as escape_markup
from importlib.resources import files

from replayt_cli.render.graph.label_places import HEIGHT, Label, place_labels
from replayt_cli.render.graph.labels import columns_of
from replayt_cli.render.graph.layers import Edge
from replayt_cli.render.graph.layout import (
    CAPTION,
    COLUMN,
    LINE,
    Box,
    Graph,
    Line,
    Picture,
    Point,
    lay_out,
)
from replayt_cli.render.text import count_of, escape, one_line, wrap

_DESCRIBED_EDGES = 60
_HEAD = 7.0
_MARGIN = 14.0
_NOTE_LINE = 17.0
_NOTE_COLUMN = 6.7
_NOTE_WIDTH = 430.0


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What runs did with a graph.

    `moves` are the edges taken, with the text to write at each ("" for none); `captions` go below
    the names of the states that were entered. `stands` is where a run stands, `status` how.
    `notes` are lines of text below the picture.
    """

    moves: Mapping[Edge, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    stands: str | None = None
    status: str = ""
    notes: Sequence[str] = ()


def graph_style() -> str:
    """The stylesheet of a drawn graph."""
    return (files("replayt_cli") / "templates" / "graph.css").read_text(encoding="utf-8").strip()


def svg_document(graph: Graph, marks: Marks | None = None, *, title: str) -> str:
    """A file of its own, with its stylesheet inside."""
    return draw(graph, marks, title=title, style=graph_style())


def draw(graph: Graph, marks: Marks | None = None, *, title: str, style: str = "") -> str:
    """The `<svg>` element. Without `style` the page around it has to bring the stylesheet.

    With marks, what no run did is drawn faint; without, everything is drawn alike.
    """
    picture = lay_out(graph, marks.captions if marks else None)
    return "\n".join(_parts(graph, picture, marks, title, style)) + "\n"


def _parts(
    graph: Graph, picture: Picture, marks: Marks | None, title: str, style: str
) -> Iterator[str]:
    texts = {edge: escape(text) for edge, text in marks.moves.items()} if marks else {}
    labels = place_labels(picture, texts, COLUMN * 0.9)
    notes = _wrapped(marks.notes if marks else (), picture.width)
    left, right = _sides(picture, labels, notes)
    width, height = _n(right - left), _n(picture.height + len(notes) * _NOTE_LINE)
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if style else ""
    yield (
        f'<svg{namespace} class="graph" role="img" width="{width}" height="{height}" '
        f'viewBox="{_n(left)} 0 {width} {height}" aria-labelledby="graph-title graph-description">'
    )
    yield f'<title id="graph-title">{_text(one_line(title))}</title>'
    yield f'<desc id="graph-description">{_text(_description(graph, marks))}</desc>'
    if style:
        yield f"<style>{style}</style>"
        yield f'<rect class="paper" x="{_n(left)}" width="{width}" height="{height}"/>'
    lines = sorted((*picture.lines, *picture.loops), key=lambda line: _taken(line.edge, marks))
    for line in lines:
        yield from _line(line, marks)
    if picture.start is not None and graph.initial is not None:
        yield from _start(picture.start)
    sources = {source for source, target in graph.edges if source != target}
    for box in picture.boxes:
        yield from _box(box, marks, ends=box.name not in sources)
    for label in labels:
        yield _label(label)
    for number, note in enumerate(notes):
        y = _n(picture.height + number * _NOTE_LINE + 4)
        yield f'<text class="note" x="{_n(left + _MARGIN)}" y="{y}">{_text(note)}</text>'
    yield "</svg>"


def _wrapped(notes: Sequence[str], width: float) -> list[str]:
    """Notes on lines as wide as the picture, or as is comfortable to read."""
    columns = int(max(width - 2 * _MARGIN, _NOTE_WIDTH) / _NOTE_COLUMN)
    return [line for note in notes for line in wrap(one_line(note), columns, indent="")]


def _sides(picture: Picture, labels: Sequence[Label], notes: Sequence[str]) -> tuple[float, float]:
    """The left and right border, with room for what is wider than the graph."""
    frames = [label.frame for label in labels]
    left = min([0.0, *(frame[0] - _MARGIN / 2 for frame in frames)])
    right = max([picture.width, *(frame[2] + _MARGIN / 2 for frame in frames)])
    noted = max((columns_of(note) * _NOTE_COLUMN + 2 * _MARGIN for note in notes), default=0.0)
    more = max(noted - (right - left), 0.0) / 2
    return left - more, right + more


def _line(line: Line, marks: Marks | None) -> Iterator[str]:
    style = "edge" if marks is None else "edge taken" if _taken(line.edge, marks) else "edge idle"
    source, target = (_text(escape(end)) for end in line.edge)
    yield f'<g class="{style}"><title>{source} → {target}</title>'
    yield f'<path d="{_path(line)}"/><path class="head" d="{_head(line)}"/></g>'


def _path(line: Line) -> str:
    points = list(line.points)
    # The line ends inside its arrow's head, so that its blunt end does not show.
    points[-1] = (points[-1][0] - line.head[0] * 4, points[-1][1] - line.head[1] * 4)
    if line.edge[0] == line.edge[1]:
        (x, y), (far, _middle), (to_x, to_y) = points
        return f"M{_p(x, y)}C{_p(far, y - 10)} {_p(far, to_y + 10)} {_p(to_x, to_y)}"
    parts = [f"M{_p(*points[0])}"]
    for index in range(0, len(points) - 1, 2):
        (x, y), (to_x, to_y) = points[index], points[index + 1]
        half = (y + to_y) / 2
        parts.append(f"C{_p(x, half)} {_p(to_x, half)} {_p(to_x, to_y)}")
        if index + 2 < len(points):
            parts.append(f"L{_p(*points[index + 2])}")
    return "".join(parts)


def _head(line: Line) -> str:
    (x, y), (ahead_x, ahead_y) = line.points[-1], line.head
    back_x, back_y = x - ahead_x * _HEAD, y - ahead_y * _HEAD
    side_x, side_y = ahead_y * _HEAD * 0.6, ahead_x * _HEAD * 0.6
    one, other = _p(back_x + side_x, back_y + side_y), _p(back_x - side_x, back_y - side_y)
    return f"M{_p(x, y)}L{one} {other}Z"


def _start(point: Point) -> Iterator[str]:
    x, y = point
    yield f'<circle class="start" cx="{_n(x)}" cy="{_n(y)}" r="5"/>'
    yield f'<g class="edge start"><path d="M{_p(x, y)}L{_p(x, y + 20)}"/>'
    yield f'<path class="head" d="M{_p(x, y + 24)}L{_p(x - 4, y + 17)} {_p(x + 4, y + 17)}Z"/></g>'


def _box(box: Box, marks: Marks | None, *, ends: bool) -> Iterator[str]:
    classes = ["state", "visited" if marks is None or box.name in marks.captions else "idle"]
    if marks is not None and box.name == marks.stands:
        classes.append(f"stands {marks.status}")
    x, y, width, height = box.x, box.y, box.width, box.height
    yield f'<g class="{" ".join(classes)}"><title>{_text(escape(box.name))}</title>'
    yield (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="8"/>'
        + (
            f'<rect class="inner" x="{_n(x + 3)}" y="{_n(y + 3)}" width="{_n(width - 6)}" '
            f'height="{_n(height - 6)}" rx="5.5"/>'
            if ends
            else ""
        )
    )
    text_height = len(box.lines) * LINE + (CAPTION if box.caption else 0.0)
    baseline = y + (height - text_height) / 2 + LINE * 0.74
    for index, text in enumerate(box.lines):
        yield (f'<text x="{_n(box.middle)}" y="{_n(baseline + index * LINE)}">{_text(text)}</text>')
    if box.caption:
        below = baseline + len(box.lines) * LINE - 1
        yield (
            f'<text class="caption" x="{_n(box.middle)}" y="{_n(below)}">'
            f"{_text(box.caption)}</text>"
        )
    yield "</g>"


def _label(label: Label) -> str:
    x, y = label.x, label.y
    return (
        f'<g class="label"><rect x="{_n(x - label.width / 2)}" y="{_n(y - HEIGHT / 2)}" '
        f'width="{_n(label.width)}" height="{_n(HEIGHT)}" rx="9"/>'
        f'<text x="{_n(x)}" y="{_n(y + 4)}">{_text(label.text)}</text></g>'
    )


def _taken(edge: Edge, marks: Marks | None) -> bool:
    return marks is not None and edge in marks.moves


def _description(graph: Graph, marks: Marks | None) -> str:
    """The graph in words, for who cannot see it."""
    names = graph.names
    words = [f"{count_of(len(names), 'state')}: {', '.join(escape(name) for name in names)}."]
    if graph.initial is not None:
        words.append(f"It starts in {escape(graph.initial)}.")
    edges = list(dict.fromkeys(graph.edges))
    shown = [_in_words(edge, marks) for edge in edges[:_DESCRIBED_EDGES]]
    if len(edges) > _DESCRIBED_EDGES:
        shown.append(f"and {len(edges) - _DESCRIBED_EDGES} more")
    words.append(f"Moves: {'; '.join(shown)}." if shown else "It has no moves.")
    if marks is not None and marks.stands is not None:
        words.append(f"The run stands in {escape(marks.stands)}: {marks.status}.")
    words += [f"{one_line(note)}." for note in (marks.notes if marks else ())]
    return " ".join(words)


def _in_words(edge: Edge, marks: Marks | None) -> str:
    text = f"{escape(edge[0])} to {escape(edge[1])}"
    if marks is None:
        return text
    if edge not in marks.moves:
        return f"{text} (not taken)"
    return f"{text} (taken {escape(marks.moves[edge])})" if marks.moves[edge] else f"{text} (taken)"


def times(count: int) -> str:
    """How often a move was made, as it is written at its edge."""
    return f"\N{MULTIPLICATION SIGN}{count:,}" if count != 1 else ""


def _text(text: str) -> str:
    return escape_markup(text)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _p(x: float, y: float) -> str:
    return f"{_n(x)} {_n(y)}"
