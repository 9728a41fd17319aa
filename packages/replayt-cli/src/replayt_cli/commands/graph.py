"""`replayt graph`: the declared graph of a workflow, and what its runs did with it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OutFile,
    SQLiteSource,
    StoreURL,
    Tags,
    Target,
)

if TYPE_CHECKING:
    from replayt_cli.analyse.graph_counts import GraphCounts
    from replayt_core import Workflow

OptionalWhole = Optional[int]  # noqa: UP045 - typer 0.12 does not read `int | None`


class Format(str, Enum):
    """How a graph is shown."""

    mermaid = "mermaid"
    svg = "svg"
    json = "json"


def graph(
    target: Target,
    shown_as: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="mermaid|svg|json", help="How the graph is shown."),
    ] = Format.mermaid,
    out: OutFile = None,
    runs: Annotated[
        bool,
        typer.Option(
            "--runs",
            help="Count what recorded runs did: how often each edge was taken, which never was.",
            show_default=False,
        ),
    ] = False,
    tags: Tags = None,
    days: Annotated[
        OptionalWhole,
        typer.Option(
            "--days",
            metavar="N",
            min=1,
            help="Only runs whose last event is of the last N days.",
            show_default=False,
        ),
    ] = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    debug: Debug = False,
) -> int:
    """Show the graph of a workflow: as a Mermaid flowchart, drawn as SVG, or as JSON.

    No handler is run. With `--runs` all runs of this workflow in a store are counted, whatever
    their version, or those that the other options choose. What no run did is dotted.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.target import load_target
    from replayt_cli.files.output_file import put_out
    from replayt_cli.render.graph import words as render
    from replayt_cli.render.text import hint, warn

    if not runs:
        place = {"--log-dir": log_dir, "--store": store_url, "--sqlite": sqlite}
        _refuse_unused({"--tag": tags, "--days": days, **place})
    workflow = load_target(target)
    counts = _count(workflow, tags, days, (log_dir, store_url, sqlite)) if runs else None
    if shown_as is Format.svg:
        text = render.svg_text(workflow, counts)
    elif shown_as is Format.json:
        text = render.json_text(workflow, counts)
    else:
        text = render.mermaid_text(workflow, counts)
    put_out(text, out)
    if counts is not None:
        hint(f"counted {render.summary_line(counts)}")
        for remark in render.remarks(counts):
            warn(remark)
    return exit_codes.DONE


def _refuse_unused(options: dict[str, Any]) -> None:
    from replayt_cli.errors import UsageError

    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} says which runs to count: give --runs with it")


def _count(
    workflow: Workflow,
    tags: list[str] | None,
    days: int | None,
    place: tuple[str | None, str | None, str | None],
) -> GraphCounts:
    from replayt_cli.analyse.analysis import since
    from replayt_cli.analyse.graph_counts import count_runs
    from replayt_cli.arguments.inputs import read_tags
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_core.ports import SystemClock
    from replayt_store.selection import Selection

    log_dir, url, source = place
    selection = Selection(
        workflow=workflow.name,
        tags=read_tags(tags),
        since=None if days is None else since(days, SystemClock().now()),
    )
    return count_runs(choose_store(log_dir, url, source=source).open(), workflow, selection)
