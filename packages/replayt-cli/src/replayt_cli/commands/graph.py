"""`replayt graph`: the declared graph of a workflow as Mermaid text."""

from __future__ import annotations

from replayt_cli.options import Debug, Target


def graph(target: Target, debug: Debug = False) -> int:
    """Print the graph of a workflow as a Mermaid flowchart. No handler is run."""
    from replayt_cli.render.text import echo
    from replayt_cli.target import load_target
    from replayt_core import mermaid

    workflow = load_target(target)
    echo(mermaid(workflow.initial, list(workflow.steps), workflow.edges).rstrip("\n"))
    return 0
