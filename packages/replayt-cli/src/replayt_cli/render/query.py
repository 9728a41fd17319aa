"""The result of a query: a table for people, JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from replayt_cli.render.columns import columns_of, fill, fill_left
from replayt_cli.render.json import dump, inline
from replayt_cli.render.text import (
    count_of,
    cut,
    echo,
    escape,
    is_terminal,
    one_line,
    paint,
    warn,
    width,
)
from replayt_store.analytics import Table, csv_line, json_value

_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "HUGEINT")
_NARROWEST = 8
_GAP = 2


def print_result(table: Table, form: str) -> None:
    """Print the rows in that form; that a limit left rows out is said on stderr."""
    if form == "json":
        echo(dump(table.records()))
    elif form == "jsonl":
        for record in table.records():
            echo(json.dumps(record))
    elif form == "csv":
        _print_csv(table)
    else:
        _print_table(table)
    if table.truncated:
        warn(f"only the first {count_of(len(table.rows), 'row')}: --limit N shows more")


def _print_table(table: Table) -> None:
    """Columns side by side, cut where the terminal ends; too many of them one below the other."""
    columns = width()
    cells = [[one_line(name) for name in table.columns]]
    cells += [list(map(_cell, row, table.types)) for row in table.rows]
    sizes = _fit([max(map(columns_of, column)) for column in zip(*cells, strict=True)], columns)
    if columns is not None and sum(sizes) + _GAP * (len(sizes) - 1) > columns:
        _print_rows(cells, columns)
    else:
        _print_columns(table, cells, sizes)
    echo(f"({count_of(len(table.rows), 'row')})")


def _print_columns(table: Table, cells: list[list[str]], sizes: list[int]) -> None:
    rights = [any(kind in name.upper() for kind in _NUMBERS) for name in table.types]
    for number, row in enumerate(cells):
        parts = [
            fill_left(cut(text, size), size) if right else fill(cut(text, size), size)
            for text, size, right in zip(row, sizes, rights, strict=True)
        ]
        line = (" " * _GAP).join(parts).rstrip()
        echo(line if number else paint(line, "dim"))


def _print_rows(cells: list[list[str]], columns: int) -> None:
    """A block a row, a line a column."""
    names, *rows = cells
    size = min(max(map(columns_of, names)), columns // 2)
    for number, row in enumerate(rows, 1):
        echo(paint(f"row {number}", "dim"))
        for name, text in zip(names, row, strict=True):
            echo(cut(f"  {fill(cut(name, size), size)}  {text}", columns))


def _fit(sizes: list[int], columns: int | None) -> list[int]:
    """The widths of the columns, the widest cut down until all fit."""
    if columns is None:
        return sizes
    room = columns - _GAP * (len(sizes) - 1)
    while sum(sizes) > room and max(sizes) > _NARROWEST:
        widest = max(sizes)
        # Down to the next widest, so that columns of the same width stay the same.
        least = max([size for size in sizes if size < widest] + [_NARROWEST])
        count = sizes.count(widest)
        new = max(widest - -(-(sum(sizes) - room) // count), least)
        sizes = [new if size == widest else size for size in sizes]
    return sizes


def _print_csv(table: Table) -> None:
    shown = escape if is_terminal(sys.stdout) else str
    for row in [table.columns, *table.rows]:
        echo(shown(csv_line(row)))


def _cell(value: object, kind: str) -> str:
    if value is None:
        return "-"
    text = inline(json_value(value))
    if kind == "JSON" and "\\u" in text:
        # The letters themselves; what JSON has to escape stays so.
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return one_line(text)
