"""One fold for everything: total, and it shows what the log says (DESIGN 2)."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import get_type_hints

from replayt_core import (
    Event,
    LLMError,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    ToolError,
    Workflow,
    fold,
    resolve,
    summarize,
)
from replayt_core.chain import decode
from replayt_core.payloads import PAYLOADS
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener, RetryNotice, Usage
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import RUN, Killed, log
from tests.core.strict import strictly_valid
from tests.drawn import examples


class Answer(BaseModel):
    n: int


class Retries(MockLLMClient):
    def effective(self, request: ChatRequest) -> dict[str, Any]:
        return {"provider": "mock", "host": "model.example", "model": "m"}

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        on_retry(RetryNotice(delay_seconds=0.5, status=503, max_retries=2))
        return super().complete(request, on_retry=on_retry)


def rich_workflow() -> Workflow:
    wf = Workflow("rich", version="7")
    wf.set_initial("work")

    @wf.step("work", to=["ask"], retries=RetryPolicy(2, 1.0))
    def work(ctx: RunContext) -> str:
        ctx.set("x", {"deep": [1]})
        ctx.set("gone", None)
        ctx.note("note", summary="s", data=[1])
        ctx.tools.register(lambda a: a, name="echo")
        ctx.tools.call("echo", {"a": 1})
        ask = [{"role": "user", "content": "n?"}]
        try:
            ctx.tools.call("nothing")
        except ToolError:
            ctx.data.pop("given", None)
        try:
            ctx.llm.parse(Answer, messages=ask)
        except LLMError:
            ctx.set("failed", True)
        ctx.set("n", ctx.llm.parse(Answer, messages=ask).n)
        if ctx.attempt == 1:
            ctx.data.pop("gone")
            raise ValueError("again")
        return "ask"

    @wf.step("ask", to=["end"])
    def ask(ctx: RunContext) -> None:
        ctx.set("paused", True)
        ctx.request_approval("go", summary="Go?", details={"n": 1}, on_approve="end")

    @wf.step("end")
    def end(ctx: RunContext) -> None:
        ctx.set("ended", True)
        if "run_interrupted" not in [event.type for event in log(STORES[-1])]:
            raise Killed
        raise ValueError("for good")

    return wf


STORES: list[MemoryStore] = []


@cache
def rich_log() -> tuple[Event, ...]:
    """A log that holds every event type but `log_repaired`."""
    store = MemoryStore()
    STORES.append(store)
    client = Retries()
    for _ in range(2):
        client.enqueue("no object")
        client.enqueue(
            ChatResponse(
                text='{"n": 5}',
                model="m",
                usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
            )
        )
    runner = Runner(
        rich_workflow(), store, llm_client=client, log_mode=LogMode.full, clock=FrozenClock()
    )
    runner.run({"given": 1}, run_id=RUN, tags={"k": "v"})
    resolve(store, RUN, "go", approved=True, by="ada", reason="fine", clock=FrozenClock())
    with pytest.raises(Killed):
        runner.resume(RUN)
    assert runner.resume(RUN).status == "failed"
    STORES.pop()
    return tuple(log(store))


def test_the_log_used_here_holds_every_type_and_every_payload_is_what_its_type_says() -> None:
    """SC-104 to SC-110: validated with extra keys forbidden."""
    assert {event.type for event in rich_log()} == set(PAYLOADS) - {"log_repaired"}
    for event in rich_log():
        strictly_valid(event.type, event.payload)
        assert decode(event.line) == event


def test_the_state_at_the_end_of_a_run() -> None:
    """DESIGN 2: written by hand from the log above."""
    state = fold(RUN, rich_log())
    assert (state.phase, state.summary.status, state.final_state) == ("ended", "failed", "end")
    assert state.context == {
        "x": {"deep": [1]},
        "gone": None,
        "failed": True,
        "n": 5,
        "paused": True,
        "ended": True,
    }
    assert state.visits == {"work": 1, "ask": 1, "end": 1}
    assert list(state.recent) == ["work", "ask", "end"]
    assert (state.epoch, state.recoveries, state.attempt) == (3, 1, 1)
    assert [(a.approval_id, a.approved, a.by, a.applied) for a in state.approvals.values()] == [
        ("go", True, "ada", True)
    ]
    assert state.problems == []
    summary = state.summary
    assert (summary.workflow_name, summary.workflow_version) == ("rich", "7")
    assert (summary.states, summary.transitions, summary.retries) == (3, 2, 1)
    assert (summary.llm_calls, summary.llm_retries, summary.llm_failures) == (4, 4, 0)
    assert (summary.tool_calls, summary.approvals) == (4, 1)
    assert (summary.prompt_tokens, summary.completion_tokens, summary.total_tokens) == (2, 4, 6)
    assert (summary.hosts, summary.providers) == ({"model.example"}, {"mock"})
    assert (summary.tags, summary.failed_state) == ({"k": "v"}, "end")
    assert summary.error is not None
    assert summary.error["message"] == "for good"


def test_the_context_says_which_event_wrote_each_key() -> None:
    """SC-36, issue 3 point 5."""
    state = fold(RUN, rich_log())
    by_type = {seq: rich_log()[seq - 1].type for seq in state.written_by.values()}
    assert by_type[state.written_by["n"]] == "retry_scheduled"
    assert by_type[state.written_by["paused"]] == "state_exited"
    assert by_type[state.written_by["ended"]] == "run_failed"
    assert set(state.written_by) == set(state.context)


def test_every_prefix_folds_and_its_summary_is_that_of_the_whole_fold() -> None:
    """Issue 3: the cheap first part is the same code."""
    for count in range(len(rich_log()) + 1):
        state = fold(RUN, rich_log()[:count])
        assert state.problems == []
        assert state.summary == summarize(RUN, rich_log()[:count])
        assert state.last_seq == count


NOT_SHOWN = {
    "run_started": {"initial_state", "pinned_from"},
    "run_resumed": {"from_seq", "overrides"},
    "state_exited": {"state", "next_state", "elapsed_ms"},
    "transition": {"from_state", "reason", "because"},
    "approval_resolved": set(),
    "approval_applied": {"approval_id", "approved"},
    "retry_scheduled": {"state", "max_attempts", "error"},
    "run_paused": {"state"},
    "run_failed": set(),
    "run_interrupted": {"state", "reason", "signal"},
    "step_error": {"state", "visit", "attempt", "error"},
}
"""What `RunState` does not show; every other field of every payload has to change it."""

SAME_AS_ABSENT = {
    ("run_started", "log_schema"),  # the chain says it
    ("run_resumed", "epoch"),  # counted where it is missing
    ("state_entered", "visit"),
    ("state_entered", "attempt"),
    ("approval_requested", "state"),
    ("approval_requested", "visit"),
    ("approval_requested", "on_reject"),  # null here
    ("approval_resolved", "request_seq"),  # belongs to the one open request
    ("run_paused", "reason"),
    ("retry_scheduled", "delay_seconds"),
}
"""Where a missing field means what this log says: 0.2 wrote less."""


OTHER_WORDS = {"status": ("completed", "failed"), "reason": ("approval", "interrupted")}
"""Words that decide something: any other word means the same as the second."""


def altered(name: str, value: Any) -> Any:
    """Another value of the same kind, and of another meaning."""
    if name in OTHER_WORDS:
        return OTHER_WORDS[name][value == OTHER_WORDS[name][0]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "!"
    if isinstance(value, list):
        return [*value, "more"]
    if isinstance(value, dict):
        if set(value) == {"set", "unset"}:
            return {"set": {**value["set"], "more": 1}, "unset": value["unset"]}
        return {**value, "more": 1}
    return "now something"


NOT_HERE = {
    ("run_started", "context"),
    ("run_started", "forked_from"),
    ("llm_request", "schema"),
    ("llm_request", "repair"),
    ("llm_request", "redact_keys"),
    ("run_started", "redact_keys"),
    ("run_resumed", "redact_keys"),
    ("llm_response", "error"),
    ("run_paused", "call"),
}
"""Optional fields that the log used here lacks."""

FIELDS = sorted(
    (kind, name)
    for kind, typed in PAYLOADS.items()
    for name in get_type_hints(typed)
    if kind != "log_repaired"
    and name not in NOT_SHOWN.get(kind, set())
    and (kind, name) not in NOT_HERE
)


def changed_states(kind: str, change: Any) -> list[bool]:
    """For each event of a type: whether changing its payload changes the state right after it."""
    found = []
    for at, event in enumerate(rich_log()):
        if event.type != kind:
            continue
        payload = copy.deepcopy(event.payload)
        if not change(payload):
            continue
        before = fold(RUN, rich_log()[: at + 1])
        after = fold(RUN, [*rich_log()[:at], event._replace(payload=payload)])
        found.append(before != after)
    assert found
    return found


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_altering_any_payload_field_that_the_state_shows_changes_the_state(
    kind: str, name: str
) -> None:
    """Issue 3: the fold overlooks nothing that it shows."""

    def change(payload: dict[str, Any]) -> bool:
        if name not in payload:
            return False
        payload[name] = altered(name, payload[name])
        return True

    assert all(changed_states(kind, change))


@pytest.mark.parametrize(
    ("kind", "name"), [field for field in FIELDS if field not in SAME_AS_ABSENT]
)
def test_removing_any_payload_field_that_the_state_shows_changes_the_state(
    kind: str, name: str
) -> None:
    """Issue 3."""

    def change(payload: dict[str, Any]) -> bool:
        return payload.pop(name, payload) is not payload

    assert any(changed_states(kind, change))


def test_an_unknown_event_is_counted_and_shown_and_never_fatal() -> None:
    """DESIGN 2."""
    odd = rich_log()[3]._replace(type="of_tomorrow", payload={"x": 1})
    state = fold(RUN, [*rich_log()[:3], odd])
    assert state.unknown == {"of_tomorrow": 1}
    assert state.problems == []
    assert state.phase == fold(RUN, rich_log()[:3]).phase


def test_an_event_out_of_turn_is_a_problem_and_the_rest_is_still_read() -> None:
    """DESIGN 2: older logs are read to their end."""
    state = fold(RUN, [rich_log()[0], *rich_log()[2:]])
    assert state.problems
    assert state.summary.status == "failed"


FIELD_NAMES = sorted({name for typed in PAYLOADS.values() for name in get_type_hints(typed)})
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["a", "go", "approval", "completed", "failed", "9" * 5000])
)


def within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A leaf, or a list or an object of what is given."""
    keys = st.sampled_from(["set", "unset", "a", "edges", "states"])
    return leaves | st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


