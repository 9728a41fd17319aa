"""A listing of runs, as text and as JSON."""

from __future__ import annotations

from typing import Any

from replayt_cli.listing import Listing
from replayt_cli.recorded import summary_document
from replayt_cli.render.text import cut, echo, one_line, paint, short_time, table, width

_NAME_CHARS = 28


def listing_document(listing: Listing) -> dict[str, Any]:
    """The runs as JSON, and how many a limit has left out."""
    return {
        "runs": [
            {**summary_document(row.run_id, row.summary, row.status), "problem": row.problem}
            for row in listing.rows
        ],
        "not_looked_at": listing.older,
        "of_them_damaged": listing.older_damaged,
    }


def print_listing(listing: Listing) -> None:
    """One line a run: id, status, workflow, time of the last event, tags."""
    if not listing.rows:
        echo("No runs found")
        return
    cells = [("RUN", "STATUS", "WORKFLOW", "LAST EVENT", "TAGS")]
    for row in listing.rows:
        summary = row.summary
        name = f"{summary.workflow_name}@{summary.workflow_version}"
        cells.append(
            (
                row.short_id,
                row.status,
                "-" if summary.workflow_name is None else cut(one_line(name), _NAME_CHARS),
                short_time(summary.last_ts),
                one_line(" ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))),
            )
        )
    lines = [cut(line, width()) for line in table(cells)]
    echo(paint(lines[0], "dim"))
    for row, line in zip(listing.rows, lines[1:], strict=True):
        before, status, after = line.partition(f"  {row.status}")
        echo(f"{before}{paint(status, row.status)}{after}")
    if listing.older:
        note = f", {listing.older_damaged} damaged" if listing.older_damaged else ""
        echo(f"{listing.older} older not shown{note}; --limit N shows more")
