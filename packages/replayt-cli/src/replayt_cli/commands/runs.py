"""`replayt runs`: the recent runs of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.options import Debug, LogDir, OptionalText, Output, OutputAs, StoreURL, Tags

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
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """List recent runs, newest first."""
    from replayt_cli import exit_codes
    from replayt_cli.errors import UsageError
    from replayt_cli.inputs import read_tags
    from replayt_cli.recorded import RunRow, completed_row, newest_first, summary_document
    from replayt_cli.render.json import print_json
    from replayt_cli.render.listing import print_listing
    from replayt_cli.render.text import warn
    from replayt_cli.stores import choose_store

    choice = choose_store(log_dir, store_url)
    wanted = read_tags(tags)
    if not 1 <= limit <= 200:
        raise UsageError(f"--limit is {limit}; use 1 to 200")
    if status is not None and status not in _STATUSES:
        raise UsageError(f"--status {status!r:.40} is none of {', '.join(_STATUSES)}")
    store = choice.open()
    everything = newest_first(store)
    rows: list[RunRow] = []
    rest: list[RunRow] = []
    for index, row in enumerate(everything):
        if len(rows) == limit:
            rest = everything[index:]
            break
        if wanted and not wanted.items() <= row.summary.tags.items():
            continue
        whole = completed_row(store, row)
        if status in (None, whole.status):
            rows.append(whole)
    for row in rows:
        if row.problem is not None:
            warn(row.problem)
    if output is Output.json:
        documents = [
            {**summary_document(row.run_id, row.summary, row.status), "problem": row.problem}
            for row in rows
        ]
        damaged = sum(row.problem is not None for row in rest)
        print_json({"runs": documents, "not_looked_at": len(rest), "of_them_damaged": damaged})
    else:
        print_listing(rows, [row.run_id for row in everything], rest)
    return exit_codes.DONE
