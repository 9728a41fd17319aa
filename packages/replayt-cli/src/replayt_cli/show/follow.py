"""A run as it is written: its events as they come, until nobody executes it any more."""

from __future__ import annotations

from collections.abc import Iterator

from replayt_core import ConflictError, Event, RunNotFoundError, RunState, apply
from replayt_core.ports import Clock, EventStore, FollowsRuns, LocksRuns, RunFollower

INTERVAL = 0.2
"""Seconds between two looks at a run that is executed."""
REREAD_A_SECOND = 20_000
"""How many events a store that reads every run from its start may be asked for in a second."""


def follow_run(store: EventStore, state: RunState, *, clock: Clock) -> Iterator[Event]:
    """The events of a run, and what is appended, until the run has ended.

    `state` is new; it is folded as far as each event when that is handed on. A run has ended when
    nobody executes it and nothing new was appended. Of a store that has no locks only the log can
    tell: there a run that was cut short is followed on.

    Raises `RunNotFoundError` when the run is deleted, `DamagedLogError` where its log is damaged,
    and `ConflictError` when an append that was shown was taken back.
    """
    follower = follower_of(store, state.run_id)
    while True:
        # Asked first: what was appended before the lock was let go of is read below.
        executed = isinstance(store, LocksRuns) and store.locked(state.run_id)
        before = state.last_seq
        for event in follower.new_events():
            apply(state, event)
            yield event
        if not can_tell_the_end(store):
            executed = state.summary.status == "interrupted"
        if executed:
            clock.sleep(_pause(follower, state.last_seq))
        elif before == state.last_seq:
            return


def can_tell_the_end(store: EventStore) -> bool:
    """Whether the store knows when nobody executes a run."""
    return isinstance(store, LocksRuns)


def follower_of(store: EventStore, run_id: str) -> RunFollower:
    """What reads on; for a store that cannot, it reads the run again and shows what is new."""
    return store.follow(run_id) if isinstance(store, FollowsRuns) else _Rereader(store, run_id)


def _pause(follower: RunFollower, events: int) -> float:
    """How long to wait: a run that is read from its start each time is asked for more rarely."""
    if isinstance(follower, _Rereader):
        return max(INTERVAL, events / REREAD_A_SECOND)
    return INTERVAL


class _Rereader:
    """Follows a run by the last event that was read, which has to be there still."""

    def __init__(self, store: EventStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._last: Event | None = None

    def new_events(self) -> Iterator[Event]:
        """See `RunFollower`."""
        last = self._last
        events = iter(self._store.read(self._run_id, after=last.seq - 1 if last else 0))
        again = next(events, None)
        if again is None:
            raise RunNotFoundError(f"run {self._run_id} is not there, or not any more")
        if last is None:
            self._last = again
            yield again
        elif again.line != last.line:
            raise ConflictError(
                f"run {self._run_id} was written anew after it was read: read it again"
            )
        for event in events:
            self._last = event
            yield event
