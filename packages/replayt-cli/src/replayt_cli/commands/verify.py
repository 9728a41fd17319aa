"""`replayt verify`: is a log whole and legal, and does the code still do what it records?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    OptionalNumber,
    OptionalText,
    Output,
    OutputAs,
    SQLiteSource,
    StoreURL,
    Supplied,
    Tags,
)

if TYPE_CHECKING:
    from replayt_cli.arguments.store_choice import StoreChoice
    from replayt_cli.check.recorded_runs import Again, Tally
    from replayt_core.ports import EventStore

DEFAULT_TIMEOUT = 60.0


def verify(
    run_id: Annotated[
        OptionalText,
        typer.Argument(
            metavar="[RUN_ID]",
            help="The run: its id, a unique start or end of it, @last, or @-2 for the one before.",
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
    secrets: Annotated[
        bool,
        typer.Option(
            "--secrets",
            help="Look for keys, tokens and addresses instead; values are never shown.",
            show_default=False,
        ),
    ] = False,
    supplied: Supplied = None,
    timeout: Annotated[
        OptionalNumber,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="With a target: how long executing one run again may take.  "
            f"[default: {DEFAULT_TIMEOUT:g}]",
            show_default=False,
        ),
    ] = None,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Check recorded runs: the chain of lines, the legality of every move, and the code.

    With --target the handlers are executed again, every call served from the log. Exit code: 0
    nothing was found, 1 something was, 65 the log is damaged. Nothing to check is an error.

    With --secrets the logs are searched for what looks like a key, a token or an e-mail address
    instead; where each stands is told, and never what it is.
    """
    from contextlib import nullcontext

    from replayt_cli.arguments.inputs import read_changes, read_tags
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.arguments.target import load_target
    from replayt_cli.check.recorded_runs import Again, check_run
    from replayt_cli.check.reexecution import Guard
    from replayt_cli.errors import UsageError
    from replayt_cli.execute.execution import configured_client
    from replayt_cli.project.settings import time_limit
    from replayt_cli.render.json import print_json
    from replayt_cli.render.verify import print_report

    choice = choose_store(log_dir, store_url, source=sqlite)
    wanted = read_tags(tags)
    if everything == (run_id is not None):
        raise UsageError("give either a RUN_ID or --all: which runs are to be checked?")
    if everything and head is not None:
        raise UsageError("--head is the hash of one run: give its RUN_ID instead of --all")
    if wanted and not everything:
        raise UsageError("--tag chooses among all runs: it goes with --all, not with a RUN_ID")
    seconds = time_limit(timeout, choice.config) or DEFAULT_TIMEOUT
    handed_in = read_changes(supplied)
    if handed_in and target is None:
        raise UsageError("--set is for handlers that are executed again: it goes with --target")
    if secrets:
        if target is not None or head is not None or strict:
            raise UsageError(
                "--secrets is a check of its own: leave out --target, --head, --strict"
            )
        return _check_secrets(choice, run_id, wanted, output)
    store = choice.open(pinned=target is not None)
    again = None
    if target is not None:
        again = Again(
            workflow=load_target(target),
            guard=Guard(store, seconds),
            llm_client=configured_client(choice.config),
            supplied=handed_in,
        )
    with nullcontext() if again is None else again.guard.listening():
        if run_id is None:
            return _check_all(store, again, wanted, strict=strict, output=output)
        run = check_run(
            store,
            find_run(store, run_id),
            again=again,
            head=None if head is None else head.strip().lower(),
            strict=strict,
        )
    if output is Output.json:
        print_json(run.document())
    else:
        print_report(run)
    return run.exit_code


def _check_secrets(
    choice: StoreChoice, run_id: str | None, tags: dict[str, str], output: Output
) -> int:
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.check.secrets import SecretTally, scan_runs
    from replayt_cli.errors import CommandError
    from replayt_cli.render.json import print_json
    from replayt_cli.render.live.progress import Progress
    from replayt_cli.render.secrets import print_scanned, print_secret_tally

    store = choice.open()
    run_ids = sorted(store.run_ids()) if run_id is None else [find_run(store, run_id)]
    tally = SecretTally()
    found: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    progress = Progress("verify", len(run_ids))
    try:
        for run in scan_runs(
            store, run_ids, tally, place=choice.place, tags=tags, step=progress.step
        ):
            if output is Output.json:
                found += run.documents()
                if run.problem is not None:
                    problems.append({"run_id": run.run_id, "problem": run.problem})
            else:
                with progress.hidden():
                    print_scanned(run)
    finally:
        progress.clear()
    if not tally.checked:
        there = f"{tally.other_tags} with other tags" if tally.other_tags else "no runs"
        raise CommandError(f"nothing to check, which is no pass: the store has {there}")
    if output is Output.json:
        print_json({**tally.document(), "findings": found, "problems": problems})
    else:
        print_secret_tally(tally)
    return tally.exit_code


def _check_all(
    store: EventStore,
    again: Again | None,
    tags: dict[str, str],
    *,
    strict: bool,
    output: Output,
) -> int:
    from replayt_cli.check.recorded_runs import Tally, check_all
    from replayt_cli.render.json import print_json
    from replayt_cli.render.live.progress import Progress
    from replayt_cli.render.verify import print_finding, print_tally

    run_ids = sorted(store.run_ids())
    progress, tally, failures = Progress("verify", len(run_ids)), Tally(), []
    try:
        for run in check_all(
            store,
            run_ids,
            tally,
            again=again,
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
        _refuse_empty(tally, again)
    if output is Output.json:
        print_json({**tally.document(), "failures": failures})
    else:
        print_tally(tally)
    return tally.exit_code


def _refuse_empty(tally: Tally, again: Again | None) -> None:
    from replayt_cli.errors import CommandError

    reasons = []
    if tally.other_tags:
        reasons.append(f"{tally.other_tags} with other tags")
    if tally.other_workflow and again is not None:
        reasons.append(f"{tally.other_workflow} of other workflows than {again.workflow.name}")
    there = f"the store has {' and '.join(reasons)}" if reasons else "the store has no runs"
    raise CommandError(f"nothing to check, which is no pass: {there}")
