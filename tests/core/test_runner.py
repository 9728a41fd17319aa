"""`Runner.run`: what it takes, returns, refuses and writes (SC-23 to SC-33)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from replayt_core import (
    ConflictError,
    DefinitionError,
    Event,
    InvalidRunIdError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    RunExistsError,
    Runner,
    RunNotFoundError,
    StoreError,
    Workflow,
)
from replayt_core.chain import line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports.store import EventStore
from replayt_core.testing import CountingIds, FrozenClock, MockLLMClient
from tests.core.helpers import (
    RUN,
    BareStore,
    log,
    one_step,
    only,
    run_once,
    types,
    workflow,
)


def test_the_public_names_are_there() -> None:
    """SC-13, SC-17: core's half; the facade re-exports them."""
    import replayt_core

    for name in [
        "LogMode",
        "Runner",
        "Workflow",
        "RunContext",
        "RunResult",
        "RetryPolicy",
        "RunFailed",
        "ReplaytError",
        "ApprovalPending",
        "ContextSchemaError",
        "resolve",
    ]:
        assert name in replayt_core.__all__
        assert hasattr(replayt_core, name)
    assert len(replayt_core.__all__) == len(set(replayt_core.__all__))


def test_a_runner_takes_workflow_store_mode_settings_and_client() -> None:
    """SC-23."""
    runner = Runner(
        one_step(lambda ctx: None),
        MemoryStore(),
        log_mode=LogMode.full,
        llm_settings=None,
        llm_client=MockLLMClient(),
    )
    assert runner.run().status == "completed"


def test_a_result_says_run_id_status_final_state_and_error() -> None:
    """SC-24, SC-25."""
    done = run_once(lambda ctx: None)
    assert (done.run_id, done.status, done.final_state, done.error) == (
        RUN,
        "completed",
        "only",
        None,
    )

    def broken(ctx: RunContext) -> None:
        raise ValueError("no")

    failed = run_once(broken)
    assert (failed.status, failed.final_state) == ("failed", "only")
    assert failed.error is not None
    assert (failed.error["type"], failed.error["message"]) == ("ValueError", "no")
    assert failed.error["location"].startswith("tests/core/test_runner.py:") or (
        failed.error["location"].startswith("test_runner.py:")
    )
    paused = run_once(lambda ctx: ctx.request_approval("a"))
    assert (paused.status, paused.final_state, paused.error) == ("paused", "only", None)


def test_run_started_has_everything_a_reader_needs() -> None:
    """SC-104."""
    store = MemoryStore()
    wf = Workflow("orders", version="3")
    wf.set_initial("a")
    wf.step("a", to=["b"])(lambda ctx: None)
    wf.step("b")(lambda ctx: None)
    Runner(wf, store).run({"x": (1,)}, run_id=RUN, tags={"env": "ci", "k": "a=b"})
    started = only(store, "run_started")
    assert len(started.pop("code")) == 2
    assert started == {
        "log_schema": 1,
        "workflow_name": "orders",
        "workflow_version": "3",
        "graph": {"initial": "a", "states": ["a", "b"], "edges": [["a", "b"]]},
        "initial_state": "a",
        "inputs": {"x": [1]},
        "tags": {"env": "ci", "k": "a=b"},
        "log_mode": "redacted",
    }


def test_every_line_is_one_json_object_numbered_from_1() -> None:
    """SC-94, SC-96: ts in UTC, run_id, seq, type, payload; text stays readable."""
    store = MemoryStore()
    run_once(lambda ctx: ctx.note("größe"), store=store)
    for seq, event in enumerate(log(store), 1):
        record = json.loads(event.line)
        assert list(record)[:5] == ["ts", "run_id", "seq", "type", "payload"]
        assert (record["seq"], record["run_id"]) == (seq, RUN)
        assert record["ts"].endswith("Z")
        assert b"\n" not in event.line
    assert "größe".encode() in b"".join(event.line for event in log(store))


