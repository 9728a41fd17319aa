"""Two runs compared: SC-158 to SC-161, issue 6 point 2."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from replayt_core import (
    Event,
    LogMode,
    MemoryStore,
    RetryPolicy,
    RunContext,
    Runner,
    Workflow,
    resolve,
)
from replayt_core.chain import first_prev, line_hash, read_lines, seal
from replayt_core.diff import PARTS, Part, RunDiff, RunDifference, diff
from replayt_core.events import Draft
from replayt_core.payloads import PAYLOADS
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import ASK, RUN, batches, cut, log, workflow
from tests.core.programs import StateSpec, World, finish, programs
from tests.drawn import examples

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").rglob("*.jsonl"))
bounded = examples(60)


class Label(BaseModel):
    label: str
    scores: list[float] = []


def sealed(drafts: Sequence[tuple[str, dict[str, Any]]], run_id: str = RUN) -> list[Event]:
    """A log of one-event batches."""
    events: list[Event] = []
    for kind, payload in drafts:
        head = line_hash(events[-1].line) if events else first_prev(run_id)
        draft = Draft(kind, payload)
        events += seal(run_id, [draft], after=len(events), head=head, ts="2026-01-01T00:00:00Z")
    return events


def drafts(events: Sequence[Event]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type, copy.deepcopy(event.payload)) for event in events]


def fixture(path: Path) -> list[Event]:
    return list(read_lines(path.stem, path.read_bytes().split(b"\n")[:-1]))


@cache
def whole() -> list[Event]:
    """A run with something of every part."""

    def first(ctx: RunContext) -> str:
        if ctx.attempt == 1:
            raise ValueError("not yet")

        @ctx.tools.register
        def look_up(number: int, words: list[str]) -> dict[str, Any]:
            return {"found": number}

        ctx.tools.call("look_up", {"number": ctx.get("number"), "words": ["x", "y"]})
        answer = ctx.llm.parse(Label, messages=ASK)
        ctx.llm.complete_text(messages=ASK)
        ctx.note("seen", summary="a note", data={"n": 1})
        ctx.set("label", answer.label)
        ctx.because("it is so")
        return "ask"

    def ask(ctx: RunContext) -> str:
        if not ctx.is_approved("go"):
            ctx.request_approval("go", summary="Go on?", details={"n": 1})
        return "end"

    made = Workflow("demo")
    made.set_initial("first")
    made.step("first", to=["ask"], retries=RetryPolicy(max_attempts=2))(first)
    made.step("ask", to=["end"])(ask)
    made.step("end")(lambda ctx: None)
    client = MockLLMClient()
    client.enqueue(Label(label="bug", scores=[0.5, 1.0]))
    client.enqueue("some text")
    store = MemoryStore()
    runner = Runner(made, store, llm_client=client, clock=FrozenClock(), log_mode="full")
    runner.run(run_id=RUN, inputs={"number": 7})
    resolve(store, RUN, "go", approved=True, by="Ada", reason="fine")
    runner.resume(RUN)
    return log(store)


def answered(*replies: str | Label, mode: LogMode = LogMode.redacted) -> list[Event]:
    """A run whose only state makes a call for each reply."""

    def only(ctx: RunContext) -> None:
        for reply in replies:
            if isinstance(reply, str):
                ctx.llm.complete_text(messages=ASK)
            else:
                ctx.llm.parse(Label, messages=ASK)

    client, store = MockLLMClient(), MemoryStore()
    for reply in replies:
        client.enqueue(reply)
    runner = Runner(
        workflow(only=only), store, llm_client=client, clock=FrozenClock(), log_mode=mode
    )
    runner.run(run_id=RUN)
    return log(store)


def paths(found: RunDifference | None) -> list[str]:
    assert found is not None
    return [change.path for change in found.changes]


def flags(found: RunDiff) -> dict[Part, bool]:
    return {part: found.parts[part].changed for part in PARTS}


def is_same(found: RunDiff) -> bool:
    return not (
        found.changed
        or found.first
        or any(flags(found).values())
        or any(pair.changed or not (pair.a and pair.b) for pair in found.visits)
    )


# The same.


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_run_of_any_schema_is_the_same_as_itself(path: Path) -> None:
    """SC-160."""
    events = fixture(path)
    assert is_same(diff(events, events))


@bounded
@given(programs())
def test_a_program_that_is_run_twice_makes_runs_that_are_the_same(
    program: tuple[StateSpec, ...],
) -> None:
    """SC-160: other times and seqs are no difference."""
    one, two = MemoryStore(), MemoryStore()
    finish(program, one, World())
    finish(program, two, World())
    assert is_same(diff(log(one), log(two)))


@examples(20)
@given(programs())
def test_a_run_that_was_killed_and_resumed_is_the_same_as_one_that_was_not(
    program: tuple[StateSpec, ...],
) -> None:
    store = MemoryStore()
    finish(program, store, World())
    for count in range(1, len(batches(log(store)))):
        resumed = cut(store, count)
        finish(program, resumed, World())
        found = diff(log(store), log(resumed))
        assert is_same(found), found.first


def test_times_ids_tags_and_latency_are_no_differences() -> None:
    changed = drafts(whole())
    changed[0][1]["tags"] = {"try": "2"}
    for kind, payload in changed:
        if kind == "llm_response":
            payload["latency_ms"] = 250.0
            payload["usage"] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            payload["request_id"] = "another"
    found = diff(sealed(drafts(whole())), sealed(changed, "another-run"))
    assert is_same(found)
    assert (found.latency_ms.a, found.latency_ms.b, found.latency_ms.delta) == (0.0, 500.0, 500.0)
    assert [call.latency_ms.delta for call in found.call_latencies] == [250.0, 250.0]
    assert found.total_tokens.delta == 14
    assert (found.uncounted_replies.a, found.uncounted_replies.b) == (2, 0)


# Every single mutation is found, where it is, and first.


def at(kind: str, number: int = 0) -> Callable[[list[tuple[str, dict[str, Any]]]], dict[str, Any]]:
    return lambda made: [payload for other, payload in made if other == kind][number]


MUTATIONS: dict[str, tuple[Part, str, str, Callable[[dict[str, Any], Any], object]]] = {
    "input": ("inputs", "run_started", "number", lambda p, v: p["inputs"].update(number=v)),
    "version": (
        "workflow",
        "run_started",
        "workflow_version",
        lambda p, v: p.update(workflow_version=v),
    ),
    "code": ("workflow", "run_started", "code", lambda p, v: p["code"].update(ask=str(v))),
    "prompt": (
        "prompts",
        "llm_request",
        "messages[0].content",
        lambda p, v: p["messages"][0].update(content=v, sha256="0"),
    ),
    "temperature": (
        "settings",
        "llm_request",
        "temperature",
        lambda p, v: p["effective"].update(temperature=v),
    ),
    "model": ("settings", "llm_request", "model", lambda p, v: p["effective"].update(model=v)),
    "output": (
        "outputs",
        "structured_output",
        "scores[1]",
        lambda p, v: p["data"]["scores"].__setitem__(1, v),
    ),
    "argument": (
        "tool_calls",
        "tool_call",
        "arguments.words[0]",
        lambda p, v: p["arguments"]["words"].__setitem__(0, v),
    ),
    "result": (
        "tool_calls",
        "tool_result",
        "result.found",
        lambda p, v: p["result"].update(found=v),
    ),
    "request": (
        "approvals",
        "approval_requested",
        "details.n",
        lambda p, v: p["details"].update(n=v),
    ),
    "who": ("approvals", "approval_resolved", "answer.by", lambda p, v: p.update(by=str(v))),
    "note": ("notes", "step_note", "data.n", lambda p, v: p["data"].update(n=v)),
    "context": (
        "context",
        "state_exited",
        "set.label",
        lambda p, v: p["context"]["set"].update(label=v),
    ),
    "reason": ("moves", "transition", "reason", lambda p, v: p.update(reason=v)),
    "retry": (
        "retries",
        "retry_scheduled",
        "error.message",
        lambda p, v: p["error"].update(message=v),
    ),
    "end": ("status", "run_completed", "final_state", lambda p, v: p.update(final_state=v)),
}


@pytest.mark.parametrize("name", MUTATIONS)
@examples(15)
@given(
    value=st.text().map("another {}".format) | st.integers(10) | st.lists(st.booleans(), min_size=1)
)
def test_every_single_change_is_found_and_is_the_first_difference(name: str, value: Any) -> None:
    """SC-158: which part, which field, both recorded values; and nothing else differs."""
    part, kind, path, change = MUTATIONS[name]
    changed = drafts(whole())
    change(at(kind)(changed), value)
    for a, b in ((whole(), sealed(changed)), (sealed(changed), whole())):
        found = diff(a, b)
        assert [name for name, flag in flags(found).items() if flag] == [part]
        assert len(found.differences) == 1
        assert paths(found.first) == [path]


@bounded
@given(programs(), programs())
def test_what_has_changed_is_the_same_from_both_sides(
    one: tuple[StateSpec, ...], two: tuple[StateSpec, ...]
) -> None:
    stores = MemoryStore(), MemoryStore()
    finish(one, stores[0], World())
    finish(two, stores[1], World())
    a, b = log(stores[0]), log(stores[1])
    there, back = diff(a, b), diff(b, a)
    assert flags(there) == flags(back)
    assert len(there.differences) == len(back.differences)
    assert [pair.changed for pair in there.visits].count(True) == [
        pair.changed for pair in back.visits
    ].count(True)
    assert there.latency_ms.a == back.latency_ms.b


# The first cause before its effects.


def test_what_happened_first_comes_first_however_much_follows() -> None:
    """Issue 6 point 2: a tool's result, then the context and the move that it led to."""
    changed = drafts(whole())
    at("run_completed")(changed)["final_state"] = "elsewhere"
    at("state_exited")(changed)["context"]["set"]["label"] = "feature"
    at("structured_output")(changed)["data"]["label"] = "feature"
    at("step_note")(changed)["summary"] = "another"
    at("tool_result")(changed)["result"] = {"found": 8}
    found = diff(whole(), sealed(changed))
    assert [item.part for item in found.differences] == [
        "tool_calls",
        "outputs",
        "notes",
        "context",
        "status",
    ]
    first = found.first
    assert first is not None
    assert (first.what, first.state, first.seq_a) == ("tool look_up", "first", first.seq_b)


