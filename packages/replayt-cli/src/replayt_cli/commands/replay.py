"""`replayt replay`: the recorded timeline of a run."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from replayt_cli.arguments.options import Debug, LogDir, OutFile, RunId, SQLiteSource, StoreURL


class Format(str, Enum):
    """How a timeline is shown."""

    text = "text"
    json = "json"
    html = "html"


def replay(
    run_id: RunId,
    shown_as: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="text|json|html", help="How the timeline is shown."),
    ] = Format.text,
    step: Annotated[
        bool,
        typer.Option(
            "--step",
            help="Walk through it event by event, with the context at each point.",
            show_default=False,
        ),
    ] = False,
    out: OutFile = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    debug: Debug = False,
) -> int:
    """Show what happened in a run, in order. No network, no handler: only the log is read.

    `--format html` makes the same page as `replayt report`. `--step` asks at a prompt which event
    comes next: forward, back, or to a state.
    """
    from dataclasses import asdict

    from replayt_cli import exit_codes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.errors import UsageError
    from replayt_cli.files.output_file import show_page
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import complain
    from replayt_cli.render.timeline import print_timeline
    from replayt_cli.show.recorded_run import read_run
    from replayt_cli.show.step_dialog import check_terminal, step_through
    from replayt_core.timeline import timeline

    if out is not None and shown_as is not Format.html:
        raise UsageError("--out writes a page: give --format html with it")
    if step:
        if shown_as is not Format.text:
            raise UsageError(f"--step walks on a terminal: leave out --format {shown_as.value}")
        check_terminal()
    store = choose_store(log_dir, store_url, source=sqlite).open()
    run_id = find_run(store, run_id)
    recorded = read_run(store, run_id)
    if step:
        return step_through(recorded)
    if shown_as is Format.html:
        return show_page(recorded, out)
    if shown_as is Format.json:
        entries = [asdict(entry) for entry in timeline(run_id, recorded.events)]
        print_json({"run_id": run_id, "status": recorded.status, "timeline": entries})
    else:
        print_timeline(recorded)
    if recorded.damage:
        complain(str(recorded.damage))
        return exit_codes.DAMAGED
    return exit_codes.DONE
