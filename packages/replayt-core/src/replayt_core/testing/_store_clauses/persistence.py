"""Persistence: what is acknowledged outlives the object, and the process that wrote it."""

from __future__ import annotations

import random
import time

from replayt_core.errors import ConflictError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import EventStore, RepairsRuns
from replayt_core.testing._processes import Line, Worker
from replayt_core.testing._store_case import (
    ContractViolation,
    StoreCase,
    append_patiently,
    clause,
    require,
)

_ROUNDS = 12
_KILLS = 8
_BATCHES = 60


@clause("persistence", "persistence")
def reopening_shows_everything(case: StoreCase) -> None:
    """A store that is opened again has every acknowledged event, and takes the next."""
    events = case.written(1, 3)
    again = case.open()
    case.expect(events, "a store opened again", store=again)
    require(case.run_id in set(again.run_ids()), "a store opened again does not list the run")
    more = case.batch(["note"], after=events)
    again.append(case.run_id, more, after=4)
    case.expect(events + more, "the first store after the second wrote")
    case.refuses(case.batch(["note"], after=events), after=4, error=ConflictError)


@clause("persistence", "persistence", "processes")
def one_process_wins_each_seq(case: StoreCase) -> None:
    """Of two processes that append the same seq at once, exactly one succeeds (SC-97)."""
    events = case.written(1)

    def writer(name: int, line: Line) -> None:
        store = case.open()
        while line.hear() == "read":
            seen = list(store.read(case.run_id))
            batch = case.sealed([Draft("note", {"by": name})], after=seen)
            line.say("ready")
            line.hear()
            try:
                append_patiently(store, case.run_id, batch, after=len(seen))
                line.say("won")
            except ConflictError:
                line.say("lost")

    with Worker(lambda line: writer(1, line)) as one, Worker(lambda line: writer(2, line)) as two:
        for _ in range(_ROUNDS):
            for word in ("read", "append"):
                one.line.say(word)
                two.line.say(word)
                answers = [one.line.hear(), two.line.hear()]
            require(sorted(map(str, answers)) == ["lost", "won"], f"two writers got {answers}")
            payload = {"by": 1 if answers[0] == "won" else 2}
            events += case.sealed([Draft("note", payload)], after=events)
    case.expect(events, "a run with two writers", store=case.open())


@clause("persistence", "persistence", "processes")
def a_killed_writer_loses_nothing(case: StoreCase) -> None:
    """After kill -9 all that was acknowledged is there, no batch is half there, and it goes on."""
    jitter = random.Random(case.run_id)  # noqa: S311 - when to kill is no secret
    for _ in range(_KILLS):
        run_id = case.new_run_id()
        batches = _batches_to_write(case, run_id, jitter)
        stop_at = jitter.randrange(1, _BATCHES // 2)
        acknowledged = _killed(case, run_id, batches, stop_at, jitter.random() * 0.004)
        _check_survivors(case, run_id, batches, acknowledged)


def _batches_to_write(case: StoreCase, run_id: str, jitter: random.Random) -> list[list[Event]]:
    """Sealed before, so that the writer spends its time in `append`."""
    events: list[Event] = []
    batches: list[list[Event]] = []
    for _ in range(_BATCHES):
        text = "x" * jitter.choice([10, 10, 10, 10, 5_000, 100_000])
        kinds = ["state_exited", "transition", "state_entered"][: jitter.choice([1, 3, 3])]
        batch = case.sealed(
            [Draft(kind, {"text": text}) for kind in kinds], after=events, run_id=run_id
        )
        batches.append(batch)
        events += batch
    return batches


def _killed(
    case: StoreCase, run_id: str, batches: list[list[Event]], stop_at: int, delay: float
) -> int:
    """How many batches a process acknowledges that is killed a moment after `stop_at` of them."""

    def write(line: Line) -> None:
        store = case.open()
        for batch in batches:
            store.append(run_id, batch, after=batch[0].seq - 1)
            line.say("ack")
        line.hear()

    with Worker(write) as writer:
        acknowledged = 0
        while acknowledged < stop_at:
            if writer.line.hear() is None:
                raise ContractViolation(f"a writing process ended after {acknowledged} batches")
            acknowledged += 1
        time.sleep(delay)  # no synchronisation: any moment will do
        writer.kill()
        while writer.line.hear() is not None:
            acknowledged += 1
    return acknowledged


def _check_survivors(
    case: StoreCase, run_id: str, batches: list[list[Event]], acknowledged: int
) -> None:
    store: EventStore = case.open()
    if isinstance(store, RepairsRuns):
        store.repair(run_id)
    ends = [batch[-1].seq for batch in batches]
    found = len(list(store.read(run_id)))
    least = ends[acknowledged - 1]
    require(found >= least, f"{least} events were acknowledged, {found} survived the kill")
    require(found in ends, f"{found} events survived the kill: a batch is half there")
    require(found <= ends[min(acknowledged, _BATCHES - 1)], f"{found} events, some never appended")
    kept = [event for batch in batches for event in batch][:found]
    case.expect(kept, "a run whose writer was killed", store=store, run_id=run_id)
    more = case.batch(["note"], after=kept, run_id=run_id)
    store.append(run_id, more, after=found)
    case.expect(kept + more, "an append after the kill", store=case.open(), run_id=run_id)


CLAUSES = (
    reopening_shows_everything,
    one_process_wins_each_seq,
    a_killed_writer_loses_nothing,
)