def test_changed_code_is_told_where_its_state_is_first_entered() -> None:
    """A changed handler explains nothing that came before it."""
    changed = drafts(whole())
    changed[0][1]["code"]["ask"] = "another"
    at("structured_output")(changed)["data"]["label"] = "feature"
    found = diff(whole(), sealed(changed))
    assert [item.what for item in found.differences] == ["Label", "code of ask"]


def test_of_calls_made_at_once_a_later_request_comes_before_an_earlier_result() -> None:
    def run(second: str, result: int) -> list[Event]:
        return sealed(
            [
                ("run_started", {"inputs": {}}),
                ("state_entered", {"state": "s", "visit": 1, "attempt": 1}),
                ("tool_call", {"call": 1, "name": "t", "arguments": {"x": "1"}}),
                ("tool_call", {"call": 2, "name": "t", "arguments": {"x": second}}),
                ("tool_result", {"call": 2, "name": "t", "ok": True, "result": 0}),
                ("tool_result", {"call": 1, "name": "t", "ok": True, "result": result}),
            ]
        )

    found = diff(run("2", 1), run("3", 9))
    assert [paths(item) for item in found.differences] == [["arguments.x"], ["result"]]
    assert [item.seq_a for item in found.differences] == [4, 6]


# Alignment.


def looping(rounds: int, extra: int | None = None) -> list[Event]:
    """A run that goes round `work` and `check`; one of its rounds may have a visit more."""

    def work(ctx: RunContext) -> str:
        ctx.note("round", data=ctx.visit)
        return "check"

    def check(ctx: RunContext) -> str | None:
        if ctx.visit == extra:
            return "polish"
        return "work" if ctx.visit < rounds else None

    def polish(ctx: RunContext) -> str:
        return "work"

    made = workflow(
        edges=[("work", "check"), ("check", "work"), ("check", "polish"), ("polish", "work")],
        work=work,
        check=check,
        polish=polish,
    )
    store = MemoryStore()
    Runner(made, store, clock=FrozenClock(), max_steps=5_000).run(run_id=RUN)
    return log(store)


