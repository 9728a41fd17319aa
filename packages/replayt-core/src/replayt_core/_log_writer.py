"""The one way into a log: seal, scrub, append, and fold what was appended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timezone

from replayt_core._fold import RunState, apply
from replayt_core.chain import seal
from replayt_core.errors import StoreError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import EventStore, LocksRuns, RepairsRuns, TornTail
from replayt_core.ports.system import Clock
from replayt_core.redaction import Scrubber


def hold(store: EventStore, run_id: str) -> AbstractContextManager[None]:
    """The run's lock where the store has locks."""
    return store.lock(run_id) if isinstance(store, LocksRuns) else nullcontext()


def repair(store: EventStore, run_id: str) -> list[Draft]:
    """Put a torn tail aside where there is one; the event that says so goes first in the batch."""
    tail: TornTail | None = store.repair(run_id) if isinstance(store, RepairsRuns) else None
    if tail is None:
        return []
    payload = {"bytes": tail.bytes, "sha256": tail.sha256, "saved_as": tail.saved_as}
    return [Draft("log_repaired", payload)]


class LogWriter:
    """Appends to one run and keeps its state equal to the fold of what the store holds.

    After any error of the store but `ConflictError` the outcome is unknown: `failure` is set and
    every later append raises it again, so that nobody repeats the append.
    """

    def __init__(
        self, store: EventStore, state: RunState, clock: Clock, scrubber: Scrubber
    ) -> None:
        self._store = store
        self._clock = clock
        self.state = state
        self.scrubber = scrubber
        self.failure: BaseException | None = None

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write a batch; the events as the log has them, scrubbed."""
        if self.failure is not None:
            raise self.failure
        state = self.state
        after = state.summary.last_seq
        now = self._clock.now().astimezone(timezone.utc)
        events = seal(
            state.run_id,
            drafts,
            after=after,
            head=state.head,
            ts=now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            encode=self.scrubber.encode,
        )
        try:
            self._store.append(state.run_id, events, after=after)
            for event in events:
                apply(state, event)
        except BaseException as error:
            # After a conflict somebody else owns the run; after anything else nobody knows how
            # the log ends, or the state lags behind it. Either way this process is done with it.
            self.failure = error
            if isinstance(error, Exception) and not isinstance(error, StoreError):
                text = f"the log of run {state.run_id} may lack its last events: {error}"
                self.failure = StoreError(text)
            raise
        return events
