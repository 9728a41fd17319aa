"""`replayt graph`: the declared graph as Mermaid text and as a drawing."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from replayt_cli.render.graph.labels import box_labels
from replayt_cli.render.graph.layout import Box, Graph, Picture, lay_out
from replayt_cli.render.graph.svg import Marks, draw, svg_document
from tests.cli.helpers import GATE, Shell, one_line

SVG = "{http://www.w3.org/2000/svg}"

NAMES = [
    'say "hi"',
    "two words",
    "two\nlines",
    r"two\x0alines",
    "a-b",
    "a_b",
    "</script><img src=x onerror=alert(1)>",
    "]]> -->",
    "end",
    "\u202eevil",
    "日本語",
    "x" * 300,
    "x" * 299 + "y",
    "",
]


def chain(names: Sequence[str]) -> list[tuple[str, str]]:
    return list(pairwise(names))


def parse(drawn: str) -> ElementTree.Element:
    """The drawing as XML: raises where it is none."""
    return ElementTree.fromstring(drawn)  # noqa: S314 - our own


def graph_of(seed: int) -> Graph:
    """A random graph: cycles, loops, back edges, states that nothing leads to."""
    choose = random.Random(seed)
    names = [f"state_{number}" for number in range(choose.randint(1, 60))]
    edges = [(choose.choice(names), choose.choice(names)) for _ in range(2 * len(names))]
    return Graph(initial=names[0], states=names, edges=edges)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def assert_sound(graph: Graph, picture: Picture) -> None:
    """Every state is a box inside the picture, apart from the others; every edge joins its two."""
    assert [box.name for box in picture.boxes] == graph.names
    boxes = {box.name: box for box in picture.boxes}
    for index, box in enumerate(picture.boxes):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= picture.width
        assert box.y + box.height <= picture.height
        assert not any(overlap(box, other) for other in picture.boxes[index + 1 :])
    drawn = [line.edge for line in (*picture.lines, *picture.loops)]
    assert sorted(drawn) == sorted(set(graph.edges))
    for line in picture.lines:
        source, target = boxes[line.edge[0]], boxes[line.edge[1]]
        (x, y), (to_x, to_y) = line.points[0], line.points[-1]
        assert source.x <= x <= source.x + source.width
        assert y in (source.y, source.y + source.height)
        assert target.x <= to_x <= target.x + target.width
        assert to_y in (target.y, target.y + target.height)
        assert (y == source.y) == (to_y == target.y + target.height)


@pytest.mark.parametrize("seed", range(40))
def test_every_state_and_edge_is_drawn_in_its_place(seed: int) -> None:
    """SC-154."""
    graph = graph_of(seed)
    assert_sound(graph, lay_out(graph))


@pytest.mark.parametrize(
    "graph",
    [
        Graph(initial=None, states=[], edges=[]),
        Graph(initial="a", states=["a"], edges=[]),
        Graph(initial="a", states=["a"], edges=[("a", "a")]),
        Graph(initial="a", states=["a", "b"], edges=[("a", "b"), ("b", "a"), ("b", "b")]),
        Graph(initial="gone", states=["a"], edges=[("a", "nowhere"), ("nobody", "a")]),
        Graph(initial=None, states=["a", "b"], edges=[("a", "b"), ("b", "a")]),
        Graph(initial="a", states=["a", "b", "c"], edges=[("b", "c"), ("c", "b")]),
    ],
    ids=["nothing", "one", "loop", "pair", "unknown names", "no initial", "unreachable"],
)
def test_odd_graphs_are_drawn_too(graph: Graph) -> None:
    picture = lay_out(graph)
    assert_sound(graph, picture)
    parse(svg_document(graph, title="odd"))


def test_a_graph_where_all_lead_to_all_is_drawn() -> None:
    names = [f"s{number}" for number in range(60)]
    graph = Graph(initial="s0", states=names, edges=[(a, b) for a in names for b in names])
    assert_sound(graph, lay_out(graph))


def test_two_edges_between_the_same_states_stay_two_lines() -> None:
    graph = Graph(initial="a", states=["a", "b"], edges=[("a", "b"), ("b", "a")])
    there, back = lay_out(graph).lines
    assert there.points != back.points[::-1]
    assert (there.head, back.head) == ((0.0, 1.0), (0.0, -1.0))


def test_states_stand_below_those_that_lead_to_them() -> None:
    graph = Graph(initial="a", states=["c", "b", "a"], edges=[("a", "b"), ("b", "c"), ("c", "a")])
    tops = {box.name: box.y for box in lay_out(graph).boxes}
    assert tops["a"] < tops["b"] < tops["c"]


def test_the_same_graph_always_gives_the_same_picture() -> None:
    assert svg_document(graph_of(7), title="t") == svg_document(graph_of(7), title="t")


def test_a_tree_is_drawn_without_crossings() -> None:
    """The order of a layer follows what leads to it."""
    edges = [("r", "b"), ("r", "a"), ("b", "b2"), ("a", "a1"), ("b", "b1"), ("a", "a2")]
    graph = Graph(initial="r", states=["r", "a", "b", "a1", "b1", "a2", "b2"], edges=edges)
    middle = {box.name: box.middle for box in lay_out(graph).boxes}
    first, second = sorted(["a", "b"], key=middle.__getitem__)
    assert max(middle[f"{first}1"], middle[f"{first}2"]) < min(
        middle[f"{second}1"], middle[f"{second}2"]
    )


def test_a_layer_is_ordered_so_that_lines_do_not_cross() -> None:
    """Read in order, `x` would stand left of `y`, and their lines would cross."""
    edges = [("r", "x"), ("r", "a"), ("r", "b"), ("b", "x"), ("a", "y")]
    graph = Graph(initial="r", states=["r", "x", "y", "a", "b"], edges=edges)
    middle = {box.name: box.middle for box in lay_out(graph).boxes}
    assert (middle["a"] < middle["b"]) == (middle["y"] < middle["x"])


def test_names_stay_distinct_and_escaped() -> None:
    """SC-154: spaces, quotes, line breaks, long names, names that read the same when cleaned."""
    labels = box_labels(NAMES)
    assert len(set(labels.values())) == len(NAMES)
    assert all(len(lines) <= 3 for lines in labels.values())
    graph = Graph(initial=NAMES[0], states=NAMES, edges=chain(NAMES))
    drawn = svg_document(graph, title="names")
    root = parse(drawn)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "g", "path", "circle", "text",
    }  # fmt: skip
    assert not re.search("[\u202e\x00-\x08\x0b-\x1f]", drawn)
    assert len(root.findall(f".//{SVG}g[@class='state visited']")) == len(NAMES)


def test_the_drawing_says_in_words_what_it_shows() -> None:
    graph = Graph(initial="a", states=["a", "b", "c"], edges=[("a", "b"), ("a", "c")])
    marks = Marks(
        moves={("a", "b"): "3 runs"}, captions={"a": "3 visits"}, stands="b", status="completed"
    )
    root = parse(svg_document(graph, marks, title="The path"))
    assert root.get("role") == "img"
    named = {element.get("id"): element.text for element in root if element.get("id")}
    assert str(root.get("aria-labelledby")).split() == list(named)
    assert list(named.values()) == [
        "The path",
        "3 states: a, b, c. It starts in a. Moves: a to b (taken 3 runs); a to c (not taken). "
        "The run stands in b: completed.",
    ]


def test_what_no_run_did_is_drawn_apart() -> None:
    graph = Graph(initial="a", states=["a", "b", "c"], edges=[("a", "b"), ("a", "c")])
    marks = Marks(moves={("a", "b"): "12"}, captions={"a": "", "b": ""})
    drawn = draw(graph, marks, title="t")
    assert drawn.count('class="edge taken"') == 1
    assert drawn.count('class="edge idle"') == 1
    assert drawn.count('class="state idle"') == 1
    assert ">12</text>" in drawn


def test_nothing_is_loaded() -> None:
    drawn = svg_document(graph_of(3), title="t")
    assert "<script" not in drawn
    assert re.findall(r"""(?:href|src)=|url\(|@import""", drawn) == []
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]


# --- The command


def test_graph_prints_mermaid_and_runs_no_handler(shell: Shell) -> None:
    """SC-153."""
    shell.write("gate.py", GATE)
    done = shell.call("graph", "gate.py")
    assert done.code == 0
    assert done.out.startswith("flowchart TD\n")
    assert not (shell.directory / ".replayt").exists()
    assert shell.call("graph", "gate.py", "--format", "mermaid").out == done.out


def test_mermaid_has_every_state_and_edge_under_ids_of_its_own(shell: Shell) -> None:
    """SC-154: the ids are numbers, so that no name can break or join them."""
    steps = "".join(
        f"@wf.step({name!r}, to={[target]!r})\ndef step_{index}(ctx): return None\n"
        for index, (name, target) in enumerate(chain(NAMES[:-1]))
    )
    last = f"@wf.step({NAMES[-2]!r})\ndef last(ctx): return None\n"
    shell.write(
        "names.py",
        "from replayt_core import Workflow\n"
        f"wf = Workflow('names')\nwf.set_initial({NAMES[0]!r})\n{steps}{last}",
    )
    lines = shell.call("graph", "names.py").out.splitlines()
    nodes = [re.fullmatch(r'    (s\d+)(?:\(\[|\[)"(.*)"(?:\]\)|\])', line) for line in lines]
    found = [match for match in nodes if match]
    count = len(NAMES) - 1
    assert [match[1] for match in found] == [f"s{index}" for index in range(count)]
    assert len({match[2] for match in found}) == count
    assert all(re.fullmatch(r"(?:[\w .,:/()+-]|#\d+;)*", match[2]) for match in found)
    edges = [line.strip() for line in lines if "-->" in line]
    assert edges == [*(f"s{i} --> s{i + 1}" for i in range(count - 1)), "start(( )) --> s0"]
    assert len(lines) == 1 + count + len(edges)


def test_graph_draws_svg(shell: Shell) -> None:
    shell.write("gate.py", GATE)
    done = shell.call("graph", "gate.py", "--format", "svg")
    assert done.code == 0
    root = parse(done.out)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "The graph of gate@1"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts == ["review", "publish", "discard"]


def test_graph_writes_a_file(shell: Shell) -> None:
    shell.write("gate.py", GATE)
    printed = shell.call("graph", "gate.py", "-f", "svg").out
    written = shell.call("graph", "gate.py", "-f", "svg", "--out", "pictures/gate.svg")
    assert (written.code, written.out) == (0, "pictures/gate.svg\n")
    assert (shell.directory / "pictures/gate.svg").read_text(encoding="utf-8") == printed


def test_an_unknown_format_names_those_there_are(shell: Shell) -> None:
    shell.write("gate.py", GATE)
    done = shell.call("graph", "gate.py", "--format", "png")
    assert done.code == 64
    message = one_line(done)
    assert "mermaid" in message
    assert "svg" in message
