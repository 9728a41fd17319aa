"""`replayt run`: start a run and execute it to its end or its next pause."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.arguments.options import (
    DEFAULT_MAX_STEPS,
    BudgetCalls,
    BudgetTokens,
    Debug,
    DryRun,
    LogDir,
    LogModeName,
    MaxSteps,
    OptionalText,
    OptionalTexts,
    Output,
    OutputAs,
    PricesFile,
    Quiet,
    SQLiteMirror,
    StoreURL,
    Tags,
    Target,
    Timeout,
)


def run(
    target: Target,
    inputs_json: Annotated[
        OptionalText,
        typer.Option(
            "--inputs-json",
            metavar="JSON",
            help="The inputs as a JSON object; @FILE reads a file, - standard input.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        OptionalTexts,
        typer.Option(
            "--input",
            metavar="KEY=VALUE",
            help="One input; VALUE is JSON, or else text. A dot in KEY leads into an object: "
            "order.total=12.5. May be repeated.",
            show_default=False,
        ),
    ] = None,
    run_id: Annotated[
        OptionalText,
        typer.Option(
            "--run-id",
            metavar="ID",
            help="The id of the run, or with --resume a reference to it.  [default: a new UUIDv7]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run --run-id.", show_default=False),
    ] = False,
    tags: Tags = None,
    log_mode: LogModeName = None,
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
    """Run a workflow. Exit code: 0 completed, 1 failed, 2 paused."""
    from replayt_cli.arguments.inputs import read_inputs, read_tags
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.arguments.target import load_target
    from replayt_cli.execute.costs import read_prices
    from replayt_cli.execute.execution import Execution, live_view
    from replayt_cli.project.settings import log_mode_of_run, time_limit
    from replayt_core import Budget, LogMode, check_run_id
    from replayt_core.ports.system import UUIDv7Source

    choice = choose_store(log_dir, store_url, mirror=sqlite)
    timeout = time_limit(timeout, choice.config)
    known_prices = read_prices(prices or choice.config.prices)
    given_inputs, given_tags = read_inputs(inputs_json, inputs), read_tags(tags)
    mode = log_mode_of_run(log_mode, choice.config)
    if resume:
        _check_resume(run_id, inputs_json, inputs, tags, log_mode)
    elif run_id is not None:
        check_run_id(run_id)
    store = choice.open(pinned=True)
    workflow = load_target(target)
    if resume:
        run_id = find_run(store, run_id or "")
    elif run_id is None:
        # Made here, so that an interrupted run can be named.
        run_id = UUIDv7Source().new_run_id()
    execution = Execution(
        target=target,
        run_id=run_id,
        store=store,
        choice=choice,
        dry_run=dry_run,
        timeout=timeout,
        budget=Budget(tokens=budget_tokens, llm_calls=budget_calls),
        prices=known_prices,
        live=live_view(store, run_id, output, prices=known_prices, quiet=quiet),
    )
    runner = execution.runner(workflow, log_mode=mode or LogMode.redacted, max_steps=max_steps)
    if resume:
        return execution.finish(lambda: runner.resume(execution.run_id), output)
    return execution.finish(
        lambda: runner.run(given_inputs, run_id=execution.run_id, tags=given_tags), output
    )


def _check_resume(run_id: str | None, *fixed: object) -> None:
    from replayt_cli.errors import UsageError

    if run_id is None:
        raise UsageError("--resume needs --run-id: which run is to go on?")
    if any(value is not None for value in fixed):
        raise UsageError(
            "--resume goes on with what was recorded when the run started: leave out the inputs, "
            "tags and --log-mode"
        )
