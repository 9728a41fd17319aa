"""Where a fork branches off: a state entry of another run, with the context it was entered with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from replayt_core._fold import RunState, apply, new_state
from replayt_core.chain import line_hash
from replayt_core.errors import RunNotFoundError, VisitNotFoundError
from replayt_core.events import Event


@dataclass(frozen=True, kw_only=True)
class ForkPoint:
    """One visit of a run: what a fork needs to begin there.

    `context_known` is whether the log says what stands in the context there. One of replayt 0.1 to
    0.4 says so where the run began, `begun_at`, and nowhere else.
    """

    run_id: str
    seq: int
    hash: str
    state: str
    visit: int
    context: dict[str, Any]
    inputs: dict[str, Any]
    redact_keys: frozenset[str]
    context_known: bool
    begun_at: str


def find_fork_point(run_id: str, events: Iterable[Event], at: int | str) -> ForkPoint:
    """The visit that seq `at` belongs to, or the last visit of state `at` (`STATE:2`: the second).

    Raises `RunNotFoundError` for a run without events, `VisitNotFoundError` where nothing fits.
    """
    state = new_state(run_id)
    found: ForkPoint | None = None
    seen: list[str] = []
    first = 0
    for event in events:
        apply(state, event)
        if event.type != "state_entered" or event.payload.get("attempt", 1) != 1:
            continue
        first = first or event.seq
        seen.append(f"{state.state}:{state.visit}")
        if event.seq <= at if isinstance(at, int) else at in (state.state, seen[-1]):
            found = _point(state, event, begun_at=seen[0])
    if state.phase == "absent":
        raise RunNotFoundError(f"no run {run_id!r} in this store")
    if found is None or (isinstance(at, int) and at > state.last_seq):
        if not seen:
            raise VisitNotFoundError(f"run {run_id} has entered no state: nothing to fork from")
        raise VisitNotFoundError(
            f"run {run_id} has no visit at {at!r}; fork at a seq from {first} to "
            f"{state.last_seq}, or at one of {', '.join(seen[-12:])}"
        )
    return found


def _point(state: RunState, event: Event, *, begun_at: str) -> ForkPoint:
    return ForkPoint(
        run_id=state.run_id,
        seq=event.seq,
        hash=line_hash(event.line),
        state=state.state or "",
        visit=state.visit,
        context=dict(state.context),
        inputs=state.inputs,
        redact_keys=state.redact_keys,
        context_known=state.chained or begun_at == f"{state.state}:{state.visit}",
        begun_at=begun_at,
    )