def test_a_visit_more_shifts_nothing() -> None:
    found = diff(looping(6), looping(6, extra=3))
    assert [item.what for item in found.differences] == ["move", "polish"]
    assert [pair.state for pair in found.visits if not (pair.a and pair.b)] == ["polish"]
    assert not found.parts["notes"].changed
    assert found.parts["notes"].compared == 6


def test_a_long_run_is_compared_with_one_that_took_another_way() -> None:
    """5,000 events each; `test_alignment` counts the steps."""
    a, b = looping(850), looping(750, extra=3)
    assert len(a) > 5_000
    found = diff(a, b)
    assert found.first is not None
    assert (found.first.part, found.first.state) == ("moves", "check")
    assert sum(pair.a is None or pair.b is None for pair in found.visits) == 201


def test_a_call_more_is_told_and_the_others_stay_aligned() -> None:
    found = diff(answered(Label(label="a")), answered("some words", Label(label="a")))
    assert [(item.part, item.only) for item in found.differences[:2]] == [
        ("prompts", "b"),
        ("replies", "b"),
    ]
    assert not found.parts["outputs"].changed


def fetched(*numbers: int) -> list[Event]:
    """A run of one state that calls the same tool for each of these."""

    def only(ctx: RunContext) -> None:
        @ctx.tools.register
        def fetch(n: int) -> int:
            return n

        for number in numbers:
            ctx.tools.call("fetch", {"n": number})

    store = MemoryStore()
    Runner(workflow(only=only), store, clock=FrozenClock()).run(run_id=RUN)
    return log(store)


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ((1, 2, 3), (0, 1, 2, 3), [(None, 3, "b")]),
        ((1, 2, 3, 4), (1, 3, 4), [(5, None, "a")]),
        ((1, 2, 3), (1, 9, 2, 3, 4), [(None, 5, "b"), (None, 11, "b")]),
        ((1, 2), (1, 3), [(5, 5, None), (6, 6, None)]),
        ((1, 2), (2, 3), [(3, 3, None), (4, 4, None), (5, 5, None), (6, 6, None)]),
        (
            (1, 2),
            (3, 4, 5),
            [(3, 3, None), (4, 4, None), (5, 5, None), (6, 6, None), (None, 7, "b")],
        ),
    ],
)
def test_one_more_call_of_the_same_tool_shifts_nothing(
    a: tuple[int, ...], b: tuple[int, ...], told: list[tuple[int | None, int | None, str | None]]
) -> None:
    """Calls are paired by what they asked where that leaves less that differs."""
    calls = diff(fetched(*a), fetched(*b)).parts["tool_calls"]
    assert [(item.seq_a, item.seq_b, item.only) for item in calls.differences] == told


