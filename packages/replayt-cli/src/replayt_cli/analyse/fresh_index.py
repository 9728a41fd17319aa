"""The index of a store, which listings and statistics read instead of all the logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from replayt_cli.render.live.progress import Progress
from replayt_core.ports import EventStore
from replayt_store.index import RunIndex

_MOST_READERS = 3  # each takes some 40 MB, and one process writes what they have read


@contextmanager
def fresh_index(store: EventStore, *, check: bool = False) -> Iterator[RunIndex]:
    """The index of a store, brought up to date; with `check` by a look at every log."""
    with RunIndex.of(store, readers=readers()) as index:
        with Progress.of("reading") as progress:
            if check:
                index.check(progress.show)
            else:
                index.refresh(progress.show)
        yield index


def readers() -> int:
    """How many processes may help to read many logs: one for each core, none where there is one."""
    affinity = getattr(os, "sched_getaffinity", None)  # a container may have fewer than there are
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(cores, _MOST_READERS) if cores > 1 else 0
