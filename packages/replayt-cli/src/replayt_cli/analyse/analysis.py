"""Statistics and SQL over a store: its index as fresh as asked for, and what calculates on it."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from replayt_cli.analyse.fresh_index import fresh_index
from replayt_cli.errors import CommandError
from replayt_core.ports import EventStore, LocksRuns
from replayt_store.index import RunIndex
from replayt_store.prices import Prices, load_prices
from replayt_store.selection import Selection
from replayt_store.stats import columns_for

if TYPE_CHECKING:
    from replayt_store.analytics import Analytics
    from replayt_store.stats import Stats

_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about: a store, which of its runs, with which prices, and how carefully.

    With `check` every log is looked at again.
    """

    store: EventStore
    selection: Selection = field(default_factory=Selection)
    prices: str | None = None
    check: bool = False


@contextmanager
def analytics(question: Question) -> Iterator[Analytics]:
    """What calculates. Raises `CommandError` where DuckDB is not installed."""
    with (
        fresh_index(question.store, check=question.check) as index,
        _over(index, question, _prices_of(question)) as it,
    ):
        yield it


def statistics(question: Question) -> Stats:
    """The figures, with `running` told from `interrupted` by the locks."""
    store, prices = question.store, _prices_of(question)
    with fresh_index(store, check=question.check) as index:
        index.prefetch(question.selection, columns_for(prices))  # while DuckDB is imported
        with _over(index, question, prices) as calculating:
            stats = calculating.stats()
        statuses = Counter(stats.statuses)
        if statuses["interrupted"] and isinstance(store, LocksRuns):
            without_end = replace(question.selection, statuses=frozenset({"interrupted"}))
            running = sum(store.locked(run_id) for run_id, _ in index.last_seqs(without_end))
            statuses["running"] += running
            statuses["interrupted"] -= running
    return replace(stats, statuses=dict(+statuses))


def _prices_of(question: Question) -> Prices | None:
    return None if question.prices is None else load_prices(question.prices)


@contextmanager
def _over(index: RunIndex, question: Question, prices: Prices | None) -> Iterator[Analytics]:
    try:
        from replayt_store.analytics import Analytics
    except ImportError as error:
        raise CommandError(str(error)) from None
    selection = question.selection
    with (
        Analytics(index, question.store, selection=selection, prices=prices) as calculating,
        _heeding_ctrl_c(calculating),
    ):
        yield calculating


@contextmanager
def _heeding_ctrl_c(calculating: Analytics) -> Iterator[None]:
    """Let Ctrl-C end a query at once; DuckDB asks for signals between its tasks alone.

    Python's own handler runs when DuckDB has returned, so a thread hears of the signal first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hears, tells = socket.socketpair()
    tells.setblocking(False)
    done = threading.Event()

    def interrupt() -> None:
        while signals := hears.recv(16):
            while signal.SIGINT in signals and not done.wait(_AGAIN_SECONDS):
                calculating.interrupt()

    listener = threading.Thread(target=interrupt, daemon=True)
    before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    listener.start()
    try:
        yield
    except RuntimeError as error:
        # So DuckDB says that it noticed the signal itself.
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from None
        raise
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        tells.close()
        listener.join()
        hears.close()


def since(days: int, now: datetime) -> str:
    """The log timestamp of so many days ago."""
    try:
        then = now - timedelta(days=days)
    except OverflowError:
        return "0001-01-01T00:00:00.000000Z"
    return then.isoformat(timespec="microseconds").replace("+00:00", "Z")
