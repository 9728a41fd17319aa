"""Putting what was made where it was asked for: on stdout, or whole into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from replayt_cli import exit_codes
from replayt_cli.errors import OutputError, UsageError
from replayt_cli.files.all_or_none import refusal
from replayt_cli.render.text import complain, echo, escape

if TYPE_CHECKING:
    from replayt_cli.show.recorded_run import RecordedRun


def show_page(run: RecordedRun, out: str | None) -> int:
    """Make the report page of a run and put it out; the exit code says whether its log is whole."""
    from replayt_cli.render.html import report_html

    put_out(report_html(run), out)
    if run.damage:
        complain(str(run.damage))
        return exit_codes.DAMAGED
    return exit_codes.DONE


def put_out(text: str, out: str | None) -> None:
    """Write into the file `out` and print its path; without one, print the text.

    Directories on the way are made. The file appears whole or not at all.
    """
    if out is None:
        echo(text.rstrip("\n"))
        return
    if not out.strip():
        raise UsageError("--out is empty: give a file, or leave it out")
    path = Path(out)
    try:
        _write_whole(path, text)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {refusal(error)}") from error
    echo(escape(str(path)))


def _write_whole(path: Path, text: str) -> None:
    if path.is_dir():
        raise IsADirectoryError(21, "it is a directory: give the name of a file in it", str(path))
    path = Path(os.path.realpath(path))  # a link stays, what it leads to is written anew
    if path.exists() and not path.is_file():
        # A file put in its place would take a device or a pipe away from everybody else.
        raise OSError(22, "it is no regular file: choose another name", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    file = beside.open("x", encoding="utf-8", newline="\n")
    try:
        with file:
            file.write(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
