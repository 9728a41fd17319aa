"""The arguments and options that several commands share: one meaning everywhere."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Optional

import typer

# typer 0.12 does not read `str | None`.
OptionalText = Optional[str]  # noqa: UP045
OptionalTexts = Optional[list[str]]  # noqa: UP045
OptionalNumber = Optional[float]  # noqa: UP045
OptionalCount = Optional[int]  # noqa: UP045

DEFAULT_LOG_DIR = ".replayt/runs"
DEFAULT_MAX_STEPS = 1_000
READ_SQLITE = "Read this SQLite file instead."
LONGEST_TIMEOUT = 1_000_000  # more than eleven days; timers count no further than they can
LOG_MODES = "redacted|full|structured_only"
VARIABLES = ("REPLAYT_PRICES",)
"""The variables that the parser reads in place of an option."""


class Output(str, Enum):
    """How a result is printed."""

    text = "text"
    json = "json"


def _set_debug(ctx: typer.Context, value: bool) -> bool:
    settings = ctx.find_root().obj
    if value and hasattr(settings, "debug"):
        settings.debug = True
    return value


Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="The workflow: module:variable, a .py file with `wf` or `workflow`, or a .yaml file.",
        show_default=False,
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN_ID",
        help="The run: its id, a unique start or end of it, @last, or @-2 for the one before.",
        show_default=False,
    ),
]
LogDir = Annotated[
    OptionalText,
    typer.Option(
        "--log-dir",
        metavar="DIR",
        help=f"The directory of the logs.  [default: {DEFAULT_LOG_DIR}]",
        show_default=False,
    ),
]
StoreURL = Annotated[
    OptionalText,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where the logs are, as a URL: jsonl:///DIR, sqlite:///FILE, or a scheme that a "
        "package registers.",
        show_default=False,
    ),
]
SQLiteSource = Annotated[
    OptionalText,
    typer.Option(
        "--sqlite",
        metavar="FILE",
        help=READ_SQLITE,
        show_default=False,
    ),
]
SQLiteMirror = Annotated[
    OptionalText,
    typer.Option(
        "--sqlite",
        metavar="FILE",
        help="Keep a copy in this SQLite file, which follows the logs.",
        show_default=False,
    ),
]
OutFile = Annotated[
    OptionalText,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write it into this file, and print its path.",
        show_default=False,
    ),
]
OutputAs = Annotated[
    Output,
    typer.Option("--output", "-o", metavar="text|json", help="How the result is printed."),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show tracebacks.",
        callback=_set_debug,
        is_eager=True,
        show_default=False,
    ),
]
Tags = Annotated[
    OptionalTexts,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be repeated.", show_default=False),
]
PricesFile = Annotated[
    OptionalText,
    typer.Option(
        "--prices",
        metavar="FILE",
        envvar=VARIABLES[0],
        help='What models cost: {"MODEL": {"input": USD, "output": USD}} a million tokens.',
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Do not show on the terminal what the run is doing; the result is printed.",
        show_default=False,
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Look at every log again, also those that have ended and look unchanged.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Call no model: answers are made up to fit their schemas. Tools do run.",
        show_default=False,
    ),
]
MaxSteps = Annotated[
    int,
    typer.Option(
        "--max-steps",
        metavar="N",
        min=1,
        help="End the run as failed after entering so many states.",
    ),
]
LogModeName = Annotated[
    OptionalText,
    typer.Option(
        "--log-mode",
        metavar=LOG_MODES,
        help="What the log keeps of model traffic.  [default: redacted]",
        show_default=False,
    ),
]
Timeout = Annotated[
    OptionalNumber,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="End the run as failed when it takes longer.",
        show_default=False,
    ),
]
Supplied = Annotated[
    OptionalTexts,
    typer.Option(
        "--set",
        metavar="KEY=JSON",
        help="What a hidden field of the log was (redact_keys); has to match. May be repeated.",
        show_default=False,
    ),
]
BudgetTokens = Annotated[
    OptionalCount,
    typer.Option(
        "--budget-tokens",
        metavar="N",
        min=0,
        help="End the run as failed when its model calls have used more tokens.",
        show_default=False,
    ),
]
BudgetCalls = Annotated[
    OptionalCount,
    typer.Option(
        "--budget-calls",
        metavar="N",
        min=0,
        help="End the run as failed instead of making more model calls.",
        show_default=False,
    ),
]
