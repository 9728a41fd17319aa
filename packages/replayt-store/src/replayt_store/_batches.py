"""What every store of this package asks of a batch before it looks at the run."""

from __future__ import annotations

from collections.abc import Sequence

from replayt_core.events import Event


def check_batch(run_id: str, events: Sequence[Event], *, after: int) -> None:
    """Raise `ValueError` unless these are events `after` + 1, … of the run and end a batch."""
    seq = after
    for event in events:
        seq += 1
        if event.seq != seq or event.run_id != run_id:
            raise ValueError(
                f"event {event.seq} of run {event.run_id} stands where event {seq} of run "
                f"{run_id} must: a batch is numbered from `after` + 1"
            )
    if seq == after:
        raise ValueError(f"an empty batch for run {run_id}")
    if events[-1].more:
        raise ValueError(f"the last event of a batch for run {run_id} says `more`")


def line_break(run_id: str) -> ValueError:
    """A line of a log holds no line break: it could not be copied to a JSONL store."""
    return ValueError(f"an event of run {run_id} holds a line break")
