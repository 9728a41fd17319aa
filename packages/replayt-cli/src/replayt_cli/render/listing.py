"""A listing of runs as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from replayt_cli.recorded import RunRow
from replayt_cli.render.history import short_time
from replayt_cli.render.text import cut, echo, one_line, paint, table, width

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHORT = 8
_NAME_CHARS = 28


def print_listing(
    rows: Sequence[RunRow], all_ids: Sequence[str], rest: Sequence[RunRow] = ()
) -> None:
    """One line a run: id, status, workflow, time of the last event, tags.

    `rest` are the older runs, which a limit has left out.
    """
    if not rows:
        echo("No runs found")
        return
    cells = [("RUN", "STATUS", "WORKFLOW", "LAST EVENT", "TAGS")]
    for row in rows:
        summary = row.summary
        name = f"{summary.workflow_name}@{summary.workflow_version}"
        cells.append(
            (
                short_id(row.run_id, all_ids),
                row.status,
                "-" if summary.workflow_name is None else cut(one_line(name), _NAME_CHARS),
                short_time(summary.last_ts),
                one_line(" ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))),
            )
        )
    lines = [cut(line, width()) for line in table(cells)]
    echo(paint(lines[0], "dim"))
    for row, line in zip(rows, lines[1:], strict=True):
        before, status, after = line.partition(f"  {row.status}")
        echo(f"{before}{paint(status, row.status)}{after}")
    if rest:
        damaged = sum(row.problem is not None for row in rest)
        note = f", {damaged} damaged" if damaged else ""
        echo(f"{len(rest)} older not shown{note}; --limit N shows more")


def short_id(run_id: str, all_ids: Sequence[str]) -> str:
    """The end of a UUID, as long as it takes to be unique; other ids stay whole.

    The end, since the first digits of ids of the same minute are the same.
    """
    if not _UUID.fullmatch(run_id):
        return run_id
    for size in (_SHORT, 12):
        if sum(other.endswith(run_id[-size:]) for other in all_ids) == 1:
            return run_id[-size:]
    return run_id
