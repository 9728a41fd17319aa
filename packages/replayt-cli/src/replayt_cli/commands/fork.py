"""`replayt fork`: a new run from a state entry of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replayt_cli.arguments.options import (
    DEFAULT_MAX_STEPS,
    LOG_MODES,
    BudgetCalls,
    BudgetTokens,
    Debug,
    DryRun,
    LogDir,
    MaxSteps,
    OptionalText,
    OptionalTexts,
    Output,
    OutputAs,
    PricesFile,
    Quiet,
    RunId,
    SQLiteMirror,
    StoreURL,
    Tags,
    Target,
    Timeout,
)

if TYPE_CHECKING:
    from replayt_core.ports import EventStore


def fork(
    target: Target,
    run_id: RunId,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="SEQ|STATE[:VISIT]",
            help="The visit to begin with: that of a seq, or the last one of a state.",
            show_default=False,
        ),
    ],
    changes: Annotated[
        OptionalTexts,
        typer.Option(
            "--set",
            metavar="KEY=JSON",
            help="A change to the context it begins with. May be repeated.",
            show_default=False,
        ),
    ] = None,
    new_run_id: Annotated[
        OptionalText,
        typer.Option(
            "--run-id",
            metavar="ID",
            help="The id of the new run.  [default: a new UUIDv7]",
            show_default=False,
        ),
    ] = None,
    tags: Tags = None,
    log_mode: Annotated[
        OptionalText,
        typer.Option(
            "--log-mode",
            metavar=LOG_MODES,
            help="What the log keeps of model traffic.  [default: as the other run]",
            show_default=False,
        ),
    ] = None,
    max_steps: MaxSteps = DEFAULT_MAX_STEPS,
    timeout: Timeout = None,
    budget_tokens: BudgetTokens = None,
    budget_calls: BudgetCalls = None,
    prices: PricesFile = None,
    dry_run: DryRun = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteMirror = None,
    output: OutputAs = Output.text,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Start a new run in the middle of another. Exit codes as for run.

    It begins with the context that the state was entered with. Calls are real and approvals are
    asked again; the other run stays as it is. Without --log-mode the new run has that of the other.
    """
    from replayt_cli.arguments.inputs import read_changes, read_log_mode, read_tags
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.arguments.target import load_target
    from replayt_cli.errors import NotFoundError, UsageError
    from replayt_cli.execute.costs import read_prices
    from replayt_cli.execute.execution import Execution, live_view
    from replayt_cli.project.settings import time_limit
    from replayt_core import Budget, LogMode, RunResult, VisitNotFoundError, check_run_id
    from replayt_core.ports import UUIDv7Source

    choice = choose_store(log_dir, store_url, mirror=sqlite)
    timeout = time_limit(timeout, choice.config)
    known_prices = read_prices(prices or choice.config.prices)
    given_changes, given_tags = read_changes(changes), read_tags(tags)
    mode = read_log_mode(log_mode)
    if not at:
        raise UsageError("--at is empty: give a seq, a state, or STATE:VISIT")
    if new_run_id is not None:
        check_run_id(new_run_id)
    store = choice.open(pinned=True)
    workflow = load_target(target)
    workflow.startable()
    parent = find_run(store, run_id)
    new_run_id = new_run_id or UUIDv7Source().new_run_id()
    execution = Execution(
        target=target,
        run_id=new_run_id,
        store=store,
        choice=choice,
        dry_run=dry_run,
        parent=parent,
        timeout=timeout,
        budget=Budget(tokens=budget_tokens, llm_calls=budget_calls),
        prices=known_prices,
        live=live_view(store, new_run_id, output, prices=known_prices, quiet=quiet),
    )
    runner = execution.runner(
        workflow, log_mode=mode or _mode_of(store, parent) or LogMode.redacted, max_steps=max_steps
    )

    def execute() -> RunResult:
        try:
            return runner.fork(
                parent,
                int(at) if at.isdecimal() else at,
                changes=given_changes,
                new_run_id=execution.run_id,
                tags=given_tags,
            )
        except VisitNotFoundError as error:
            raise NotFoundError(f"--at {at!r:.60}: {error}") from None

    return execution.finish(execute, output)


def _mode_of(store: EventStore, run_id: str) -> str | None:
    """The log mode of a run: a fork of a private run is no less private."""
    from replayt_core import summarize

    started = next(iter(store.read(run_id)))
    return summarize(run_id, [started]).log_mode
