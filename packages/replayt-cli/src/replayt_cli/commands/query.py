"""`replayt query`: SQL over the runs of a store."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replayt_cli.arguments.options import (
    Check,
    Debug,
    LogDir,
    OptionalText,
    Output,
    OutputAs,
    SQLiteSource,
    StoreURL,
)

if TYPE_CHECKING:
    from replayt_cli.analyse.analysis import Question

OptionalWhole = Optional[int]  # noqa: UP045 - typer 0.12 does not read `int | None`
_ROWS_IN_A_TABLE = 200


class Format(str, Enum):
    """How a result is given."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


OptionalFormat = Optional[Format]  # noqa: UP045


def query(
    sql: Annotated[
        str,
        typer.Argument(
            metavar="SQL",
            help="One SELECT; @FILE reads a file, - standard input.",
            show_default=False,
        ),
    ],
    shown_as: Annotated[
        OptionalFormat,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="table|json|jsonl|csv|parquet.  [default: table]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        OptionalText,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the result there: parquet, csv or jsonl.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", help="Give up after so long."),
    ] = 30.0,
    limit: Annotated[
        OptionalWhole,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help=f"Print at most so many rows.  [default: {_ROWS_IN_A_TABLE} in a table, else all]",
            show_default=False,
        ),
    ] = None,
    check: Check = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Ask about the runs in SQL.

    The views: runs, events, states, transitions, llm_calls, tool_calls, approvals. The SQL is
    DuckDB's and runs on a copy in memory: it can read no file and change no log. --output json is
    the same as --format json. Exit code 64 for SQL that is wrong or refused, 1 when the time is up.
    """
    from replayt_cli import exit_codes
    from replayt_cli.analyse.analysis import Question, analytics
    from replayt_cli.arguments.inputs import check_timeout, read_text
    from replayt_cli.arguments.store_choice import choose_store

    choice = choose_store(log_dir, store_url, source=sqlite)
    form = _format(shown_as, output, out, limit)
    check_timeout(timeout)
    text = read_text(sql, "SQL")
    question = Question(store=choice.open(), check=check)
    if out is not None:
        return _export(question, text, form, out, timeout)
    if limit is None and form is Format.table:
        limit = _ROWS_IN_A_TABLE
    with analytics(question) as calculating:
        table = calculating.query(text, seconds=timeout, limit=limit)
    from replayt_cli.render.query import print_result  # brings DuckDB

    print_result(table, form.value)
    return exit_codes.DONE


def _format(shown_as: Format | None, output: Output, out: str | None, limit: int | None) -> Format:
    from replayt_cli.errors import UsageError

    form = shown_as or (Format.json if output is Output.json else Format.table)
    if output is Output.json and form is not Format.json:
        raise UsageError(f"--output json and --format {form.value} contradict each other")
    if out is None and form is Format.parquet:
        raise UsageError("--format parquet needs --out FILE: it is nothing for a terminal")
    if out is not None and form in (Format.table, Format.json):
        raise UsageError("--out FILE goes with --format parquet, csv or jsonl")
    if out is not None and not out.strip():
        raise UsageError("--out is empty: give a file, such as runs.parquet")
    if out is not None and limit is not None:
        raise UsageError("--limit is for what is printed: write LIMIT into the SQL instead")
    return form


def _export(question: Question, sql: str, form: Format, out: str, timeout: float) -> int:
    from pathlib import Path
    from typing import Literal, cast

    from replayt_cli import exit_codes
    from replayt_cli.analyse.analysis import analytics
    from replayt_cli.errors import OutputError
    from replayt_cli.render.text import count_of, echo, escape
    from replayt_core import StoreError

    if Path(out).exists() and not Path(out).is_file():
        kind_of_it = "a directory" if Path(out).is_dir() else "no regular file"
        raise OutputError(f"cannot write {out}: it is {kind_of_it}: choose another name")
    kind = cast("Literal['parquet', 'csv', 'jsonl']", form.value)
    with analytics(question) as calculating:
        try:
            rows = calculating.export(sql, format=kind, out=Path(out), seconds=timeout)
        except StoreError as error:
            if isinstance(error.__cause__, OSError):
                raise OutputError(str(error)) from error
            raise
    echo(f"wrote {count_of(rows, 'row')} to {escape(out)}")
    return exit_codes.DONE
