"""`replayt verify`: is a log whole and legal, and does the code still do what it records?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replayt_cli.options import Debug, LogDir, OptionalText, Output, OutputAs, StoreURL, Tags

if TYPE_CHECKING:
    from replayt_cli.checking import Tally
    from replayt_core import Workflow
    from replayt_core.ports import EventStore


def verify(
    run_id: Annotated[
        OptionalText,
        typer.Argument(
            metavar="[RUN_ID]",
            help="The run: its id, or a unique start or end of it.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        OptionalText,
        typer.Option(
            "--target",
            metavar="TARGET",
            help="Also execute this workflow again, offline, against what was recorded.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        OptionalText,
        typer.Option(
            "--head",
            metavar="HASH",
            help="A hash that was kept elsewhere: the log has to hold that line.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Check every run of the store; with a target, those of that workflow.",
            show_default=False,
        ),
    ] = False,
    tags: Tags = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Lines without a chain are a finding, too.", show_default=False
        ),
    ] = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Check recorded runs: the chain of lines, the legality of every move, and the code.

    With --target the handlers are executed again, every call served from the log. Exit code: 0
    nothing was found, 1 something was, 65 the log is damaged. Nothing to check is an error.
    """
    from replayt_cli.checking import check_run
    from replayt_cli.errors import UsageError
    from replayt_cli.inputs import read_tags
    from replayt_cli.render.json import print_json
    from replayt_cli.render.verification import print_report
    from replayt_cli.stores import choose_store, find_run
    from replayt_cli.target import load_target

    choice = choose_store(log_dir, store_url)
    wanted = read_tags(tags)
    if everything == (run_id is not None):
        raise UsageError("give either a RUN_ID or --all: which runs are to be checked?")
    if everything and head is not None:
        raise UsageError("--head is the hash of one run: give its RUN_ID instead of --all")
    if wanted and not everything:
        raise UsageError("--tag chooses among all runs: it goes with --all, not with a RUN_ID")
    store = choice.open(pinned=target is not None)
    workflow = None if target is None else load_target(target)
    if run_id is None:
        return _check_all(store, workflow, wanted, strict=strict, output=output)
    run = check_run(
        store,
        find_run(store, run_id),
        workflow=workflow,
        head=None if head is None else head.strip().lower(),
        strict=strict,
    )
    if output is Output.json:
        print_json(run.document())
    else:
        print_report(run)
    return run.exit_code


def _check_all(
    store: EventStore,
    workflow: Workflow | None,
    tags: dict[str, str],
    *,
    strict: bool,
    output: Output,
) -> int:
    from replayt_cli.checking import Tally, check_all
    from replayt_cli.render.json import print_json
    from replayt_cli.render.progress import Progress
    from replayt_cli.render.verification import print_finding, print_tally

    run_ids = sorted(store.run_ids())
    progress, tally, failures = Progress("verify", len(run_ids)), Tally(), []
    try:
        for run in check_all(
            store,
            run_ids,
            tally,
            workflow=workflow,
            tags=tags,
            strict=strict,
            step=progress.step,
        ):
            if output is Output.json:
                failures.append(run.document())
            else:
                with progress.hidden():
                    print_finding(run)
    finally:
        progress.clear()
    if not tally.checked:
        _refuse_empty(tally, workflow)
    if output is Output.json:
        print_json({**tally.document(), "failures": failures})
    else:
        print_tally(tally)
    return tally.exit_code


def _refuse_empty(tally: Tally, workflow: Workflow | None) -> None:
    from replayt_cli.errors import CommandError

    reasons = []
    if tally.other_tags:
        reasons.append(f"{tally.other_tags} with other tags")
    if tally.other_workflow and workflow is not None:
        reasons.append(f"{tally.other_workflow} of other workflows than {workflow.name}")
    there = f"the store has {' and '.join(reasons)}" if reasons else "the store has no runs"
    raise CommandError(f"nothing to check, which is no pass: {there}")