def test_a_used_run_id_is_refused_before_any_handler_runs() -> None:
    """SC-31, R-3 (RELIABILITY b1): nothing is appended."""
    store, ran = MemoryStore(), []
    runner = Runner(one_step(lambda ctx: ran.append(1)), store)
    runner.run(run_id=RUN)
    before = log(store)
    with pytest.raises(RunExistsError, match="r1"):
        runner.run(run_id=RUN)
    assert (log(store), ran) == (before, [1])


def test_a_run_id_that_someone_takes_meanwhile_is_refused_too() -> None:
    """SC-31, DESIGN 4: `append(after=0)` decides, on any store."""

    class Late(BareStore):
        def read(self, run_id: str, *, after: int = 0) -> Any:
            return iter(())

    store, ran = Late(), []
    Runner(one_step(lambda ctx: None), store).run(run_id=RUN)
    with pytest.raises(RunExistsError):
        Runner(one_step(lambda ctx: ran.append(1)), store).run(run_id=RUN)
    assert not ran


@pytest.mark.parametrize("run_id", ["../x", "/etc/passwd", "", "a/b", "é", "x" * 129, "NUL", "a."])
def test_a_run_id_that_breaks_the_rule_is_refused(run_id: str) -> None:
    """SC-32, R-25 (RELIABILITY b4)."""
    store = MemoryStore()
    runner = Runner(one_step(lambda ctx: None), store)
    for use in (lambda: runner.run(run_id=run_id), lambda: runner.resume(run_id)):
        with pytest.raises(InvalidRunIdError):
            use()
    assert list(store.run_ids()) == []


def test_run_ids_come_from_a_port_and_are_new_by_default() -> None:
    """SC-30, SC-32."""
    wf = one_step(lambda ctx: None)
    assert Runner(wf, MemoryStore(), ids=CountingIds()).run().run_id == "run-1"
    made = [Runner(wf, MemoryStore()).run().run_id for _ in range(3)]
    assert sorted(set(made)) == made


def test_one_run_per_message_with_the_callers_id() -> None:
    """SC-30: one runner, many runs."""
    store = MemoryStore()
    runner = Runner(one_step(lambda ctx: ctx.set("n", ctx.get("n") + 1)), store)
    assert [runner.run({"n": n}, run_id=f"message-{n}").context["n"] for n in range(3)] == [1, 2, 3]
    assert sorted(store.run_ids()) == ["message-0", "message-1", "message-2"]


def test_resume_by_the_run_method() -> None:
    """SC-24."""
    store = MemoryStore()
    runner = Runner(one_step(lambda ctx: ctx.request_approval("a")), store)
    runner.run(run_id=RUN)
    assert runner.run(run_id=RUN, resume=True).status == "paused"
    with pytest.raises(DefinitionError, match="run_id"):
        runner.run(resume=True)
    with pytest.raises(RunNotFoundError):
        runner.run(run_id="r9", resume=True)


def test_the_tiny_example_of_the_readme() -> None:
    """SC-33: a run id and `completed`."""
    wf = Workflow("hello")
    wf.set_initial("greet")

    @wf.step("greet", to=["done"])
    def greet(ctx: RunContext) -> str:
        ctx.set("greeting", f"Hello {ctx.get('name')}")
        return "done"

    @wf.step("done")
    def done(ctx: RunContext) -> None:
        return None

    result = Runner(wf, MemoryStore(), log_mode=LogMode.redacted).run(inputs={"name": "Ada"})
    assert (result.status, result.context["greeting"]) == ("completed", "Hello Ada")
    assert result.run_id


