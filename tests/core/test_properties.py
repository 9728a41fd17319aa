"""What holds for any workflow: two hundred random ones, each killed at every boundary (issue 3)."""

from __future__ import annotations

from hypothesis import given

from replayt_core import MemoryStore, fold, summarize
from tests.core.helpers import RUN, batches, log, store_of
from tests.core.programs import StateSpec, World, essence, finish, programs, watched
from tests.core.strict import strictly_valid
from tests.drawn import examples

Program = tuple[StateSpec, ...]

bounded = examples(200)


@bounded
@given(programs())
def test_the_state_the_runner_holds_equals_the_fold_after_every_append(program: Program) -> None:
    """DESIGN 2, issue 3: and the machine never emits an event that the fold rejects."""
    store = MemoryStore()
    with watched(store) as compared:
        result = finish(program, store, World())
    assert result.status in ("completed", "failed")
    assert compared[-1] == log(store)[-1].seq


@bounded
@given(programs())
def test_every_prefix_of_every_log_folds_and_every_payload_fits_its_type(program: Program) -> None:
    """SC-104 to SC-110, R-2 (RELIABILITY b1): no problems at any event, no unknown key."""
    store = MemoryStore()
    finish(program, store, World())
    events = log(store)
    for count, event in enumerate(events, 1):
        strictly_valid(event.type, event.payload)
        state = fold(RUN, events[:count])
        assert state.problems == []
        assert state.unknown == {}
        assert state.summary == summarize(RUN, events[:count])
    assert events[-1].type == "run_completed"
    assert state.phase == "ended"


@bounded
@given(programs())
def test_a_run_killed_at_any_boundary_and_resumed_ends_as_if_it_never_was(
    program: Program,
) -> None:
    """R-2 (RELIABILITY b1), SC-45, SC-86: same context, same log, committed states run once."""
    whole, world = MemoryStore(), World()
    reference = finish(program, whole, world)
    expected, written = essence(log(whole)), batches(log(whole))
    for count in range(1, len(written)):
        store, second = store_of(written[:count]), World()
        before = [event for batch in written[:count] for event in batch]
        done_before = {
            (e.payload["state"], e.payload["visit"], e.payload["attempt"])
            for e in before
            if e.type == "state_entered"
        }
        here = fold(RUN, before)
        result = finish(program, store, second)
        assert result.status == reference.status
        assert result.context == reference.context
        assert result.final_state == reference.final_state
        assert essence(log(store)) == expected
        assert set(second.bodies) <= set(world.bodies)
        committed = done_before - {(here.state, here.visit, here.attempt)}
        assert not committed & set(second.attempts)
