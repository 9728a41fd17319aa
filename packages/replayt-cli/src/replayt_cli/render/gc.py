"""What `gc` deleted, or would delete, and what stayed and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replayt_cli.render.text import (
    bytes_of,
    count_of,
    cut,
    echo,
    escape,
    one_line,
    paint,
    short_time,
    table,
    warn,
    width,
    wrap,
)
from replayt_store.retention import Collected, ExpiredRun, RetentionPlan, RetentionPolicy

_COMPLAINTS = 10
_NAME_CHARS = 28


def collection_document(
    policy: RetentionPolicy, plan: RetentionPlan, collected: Collected | None
) -> dict[str, Any]:
    """The result as JSON; without `collected` it is what would go."""
    gone = None if collected is None else set(collected.run_ids)
    runs = [run for run in plan.expired if gone is None or run.run_id in gone]
    return {
        "dry_run": collected is None,
        "older_than_seconds": policy.older_than.total_seconds(),
        "statuses": sorted(policy.statuses),
        "tags": dict(policy.tags),
        "keep_last": policy.keep_last,
        "run_count": len(runs),
        "bytes": plan.size if collected is None else collected.size,
        "runs": [_run(run) for run in runs],
        "skipped": [
            {"run_id": run.run_id, "why": run.why, "detail": run.detail}
            for run in (collected.skipped if collected is not None else ())
        ],
        "kept_count": sum(plan.kept.values()),
        "kept": dict(plan.kept),
    }


def print_planned(plan: RetentionPlan) -> None:
    """What would go, the longest untouched first, one line a run."""
    if plan.expired:
        cells = [("RUN", "STATUS", "WORKFLOW", "LAST SIGN OF LIFE", "SIZE")]
        for run in plan.expired:
            cells.append(
                (
                    escape(run.run_id),
                    run.status,
                    cut(one_line(run.workflow or "-"), _NAME_CHARS),
                    short_time(_seen(run)),
                    "-" if run.size is None else bytes_of(run.size),
                )
            )
        lines = [cut(line, width()) for line in table(cells)]
        echo(paint(lines[0], "dim"))
        for line in lines[1:]:
            echo(line)
    count = count_of(len(plan.expired), "run")
    _close(f"would delete {count}, {bytes_of(plan.size)}; nothing was deleted", plan.kept)


def print_collected(plan: RetentionPlan, collected: Collected) -> None:
    """How many runs went and how many bytes that freed; what was skipped is said on stderr."""
    for run in collected.skipped[:_COMPLAINTS]:
        warn(f"not deleted: {run.detail}")
    more = len(collected.skipped) - _COMPLAINTS
    if more > 0:
        warn(f"{more} more were not deleted; --output json lists them")
    count = count_of(len(collected.run_ids), "run")
    _close(f"deleted {count}, {bytes_of(collected.size)} freed", plan.kept)


def _close(said: str, kept: Mapping[str, int]) -> None:
    for line in wrap(said, width(), indent=""):
        echo(line)
    if kept:
        reasons = sorted(kept.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{number} {reason}" for reason, number in reasons)
        for line in wrap(
            f"kept {count_of(sum(kept.values()), 'run')}: {shown}", width(), indent=""
        ):
            echo(line)


def _run(run: ExpiredRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": run.status,
        "workflow": run.workflow,
        "last_seq": run.last_seq,
        "last_ts": run.last_ts,
        "last_seen": _seen(run),
        "bytes": run.size,
    }


def _seen(run: ExpiredRun) -> str:
    return run.seen.isoformat(timespec="microseconds").replace("+00:00", "Z")
