"""Runs and graphs in a notebook: the report page and the drawing, each in a frame of its own.

Nothing is loaded from anywhere, no script runs, and no style of a page reaches the notebook.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from importlib import import_module

from replayt_core import ReplaytError, RunResult, Workflow
from replayt_core.ports import EventStore

__all__ = ["display_graph", "display_run"]

Show = Callable[[str], object]


def display_run(
    run: RunResult | str,
    store: EventStore | str | None = None,
    *,
    height: int = 720,
    show: Show | None = None,
) -> None:
    """Show the report page of a run below the cell.

    `run` is a result or a run id, `store` a store or its URL; without one the logs are read where
    the project's configuration says, else from `.replayt/runs`. `show` takes the markup in place
    of IPython. Raises `RunNotFoundError` for an unknown run, `ReplaytError` where IPython is
    missing and where the configuration cannot be used.
    """
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.render.html import report_html
    from replayt_cli.show.recorded_run import read_run

    if store is None or isinstance(store, str):
        store = choose_store(None, store).open()
    page = report_html(read_run(store, run if isinstance(run, str) else run.run_id))
    (show or _shower())(
        f'<div><iframe sandbox="" title="The report of a run" srcdoc="{escape(page)}" '
        f'style="width: 100%; height: {height}px; border: 0"></iframe></div>'
    )


def display_graph(workflow: Workflow, *, show: Show | None = None) -> None:
    """Draw the graph of a workflow below the cell. No handler is run.

    `show` and what is raised are as in `display_run`.
    """
    from replayt_cli.render.graph.layout import Graph
    from replayt_cli.render.graph.svg import svg_document

    title = f"The graph of {workflow.name}@{workflow.version}"
    graph = Graph(initial=workflow.initial, states=list(workflow.steps), edges=workflow.edges)
    drawn = base64.b64encode(svg_document(graph, title=title).encode()).decode()
    (show or _shower())(
        f'<img alt="{escape(title)}" src="data:image/svg+xml;base64,{drawn}" '
        'style="max-width: 100%">'
    )


def _shower() -> Show:
    try:
        ipython = import_module("IPython.display")
    except ImportError:
        raise ReplaytError("there is no IPython here: pip install ipython, or give show=") from None
    return lambda markup: ipython.display(ipython.HTML(markup))
