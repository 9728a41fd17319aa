"""`replayt store`: copy runs between stores, make a mirror anew, repair a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalText,
    Output,
    OutputAs,
    RunId,
    SQLiteMirror,
    StoreURL,
)

if TYPE_CHECKING:
    from replayt_cli.arguments.store_choice import StoreChoice
    from replayt_core.ports import EventStore

RunIds = Optional[list[str]]  # noqa: UP045 - typer 0.12 does not read `list[str] | None`

group = typer.Typer(
    name="store",
    help="Copy runs between stores, make a mirror anew, repair a log.",
    rich_markup_mode=None,
)


@group.callback(invoke_without_command=True)
def store(ctx: typer.Context) -> int:
    """Copy runs between stores, make a mirror anew, repair a log."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
    return 0


@group.command()
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM_URL", help="Where the runs are.", show_default=False)
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO_URL", help="Where they go.", show_default=False)
    ],
    run_ids: Annotated[
        RunIds,
        typer.Argument(
            metavar="[RUN_ID]...", help="These runs only.  [default: all]", show_default=False
        ),
    ] = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Copy runs to another store, byte for byte.

    What is there already is compared and not written again, so the copy can be interrupted and
    repeated. Exit code 1 when a run could not be copied.
    """
    from dataclasses import asdict

    from replayt_cli import exit_codes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import open_url, refuse_same
    from replayt_cli.render.json import print_json
    from replayt_cli.render.live.progress import Progress
    from replayt_cli.render.store import print_copied
    from replayt_store.transfer import copy_runs

    origin, destination = open_url(source), open_url(target)
    refuse_same(origin, destination, "FROM_URL and TO_URL")
    chosen = [find_run(origin, run_id) for run_id in run_ids] if run_ids else None
    with Progress.of("copying") as progress:
        copied = copy_runs(origin, destination, chosen, progress.show)
    if output is Output.json:
        print_json(asdict(copied))
    else:
        print_copied(copied)
    return exit_codes.FAILED if copied.problems else exit_codes.DONE


@group.command()
def rebuild(
    mirror: Annotated[
        str,
        typer.Argument(
            metavar="MIRROR_URL",
            help="The mirror, such as sqlite:///runs.db.",
            show_default=False,
        ),
    ],
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Make a mirror hold what its store holds.

    What the mirror lacks is copied; a run of which it holds other bytes is copied anew. Runs that
    only the mirror has stay. Exit code 1 when a run could not be copied.
    """
    from dataclasses import asdict

    from replayt_cli import exit_codes
    from replayt_cli.arguments.store_choice import choose_store, open_url, refuse_same
    from replayt_cli.render.json import print_json
    from replayt_cli.render.live.progress import Progress
    from replayt_cli.render.store import print_rebuilt
    from replayt_store.transfer import rebuild_mirror

    primary = choose_store(log_dir, store_url).open()
    copy_of_it = open_url(mirror)
    refuse_same(primary, copy_of_it, "the store and its mirror")
    with Progress.of("rebuilding") as progress:
        rebuilt = rebuild_mirror(primary, copy_of_it, progress.show)
    if output is Output.json:
        print_json(asdict(rebuilt))
    else:
        print_rebuilt(rebuilt)
    return exit_codes.FAILED if rebuilt.problems else exit_codes.DONE


@group.command()
def repair(
    run_id: RunId,
    to: Annotated[
        OptionalText,
        typer.Option(
            "--to",
            metavar="URL",
            help="Where the readable part of a damaged log goes.  "
            "[default: `repaired` in the directory of the logs]",
            show_default=False,
        ),
    ] = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteMirror = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Repair a torn log, or save the readable part of one.

    A torn tail is a batch that a crash cut short: it is moved to a file of its own, and the log
    says so. A damaged log stays as it is; the events before the damage are copied to another store.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.check.repair import repair_tail
    from replayt_cli.render.json import print_json
    from replayt_cli.render.store import print_repair, repair_document
    from replayt_core import DamagedLogError

    choice = choose_store(log_dir, store_url, mirror=sqlite)
    logs = choice.open()
    found = find_run(logs, run_id)
    try:
        document = repair_document(found, choice.place(logs, found), repair_tail(logs, found))
    except DamagedLogError:
        document = _save_readable_part(choice, logs, found, to)
    if output is Output.json:
        print_json(document)
    else:
        print_repair(document)
    return exit_codes.DONE


def _save_readable_part(
    choice: StoreChoice, logs: EventStore, run_id: str, to: str | None
) -> dict[str, object]:
    from replayt_cli.arguments.store_choice import open_url, refuse_same
    from replayt_cli.errors import UsageError
    from replayt_cli.render.store import saved_document
    from replayt_store import JSONLStore
    from replayt_store.transfer import save_readable_part

    primary = getattr(logs, "primary", logs)
    if to is not None:
        target = open_url(to)
        refuse_same(primary, target, "the store and --to")
    elif isinstance(primary, JSONLStore):
        target = JSONLStore(primary.directory / "repaired")
    else:
        raise UsageError(
            f"run {run_id} is damaged: give --to URL, where its readable part goes, such as "
            "jsonl:///repaired"
        )
    saved = save_readable_part(primary, run_id, target)
    path = getattr(target, "path", None)
    place = str(path(run_id)) if callable(path) else str(to)
    return saved_document(choice.place(logs, run_id), saved, place)
