"""The index of a store, which listings and statistics read instead of all the logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from replayt_cli.render.live.progress import Progress
from replayt_core.ports import EventStore
from replayt_store.index import RunIndex


@contextmanager
def fresh_index(store: EventStore, *, check: bool = False) -> Iterator[RunIndex]:
    """The index of a store, brought up to date; with `check` by a look at every log."""
    with RunIndex.of(store) as index:
        with Progress.of("reading") as progress:
            if check:
                index.check(progress.show)
            else:
                index.refresh(progress.show)
        yield index
