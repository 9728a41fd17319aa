"""`replayt report`: a run as one HTML page."""

from __future__ import annotations

from replayt_cli.arguments.options import Debug, LogDir, OutFile, RunId, SQLiteSource, StoreURL


def report(
    run_id: RunId,
    out: OutFile = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    debug: Debug = False,
) -> int:
    """Make one HTML page of a run, to be looked at, kept or sent.

    It holds everything, loads nothing and runs no script. Reads the log and nothing else. Without
    --out the page goes to stdout; where that is a terminal, into RUN_ID.html.
    """
    import sys

    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.files.output_file import show_page
    from replayt_cli.render.text import is_terminal
    from replayt_cli.show.recorded_run import read_run

    store = choose_store(log_dir, store_url, source=sqlite).open()
    recorded = read_run(store, find_run(store, run_id))
    if out is None and is_terminal(sys.stdout):
        out = f"{recorded.state.run_id}.html"
    return show_page(recorded, out)
