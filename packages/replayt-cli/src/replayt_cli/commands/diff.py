"""`replayt diff`: what differs between two runs, first cause first."""

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
)

_REFERENCE = "its id, a unique start or end of it, @last, or @-2 for the one before."


def diff(
    a: Annotated[
        str,
        typer.Argument(metavar="RUN_A", help=f"The one run, A: {_REFERENCE}", show_default=False),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="RUN_B", help="The other run, B, in the same way.", show_default=False
        ),
    ],
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 1 if the runs differ.", show_default=False),
    ] = False,
    other_store: Annotated[
        OptionalText,
        typer.Option(
            "--other-store",
            metavar="URL",
            help="Where B is, if not where A is: a URL as for --store.",
            show_default=False,
        ),
    ] = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Compare two runs: the first difference, what followed from there, and what is the same.

    Visits of states are aligned, so that one visit more shifts nothing. Times, ids, tags, latency
    and tokens are no differences by themselves. Exits with 0 whether or not the runs differ, unless
    --exit-code is given. Reads the logs and nothing else.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store, open_url
    from replayt_cli.render.diff.document import diff_document
    from replayt_cli.render.diff.text import print_diff
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import complain
    from replayt_cli.show.recorded_run import read_run
    from replayt_core.diff import diff as compare

    store = choose_store(log_dir, store_url, source=sqlite).open()
    other = store if other_store is None else open_url(other_store)
    id_a, id_b = find_run(store, a), find_run(other, b)
    run_a = read_run(store, id_a)
    run_b = run_a if other is store and id_a == id_b else read_run(other, id_b)
    found = compare(run_a.events, run_b.events)
    if output is Output.json:
        print_json(diff_document(run_a, run_b, found))
    else:
        print_diff(run_a, run_b, found)
    damages = dict.fromkeys(str(run.damage) for run in (run_a, run_b) if run.damage)
    for damage in damages:
        complain(damage)
    if damages:
        return exit_codes.DAMAGED
    return exit_codes.FAILED if exit_code and found.changed else exit_codes.DONE
