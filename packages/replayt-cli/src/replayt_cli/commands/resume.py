"""`replayt resume`: answer what a run waits for, and execute it further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from replayt_cli.arguments.options import (
    DEFAULT_MAX_STEPS,
    BudgetCalls,
    BudgetTokens,
    Debug,
    DryRun,
    LogDir,
    MaxSteps,
    OptionalText,
    Output,
    OutputAs,
    PricesFile,
    Quiet,
    RunId,
    SQLiteMirror,
    StoreURL,
    Supplied,
    Target,
    Timeout,
)

if TYPE_CHECKING:
    from replayt_core import RunState

_NO_RESULT = (0, "")
Calls = Optional[list[int]]  # noqa: UP045 - typer 0.12 does not read `list[int] | None`


def resume(
    target: Target,
    run_id: RunId,
    approval: Annotated[
        OptionalText,
        typer.Option(
            "--approval",
            metavar="ID",
            help="Approve the approval of that id (or reject it, with --reject).",
            show_default=False,
        ),
    ] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Reject instead.", show_default=False)
    ] = False,
    by: Annotated[
        OptionalText,
        typer.Option("--by", metavar="NAME", help="Who answers.", show_default=False),
    ] = None,
    reason: Annotated[
        OptionalText, typer.Option("--reason", metavar="TEXT", help="Why.", show_default=False)
    ] = None,
    allow_changed: Annotated[
        bool,
        typer.Option(
            "--allow-changed",
            help="Go on although the workflow is not the recorded one; this is recorded.",
            show_default=False,
        ),
    ] = False,
    retry: Annotated[
        Calls,
        typer.Option(
            "--retry",
            metavar="CALL",
            help="Make the tool call at that seq again, whose outcome is unknown.",
            show_default=False,
        ),
    ] = None,
    result: Annotated[
        tuple[int, str],
        typer.Option(
            "--result",
            metavar="CALL JSON",
            help="What the tool call at that seq returned.",
            show_default=False,
        ),
    ] = _NO_RESULT,
    fail: Annotated[
        Calls,
        typer.Option(
            "--fail", metavar="CALL", help="The tool call at that seq failed.", show_default=False
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try the last state of a failed run again.",
            show_default=False,
        ),
    ] = False,
    restart_state: Annotated[
        bool,
        typer.Option(
            "--restart-state",
            help="Begin the state anew: its calls are made again. This is recorded.",
            show_default=False,
        ),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Nobody executes the run, I made sure (for stores without locks).",
            show_default=False,
        ),
    ] = False,
    supplied: Supplied = None,
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
    """Go on with a run after an approval, a crash, a signal or a failure. Exit codes as for run.

    Without an answer a run that waits is reported as paused, and nothing is written. The log mode
    is the one the run was started with.
    """
    from replayt_cli.arguments.inputs import parse_json, read_changes
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.arguments.target import load_target
    from replayt_cli.errors import UsageError
    from replayt_cli.execute.costs import read_prices
    from replayt_cli.execute.execution import Execution, live_view
    from replayt_cli.project.settings import time_limit
    from replayt_core import Budget, fold, resolve

    choice = choose_store(log_dir, store_url, mirror=sqlite)
    timeout = time_limit(timeout, choice.config)
    known_prices = read_prices(prices or choice.config.prices)
    handed_in = read_changes(supplied)
    if approval is None and (reject or by is not None or reason is not None):
        raise UsageError("--reject, --by and --reason need --approval ID: which one is answered?")
    results: dict[int, Any] = {}
    calls = [*(retry or ()), *([result[0]] if result != _NO_RESULT else []), *(fail or ())]
    if approval is not None and calls:
        raise UsageError("a run waits for an approval or for word of a call: give one answer")
    if len(set(calls)) != len(calls):
        raise UsageError("--retry, --result and --fail name the same call twice")
    if result != _NO_RESULT:
        results[result[0]] = parse_json(result[1], "--result")
    store = choice.open(pinned=True)
    workflow = load_target(target)
    run_id = find_run(store, run_id)
    state = fold(run_id, store.read(run_id))
    _check_calls(state, calls)
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
    runner = execution.runner(workflow, max_steps=max_steps)
    if approval is not None:
        # Before anything is answered: an answer must not be spent on a run that then refuses.
        runner.check_resume(
            run_id,
            approval_id=approval,
            approved=not reject,
            allow_changed=allow_changed,
            restart_state=restart_state,
            supplied=handed_in,
        )
        resolve(store, run_id, approval, approved=not reject, by=by, reason=reason)
    return execution.finish(
        lambda: runner.resume(
            run_id,
            retry_calls=retry or (),
            call_results=results,
            failed_calls=fail or (),
            allow_changed=allow_changed,
            retry_failed=retry_failed,
            restart_state=restart_state,
            take_over=take_over,
            supplied=handed_in,
        ),
        output,
    )


def _check_calls(state: RunState, calls: list[int]) -> None:
    """Whether there are such calls at all; whether they are open, the runner judges."""
    from replayt_cli.errors import NotFoundError

    made = {seq for seq, kind, _ in state.effects if kind == "tool_call"}
    for call in calls:
        if state.phase != "ended" and call not in made:
            known = ", ".join(map(str, sorted(made))) or "none"
            raise NotFoundError(
                f"run {state.run_id}: seq {call} is no tool call of the attempt it stands in; "
                f"its tool calls: {known}"
            )
