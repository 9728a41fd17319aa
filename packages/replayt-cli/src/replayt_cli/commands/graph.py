"""`replayt graph`: the declared graph of a workflow as Mermaid text or as a picture."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from replayt_cli.options import Debug, OutFile, Target


class Format(str, Enum):
    """How a graph is shown."""

    mermaid = "mermaid"
    svg = "svg"


def graph(
    target: Target,
    shown_as: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="mermaid|svg", help="How the graph is shown."),
    ] = Format.mermaid,
    out: OutFile = None,
    debug: Debug = False,
) -> int:
    """Show the graph of a workflow: as a Mermaid flowchart, or drawn as SVG. No handler is run."""
    from replayt_cli.pages import put_out
    from replayt_cli.target import load_target
    from replayt_core import mermaid

    workflow = load_target(target)
    states = list(workflow.steps)
    if shown_as is Format.svg:
        from replayt_cli.render.layout import Graph
        from replayt_cli.render.svg import svg_document

        graph = Graph(initial=workflow.initial, states=states, edges=workflow.edges)
        text = svg_document(graph, title=f"The graph of {workflow.name}@{workflow.version}")
    else:
        text = mermaid(workflow.initial, states, workflow.edges)
    put_out(text, out)
    return 0
