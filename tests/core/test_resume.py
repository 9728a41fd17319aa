"""`Runner.resume`: the same run goes on, or is refused with nothing written (DESIGN 5)."""

from __future__ import annotations

from typing import Any

import pytest

from replayt_core import (
    DamagedLogError,
    Event,
    LogMode,
    MemoryStore,
    RefusedError,
    RetryPolicy,
    RunContext,
    RunEndedError,
    Runner,
    RunNotFoundError,
    Workflow,
    WorkflowChangedError,
    fold,
    resolve,
)
from replayt_core.chain import decode, first_prev, line_hash, seal
from replayt_core.events import Draft
from replayt_core.testing import FrozenClock
from tests.core.helpers import (
    RUN,
    BareStore,
    Killed,
    batches,
    cut,
    log,
    one_step,
    only,
    payloads,
    run_once,
    types,
    workflow,
)


def counting(seen: list[str]) -> Workflow:
    """Three states in a row that note that they ran and add one to `n`."""

    def step(name: str, target: str | None) -> Any:
        def handler(ctx: RunContext) -> str | None:
            seen.append(name)
            ctx.set("n", (ctx.get("n") or 0) + 1)
            return target

        return handler

    return workflow(
        edges=[("a", "b"), ("b", "c")], a=step("a", "b"), b=step("b", "c"), c=step("c", None)
    )


def interrupted() -> MemoryStore:
    """A run of one step that was interrupted."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        raise Killed

    with pytest.raises(Killed):
        run_once(handler, store=store)
    return store


@pytest.mark.parametrize("boundary", [1, 2, 3])
def test_a_run_goes_on_at_its_last_boundary_with_the_context_committed_there(
    boundary: int,
) -> None:
    """R-2 (RELIABILITY b1), SC-86: committed states never run again."""
    whole, seen = MemoryStore(), []
    Runner(counting([]), whole).run({"n": 10}, run_id=RUN)
    store = cut(whole, boundary)
    result = Runner(counting(seen), store).resume(RUN)
    assert seen == ["a", "b", "c"][boundary - 1 :]
    assert result.context == {"n": 13}
    assert [p["state"] for p in payloads(store, "state_entered")] == ["a", "b", "c"]
    assert types(store)[-1] == "run_completed"


def test_a_log_without_an_end_reads_interrupted() -> None:
    """SC-25, R-1 (RELIABILITY b1): never unknown, never completed."""
    whole = MemoryStore()
    Runner(counting([]), whole).run(run_id=RUN)
    for count in range(1, len(batches(log(whole)))):
        state = fold(RUN, cut(whole, count).read(RUN))
        assert state.summary.status == "interrupted"
        assert state.summary.shown_status(locked=True) == "running"


def test_a_completed_run_is_refused() -> None:
    """R-3 (RELIABILITY b1): nothing appended, no handler run."""
    store, seen = MemoryStore(), []
    Runner(counting([]), store).run(run_id=RUN)
    before = log(store)
    with pytest.raises(RunEndedError, match="r1 is completed"):
        Runner(counting(seen), store).resume(RUN)
    assert (log(store), seen) == (before, [])


def test_a_failed_run_is_refused_unless_asked() -> None:
    """R-3, DESIGN 5."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        raise ValueError

    run_once(handler, store=store)
    before = log(store)
    with pytest.raises(RunEndedError, match="failed"):
        Runner(one_step(handler), store).resume(RUN)
    assert log(store) == before


