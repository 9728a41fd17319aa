"""A graph with what runs did with it: as Mermaid text, as a drawing, as JSON, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from replayt_cli.render.graph.layout import Graph
from replayt_cli.render.graph.svg import Marks, svg_document
from replayt_cli.render.json import dump
from replayt_cli.render.text import one_line
from replayt_core import Workflow, mermaid

if TYPE_CHECKING:
    from replayt_cli.analyse.graph_counts import GraphCounts

_LISTED = 5
_NEVER = "stroke-dasharray:4 3"
_PLAIN = frozenset(" _-.,:;/()+@=<>'!")


def mermaid_text(workflow: Workflow, counts: GraphCounts | None) -> str:
    """The graph as a Mermaid flowchart; with counts, what no run did is dotted."""
    states = list(workflow.steps)
    if counts is None:
        return mermaid(workflow.initial, states, workflow.edges)
    labels = {edge: _times(count) for edge, count in counts.moves.items()}
    text = mermaid(workflow.initial, states, counts.edges, labels)
    first, _, rest = text.partition("\n")
    comments = [f"    %% {_comment(line)}" for line in (summary_line(counts), *remarks(counts))]
    return "\n".join([first, *comments, rest.rstrip("\n"), *_dotted(workflow, counts)]) + "\n"


def _dotted(workflow: Workflow, counts: GraphCounts) -> Iterator[str]:
    """The style of what no run did. Mermaid numbers edges in the order of their lines."""
    idle = [str(number) for number, edge in enumerate(counts.edges) if edge not in counts.moves]
    names = dict.fromkeys([*workflow.steps, *(end for edge in counts.edges for end in edge)])
    never = [f"s{number}" for number, name in enumerate(names) if name not in counts.visits]
    if idle:
        yield f"    linkStyle {','.join(idle)} {_NEVER}"
    if never:
        yield f"    classDef never {_NEVER}"
        yield f"    class {','.join(never)} never"


def _comment(text: str) -> str:
    """Text inside a Mermaid comment, where `%%{` would still be read as a setting."""
    return "".join(
        char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in one_line(text)
    )


def svg_text(workflow: Workflow, counts: GraphCounts | None) -> str:
    """The graph drawn as an SVG document; with counts, what no run did is dashed."""
    title = f"The graph of {workflow.name}@{workflow.version}"
    states = list(workflow.steps)
    if counts is None:
        graph = Graph(initial=workflow.initial, states=states, edges=workflow.edges)
        return svg_document(graph, title=title)
    graph = Graph(initial=workflow.initial, states=states, edges=counts.edges)
    marks = Marks(
        moves={edge: _times(count) for edge, count in counts.moves.items()},
        captions={
            name: f"{count:,} {'visit' if count == 1 else 'visits'}"
            for name, count in counts.visits.items()
        },
        notes=(summary_line(counts), *remarks(counts)),
    )
    return svg_document(graph, marks, title=title)


def json_text(workflow: Workflow, counts: GraphCounts | None) -> str:
    """The graph as a JSON document."""
    return dump(graph_document(workflow, counts))


def graph_document(workflow: Workflow, counts: GraphCounts | None) -> dict[str, Any]:
    """The graph as JSON. What was not counted is null."""
    edges = workflow.edges if counts is None else counts.edges
    return {
        "workflow": f"{workflow.name}@{workflow.version}",
        "initial": workflow.initial,
        "states": [
            {"name": name, "visits": None if counts is None else counts.visits.get(name, 0)}
            for name in workflow.steps
        ],
        "edges": [
            {
                "from": edge[0],
                "to": edge[1],
                "count": None if counts is None else counts.moves.get(edge, 0),
                "runs": None if counts is None else counts.edge_runs.get(edge, 0),
            }
            for edge in edges
        ],
        "declared": bool(workflow.edges),
        "counted": None if counts is None else _counted(counts),
    }


def _counted(counts: GraphCounts) -> dict[str, Any]:
    return {
        "runs": counts.runs,
        "versions": dict(counts.versions),
        "other_graph": counts.other_graph,
        "damaged": counts.damaged,
        "elsewhere": [
            {"from": source, "to": target, "count": count}
            for (source, target), count in counts.elsewhere.items()
        ],
    }


def summary_line(counts: GraphCounts) -> str:
    """How many runs were counted, and of which versions. It may hold raw text of a log."""
    line = f"{_number(counts.runs, 'run', 'runs')} of {counts.workflow.name}"
    versions = [f"{number:,} of version {name}" for name, number in counts.versions.items()]
    return f"{line}: {_some(versions, 'other versions')}" if versions else line


def remarks(counts: GraphCounts) -> Iterator[str]:
    """What the reader of the counts has to know, a line each. They may hold raw text of a log."""
    if not counts.declared:
        yield "the workflow declares no edges: the moves that its runs made are shown"
    if counts.other_graph:
        runs = _number(counts.other_graph, "run was", "runs were")
        yield f"{runs} recorded with another graph: moves that both have are counted"
    if counts.elsewhere:
        moves = [f"{a} -> {b} ({count:,})" for (a, b), count in counts.elsewhere.items()]
        yield f"made by runs, but not in this graph: {_some(moves, 'more')}"
    if counts.damaged:
        logs = _number(counts.damaged, "log is", "logs are")
        yield f"{logs} damaged and counted up to there; `replayt verify --all` says where"


def _number(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _some(texts: Sequence[str], rest: str) -> str:
    more = len(texts) - _LISTED
    return ", ".join([*texts[:_LISTED], *([f"and {more:,} {rest}"] if more > 0 else [])])


def _times(count: int) -> str:
    """How often an edge was taken; unlike in the picture of one run, once is said too."""
    return f"\N{MULTIPLICATION SIGN}{count:,}"
