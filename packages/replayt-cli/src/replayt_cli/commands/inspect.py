"""`replayt inspect`: how a run stands, and its events."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.options import Debug, LogDir, Output, OutputAs, RunId, SQLiteSource, StoreURL


def inspect(
    run_id: RunId,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    json: Annotated[
        bool, typer.Option("--json", help="The same as --output json.", show_default=False)
    ] = False,
    debug: Debug = False,
) -> int:
    """Show a run: its status, counts and events. Reads the log and nothing else."""
    from itertools import islice

    from replayt_cli import exit_codes
    from replayt_cli.recorded import event_document, scan_run, summary_document
    from replayt_cli.render.history import print_inspection
    from replayt_cli.render.json import print_with_items
    from replayt_cli.render.text import complain
    from replayt_cli.stores import choose_store, find_run

    store = choose_store(log_dir, store_url, source=sqlite).open()
    run_id = find_run(store, run_id)
    run = scan_run(store, run_id)
    # Read again, and as far as before: a log may be long, and may grow meanwhile.
    events = islice(store.read(run_id), run.events)
    if json or output is Output.json:
        summary = summary_document(run_id, run.state.summary, run.status)
        summary["waiting"] = [item.approval_id for item in run.state.open_approvals()]
        summary["head"] = run.state.head
        summary["forked_from"] = run.forked_from
        summary["pinned_from"] = run.pinned_from
        summary["torn_bytes"] = run.torn_bytes
        summary["damage"] = str(run.damage) if run.damage else None
        summary["problems"] = [
            {"seq": seq, "problem": problem} for seq, problem in run.state.problems
        ]
        print_with_items({"summary": summary}, "events", map(event_document, events))
    else:
        print_inspection(run, events)
    if run.damage:
        complain(str(run.damage))
        return exit_codes.DAMAGED
    return exit_codes.DONE