def test_a_failed_run_may_be_tried_again_as_the_next_attempt() -> None:
    """DESIGN 5: with `--retry-failed`; a new attempt calls live, from the committed context."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.set("n", (ctx.get("n") or 0) + 1)
        if ctx.attempt <= 2:
            raise ValueError

    wf = one_step(handler, retries=RetryPolicy(2))
    assert Runner(wf, store).run(run_id=RUN).status == "failed"
    result = Runner(wf, store).resume(RUN, retry_failed=True)
    assert (result.status, result.context) == ("completed", {"n": 3})
    assert [item["attempt"] for item in payloads(store, "state_entered")] == [1, 2, 3]
    with pytest.raises(RunEndedError):
        Runner(wf, store).resume(RUN, retry_failed=True)


def test_a_run_that_the_loop_guard_ended_goes_on_where_it_was_going() -> None:
    """DESIGN 5: with `--retry-failed` and a higher limit."""
    store = MemoryStore()
    wf = one_step(lambda ctx: "only" if ctx.visit < 5 else None)
    assert Runner(wf, store, max_steps=3).run(run_id=RUN).status == "failed"
    assert Runner(wf, store).resume(RUN, retry_failed=True).status == "completed"
    assert [item["visit"] for item in payloads(store, "state_entered")] == [1, 2, 3, 4, 5]
    assert fold(RUN, store.read(RUN)).problems == []


def test_an_unknown_run_is_not_found() -> None:
    """SC-90."""
    with pytest.raises(RunNotFoundError, match="r9"):
        Runner(one_step(lambda ctx: None), MemoryStore()).resume("r9")


def changed(**parts: Any) -> Workflow:
    """The workflow `two` with something changed."""
    made = Workflow(parts.get("name", "demo"), version=parts.get("version", "1"))
    made.set_initial("ask")
    made.step("ask")(lambda ctx: ctx.request_approval("go", on_approve="yes"))
    for state in parts.get("states", ["yes", "no"]):
        made.step(state)(lambda ctx: None)
    for edge in parts.get("edges", [("ask", "yes"), ("ask", "no")]):
        made.note_transition(*edge)
    return made


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "other"}, "name 'demo' is now 'other'"),
    "version": ({"version": "2"}, "version '1' is now '2'"),
    "a state is gone": (
        {"states": ["yes"], "edges": [("ask", "yes")]},
        "state 'no' is gone",
    ),
    "a state is new": (
        {"states": ["yes", "no", "x"], "edges": [("ask", "yes"), ("ask", "no"), ("no", "x")]},
        "state 'x' is new",
    ),
    "an edge is gone": ({"edges": [("ask", "yes")]}, "edge ask -> no is gone"),
    "an edge is new": (
        {"edges": [("ask", "yes"), ("ask", "no"), ("no", "yes")]},
        "edge no -> yes is new",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_workflow_is_refused_with_the_difference_and_nothing_is_written(
    change: str,
) -> None:
    """R-5 (RELIABILITY b1): the approval is not consumed either."""
    parts, says = CHANGES[change]
    store = MemoryStore()
    Runner(changed(), store).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    before = log(store)
    with pytest.raises(WorkflowChangedError) as caught:
        Runner(changed(**parts), store).resume(RUN)
    assert says in str(caught.value)
    assert log(store) == before
    assert Runner(changed(), store).resume(RUN).status == "completed"


def test_a_changed_workflow_may_be_allowed_and_that_is_recorded() -> None:
    """R-5 (RELIABILITY b1): `--allow-changed`."""
    store = MemoryStore()
    Runner(changed(), store).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    result = Runner(changed(version="2"), store).resume(RUN, allow_changed=True)
    assert result.status == "completed"
    assert only(store, "run_resumed")["overrides"] == {"allow_changed": ["version '1' is now '2'"]}


def test_what_the_run_can_no_longer_reach_may_change() -> None:
    """DESIGN 5: over the states reachable from where the run stands."""
    whole = MemoryStore()
    Runner(counting([]), whole).run(run_id=RUN)
    store = cut(whole, 2)
    wf = workflow(
        edges=[("start", "a"), ("a", "b"), ("b", "c")],
        start=lambda ctx: "a",
        a=lambda ctx: "b",
        b=lambda ctx: "c",
        c=lambda ctx: None,
    )
    assert Runner(wf, store).resume(RUN).status == "completed"


def test_changed_code_alone_is_no_refusal() -> None:
    """DESIGN 5: a changed `code` is a note, the journal judges it."""
    store = interrupted()
    assert Runner(one_step(lambda ctx: ctx.set("new", 1)), store).resume(RUN).context == {"new": 1}


def test_a_workflow_without_the_state_the_run_stands_in_is_refused_even_when_allowed() -> None:
    """R-5: no `run_resumed` that nothing can follow."""
    store = interrupted()
    before = log(store)
    wf = Workflow("demo")
    wf.set_initial("else")
    wf.step("else")(lambda ctx: None)
    with pytest.raises(WorkflowChangedError, match="'only'"):
        Runner(wf, store).resume(RUN, allow_changed=True)
    assert log(store) == before


def test_an_unchained_log_is_shown_and_not_resumed() -> None:
    """DESIGN 3: replayt 0.1 to 0.4 wrote neither `prev` nor `log_schema`."""
    store = MemoryStore()
    lines = [
        b'{"ts":"t","run_id":"r1","seq":1,"type":"run_started","payload":{"workflow_name":"demo"}}',
        b'{"ts":"t","run_id":"r1","seq":2,"type":"state_entered","payload":{"state":"only"}}',
    ]
    for after, line in enumerate(lines):
        store.append(RUN, [decode(line)], after=after)
    state = fold(RUN, store.read(RUN))
    assert (state.chained, state.state, state.problems) == (False, "only", [])
    with pytest.raises(RefusedError, match="unchained"):
        Runner(one_step(lambda ctx: None), store).resume(RUN)
    assert len(log(store)) == 2


def test_a_log_that_breaks_the_table_of_moves_is_refused() -> None:
    """R-8 (RELIABILITY b1): named by its event."""
    store = interrupted()
    last = log(store)[-1]
    odd: list[Event] = seal(
        RUN,
        [Draft("transition", {"from_state": "only", "to_state": "only"})],
        after=last.seq,
        head=line_hash(last.line),
        ts=last.ts,
    )
    store.append(RUN, odd, after=last.seq)
    before = log(store)
    with pytest.raises(DamagedLogError, match="event 4"):
        Runner(one_step(lambda ctx: None), store).resume(RUN)
    assert log(store) == before


def test_five_recoveries_of_one_visit_end_the_run() -> None:
    """DESIGN 5: as failed, and the sixth runs no handler."""
    store, runs = MemoryStore(), []

    def handler(ctx: RunContext) -> None:
        runs.append(1)
        raise Killed

    runner = Runner(one_step(handler), store)
    with pytest.raises(Killed):
        runner.run(run_id=RUN)
    for _ in range(5):
        with pytest.raises(Killed):
            runner.resume(RUN)
    result = runner.resume(RUN)
    assert (result.status, len(runs)) == ("failed", 6)
    assert (result.error or {})["type"] == "TooManyRecoveries"
    assert types(store)[-3:] == ["run_resumed", "run_failed", "run_completed"]
    assert [item["epoch"] for item in payloads(store, "run_resumed")] == [2, 3, 4, 5, 6, 7]


def test_recoveries_are_counted_for_each_visit() -> None:
    """DESIGN 5."""
    store = MemoryStore()

    def handler(ctx: RunContext) -> str | None:
        if fold(RUN, store.read(RUN)).recoveries < 4:
            raise Killed
        return "only" if ctx.visit < 3 else None

    runner = Runner(one_step(handler), store)
    with pytest.raises(Killed):
        runner.run(run_id=RUN)
    for _ in range(11):
        with pytest.raises(Killed):
            runner.resume(RUN)
    assert runner.resume(RUN).status == "completed"


def test_a_store_without_locks_needs_take_over() -> None:
    """DESIGN 4: without a lock nobody can tell a dead run from a running one."""
    store = BareStore()

    def handler(ctx: RunContext) -> None:
        raise Killed

    with pytest.raises(Killed):
        Runner(one_step(handler), store).run(run_id=RUN)
    before = log(store)
    runner = Runner(one_step(lambda ctx: None), store)
    with pytest.raises(RefusedError, match="take_over"):
        runner.resume(RUN)
    assert log(store) == before
    assert runner.resume(RUN, take_over=True).status == "completed"


def test_an_approval_needs_no_take_over() -> None:
    """DESIGN 4: a paused run has an end of its process in its log."""
    store = BareStore()
    wf = one_step(lambda ctx: ctx.set("a", ctx.request_approval("go")))
    Runner(wf, store).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    assert Runner(wf, store).resume(RUN).status == "completed"


def test_a_run_interrupted_in_a_backoff_waits_again_and_goes_on() -> None:
    """R-15 (RELIABILITY b1), SC-42."""

    class Impatient(FrozenClock):
        def sleep(self, seconds: float) -> None:
            raise Killed

    def handler(ctx: RunContext) -> None:
        if ctx.attempt == 1:
            raise ValueError

    store = MemoryStore()
    wf = one_step(handler, retries=RetryPolicy(2, 5.0))
    with pytest.raises(Killed):
        Runner(wf, store, clock=Impatient()).run(run_id=RUN)
    assert types(store)[-1] == "run_interrupted"
    clock = FrozenClock()
    assert Runner(wf, store, clock=clock).resume(RUN).status == "completed"
    assert clock.slept == [5.0]
    assert [item["attempt"] for item in payloads(store, "state_entered")] == [1, 2]


def test_time_and_chance_are_the_same_when_taken_up() -> None:
    """DESIGN 2: `ctx.now`, `ctx.random`, `ctx.idempotency_key`."""
    clock, seen = FrozenClock(), []

    def handler(ctx: RunContext) -> None:
        seen.append((ctx.now, ctx.random.random(), ctx.idempotency_key))
        if len(seen) == 1:
            raise Killed

    store = MemoryStore()
    with pytest.raises(Killed):
        run_once(handler, store=store, clock=clock)
    clock.tick(100_000)
    Runner(one_step(handler), store, clock=clock).resume(RUN)
    assert seen[0] == seen[1]


def test_a_cut_short_state_starts_from_the_context_it_was_entered_with() -> None:
    """R-2, R-22: what a dead attempt had set is gone, and nothing counts twice."""
    store = MemoryStore()
    died: list[int] = []

    def handler(ctx: RunContext) -> None:
        ctx.set("n", ctx.get("n") + 1)
        if not died:
            died.append(1)
            raise Killed

    with pytest.raises(Killed):
        run_once(handler, store=store, inputs={"n": 1})
    assert Runner(one_step(handler), store).resume(RUN).context == {"n": 2}


def test_a_conflict_at_the_take_up_runs_no_handler() -> None:
    """R-18: a second process loses with `ConflictError` before any handler runs."""
    from replayt_core import ConflictError

    ran: list[int] = []
    store = BareStore()
    wf = one_step(lambda ctx: (ctx.request_approval("go"), ran.append(1))[1])
    Runner(wf, store).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    events = log(store)
    Runner(wf, store).resume(RUN)
    assert ran == [1]

    class Late(BareStore):
        def read(self, run_id: str, *, after: int = 0) -> Any:
            return iter(events)

    late = Late()
    late._kept = store._kept
    before = log(store)
    with pytest.raises(ConflictError):
        Runner(wf, late).resume(RUN)
    assert (log(store), ran) == (before, [1])


def test_the_mode_of_the_log_counts_when_resumed() -> None:
    """SC-70."""
    store = interrupted()
    result = Runner(one_step(lambda ctx: None), store, log_mode=LogMode.full).resume(RUN)
    assert result.summary.log_mode == "redacted"


def _doctored(lines: list[bytes], seq: int, change: dict[str, object]) -> MemoryStore:
    """The run with one payload changed and the chain made anew."""
    events = [decode(line) for line in lines]
    store, after, head = MemoryStore(), 0, first_prev(events[0].run_id)
    for event in events:
        payload = {**event.payload, **(change if event.seq == seq else {})}
        batch = seal(
            event.run_id, [Draft(event.type, payload)], after=after, head=head, ts=event.ts
        )
        store.append(event.run_id, batch, after=after)
        after, head = event.seq, line_hash(batch[-1].line)
    return store


@pytest.mark.parametrize(
    "change",
    [
        {"graph": {"initial": "a", "states": ["a"], "edges": 5}},
        {"graph": {"initial": "a", "states": ["a"], "edges": [["a"]]}},
        {"graph": {"initial": "a", "states": [["a"]], "edges": []}},
    ],
)
def test_a_payload_that_does_not_fit_is_damage_and_nothing_is_written(
    change: dict[str, object],
) -> None:
    """R-7: readers are total."""
    wf, lines = _paused_lines()
    store = _doctored(lines, 1, change)
    with pytest.raises((DamagedLogError, WorkflowChangedError)):
        Runner(wf, store).resume("r1")
    assert len(list(store.read("r1"))) == len(lines)


def test_a_log_of_a_later_release_is_not_written_to() -> None:
    """DESIGN 3: what this release does not know it does not continue."""
    wf, lines = _paused_lines()
    store = _doctored(lines, 1, {"log_schema": 99})
    with pytest.raises(RefusedError, match="later release"):
        Runner(wf, store).resume("r1")
    assert len(list(store.read("r1"))) == len(lines)


def _paused_lines() -> tuple[Workflow, list[bytes]]:
    wf = Workflow("later")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        ctx.request_approval("go")

    store = MemoryStore()
    assert Runner(wf, store).run(run_id="r1").status == "paused"
    return wf, [event.line for event in store.read("r1")]
