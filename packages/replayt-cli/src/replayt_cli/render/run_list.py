"""A listing of runs, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from replayt_cli.render.text import cut, echo, one_line, paint, short_time, table, width, wrap
from replayt_cli.show.run_list import Listing, RunRow
from replayt_cli.show.run_status import summary_document

_NAME_COLUMNS = 28
_NARROWEST_NAME = 11
_OTHERS = len("  interrupted    2026-01-01 00:00:00Z")
"""The columns of everything before the tags but the id and the name."""
_NARROWEST_ID = 12


def listing_document(listing: Listing, flags: Sequence[str] = ()) -> dict[str, Any]:
    """The runs as JSON, and how many a limit has left out. `flags` lead to their store."""
    return {
        "runs": [_row_document(row, flags) for row in listing.rows],
        "not_looked_at": listing.older,
        "of_them_damaged": listing.older_damaged,
    }


def _row_document(row: RunRow, flags: Sequence[str]) -> dict[str, Any]:
    document = {**summary_document(row.run_id, row.summary, row.status), "problem": row.problem}
    if row.waiting is not None:
        from replayt_cli.render.waiting import waiting_documents

        document["waiting"] = waiting_documents(row.waiting, flags)
        document["ignored_answers"] = [asdict(ignored) for ignored in row.waiting.ignored]
    return document


def print_listing(listing: Listing, flags: Sequence[str] = ()) -> None:
    """One line a run: id, status, workflow, time of the last event, tags.

    Below it what it waits for, where that was asked for; `flags` lead to its store.
    """
    if not listing.rows:
        echo("No runs found")
        return
    columns = width()
    heads, lines = _lines(listing.rows, columns)
    echo(paint(cut(lines[0], columns), "dim"))
    for number, (row, head, line) in enumerate(zip(listing.rows, heads, lines[1:], strict=True)):
        if number and row.waiting is not None:
            echo()
        if head is not None:
            echo(head)
        before, status, after = cut(line, columns).partition(f"  {row.status}")
        echo(f"{before}{paint(status, row.status)}{after}")
        if row.waiting is not None:
            # Imported late: of most listings nobody asks what their runs wait for.
            from replayt_cli.render.waiting import print_waiting

            print_waiting(row.waiting, row.short_id, flags)
    if listing.older:
        note = f", {listing.older_damaged} damaged" if listing.older_damaged else ""
        echo(f"{listing.older} older not shown{note}; --limit N shows more")
    if any(row.waiting is not None and row.waiting.can_be_answered for row in listing.rows):
        echo()
        for line in _explanation(flags):
            echo(line)


def _lines(rows: Sequence[RunRow], columns: int | None) -> tuple[list[str | None], list[str]]:
    """The lines of the table, and of each run the line before it: an id that has no room in it."""
    room, names = None, _NAME_COLUMNS
    if columns is not None:
        room = max(columns - _OTHERS - _NARROWEST_NAME, _NARROWEST_ID)
    heads = [None if room is None or len(row.short_id) <= room else row.short_id for row in rows]
    if columns is not None:
        ids = [len(row.short_id) for row, head in zip(rows, heads, strict=True) if head is None]
        names = max(min(names, columns - _OTHERS - max([*ids, 3])), _NARROWEST_NAME)
    cells = [("RUN", "STATUS", "WORKFLOW", "LAST EVENT", "TAGS")]
    for row, head in zip(rows, heads, strict=True):
        summary = row.summary
        name = f"{summary.workflow_name}@{summary.workflow_version}"
        tags = " ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))
        cells.append(
            (
                row.short_id if head is None else "",
                row.status,
                "-" if summary.workflow_name is None else cut(one_line(name), names),
                short_time(summary.last_ts),
                one_line(tags),
            )
        )
    return heads, table(cells)


def _explanation(flags: Sequence[str]) -> list[str]:
    from replayt_cli.show.answer_commands import TARGET

    text = f"{TARGET} stands for the workflow (module:variable, or its file): no log names it."
    if "--sqlite" in flags:
        text += (
            " To those commands --sqlite FILE is the copy of a store; where FILE is the store "
            "itself, they need --store sqlite:///FILE."
        )
    return wrap(text, width(), indent="")
