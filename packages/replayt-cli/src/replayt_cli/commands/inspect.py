"""`replayt inspect`: how a run stands, and its events."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.options import Debug, LogDir, Output, OutputAs, RunId, StoreURL


def inspect(
    run_id: RunId,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    output: OutputAs = Output.text,
    json: Annotated[
        bool, typer.Option("--json", help="The same as --output json.", show_default=False)
    ] = False,
    debug: Debug = False,
) -> int:
    """Show a run: its status, counts and events. Reads the log and nothing else."""
    from replayt_cli import exit_codes
    from replayt_cli.recorded import event_document, read_run, summary_document
    from replayt_cli.render.history import print_inspection
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import complain
    from replayt_cli.stores import choose_store, find_run

    store = choose_store(log_dir, store_url).open()
    run_id = find_run(store, run_id)
    recorded = read_run(store, run_id)
    if json or output is Output.json:
        summary = summary_document(run_id, recorded.state.summary, recorded.status)
        summary["waiting"] = [item.approval_id for item in recorded.state.open_approvals()]
        summary["head"] = recorded.state.head
        summary["damage"] = str(recorded.damage) if recorded.damage else None
        summary["problems"] = [
            {"seq": seq, "problem": problem} for seq, problem in recorded.state.problems
        ]
        events = [event_document(event) for event in recorded.events]
        print_json({"summary": summary, "events": events})
    else:
        print_inspection(recorded)
    if recorded.damage:
        complain(str(recorded.damage))
        return exit_codes.DAMAGED
    return exit_codes.DONE
