"""`replayt gc`: delete old runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalText,
    OptionalTexts,
    Output,
    OutputAs,
    StoreURL,
    Tags,
)

if TYPE_CHECKING:
    from replayt_core.ports import EventStore
    from replayt_store.retention import Collected, RetentionPlan


def gc(
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Without a sign of life for so long: 90d, 24h, 60m, 30s.",
            show_default=False,
        ),
    ],
    statuses: Annotated[
        OptionalTexts,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="completed|failed|paused|interrupted|damaged; may be repeated.  "
            "[default: completed and failed]",
            show_default=False,
        ),
    ] = None,
    tags: Tags = None,
    keep_last: Annotated[
        int,
        typer.Option(
            "--keep-last",
            metavar="N",
            min=0,
            help="Keep the N newest of the runs with that status and those tags, however old.",
            show_default=False,
        ),
    ] = 0,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Delete nothing; list what would go.", show_default=False),
    ] = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: Annotated[
        OptionalText,
        typer.Option(
            "--sqlite",
            metavar="FILE",
            help="The SQLite file that follows the logs: its copies go, too.",
            show_default=False,
        ),
    ] = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Delete runs that ended long ago.

    The age of a run is the time since its last event or the last change of its file, whichever is
    later. Paused, interrupted and damaged runs stay unless --status names them; a run that somebody
    executes always stays.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.gc_policy import policy_of
    from replayt_cli.arguments.inputs import read_tags
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.render.gc import collection_document, print_collected, print_planned
    from replayt_cli.render.json import print_json
    from replayt_cli.render.live.progress import Progress
    from replayt_core.ports import SystemClock
    from replayt_store.index import RunIndex
    from replayt_store.retention import plan

    choice = choose_store(log_dir, store_url, mirror=sqlite)
    policy = policy_of(older_than, statuses, read_tags(tags), keep_last)
    store = choice.open()
    with RunIndex.of(store) as index:
        with Progress.of("looking") as progress:
            planned = plan(index, store, policy, now=SystemClock().now(), progress=progress.show)
        collected = None if dry_run else _collect(store, planned)
        if collected is not None:
            index.refresh()
    if output is Output.json:
        print_json(collection_document(policy, planned, collected))
    elif collected is None:
        print_planned(planned)
    else:
        print_collected(planned, collected)
    failed = collected is not None and any(run.why == "failed" for run in collected.skipped)
    return exit_codes.CANNOT_WRITE if failed else exit_codes.DONE


def _collect(store: EventStore, planned: RetentionPlan) -> Collected:
    from replayt_cli.render.live.progress import Progress
    from replayt_cli.render.text import complain
    from replayt_store.retention import collect

    with Progress.of("deleting") as progress:
        try:
            return collect(store, planned, progress.show)
        except KeyboardInterrupt:
            progress.clear()
            complain(
                f"interrupted after {progress.done} of {len(planned.expired)} runs; "
                "the same command deletes the rest"
            )
            raise
