"""`replayt why`: what each move of a run was decided by."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalText,
    Output,
    OutputAs,
    RunId,
    SQLiteSource,
    StoreURL,
)


def why(
    run_id: RunId,
    state: Annotated[
        OptionalText,
        typer.Argument(
            metavar="[STATE]", help="Only the moves out of this state.", show_default=False
        ),
    ] = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Say for each move of a run why it was made, and where it could have gone instead.

    Shows what the step had looked at when it decided, and which event wrote that. Reads the log and
    nothing else.
    """
    from dataclasses import asdict

    from replayt_cli import exit_codes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.errors import NotFoundError
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import complain
    from replayt_cli.render.why import print_branches
    from replayt_cli.show.recorded_run import read_run
    from replayt_core.why import why as explain

    store = choose_store(log_dir, store_url, source=sqlite).open()
    run_id = find_run(store, run_id)
    recorded = read_run(store, run_id)
    everything = explain(recorded.events)
    branches = [branch for branch in everything if state in (None, branch.from_state)]
    if state is not None and not branches:
        left = ", ".join(dict.fromkeys(branch.from_state for branch in everything)) or "no state"
        raise NotFoundError(f"run {run_id} has made no move out of {state!r:.120}; it left {left}")
    if output is Output.json:
        print_json(
            {
                "run_id": run_id,
                "status": recorded.status,
                "moves": [asdict(branch) for branch in branches],
            }
        )
    else:
        print_branches(recorded, branches)
    if recorded.damage:
        complain(str(recorded.damage))
        return exit_codes.DAMAGED
    return exit_codes.DONE