def test_repeated_outputs_of_a_schema_are_all_compared() -> None:
    """SC-161."""
    a = answered(Label(label="x"), Label(label="y"), Label(label="z"))
    b = answered(Label(label="x"), Label(label="Y"), Label(label="Z", scores=[1.0]))
    outputs = diff(a, b).parts["outputs"]
    assert outputs.compared == 3
    assert [paths(item) for item in outputs.differences] == [["label"], ["label", "scores[0]"]]
    more = diff(a, answered(Label(label="x"), Label(label="y"))).parts["outputs"]
    assert [item.only for item in more.differences] == ["a"]


def test_attempts_are_compared_by_number_and_a_retry_more_is_told() -> None:
    changed = [item for item in drafts(whole()) if item[0] not in ("step_error", "retry_scheduled")]
    second = next(n for n, (kind, payload) in enumerate(changed) if payload.get("attempt") == 2)
    del changed[second]
    found = diff(whole(), sealed(changed))
    assert found.parts["retries"].changed
    assert found.parts["states"].changed is False


def test_a_failure_that_the_run_was_taken_up_from_is_an_attempt_more() -> None:
    def run(fails: int) -> list[Event]:
        tries: list[int] = []

        def only(ctx: RunContext) -> None:
            tries.append(ctx.attempt)
            if len(tries) <= fails:
                raise ValueError("not yet")

        store = MemoryStore()
        runner = Runner(workflow(only=only), store, clock=FrozenClock())
        status = runner.run(run_id=RUN).status
        while status == "failed":
            status = runner.resume(RUN, retry_failed=True).status
        return log(store)

    found = diff(run(1), run(0))
    assert [part for part, flag in flags(found).items() if flag] == ["retries"]
    first = found.first
    assert first is not None
    assert first.changes[0].a == {
        "ends": "retries",
        "error": {"type": "ValueError", "message": "not yet"},
    }
    assert is_same(diff(run(2), run(2)))