def test_an_exception_in_a_handler_never_loses_the_log() -> None:
    """SC-44, SC-108, SC-110: the failure events are there before `run` returns."""
    store = MemoryStore()

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def handler(ctx: RunContext) -> None:
        raise Unprintable

    result = run_once(handler, store=store)
    assert result.status == "failed"
    assert types(store)[-3:] == ["step_error", "run_failed", "run_completed"]
    error = only(store, "step_error")["error"]
    assert error["type"] == "Unprintable"
    assert "cannot be shown" in error["message"]
    assert only(store, "run_completed") == {"final_state": "only", "status": "failed"}


@pytest.mark.parametrize("message", ["\ud800", "x" * 100_000, "\x1b[31m", ""])
def test_any_message_of_an_exception_can_be_logged(message: str) -> None:
    """SC-44: bounded, and text."""

    def handler(ctx: RunContext) -> None:
        raise ValueError(message)

    logged = (run_once(handler).error or {})["message"]
    assert len(logged) < 2_100
    logged.encode()


def test_every_event_is_written_before_the_next_thing_happens() -> None:
    """SC-34, DESIGN 2: append before acting on a decision."""
    store = MemoryStore()
    seen: list[list[str]] = []

    def handler(ctx: RunContext) -> None:
        seen.append(types(store))
        ctx.tools.register(lambda: seen.append(types(store)), name="t")
        ctx.tools.call("t")
        seen.append(types(store))

    run_once(handler, store=store)
    assert [kinds[-1] for kinds in seen] == ["state_entered", "tool_call", "tool_result"]


def test_any_object_with_the_store_methods_is_a_store() -> None:
    """SC-103: three methods, no base class."""
    store = BareStore()
    assert isinstance(store, EventStore)
    result = Runner(one_step(lambda ctx: ctx.set("x", 1)), store).run(run_id=RUN)
    assert result.status == "completed"
    assert types(store)[-1] == "run_completed"


def test_a_store_that_fails_at_the_start_runs_no_handler() -> None:
    """R-11 (RELIABILITY b1)."""
    ran: list[int] = []

    class Full(MemoryStore):
        def append(self, run_id: str, events: Any, *, after: int) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Runner(one_step(lambda ctx: ran.append(1)), Full()).run(run_id=RUN)
    assert not ran


def test_a_run_that_another_process_takes_over_stops_at_its_next_event() -> None:
    """SC-102, R-18: `ConflictError`, nothing more is written by the loser."""
    store = BareStore()

    def handler(ctx: RunContext) -> str:
        if ctx.visit == 1:
            other = Runner(one_step(lambda ctx: None), store)
            assert other.resume(RUN, take_over=True).status == "completed"
        return "only"

    with pytest.raises((ConflictError, StoreError)):
        Runner(one_step(handler), store).run(run_id=RUN)
    assert types(store)[-1] == "run_completed"


def test_a_second_runner_cannot_execute_a_run_that_is_executed() -> None:
    """R-18, SC-31: the lock keeps it out, in the same process too."""
    from replayt_core import RunLockedError

    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        with pytest.raises(RunLockedError):
            Runner(one_step(lambda ctx: None), store).resume(RUN)

    assert run_once(handler, store=store).status == "completed"
    assert not store.locked(RUN)


def test_inputs_that_are_no_json_are_refused_naming_their_path() -> None:
    """SC-26, R-24: no run is created."""
    from replayt_core import NotJSONError

    store = MemoryStore()
    with pytest.raises(NotJSONError, match=r"inputs\.a\[0\]"):
        Runner(one_step(lambda ctx: None), store).run({"a": [b"x"]})
    assert list(store.run_ids()) == []


@pytest.mark.parametrize("tags", [{"a": 1}, {1: "a"}, {"a": None}])
def test_tags_are_text_to_text(tags: Any) -> None:
    """SC-104."""
    with pytest.raises(DefinitionError, match="tags"):
        Runner(one_step(lambda ctx: None), MemoryStore()).run(tags=tags)


def test_a_clock_that_goes_back_gives_no_negative_duration() -> None:
    """R-17 (RELIABILITY b1)."""
    clock, store = FrozenClock(), MemoryStore()
    run_once(lambda ctx: clock.tick(-3600), clock=clock, store=store)
    assert only(store, "state_exited")["elapsed_ms"] == 0.0


