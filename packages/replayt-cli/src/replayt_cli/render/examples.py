"""The bundled workflows, as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replayt_cli.project.bundled_examples import Command, Example
from replayt_cli.render.text import cut, echo, escape, hint, paint, table, width

_WIDEST = 100


def print_examples(examples: Sequence[Example]) -> None:
    """One line an example: number, name, what it does."""
    rows = [(f"{example.number:>2}", example.name, example.title) for example in examples]
    for line in table(rows):
        echo(cut(line, width()))
    hint("replayt examples NAME says more; --out DIR copies one, or all of them")


def print_example(example: Example) -> None:
    """What it is about, its files, and the commands that copy and run it."""
    echo(paint(f"{example.number}. {example.name}", "bold"))
    echo()
    for line in _folded(example.about):
        echo(line)
    echo()
    echo("Files")
    for name in example.files:
        echo(f"  {name}")
    echo()
    echo("Copy it, and run it")
    copy = Command(text=f"replayt examples {example.name} --out .")
    for command in (copy, *example.commands_in(".")):
        echo(f"  {_shown(command)}")


def print_copies(examples: Sequence[Example], folder: str, written: Sequence[Path]) -> None:
    """The paths that were written, and on a terminal what to type next."""
    for path in written:
        echo(f"wrote {escape(str(path))}")
    if len(examples) == 1:
        for number, command in enumerate(examples[0].commands_in(folder)):
            hint(f"{'then' if number else 'next'}: {_shown(command)}")


def example_entry(example: Example) -> dict[str, Any]:
    """An example as an item of a list in JSON."""
    return {
        "number": example.number,
        "name": example.name,
        "title": example.title,
        "asks_model": example.asks_model,
        "files": list(example.files),
    }


def example_document(example: Example, folder: str) -> dict[str, Any]:
    """An example as JSON, with the commands for a copy of it in `folder`."""
    return {
        **example_entry(example),
        "about": example.about,
        "commands": [
            {"command": command.text, "exit_code": command.exit_code}
            for command in example.commands_in(folder)
        ],
    }


def _shown(command: Command) -> str:
    if not command.exit_code:
        return command.text
    return f"{command.text}  # exits with {command.exit_code}"


def _folded(text: str) -> list[str]:
    """Paragraphs folded to the terminal; what is indented is a drawing and stays as it is."""
    columns = min(width() or _WIDEST, _WIDEST)
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if lines:
            lines.append("")
        drawing = paragraph.startswith(" ")
        lines += (
            paragraph.splitlines()
            if drawing
            else textwrap.wrap(paragraph, columns, break_on_hyphens=False)
        )
    return lines