def test_an_attempt_that_was_cut_short_and_begun_again_is_told() -> None:
    start = [("run_started", {"inputs": {}}), ("state_entered", {"state": "s", "visit": 1})]
    again = ("state_entered", {"state": "s", "visit": 1, "attempt": 2})
    end = ("state_exited", {"state": "s", "next_state": None})
    found = diff(sealed([*start, again, end]), sealed([*start, end]))
    assert flags(found)["retries"]
    assert found.differences[0].changes[0].a == {"ends": "cut"}


# What the logs do not say alike.


def test_replies_are_compared_by_text_where_it_is_kept_and_else_by_hash() -> None:
    full, redacted, bare = LogMode.full, LogMode.redacted, LogMode.structured_only
    one = {mode: answered("one", mode=mode) for mode in LogMode}
    two = {mode: answered("two", mode=mode) for mode in LogMode}
    for mode in LogMode:
        assert is_same(diff(one[mode], answered("one", mode=mode)))
        assert diff(one[mode], two[mode]).parts["replies"].changed
    (change,) = diff(one[full], two[full]).differences[0].changes
    assert (change.path, change.a, change.b) == ("text", "one", "two")
    (change,) = diff(one[redacted], two[redacted]).differences[0].changes
    assert isinstance(change.a, dict)
    assert (change.a["bytes"], change.a["preview"]) == (3, "one")
    # Prompts and replies of different modes have their hashes in common.
    assert is_same(diff(one[full], one[bare]))
    assert diff(one[full], two[bare]).parts["replies"].changed


def test_what_older_logs_did_not_keep_is_named_and_not_guessed() -> None:
    old = next(fixture(path) for path in FIXTURES if path.stem == "old-completed")
    found = diff(old, old)
    (left,) = found.not_compared
    assert (left.part, left.what, left.why) == (
        "prompts",
        "Intake",
        "neither log keeps hashes of prompts",
    )
    assert found.parts["prompts"].compared == 0
    assert found.parts["outputs"].compared == 1
    assert not found.a.chained


def test_a_text_of_which_one_log_kept_nothing_is_not_compared() -> None:
    changed = drafts(answered("one"))
    del at("llm_response")(changed)["reply"]
    found = diff(answered("one"), sealed(changed))
    assert not found.changed
    assert [(left.part, left.why) for left in found.not_compared] == [
        ("replies", "the log of B keeps no hashes of text replies")
    ]


def test_messages_without_hashes_are_not_compared() -> None:
    changed = drafts(whole())
    message = at("llm_request")(changed)["messages"][0]
    del message["sha256"]
    message["bytes"] = 3
    found = diff(whole(), sealed(changed))
    assert not found.changed
    assert [(left.part, left.what, left.why) for left in found.not_compared] == [
        ("prompts", "Label", "the log of B keeps no hashes of prompts")
    ]


def test_a_hidden_value_equals_what_has_its_digest() -> None:
    def run(number: int, hidden: bool) -> list[Event]:
        store = MemoryStore()
        keys = ["ssn"] if hidden else []
        Runner(workflow(only=lambda ctx: None), store, redact_keys=keys).run(
            run_id=RUN, inputs={"ssn": {"of": number}}
        )
        return log(store)

    assert is_same(diff(run(1, True), run(1, True)))
    assert is_same(diff(run(1, True), run(1, False)))
    found = diff(run(1, True), run(2, False))
    assert paths(found.first) == ["ssn"]
    assert diff(run(1, True), run(2, True)).parts["inputs"].changed


