"""`replayt run`: start a run and execute it to its end or its next pause."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.options import (
    DEFAULT_MAX_STEPS,
    Debug,
    DryRun,
    LogDir,
    MaxSteps,
    OptionalText,
    OptionalTexts,
    Output,
    OutputAs,
    StoreURL,
    Tags,
    Target,
)

_MODES = "redacted|full|structured_only"


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
            help="One input; VALUE is JSON, or else text. May be repeated.",
            show_default=False,
        ),
    ] = None,
    run_id: Annotated[
        OptionalText,
        typer.Option(
            "--run-id",
            metavar="ID",
            help="The id of the run.  [default: a new UUIDv7]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run --run-id.", show_default=False),
    ] = False,
    tags: Tags = None,
    log_mode: Annotated[
        OptionalText,
        typer.Option(
            "--log-mode",
            metavar=_MODES,
            help="What the log keeps of model traffic.  [default: redacted]",
            show_default=False,
        ),
    ] = None,
    max_steps: MaxSteps = DEFAULT_MAX_STEPS,
    dry_run: DryRun = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Run a workflow. Exit code: 0 completed, 1 failed, 2 paused."""
    from replayt_cli.execution import Execution, llm_factory
    from replayt_cli.inputs import read_inputs, read_tags
    from replayt_cli.stores import choose_store, find_run
    from replayt_cli.target import load_target
    from replayt_core import LogMode, Runner, check_run_id
    from replayt_core.ports.system import UUIDv7Source

    choice = choose_store(log_dir, store_url)
    given_inputs, given_tags = read_inputs(inputs_json, inputs), read_tags(tags)
    mode = _log_mode(log_mode)
    if resume:
        _check_resume(run_id, inputs_json, inputs, tags, log_mode)
    if run_id is not None:
        check_run_id(run_id)
    workflow = load_target(target)
    store = choice.open()
    if resume:
        run_id = find_run(store, run_id or "")
    elif run_id is None:
        # Made here, so that an interrupted run can be named.
        run_id = UUIDv7Source().new_run_id()
    runner = Runner(
        workflow,
        store,
        log_mode=mode or LogMode.redacted,
        llm_settings=llm_factory(dry_run=dry_run),
        max_steps=max_steps,
    )
    execution = Execution(target=target, run_id=run_id, store=store, choice=choice, dry_run=dry_run)
    if resume:
        return execution.finish(lambda: runner.resume(execution.run_id), output)
    return execution.finish(
        lambda: runner.run(given_inputs, run_id=execution.run_id, tags=given_tags), output
    )


def _log_mode(text: str | None) -> str | None:
    from replayt_cli.errors import UsageError
    from replayt_core import DefinitionError, LogMode

    if text is None:
        return None
    try:
        return LogMode.parse(text).value
    except DefinitionError:
        raise UsageError(f"--log-mode {text!r:.60} is none of {_MODES}") from None


def _check_resume(run_id: str | None, *fixed: object) -> None:
    from replayt_cli.errors import UsageError

    if run_id is None:
        raise UsageError("--resume needs --run-id: which run is to go on?")
    if any(value is not None for value in fixed):
        raise UsageError(
            "--resume goes on with what was recorded when the run started: leave out the inputs, "
            "tags and --log-mode"
        )
