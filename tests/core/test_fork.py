"""`Runner.fork`: a new run from a state entry of another (DESIGN 5)."""

from __future__ import annotations

import itertools
import json

import pytest

from replayt_core import (
    DefinitionError,
    MemoryStore,
    RefusedError,
    RunContext,
    Runner,
    RunNotFoundError,
    VisitNotFoundError,
    Workflow,
    resolve,
    verify,
)
from replayt_core.chain import decode, line_hash
from tests.core.helpers import RUN, payloads


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def wf(calls: list[int]) -> Workflow:
    made = Workflow("loop")
    made.set_initial("count")

    @made.step("count", to=["count", "gate"])
    def count(ctx: RunContext) -> str:
        calls.append(ctx.visit)
        ctx.set("n", ctx.get("n", 0) + 1)
        return "count" if ctx.get("n") < 3 else "gate"

    @made.step("gate", to=["done"])
    def gate(ctx: RunContext) -> str:
        ctx.request_approval("go")
        return "done"

    @made.step("done")
    def done(ctx: RunContext) -> None:
        return None

    return made


@pytest.fixture
def store(wf: Workflow) -> MemoryStore:
    made = MemoryStore()
    Runner(wf, made).run({"who": "me"}, run_id=RUN)
    resolve(made, RUN, "go", approved=True)
    assert Runner(wf, made).resume(RUN).status == "completed"
    return made


def test_a_fork_stands_alone_and_names_its_parent_by_hash(wf: Workflow, store: MemoryStore) -> None:
    result = Runner(wf, store).fork(RUN, "gate", new_run_id="child", tags={"why": "try"})
    assert result.status == "paused"  # approvals are asked again
    started = payloads(store, "run_started", run_id="child")[0]
    parent = {event.seq: event for event in store.read(RUN)}
    link = started["forked_from"]
    assert link["run_id"] == RUN
    assert parent[link["seq"]].payload["state"] == "gate"
    assert link["hash"] == line_hash(parent[link["seq"]].line)
    assert started["context"] == {"who": "me", "n": 3}
    assert (started["initial_state"], started["tags"]) == ("gate", {"why": "try"})
    assert verify(wf, store.read("child")).ok


@pytest.mark.parametrize(
    ("at", "n"), [("count", 2), ("count:1", None), ("count:2", 1), ("count:3", 2)]
)
def test_a_state_names_its_last_visit_or_the_one_asked_for(
    wf: Workflow, store: MemoryStore, at: str, n: int | None
) -> None:
    Runner(wf, store).fork(RUN, at, new_run_id="child")
    assert payloads(store, "run_started", run_id="child")[0]["context"].get("n") == n


def test_a_seq_names_the_visit_it_belongs_to(wf: Workflow, store: MemoryStore) -> None:
    entries = [event.seq for event in store.read(RUN) if event.type == "state_entered"]
    for number, (first, following) in enumerate(itertools.pairwise(entries)):
        for seq in (first, following - 1):
            child = f"child-{number}-{seq}"
            Runner(wf, store).fork(RUN, seq, new_run_id=child)
            assert payloads(store, "run_started", run_id=child)[0]["forked_from"]["seq"] == first


def test_changes_are_made_before_the_first_step_and_calls_are_real(
    wf: Workflow, store: MemoryStore, calls: list[int]
) -> None:
    before = len(calls)
    result = Runner(wf, store).fork(RUN, "count:2", changes={"n": -1}, new_run_id="child")
    assert calls[before:] == [1, 2, 3, 4]  # visits count from 1
    assert result.context["n"] == 3


def test_what_cannot_be_forked_is_refused_and_nothing_is_written(
    wf: Workflow, store: MemoryStore
) -> None:
    runner = Runner(wf, store)
    for at in ("nowhere", "count:9", 0, 10_000):
        with pytest.raises(DefinitionError):
            runner.fork(RUN, at, new_run_id="child")
    with pytest.raises(RunNotFoundError):
        runner.fork("none", "count", new_run_id="child")
    assert sorted(store.run_ids()) == [RUN]


def test_an_unchained_log_is_forked_only_where_it_knows_the_context() -> None:
    """DESIGN 3: replayt 0.1 to 0.4 wrote no deltas, so what steps had set is not in the log."""
    wf = Workflow("w")
    wf.set_initial("a")
    wf.step("a", to=["a", "b"])(lambda ctx: "b")
    wf.step("b", to=[])(lambda ctx: None)
    moves = [("run_started", {"workflow_name": "w", "inputs": {"n": 1}})]
    for name, following in (("a", "a"), ("a", "b"), ("b", None)):
        moves.append(("state_entered", {"state": name}))
        moves.append(("state_exited", {"state": name, "next_state": following}))
    store = MemoryStore()
    for seq, (kind, payload) in enumerate(moves, 1):
        record = {"ts": "t", "run_id": RUN, "seq": seq, "type": kind, "payload": payload}
        store.append(RUN, [decode(json.dumps(record).encode())], after=seq - 1)
    for at in ("a", "a:2", "b", 4, 7):
        with pytest.raises(RefusedError, match=r"unchained.* fork at 'a:1'.*--set key=JSON"):
            Runner(wf, store).fork(RUN, at, new_run_id="child")
    assert sorted(store.run_ids()) == [RUN]
    for child, place in (("named", "a:1"), ("entered", 2), ("left", 3)):
        Runner(wf, store).fork(RUN, place, new_run_id=child)
        assert payloads(store, "run_started", child)[0]["context"] == {"n": 1}
    Runner(wf, store).fork(RUN, "b", changes={"m": 2}, new_run_id="said")
    assert payloads(store, "run_started", "said")[0]["context"] == {"n": 1, "m": 2}


def test_where_nothing_fits_every_place_that_does_is_named() -> None:
    wf = Workflow("w")
    wf.set_initial("a")
    wf.step("a", to=["b"])(lambda ctx: "b")
    wf.step("b", to=[])(lambda ctx: None)
    store = MemoryStore()
    Runner(wf, store).run(run_id=RUN)
    for at in (0, 1, 99, "c"):
        with pytest.raises(VisitNotFoundError, match="a seq from 2 to 7, or at one of a:1, b:1"):
            Runner(wf, store).fork(RUN, at)
    assert Runner(wf, store).fork(RUN, 4, new_run_id="f").status == "completed"
    assert payloads(store, "run_started", "f")[0]["forked_from"]["seq"] == 2