def test_values_are_told_apart_as_in_json() -> None:
    def run(**inputs: Any) -> list[Event]:
        return sealed([("run_started", {"inputs": inputs})])

    for left, right in ((1, True), (1, 1.0), ("1", 1), (None, 0), ({}, []), ([1], [1, None])):
        assert diff(run(x=left), run(x=right)).changed, (left, right)
    assert not diff(run(x=1, y={"b": 1, "a": 2}), run(y={"a": 2, "b": 1}, x=1)).changed
    assert not diff(run(x=float("nan")), run(x=float("nan"))).changed
    found = diff(run(**{"two words": {"a": [{"é": 1}]}}), run(**{"two words": {"a": [{"é": 2}]}}))
    assert paths(found.first) == ['["two words"].a[0].é']
    missing = diff(run(x=None), run()).first
    assert missing is not None
    assert [(change.only, change.a) for change in missing.changes] == [("a", None)]


def test_the_time_that_was_left_for_a_call_is_no_setting() -> None:
    changed = drafts(whole())
    at("llm_request")(changed)["effective"]["timeout_seconds"] = 3.2
    assert is_same(diff(whole(), sealed(changed)))
    at("llm_request")(changed)["overrides"]["timeout_seconds"] = 3.2
    assert diff(whole(), sealed(changed)).parts["settings"].changed


def test_failed_calls_are_compared_by_their_errors() -> None:
    changed = drafts(whole())
    end = at("llm_response")(changed)
    end.update(ok=False, error={"type": "LLMError", "kind": "rate_limit", "message": "429"})
    result = at("tool_result")(changed)
    del result["result"]
    result.update(ok=False, error={"type": "ToolError", "message": "no", "location": "x.py:1"})
    found = diff(whole(), sealed(changed))
    tools, replies = found.parts["tool_calls"], found.parts["replies"]
    assert paths(tools.differences[0]) == ["result", "error"]
    assert tools.differences[0].changes[1].b == {"type": "ToolError", "message": "no"}
    assert paths(replies.differences[0]) == ["error"]


def test_another_graph_is_told_by_what_it_has() -> None:
    changed = drafts(whole())
    graph = changed[0][1]["graph"]
    graph["states"].append("more")
    graph["edges"].append(["ask", "more"])
    first = diff(whole(), sealed(changed)).first
    assert first is not None
    assert [(change.path, change.only, change.b) for change in first.changes] == [
        ("graph.states", "b", "more"),
        ("graph.edges", "b", "ask -> more"),
    ]


# Runs that are not at their end, and logs that are not whole.


def test_a_paused_run_is_compared_with_one_that_went_on() -> None:
    count = next(number for number, event in enumerate(whole(), 1) if event.type == "run_paused")
    found = diff(whole()[:count], whole())
    first = found.first
    assert first is not None
    assert (first.part, first.what, paths(first)) == ("approvals", "approval go", ["answer"])
    assert found.parts["status"].changed
    assert [pair.state for pair in found.visits if pair.a is None] == ["end"]


def test_what_an_attempt_did_after_a_pause_is_compared() -> None:
    def run(approved: bool) -> list[Event]:
        def ask(ctx: RunContext) -> str:
            answer = ctx.request_approval("gate")
            ctx.set("answer", answer)
            return "yes" if answer else "no"

        def end(ctx: RunContext) -> None:
            return None

        made = workflow(ask=ask, yes=end, no=end)
        store = MemoryStore()
        Runner(made, store, clock=FrozenClock()).run(run_id=RUN)
        resolve(store, RUN, "gate", approved=approved, by="ada", clock=FrozenClock())
        Runner(made, store, clock=FrozenClock()).resume(RUN)
        return log(store)

    found = diff(run(True), run(False))
    assert [(item.part, item.state) for item in found.differences[:3]] == [
        ("approvals", "ask"),
        ("context", "ask"),
        ("moves", "ask"),
    ]
    assert is_same(diff(run(True), run(True)))


def test_the_readable_part_of_any_log_is_compared() -> None:
    """Of a damaged log that is all there is: nothing that both hold is told as different."""
    for count in range(2, len(whole())):
        found = diff(whole()[:count], whole())
        assert found.changed
        for item in found.differences:
            assert item.part in ("status", "retries") or (item.seq_b or 0) > count
    assert diff([], whole()).changed
    assert is_same(diff([], []))