def test_a_result_does_not_show_values_in_its_repr() -> None:
    """SC-57: a repr ends up in other logs."""
    assert "customer" not in repr(run_once(lambda ctx: None, inputs={"x": "customer"}))


def test_the_head_of_a_result_is_the_hash_of_the_last_line() -> None:
    """DESIGN 3: to be kept elsewhere."""
    from replayt_core.chain import line_hash

    store = MemoryStore()
    result = run_once(lambda ctx: None, store=store)
    last: Event = log(store)[-1]
    assert result.head == line_hash(last.line)


def test_max_steps_below_1_is_refused() -> None:
    """DESIGN 2."""
    with pytest.raises(DefinitionError, match="max_steps"):
        Runner(one_step(lambda ctx: None), MemoryStore(), max_steps=0)


def test_a_handler_may_run_another_workflow() -> None:
    """R-20: a run inside a run shares nothing, and its pause is its own."""
    inner = workflow(ask=lambda ctx: ctx.request_approval("a"))
    store = MemoryStore()

    def handler(ctx: RunContext) -> None:
        ctx.set("inner", Runner(inner, store).run(run_id="inner").status)

    assert run_once(handler, store=store).context == {"inner": "paused"}


class TakenOver(MemoryStore):
    """Somebody else writes to the run while a handler runs."""

    def intrude(self, run_id: str) -> None:
        events = list(self.read(run_id))
        batch = seal(
            run_id,
            [Draft("step_note", {"state": "a", "kind": "other", "summary": None, "data": None})],
            after=events[-1].seq,
            head=line_hash(events[-1].line),
            ts="2026-01-01T00:00:00Z",
        )
        self.append(run_id, batch, after=events[-1].seq)


def test_after_a_conflict_nothing_is_called_or_written_again() -> None:
    """DESIGN 4: whoever wrote in between owns the run, even if the handler swallows the error."""
    store, ran = TakenOver(), []

    def handler(ctx: RunContext) -> None:
        @ctx.tools.register
        def effect() -> None:
            ran.append("effect")

        store.intrude(ctx.run_id)
        for _ in range(3):
            with suppress(Exception):
                ctx.tools.call("effect")

    with pytest.raises(ConflictError):
        Runner(one_step(handler), store).run(run_id=RUN)
    assert ran == []
    assert log(store)[-1].payload["kind"] == "other"


class Terminated(BaseException):
    signum = 15


def test_an_end_between_two_handlers_is_written_down_with_its_signal() -> None:
    """R-15: `run_interrupted` names the signal."""
    clock = FrozenClock()

    def stop(_seconds: float) -> None:
        raise Terminated

    clock.sleep = stop  # type: ignore[method-assign]
    wf = Workflow("waits")
    wf.set_initial("a")

    @wf.step("a", retries=RetryPolicy(max_attempts=2, backoff_seconds=5))
    def a(ctx: RunContext) -> None:
        raise ValueError("again")

    store = MemoryStore()
    with pytest.raises(Terminated):
        Runner(wf, store, clock=clock).run(run_id=RUN)
    assert log(store)[-1].payload == {"state": "a", "reason": "Terminated", "signal": "SIGTERM"}
    result = Runner(wf, store, clock=FrozenClock()).resume(RUN)
    assert result.status == "failed"


def test_ctrl_c_inside_an_append_stays_ctrl_c() -> None:
    """R-15: the caller gets what ended the process, not an error of the store."""

    class Interrupting(MemoryStore):
        def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
            if events[0].type == "step_note":
                raise KeyboardInterrupt
            super().append(run_id, events, after=after)

    def handler(ctx: RunContext) -> None:
        ctx.note("here")

    store = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        Runner(one_step(handler), store).run(run_id=RUN)
    assert log(store)[-1].type == "state_entered"
