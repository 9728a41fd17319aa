"""`verify`: handlers executed again against the log; the first difference is named and placed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import (
    DamagedLogError,
    Event,
    LLMError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    RunNotFoundError,
    ToolError,
    Verification,
    Workflow,
    resolve,
    tool,
    verify,
)
from replayt_core.chain import decode
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import RUN, SecretClient


class Verdict(BaseModel):
    action: str
    score: int


@tool(idempotent=True)
def look_up(name: str, limit: int = 3) -> list[str]:
    return [name] * limit


def make(
    *,
    prompt: str = "judge it",
    limit: int = 2,
    to: str = "gate",
    note: str = "seen",
    total: int = 1,
    summary: str = "pay?",
    fail: bool = False,
) -> Workflow:
    """The same workflow, changed in one place."""
    wf = Workflow("judged")
    wf.set_initial("judge")

    @wf.step("judge", to=["gate", "end"])
    def judge(ctx: RunContext) -> str:
        verdict = ctx.llm.parse(Verdict, messages=[{"role": "user", "content": prompt}])
        names = ctx.tools.call("look_up", {"name": verdict.action, "limit": limit})
        ctx.note("looked", note, {"names": names})
        ctx.set("total", verdict.score + total)
        if fail:
            raise ValueError("now it fails")
        return to

    @wf.step("gate", to=["end"])
    def gate(ctx: RunContext) -> str:
        ctx.request_approval("pay", summary=summary, details={"total": ctx.get("total")})
        return "end"

    @wf.step("end")
    def end(ctx: RunContext) -> None:
        return None

    return wf


@pytest.fixture(params=list(LogMode), ids=lambda mode: mode.value)
def store(request: Any) -> MemoryStore:
    made = MemoryStore()
    mock = MockLLMClient().enqueue(Verdict(action="pay", score=3))
    Runner(make(), made, llm_client=mock, tools=[look_up], log_mode=request.param).run(run_id=RUN)
    resolve(made, RUN, "pay", approved=True, by="me")
    assert Runner(make(), made, tools=[look_up]).resume(RUN).status == "completed"
    return made


def check(store: MemoryStore, **changed: Any) -> Verification:
    return verify(make(**changed), store.read(RUN), tools=[look_up])


def test_a_run_verifies_against_its_own_code_with_every_call_served(store: MemoryStore) -> None:
    """SC-45, R-5."""
    found = check(store)
    assert found.ok
    assert found.difference is None
    assert (found.executed, found.attempts, found.served_calls) == (True, 4, 2)
    assert list(found.notes) == []


@pytest.mark.parametrize(
    ("changed", "what", "recorded", "now"),
    [
        ({"prompt": "judge it!"}, "call 1 is not the recorded one", "8 B", "9 B"),
        ({"limit": 3}, "call 2 is not the recorded one", '"limit":2', '"limit":3'),
        ({"to": "end"}, "state_exited.next_state", '"gate"', '"end"'),
        ({"note": "unseen"}, "a note differs", '"seen"', '"unseen"'),
        ({"total": 2}, "the context key 'total'", "4", "5"),
        ({"summary": "really?"}, "approval_requested.summary", '"pay?"', '"really?"'),
        ({"fail": True}, "how the attempt ends", "returns 'gate'", "step_error ValueError"),
    ],
    ids=["prompt", "argument", "branch", "note", "context", "approval", "failure"],
)
def test_every_kind_of_change_is_found_with_state_seq_and_place(
    store: MemoryStore, changed: dict[str, Any], what: str, recorded: str, now: str
) -> None:
    found = check(store, **changed)
    difference = found.difference
    assert not found.ok
    assert difference is not None
    assert difference.what == what
    assert recorded in difference.recorded
    assert now in difference.now
    place, line = str(difference.location).rsplit(":", 1)
    assert Path(place).name == Path(__file__).name
    assert int(line) > 0
    events = {event.seq: event for event in store.read(RUN)}
    assert difference.seq in events
    assert difference.state == ("gate" if "summary" in changed else "judge")


def test_a_changed_prompt_is_shown_as_far_as_the_log_mode_kept_it(store: MemoryStore) -> None:
    details = "\n".join(check(store, prompt="judge this").difference.details)  # type: ignore[union-attr]
    if next(iter(store.read(RUN))).payload["log_mode"] == "full":
        assert "-judge it" in details
        assert "+judge this" in details
    else:
        assert "recorded: user, 8 bytes, sha256" in details
        assert "now     : user, 10 bytes, sha256" in details
        assert "judge this" not in details


def test_one_flipped_byte_of_the_log_is_found(store: MemoryStore) -> None:
    events = list(store.read(RUN))
    line = events[3].line.replace(b'"state"', b'"stats"', 1)
    assert line != events[3].line
    events[3] = decode(line)
    found = verify(None, events)
    assert not found.ok
    assert "does not follow the line before it" in str(found.damage)


def test_a_head_hash_kept_elsewhere_is_looked_for(store: MemoryStore) -> None:
    head = check(store).head
    events = list(store.read(RUN))
    assert verify(None, events, head=head).ok
    cut = verify(None, events[:-2], head=head)
    assert (cut.ok, cut.head_found) == (False, False)


def test_text_that_the_log_mode_did_not_keep_is_named_and_not_guessed() -> None:
    wf = Workflow("texts")
    wf.set_initial("ask")

    @wf.step("ask", to=["end"])
    def ask(ctx: RunContext) -> str:
        ctx.set("text", ctx.llm.complete_text(messages=[{"role": "user", "content": "hi"}]))
        return "end"

    @wf.step("end")
    def end(ctx: RunContext) -> None:
        return None

    for mode, named in ((LogMode.full, 0), (LogMode.redacted, 1), (LogMode.structured_only, 1)):
        made = MemoryStore()
        mock = MockLLMClient().enqueue("hello")
        Runner(wf, made, llm_client=mock, log_mode=mode).run(run_id=RUN)
        found = verify(wf, made.read(RUN))
        assert found.ok
        assert len(found.not_replayable) == named
        assert all(mode.value in text for text in found.not_replayable)


def test_a_handler_that_catches_its_errors_takes_the_same_branch() -> None:
    """DESIGN 2: errors are rebuilt from the log."""
    wf = Workflow("catches")
    wf.set_initial("try")

    @wf.step("try", to=["ok", "no"], retries=RetryPolicy(max_attempts=2))
    def attempt(ctx: RunContext) -> str:
        try:
            ctx.llm.parse(Verdict, messages=[{"role": "user", "content": "hi"}])
        except LLMError as error:
            ctx.set("kind", [error.kind, error.status, str(error)])
        try:
            ctx.tools.call("look_up", {"limit": "many"})
        except ToolError as error:
            ctx.set("tool", [error.error_type, error.message])
        if ctx.attempt == 1:
            raise ValueError("once")
        return "no"

    for name in ("ok", "no"):
        wf.step(name)(lambda ctx: None)
    mock, made = MockLLMClient(), MemoryStore()
    mock.enqueue(LLMError("server", "down", status=503)).enqueue("no json here")
    result = Runner(wf, made, llm_client=mock, tools=[look_up]).run(run_id=RUN)
    assert result.context["kind"][0] == "not_json"
    found = verify(wf, made.read(RUN), tools=[look_up])
    assert found.ok, found.difference
    assert found.attempts == 3


def test_every_prefix_of_a_run_verifies_as_far_as_it_goes(store: MemoryStore) -> None:
    """DESIGN 5: an attempt that was cut short is followed as far as its events go."""
    events: list[Event] = []
    for event in store.read(RUN):
        events.append(event)
        if not event.more:
            assert verify(make(), events, tools=[look_up]).ok


def test_changes_that_are_no_difference_are_notes(store: MemoryStore) -> None:
    wf = make()
    wf.note_transition("judge", "judge")
    found = verify(wf, store.read(RUN), tools=[look_up])
    assert found.ok
    assert any("edge judge -> judge is new" in note for note in found.notes)


def test_no_events_are_nothing_to_verify() -> None:
    with pytest.raises(RunNotFoundError):
        verify(make(), [])


def test_damage_at_the_very_beginning_is_reported_and_not_raised() -> None:
    def damaged() -> Iterator[Event]:
        raise DamagedLogError("line 1 is not JSON", run_id=RUN)
        yield

    found = verify(None, damaged())
    assert (found.ok, found.run_id, found.damage) == (False, RUN, "line 1 is not JSON")


def test_a_line_that_is_not_what_the_store_makes_of_it_is_damage(store: MemoryStore) -> None:
    """Only the line is checked: no store can call it an event, or the end of a batch."""
    events = list(store.read(RUN))
    first = next(event for event in events if event.more)
    for said in (Event(RUN, 1, first.ts, "run_started", {}, b""), first._replace(more=False)):
        found = verify(None, [said])
        assert not found.ok
        assert found.damage == (
            f"the log of run {RUN} is damaged: the line of event 1 ends no batch"
        )


def test_an_unchained_log_is_checked_and_not_executed() -> None:
    """DESIGN 3: logs of replayt 0.1 to 0.4 lack what re-execution takes."""
    lines = [
        b'{"ts":"2025-01-01T00:00:00Z","run_id":"r1","seq":%d,"type":"%s","payload":%s}' % row
        for row in (
            (1, b"run_started", b'{"workflow_name":"judged","workflow_version":"1"}'),
            (2, b"state_entered", b'{"state":"judge"}'),
            (3, b"state_exited", b'{"state":"judge","next_state":null}'),
            (4, b"run_completed", b'{"status":"completed"}'),
        )
    ]
    found = verify(make(), [decode(line) for line in lines], tools=[look_up])
    assert found.ok
    assert (found.executed, found.attempts, found.unchained) == (False, 0, (1, 2, 3, 4))


def _again(clock: FrozenClock, steps: int = 1_000) -> tuple[Workflow, MemoryStore, Runner]:
    wf = Workflow("again")
    wf.set_initial("a")

    @wf.step("a", to=["b"], retries=RetryPolicy(max_attempts=2, backoff_seconds=5))
    def a(ctx: RunContext) -> str:
        if ctx.attempt == 1:
            raise ValueError("once")
        return "b"

    @wf.step("b", to=["c"])
    def b(ctx: RunContext) -> str:
        return "c"

    @wf.step("c")
    def c(ctx: RunContext) -> None:
        return None

    store = MemoryStore()
    return wf, store, Runner(wf, store, clock=clock, max_steps=steps)


def test_a_run_interrupted_in_a_wait_and_resumed_verifies() -> None:
    class Ends(FrozenClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    wf, store, runner = _again(Ends())
    with pytest.raises(KeyboardInterrupt):
        runner.run(run_id=RUN)
    assert Runner(wf, store, clock=FrozenClock()).resume(RUN).status == "completed"
    assert verify(wf, store.read(RUN)).difference is None


def test_a_run_ended_by_the_loop_guard_and_tried_again_verifies() -> None:
    wf, store, runner = _again(FrozenClock(), steps=2)
    assert (runner.run(run_id=RUN).error or {})["type"] == "MaxStepsError"
    assert Runner(wf, store).resume(RUN, retry_failed=True).status == "completed"
    found = verify(wf, store.read(RUN))
    assert (found.difference, found.attempts) == (None, 4)


def test_how_long_a_handler_takes_to_verify_is_no_difference() -> None:
    """DESIGN 5: times are not compared."""
    wf, store = Workflow("quick"), MemoryStore()
    wf.set_initial("a")

    @wf.step("a", timeout=1e-9)
    def a(ctx: RunContext) -> None:
        return None

    assert Runner(wf, store, clock=FrozenClock()).run(run_id=RUN).status == "completed"
    assert verify(wf, store.read(RUN)).difference is None


def _noting(*, call: bool, note: str, fail: bool = True) -> Workflow:
    wf = Workflow("noting")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        if call:
            ctx.tools.call("look_up", {"name": "x"})
        ctx.note("kind", note)
        if fail:
            raise ValueError("wrong")

    return wf


@pytest.mark.parametrize("changed", [{"call": False}, {"note": "other"}])
@pytest.mark.parametrize("cut_short", [False, True])
def test_dropped_calls_and_changed_notes_are_found_in_failed_and_cut_attempts(
    changed: dict[str, Any], cut_short: bool
) -> None:
    same: dict[str, Any] = {"call": True, "note": "this"}
    store = MemoryStore()
    Runner(_noting(**same), store, tools=[look_up]).run(run_id=RUN)
    events = [e for e in store.read(RUN) if not cut_short or e.seq <= 5]
    assert verify(_noting(**same), events, tools=[look_up]).ok
    found = verify(_noting(**{**same, **changed}), events, tools=[look_up])
    assert found.difference is not None


def _keyed(extra: str = "x") -> Workflow:
    wf = Workflow("keyed")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        ctx.note("kind", f"with {KEY} inside", {"key": [KEY]})
        ctx.tools.call("look_up", {"name": f"Bearer {KEY}", "limit": len(extra)})

    return wf


KEY = "live-key-0123456789"


def test_a_scrubbed_secret_is_neither_a_difference_nor_shown() -> None:
    """SC-57: who verifies a log need not know the secrets that its writer knew."""
    store = MemoryStore()
    runner = Runner(_keyed(), store, llm_client=SecretClient(KEY), tools=[look_up])
    assert runner.run(run_id=RUN).status == "completed"
    assert verify(_keyed(), store.read(RUN), tools=[look_up]).difference is None
    found = verify(_keyed("xy"), store.read(RUN), tools=[look_up])
    assert found.difference is not None
    assert '"limit":2' in found.difference.now
    assert KEY not in repr(found)


def _asking(extra: str = "x") -> Workflow:
    wf = Workflow("asking")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        ctx.request_approval("go", summary=f"with {KEY}?", details={"key": [KEY], "extra": extra})

    return wf


def test_nor_is_one_that_a_person_was_shown() -> None:
    store = MemoryStore()
    assert Runner(_asking(), store, llm_client=SecretClient(KEY)).run(run_id=RUN).status == "paused"
    assert "[secret]" in repr(list(store.read(RUN)))
    assert verify(_asking(), store.read(RUN)).difference is None
    found = verify(_asking("y"), store.read(RUN)).difference
    assert found is not None
    assert found.what == "approval_requested.details"
    assert '"extra":"y"' in found.now
    assert KEY not in repr(found)