def test_events_of_types_that_are_not_known_are_named_where_they_differ() -> None:
    def with_event(**payload: Any) -> list[Event]:
        made = drafts(whole())
        made.insert(3, ("from_the_future", payload))
        return sealed(made)

    assert is_same(diff(with_event(x=1), with_event(x=1)))
    assert diff(with_event(x=1), with_event(x=1)).not_compared == ()
    found = diff(with_event(x=1), with_event(x=2))
    assert is_same(found)
    assert [left.what for left in found.not_compared] == ["events of type from_the_future"]
    assert dict(found.a.unknown) == {"from_the_future": 1}


def test_many_types_that_are_not_known_are_read_once() -> None:
    """A log is no way to make a comparison take the square of its length."""
    compared = 0

    class Kind(str):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    start = drafts(whole())[:1]
    events = sealed([*start, *[(f"future_{n}", {"n": n}) for n in range(300)]])
    counted = [event._replace(type=Kind(event.type)) for event in events]
    assert is_same(diff(counted, counted))
    assert compared < 20 * len(events)


@pytest.mark.parametrize("kind", [*PAYLOADS, "from_the_future"])
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"state": 3, "error": "text", "context": [1], "because": 4, "messages": 5, "usage": []},
        {"error": {}, "reply": "x", "effective": "y", "request_seq": [1], "elapsed_ms": "slow"},
        {
            "messages": [1, {"role": 2}],
            "graph": {"edges": [3]},
            "inputs": 4,
            "repair": [],
            "call": [],
        },
    ],
)
def test_any_payload_can_be_compared(kind: str, payload: dict[str, Any]) -> None:
    start: list[tuple[str, dict[str, Any]]] = [
        ("run_started", {"inputs": {}}),
        ("state_entered", {"state": "s", "visit": 1, "attempt": 1}),
        ("llm_request", {"call": 1, "messages": []}),
    ]
    events = sealed([*start, (kind, payload), (kind, payload)])
    assert is_same(diff(events, events))
    diff(events, whole())
    diff(whole(), events)
    diff(sealed([(kind, payload)]), [])


# Forks.


def forked(changes: dict[str, Any] | None = None) -> tuple[list[Event], list[Event]]:
    def first(ctx: RunContext) -> str:
        ctx.set("limit", 10)
        return "work"

    def work(ctx: RunContext) -> str:
        ctx.note("limit", data=ctx.get("limit"))
        return "work" if ctx.visit < 3 else "done"

    def done(ctx: RunContext) -> None:
        return None

    made = workflow(
        edges=[("first", "work"), ("work", "work"), ("work", "done")],
        first=first,
        work=work,
        done=done,
    )
    store = MemoryStore()
    runner = Runner(made, store, clock=FrozenClock())
    runner.run(run_id="parent", inputs={"x": 1})
    runner.fork("parent", at="work:1", changes=changes, new_run_id="fork")
    return log(store, "parent"), log(store, "fork")


def test_a_fork_is_compared_with_its_parent_from_where_it_began() -> None:
    """DESIGN 5: the fork's log begins in the middle."""
    parent, fork = forked()
    found = diff(parent, fork)
    assert is_same(found)
    relation = found.relation
    assert relation is not None
    assert (relation.fork, relation.state, relation.shared) == ("b", "work", 1)
    back = diff(fork, parent)
    assert is_same(back)
    assert back.relation is not None
    assert back.relation.fork == "a"


def test_what_a_fork_was_given_is_the_first_difference() -> None:
    parent, fork = forked({"limit": 20})
    found = diff(parent, fork)
    first = found.first
    assert first is not None
    assert (first.part, first.what, paths(first)) == ("context", "context at the start", ["limit"])
    assert found.relation is not None
    assert (first.seq_a, first.seq_b) == (found.relation.seq, 1)
    assert [item.part for item in found.differences[1:]] == ["notes"] * 3


def test_a_fork_of_something_else_is_compared_from_its_start() -> None:
    parent, fork = forked()
    found = diff(whole(), fork)
    assert found.relation is None
    cut_short = parent[:2]
    assert diff(cut_short, fork).relation is None
