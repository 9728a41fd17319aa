"""When an append to a log file waits for the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from replayt_core.events import Event, is_decision_point

SyncMode = Literal["durable", "always", "os"]
"""When an append waits for the disk: at decision points, always, or never (`os`: the operating
system decides; what was acknowledged then survives the process, not a power loss)."""

SYNC_MODES: tuple[SyncMode, ...] = get_args(SyncMode)


def waits(mode: SyncMode, batch: Sequence[Event]) -> bool:
    """Whether the append of this batch returns only when it is on the disk."""
    return mode == "always" or (mode == "durable" and is_decision_point(tuple(batch)))
