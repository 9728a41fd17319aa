"""`replayt stats`: the figures of many runs."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from replayt_cli.arguments.options import (
    Check,
    Debug,
    LogDir,
    OptionalText,
    Output,
    OutputAs,
    PricesFile,
    SQLiteSource,
    StoreURL,
    Tags,
)

OptionalWhole = Optional[int]  # noqa: UP045 - typer 0.12 does not read `int | None`


def stats(
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
    tags: Tags = None,
    workflow: Annotated[
        OptionalText,
        typer.Option(
            "--workflow", metavar="NAME", help="Only runs of this workflow.", show_default=False
        ),
    ] = None,
    prices: PricesFile = None,
    check: Check = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Show the figures of many runs.

    Status, model calls, latency, tokens, cost, retries, failing states, paths. All filters must
    match. Reads an index of the logs, which is kept beside them and brought up to date first.
    """
    from replayt_cli import exit_codes
    from replayt_cli.analyse.analysis import Question, since, statistics
    from replayt_cli.arguments.inputs import check_text, read_tags
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.render.json import print_json
    from replayt_cli.render.stats import print_statistics, statistics_document
    from replayt_core.ports import SystemClock
    from replayt_store.selection import Selection

    choice = choose_store(log_dir, store_url, source=sqlite)
    selection = Selection(
        tags=read_tags(tags),
        workflow=None if workflow is None else check_text(workflow, "--workflow"),
        since=None if days is None else since(days, SystemClock().now()),
    )
    found = statistics(
        Question(
            store=choice.open(),
            selection=selection,
            prices=prices or choice.config.prices,
            check=check,
        )
    )
    if output is Output.json:
        print_json(statistics_document(found, selection, days))
    else:
        print_statistics(found, days)
    return exit_codes.DONE
