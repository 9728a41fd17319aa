"""What holds for any workflow of `async def` handlers, whatever runs beside what (DESIGN 5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import Phase, example, given
from hypothesis import strategies as st

from replayt_core import Event, MemoryStore, StoreError, fold, verify
from replayt_core.aio import AsyncRunner
from replayt_core.testing import FrozenClock
from tests.core.async_programs import (
    HANG_SECONDS,
    Program,
    Shuffled,
    build,
    finish,
    in_time,
    outcome,
    programs,
    racing_programs,
)
from tests.core.helpers import RUN, DyingStore, Killed, batches, cut, log, store_of
from tests.core.strict import strictly_valid
from tests.drawn import examples

# Without `Phase.shrink`: to shrink what hangs takes for ever.
bounded = examples(60, phases=[Phase.explicit, Phase.generate])
seeds = st.integers(0, 7)

# Tools that return without waiting, made by a resumed process beside others that wake tasks.
BESIDE_EACH_OTHER: Program = (
    (
        *("settle", 0),
        [
            ("settle", 0, [("tool", 2), ("tool", 3), ("turn", 0)]),
            ("broken", 2),
            ("settle", 0, [("tool", 2), ("broken", 2), ("broken", 2)]),
        ],
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet_loops() -> Iterator[None]:
    """A program may leave tasks behind that failed; the loop's words on that are no finding."""
    logger = logging.getLogger("asyncio")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


def assert_every_prefix_verifies(program: Program, store: MemoryStore) -> None:
    wf, read = build(program), list[Event]()
    for batch in batches(log(store)):
        read += batch
        found = verify(wf, read, timeout_seconds=HANG_SECONDS)
        assert found.difference is None
        assert (found.damage, found.illegal) == (None, ())


@bounded
@given(racing_programs(), seeds)
def test_every_prefix_of_every_log_folds_and_verifies(program: Program, seed: int) -> None:
    """Tasks wake in the recorded order, races and cancelled calls included."""
    store = MemoryStore()
    result = finish(program, store, seed=seed)
    assert result.status in ("completed", "failed")
    for event in log(store):
        strictly_valid(event.type, event.payload)
    assert fold(RUN, store.read(RUN)).problems == []
    assert_every_prefix_verifies(program, store)


@bounded
@given(programs(), seeds)
def test_killed_at_any_boundary_and_resumed_it_ends_as_if_it_never_was(
    program: Program, seed: int
) -> None:
    """Issue 3: whatever was served, in whatever order the rest comes back."""
    whole = MemoryStore()
    reference = outcome(finish(program, whole, seed=seed))
    written = batches(log(whole))
    for count in range(1, len(written)):
        store = store_of(written[:count])
        assert outcome(finish(program, store, seed=seed + 1)) == reference
        found = verify(build(program), store.read(RUN), timeout_seconds=HANG_SECONDS)
        assert (found.difference, found.illegal) == (None, ())


@bounded
@example(BESIDE_EACH_OTHER, 2)
@given(racing_programs(), seeds)
def test_with_races_it_ends_and_verifies_wherever_it_was_killed(
    program: Program, seed: int
) -> None:
    whole = MemoryStore()
    finish(program, whole, seed=seed)
    for count in range(1, len(batches(log(whole)))):
        store = cut(whole, count)
        assert finish(program, store, seed=seed + 1).status in ("completed", "failed")
        found = verify(build(program), store.read(RUN), timeout_seconds=HANG_SECONDS)
        assert (found.difference, found.illegal) == (None, ())


@bounded
@given(racing_programs(), seeds, st.integers(1, 30))
def test_a_store_that_dies_or_a_run_that_is_cancelled_hangs_nowhere(
    program: Program, seed: int, after: int
) -> None:
    """Each ends at once, whatever its tasks are doing; what is written verifies."""

    async def cancelled(runner: AsyncRunner) -> None:
        run = asyncio.create_task(runner.run(run_id=RUN))
        for _ in range(after * 3):
            await asyncio.sleep(0)
        run.cancel()
        with suppress(asyncio.CancelledError):  # or it was over before
            await asyncio.wait_for(run, HANG_SECONDS)

    for store in (MemoryStore(), DyingStore(after)):
        runner = AsyncRunner(
            build(program), store, llm_client=Shuffled(seed), log_mode="full", clock=FrozenClock()
        )
        if isinstance(store, DyingStore):
            try:
                asyncio.run(in_time(runner.run(run_id=RUN)))
            except (Killed, StoreError):
                assert store.left == 0
        else:
            asyncio.run(cancelled(runner))
        assert not store.locked(RUN)
        assert_every_prefix_verifies(program, store)
