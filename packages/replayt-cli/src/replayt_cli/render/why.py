"""Why a run branched, as text: each move with what was looked at, and what was not taken."""

from __future__ import annotations

from collections.abc import Sequence

from replayt_cli.render.json import inline
from replayt_cli.render.text import cut, echo, hang, one_line, paint, width, wrap
from replayt_cli.render.timeline import headline
from replayt_cli.show.recorded_run import RecordedRun
from replayt_core.why import Branch, Cause

_VALUE_CHARS = 160


def print_branches(run: RecordedRun, branches: Sequence[Branch]) -> None:
    """A headline, then a paragraph a move."""
    for line in wrap(headline(run), width(), indent=""):
        echo(line)
    if not branches:
        echo("it has made no move yet")
    for branch in branches:
        echo()
        visit = f", visit {branch.visit}" if branch.visit > 1 else ""
        move = f"{one_line(branch.from_state)} -> {one_line(branch.to_state)}"
        for line in wrap(f"{move}  (seq {branch.seq}{visit})", width(), indent=""):
            shown, before, place = line.partition("  (seq ")
            echo(f"{paint(shown, 'bold')}{before}{place}")
        _line("because", branch.reason or "no reason is recorded")
        for cause in branch.causes:
            _line("looked at", _looked_at(cause))
        if branch.not_taken:
            _line("not taken", ", ".join(branch.not_taken))


def _looked_at(cause: Cause) -> str:
    value = cut(one_line(inline(cause.value)), _VALUE_CHARS)
    name = "attempt" if cause.read == "attempt" else f"{cause.read} {cause.name}"
    if cause.read == "context" and cause.seq is None:
        return f"{name}: there was none"
    written = f"seq {cause.seq}" if cause.seq is not None else ""
    if cause.state:
        written += f"{', ' if written else ''}state {cause.state}"
    shown = f"{name}: {value}" if cause.value is not None else name
    return f"{shown}  ({written})" if written else shown


def _line(label: str, text: str) -> None:
    hang(f"  {label:<9}  ", one_line(text))