# By hand: `st.recursive` draws anew what has too many leaves, and takes twice as long.
anything = within(within(within(leaves)))
any_events = st.lists(
    st.tuples(
        st.sampled_from([*PAYLOADS, *PAYLOADS, "of_tomorrow"]),
        st.dictionaries(st.sampled_from(FIELD_NAMES), anything, max_size=6),
        st.sampled_from([None, "0" * 32]),
    ),
    max_size=12,
)


@examples(400)
@given(any_events)
def test_the_fold_takes_any_json_payload_for_any_event(events: list[Any]) -> None:
    """R-7 (RELIABILITY b4): readers are total; nothing raises, and the numbering goes on."""
    made = [
        Event(RUN, seq, "2026-01-01T00:00:00Z", kind, payload, b"{}", prev)
        for seq, (kind, payload, prev) in enumerate(events, 1)
    ]
    state = fold(RUN, made)
    assert state.last_seq == len(made)
    assert state.summary == summarize(RUN, made)
    assert state.summary.status in ("completed", "failed", "paused", "interrupted")
    state.open_approvals()
    state.visit_approval("go")


@examples(300)
@given(
    st.integers(0, 40),
    st.dictionaries(st.sampled_from(FIELD_NAMES), anything, max_size=3),
)
def test_a_real_log_with_one_odd_payload_folds_to_its_end(at: int, odd: dict[str, Any]) -> None:
    """R-7."""
    at %= len(rich_log())
    event = rich_log()[at]
    broken = event._replace(payload={**event.payload, **odd})
    state = fold(RUN, [*rich_log()[:at], broken, *rich_log()[at + 1 :]])
    assert state.last_seq == len(rich_log())


def test_nothing_that_a_reader_does_to_a_state_reaches_the_events() -> None:
    """DESIGN 2: `apply` changes the state and nothing else."""
    before = json.dumps([event.payload for event in rich_log()])
    state = fold(RUN, rich_log())
    state.context["x"] = "changed"
    state.context.pop("n")
    state.visits.clear()
    assert json.dumps([event.payload for event in rich_log()]) == before
