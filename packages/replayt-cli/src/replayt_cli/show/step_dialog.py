"""`replay --step`: a prompt at which somebody walks through a recorded run, line by line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress

from replayt_cli import exit_codes
from replayt_cli.errors import UsageError
from replayt_cli.render.step_dialog import (
    HELP,
    change_lines,
    context_lines,
    event_lines,
    point_lines,
)
from replayt_cli.render.text import (
    complain,
    count_of,
    echo,
    is_terminal,
    one_line,
    width,
    wrap,
)
from replayt_cli.render.timeline import headline
from replayt_cli.show.recorded_run import RecordedRun
from replayt_cli.show.walk import Walk

_NAMES = {
    "": "next",
    "n": "next",
    "next": "next",
    "p": "previous",
    "prev": "previous",
    "previous": "previous",
    "b": "previous",
    "back": "previous",
    "f": "first",
    "first": "first",
    "l": "last",
    "last": "last",
    "g": "go",
    "go": "go",
    "c": "context",
    "context": "context",
    "w": "what",
    "what": "what",
    "d": "details",
    "details": "details",
    "?": "help",
    "h": "help",
    "help": "help",
    "q": "quit",
    "quit": "quit",
    "exit": "quit",
}


def check_terminal() -> None:
    """Raise `UsageError` unless somebody sits at both ends."""
    if sys.stdin is None or not is_terminal(sys.stdin) or not is_terminal(sys.stdout):
        raise UsageError(
            "--step asks on a terminal, and stdin or stdout is none: leave it out to print the "
            "whole timeline, or give --format json"
        )
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        with suppress(ValueError, OSError):
            reconfigure(errors="backslashreplace")  # what is typed need not be text


def step_through(run: RecordedRun) -> int:
    """Show the run event by event, as asked for, until somebody quits."""
    for line in wrap(headline(run), width(), indent=""):
        echo(line)
    if run.damage is not None:
        complain(str(run.damage))
    if not run.events:
        return exit_codes.DAMAGED
    echo(f"{count_of(len(run.events), 'event')}; ? for help, q to quit")
    walk = Walk(run.state.run_id, run.events)
    _show_point(walk)
    with suppress(EOFError):
        while _obey(walk, _ask(f"{walk.place + 1}/{len(run.events)}> ")):
            pass
    return exit_codes.DONE if run.damage is None else exit_codes.DAMAGED


def _ask(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        echo()  # the next prompt of the shell begins a line
        raise


def _obey(walk: Walk, asked: str) -> bool:
    """Do what was asked; False to quit."""
    word, _, rest = asked.partition(" ")
    name = "go" if word.isdecimal() else _NAMES.get(word.lower())
    if name == "quit":
        return False
    if name == "go":
        _go(walk, asked if word.isdecimal() else rest.strip())
    elif name is not None and not rest:
        _ACTIONS[name](walk)
    else:
        _say(f"no command {asked!r:.60}: ? lists them")
    return True


def _go(walk: Walk, where: str) -> None:
    if not where:
        _say("go where? g 12 goes to seq 12, g STATE to the next entry of that state")
        return
    seq = int(where) if where.isdecimal() and len(where) < 16 else None
    place = walk.find_state(where) if seq is None else walk.find_seq(seq)
    if place is None:
        there = f"the states are {', '.join(walk.states()) or 'none'}"
        _say(f"nothing at {where!r:.60}: seqs go from 1 to {walk.total}; {there}")
        return
    walk.go_to(place)
    _show_point(walk)


def _move(walk: Walk, by: int) -> None:
    if walk.move(by):
        _show_point(walk)
    else:
        _say("this is the last event" if by > 0 else "this is the first event")


def _go_to(walk: Walk, place: int) -> None:
    walk.go_to(place)
    _show_point(walk)


def _show_point(walk: Walk) -> None:
    for line in point_lines(walk.point(), width(), _rows() - 3):
        echo(line)


def _show_help(_walk: Walk) -> None:
    echo(HELP)


def _page(lines: list[str]) -> None:
    """Print lines, a screen at a time."""
    size = max(_rows() - 2, 1)
    for start in range(0, len(lines), size):
        for line in lines[start : start + size]:
            echo(line)
        left = len(lines) - start - size
        if left > 0 and _ask(f"-- {left} more: Enter goes on, q ends -- "):
            return


def _rows() -> int:
    return max(shutil.get_terminal_size((80, 24)).lines, 10)


def _say(text: str) -> None:
    for line in wrap(one_line(text), width(), indent=""):
        echo(line)


_ACTIONS: dict[str, Callable[[Walk], None]] = {
    "next": lambda walk: _move(walk, 1),
    "previous": lambda walk: _move(walk, -1),
    "first": lambda walk: _go_to(walk, 0),
    "last": lambda walk: _go_to(walk, -1),
    "context": lambda walk: _page(context_lines(walk.point(), width())),
    "what": lambda walk: _page(change_lines(walk.point(), width())),
    "details": lambda walk: _page(event_lines(walk.point(), width())),
    "help": _show_help,
}
