"""`replayt runs`: the recent runs of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalText,
    Output,
    OutputAs,
    SQLiteSource,
    StoreURL,
    Tags,
)

_STATUSES = ("completed", "failed", "paused", "interrupted", "running", "damaged")


def runs(
    tags: Tags = None,
    status: Annotated[
        OptionalText,
        typer.Option(
            "--status", metavar="STATUS", help="|".join(_STATUSES) + ".", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 200.")
    ] = 20,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """List recent runs, newest first.

    With --status paused also what each run waits for, since when, and the commands that answer.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.inputs import read_tags
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.errors import UsageError

    choice = choose_store(log_dir, store_url, source=sqlite)
    wanted = read_tags(tags)
    if not 1 <= limit <= 200:
        raise UsageError(f"--limit is {limit}; use 1 to 200")
    if status is not None and status not in _STATUSES:
        raise UsageError(f"--status {status!r:.40} is none of {', '.join(_STATUSES)}")
    store = choice.open()
    if next(iter(store.run_ids()), None) is None:
        _print_that_there_is_none(output)
        return exit_codes.DONE
    # Imported late: a store without a run needs neither index nor fold.
    from replayt_cli.render.json import print_json
    from replayt_cli.render.run_list import listing_document, print_listing
    from replayt_cli.render.text import warn
    from replayt_cli.show.run_list import list_runs, with_waiting

    found = list_runs(store, tags=wanted, status=status, limit=limit)
    if status == "paused":
        found = with_waiting(store, found)
    for row in found.rows:
        if row.problem is not None:
            warn(row.problem)
    if output is Output.json:
        print_json(listing_document(found, choice.flags()))
    else:
        print_listing(found, choice.flags())
    return exit_codes.DONE


def _print_that_there_is_none(output: Output) -> None:
    """What an empty listing prints."""
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import echo

    if output is Output.text:
        echo("No runs found")
    else:
        print_json({"runs": [], "not_looked_at": 0, "of_them_damaged": 0})
