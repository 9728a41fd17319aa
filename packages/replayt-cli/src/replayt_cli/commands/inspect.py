"""`replayt inspect`: how a run stands, and its events."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalText,
    OptionalTexts,
    RunId,
    SQLiteSource,
    StoreURL,
)


class Form(str, Enum):
    """How an inspection is printed."""

    text = "text"
    json = "json"
    jsonl = "jsonl"


def inspect(
    run_id: RunId,
    types: Annotated[
        OptionalTexts,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Show events of this type only; may be repeated.",
            show_default=False,
        ),
    ] = None,
    states: Annotated[
        OptionalTexts,
        typer.Option(
            "--state",
            metavar="NAME",
            help="Show events of the visits of this state only; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seqs: Annotated[
        OptionalText,
        typer.Option(
            "--seq",
            metavar="A..B",
            help="Show events with these numbers only: A..B, A.., ..B, or one.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Show events as they are written, until the run has ended.",
            show_default=False,
        ),
    ] = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: Annotated[
        Form,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json|jsonl",
            help="How the result is printed; jsonl: the events alone, one a line.",
        ),
    ] = Form.text,
    json: Annotated[
        bool, typer.Option("--json", help="The same as --output json.", show_default=False)
    ] = False,
    debug: Debug = False,
) -> int:
    """Show a run: its status, counts and events. Reads the log and nothing else.

    Filters are combined: an event is shown if it fits all that are given. The summary is that of
    the whole run.

    On a terminal, the command with which a paused, failed or interrupted run goes on is said below.
    """
    from replayt_cli.arguments.event_filter import event_filter
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.errors import UsageError
    from replayt_cli.show import inspection
    from replayt_core.ports import SystemClock

    form = Form.json if json else output
    if follow and form is Form.json:
        raise UsageError(
            "--output json is one document, and --follow has no end yet: --output jsonl prints "
            "each event as a line of JSON"
        )
    wanted = event_filter(types, states, seqs)
    choice = choose_store(log_dir, store_url, source=sqlite)
    store = choice.open()
    run_id = find_run(store, run_id)
    if follow:
        follows = inspection.follow_lines if form is Form.jsonl else inspection.follow_as_text
        return follows(store, run_id, wanted, clock=SystemClock())
    if form is Form.text:
        return inspection.show_as_text(store, run_id, wanted, flags=choice.flags())
    shows = inspection.show_as_json if form is Form.json else inspection.show_lines
    return shows(store, run_id, wanted)
