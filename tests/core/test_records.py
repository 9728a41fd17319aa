"""A run as rows: what the SQL views show and what the index keeps (issue 4, item 8)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core import (
    Event,
    MemoryStore,
    RunContext,
    Runner,
    ToolError,
    Workflow,
    fold,
    summarize,
)
from replayt_core.chain import first_prev, line_hash, read_lines, seal
from replayt_core.events import Draft
from replayt_core.payloads import PAYLOADS
from replayt_core.records import Digest, DigestBuilder, Records, digest, records
from tests.core.helpers import ASK, RUN, batches, cut, cut_behind, log, run_once
from tests.core.programs import Oracle, StateSpec, World, finish, programs
from tests.drawn import examples

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.rglob("*.jsonl"))
bounded = examples(60)


def fixture(name: str) -> bytes:
    (path,) = FIXTURES.rglob(f"{name}.jsonl")
    return path.read_bytes()


def by_lines(run_id: str, data: bytes, *, pieces: int = 1) -> Digest:
    """The digest of a log that is fed in pieces of whole lines."""
    builder = DigestBuilder(run_id)
    lines = data.splitlines(keepends=True)
    size = -(-len(lines) // pieces)
    for start in range(0, len(lines), size):
        builder.feed_lines(b"".join(lines[start : start + size]))
    return builder.finish()


def text_of(events: list[Event]) -> bytes:
    return b"".join(event.line + b"\n" for event in events)


def made(*drafts: tuple[str, dict[str, Any]]) -> list[Event]:
    """A log of one-event batches."""
    events: list[Event] = []
    for kind, payload in drafts:
        head = line_hash(events[-1].line) if events else first_prev(RUN)
        events += seal(
            RUN, [Draft(kind, payload)], after=len(events), head=head, ts="2026-01-01T00:00:00Z"
        )
    return events


def counts_agree(events: list[Event], rows: Records) -> None:
    """What the summary counts, the rows count too."""
    summary = summarize(events[0].run_id, events)
    calls = rows.llm_calls
    assert len(rows.transitions) == summary.transitions
    assert len(calls) == summary.llm_calls
    assert len(rows.tool_calls) == summary.tool_calls
    assert len(rows.approvals) == summary.approvals
    assert sum(row.attempt == 1 for row in rows.states) == summary.states
    assert sum(row.ok is False for row in calls) == summary.llm_failures
    assert sum(row.retries for row in calls) == summary.llm_retries
    assert sum(row.latency_ms or 0.0 for row in calls) == pytest.approx(summary.latency_ms)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert sum(getattr(row, name) or 0 for row in calls) == getattr(summary, name)


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_every_released_schema_agree_with_the_summary(name: str) -> None:
    """R-5: logs of 0.2 and of schema 1, chained or not."""
    events = list(read_lines(name, fixture(name).split(b"\n")[:-1]))
    rows = records(name, events)
    counts_agree(events, rows)
    found = digest(name, events)
    assert found.summary == summarize(name, events)
    assert found.llm_calls == rows.llm_calls


@pytest.mark.parametrize("pieces", [1, 2, 100])
@pytest.mark.parametrize("name", NAMES)
def test_lines_give_the_digest_that_events_give_wherever_they_are_cut(
    name: str, pieces: int
) -> None:
    """Also where a piece ends inside a batch."""
    events = read_lines(name, fixture(name).split(b"\n")[:-1])
    assert by_lines(name, fixture(name), pieces=pieces) == digest(name, events)


def test_the_rows_of_a_run_with_a_call_and_a_tool() -> None:
    rows = records("called", read_lines("called", fixture("called").split(b"\n")[:-1]))
    (call,), (tool,), (state,) = rows.llm_calls, rows.tool_calls, rows.states
    assert (call.seq, call.call, call.state, call.visit, call.attempt) == (3, 1, "judge", 1, 1)
    assert (call.model, call.schema_name, call.ok, call.finish_reason) == (
        "mock",
        "Verdict",
        True,
        "stop",
    )
    assert (tool.seq, tool.name, tool.arguments, tool.ok, tool.result) == (
        6,
        "double",
        {"n": 4},
        True,
        8,
    )
    assert (state.seq, state.outcome, state.next_state) == (2, "exited", None)


def test_a_run_of_replayt_0_2_has_rows_although_nothing_in_it_is_numbered() -> None:
    name = "old-completed"
    rows = records(name, read_lines(name, fixture(name).split(b"\n")[:-1]))
    (call,) = rows.llm_calls
    assert (call.model, call.ok, call.latency_ms, call.total_tokens) == (
        "gpt-4o-mini",
        True,
        900,
        15,
    )
    assert [(row.state, row.visit, row.attempt) for row in rows.states] == [
        ("read", 1, 1),
        ("done", 1, 1),
    ]


@pytest.mark.parametrize(
    ("name", "outcomes", "answer"),
    [
        ("paused", ["paused"], (None, False)),
        ("answered", ["paused"], (True, False)),
        ("approved", ["exited", "exited"], (True, True)),
        ("rejected", ["exited", "exited"], (False, True)),
    ],
)
def test_a_pause_is_an_outcome_until_the_run_goes_on(
    name: str, outcomes: list[str], answer: tuple[bool | None, bool]
) -> None:
    rows = records(name, read_lines(name, fixture(name).split(b"\n")[:-1]))
    (approval,) = rows.approvals
    assert [row.outcome for row in rows.states] == outcomes
    assert (approval.approved, approval.applied) == answer
    assert (approval.resolved_ts is None) is (approval.approved is None)


def test_attempts_are_rows_and_say_how_they_ended() -> None:
    rows = records("retried", read_lines("retried", fixture("retried").split(b"\n")[:-1]))
    assert [(row.attempt, row.outcome) for row in rows.states] == [
        (1, "retried"),
        (2, "retried"),
        (3, "exited"),
    ]
    failed = records("failed", read_lines("failed", fixture("failed").split(b"\n")[:-1]))
    assert failed.states[-1].outcome == "failed"


def test_a_call_without_an_end_has_no_verdict() -> None:
    def ask(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)

    store = MemoryStore()
    run_once(ask, store=store, llm_client=Oracle())
    events = log(cut_behind(store, "llm_request"))
    (call,) = records(RUN, events).llm_calls
    assert call.ok is None
    assert digest(RUN, events).llm_calls == (call,)


def test_a_call_that_is_made_again_after_a_crash_counts_once_and_the_later_one_counts() -> None:
    """DESIGN 5: a request without a result is written again under the same `call`."""
    request = {"call": 1, "state": "a", "effective": {"model": "m"}}
    events = made(
        ("run_started", {"log_schema": 1, "workflow_name": "w"}),
        ("state_entered", {"state": "a", "visit": 1, "attempt": 1}),
        ("llm_request", request),
        ("llm_retry", {"call": 1, "delay_seconds": 1.0}),
        ("tool_call", {"call": 2, "state": "a", "name": "t", "arguments": {}}),
        ("run_resumed", {"epoch": 2, "from_seq": 5, "reason": "crash"}),
        ("llm_request", request),
        ("llm_response", {"call": 1, "ok": True, "latency_ms": 5.0, "usage": {"total_tokens": 7}}),
        ("tool_call", {"call": 2, "state": "a", "name": "t", "arguments": {}}),
        ("tool_result", {"call": 2, "name": "t", "ok": False, "error": {"type": "E"}}),
    )
    rows = records(RUN, events)
    counts_agree(events, rows)
    assert [(row.seq, row.ok, row.retries) for row in rows.llm_calls] == [(7, True, 1)]
    assert [(row.seq, row.ok, row.error_type) for row in rows.tool_calls] == [(9, False, "E")]


def test_the_same_call_number_in_another_attempt_is_another_call() -> None:
    request = {"call": 1, "state": "a"}
    events = made(
        ("run_started", {"log_schema": 1}),
        ("state_entered", {"state": "a", "visit": 1, "attempt": 1}),
        ("llm_request", request),
        ("state_entered", {"state": "a", "visit": 1, "attempt": 2}),
        ("llm_request", request),
    )
    rows = records(RUN, events)
    counts_agree(events, rows)
    assert [(row.attempt, row.ok) for row in rows.llm_calls] == [(1, None), (2, None)]


def test_an_end_without_its_start_loses_no_tokens() -> None:
    events = made(
        ("run_started", {"log_schema": 1}),
        ("state_entered", {"state": "a"}),
        ("llm_response", {"call": 4, "usage": {"total_tokens": 9}, "latency_ms": 1}),
        ("tool_result", {"call": 5, "ok": True}),
    )
    rows = records(RUN, events)
    assert [(row.seq, row.total_tokens) for row in rows.llm_calls] == [(3, 9)]
    assert rows.tool_calls == ()


def test_a_path_names_a_state_once_in_a_row_and_is_bounded() -> None:
    def path(*states: str) -> str:
        entered = [("state_entered", {"state": name}) for name in states]
        return digest(RUN, made(("run_started", {}), *entered)).path

    assert path("a", "a", "b", "a") == "a > b > a"
    long = path(*("ab" * 40))
    assert long == " > ".join("ab" * 16) + " > …"
    assert len(path("x" * 5_000, "y")) < 1_010


def test_the_end_of_a_batch_that_is_cut_short_is_left_out_as_in_reading() -> None:
    def step(ctx: RunContext) -> None:
        ctx.set("a", 1)

    store = MemoryStore()
    run_once(step, store=store)
    data = text_of(log(store)[:-1])  # the last batch lacks its end
    found = by_lines(RUN, data)
    assert found == digest(RUN, read_lines(RUN, data.split(b"\n")[:-1]))
    assert found.summary.last_seq < len(log(store)) - 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [lines[0], b"", *lines[1:]],
        lambda lines: [lines[0], b"null", *lines[2:]],
        lambda lines: [lines[0], b"{}", *lines[2:]],
        lambda lines: [lines[0], lines[1] + b"," + lines[2], b"", *lines[3:]],
        lambda lines: [lines[0], lines[1][:40], lines[1][40:], *lines[2:]],
        lambda lines: [lines[0].replace(b'"completed"', b'"other"'), *lines[1:]],
        lambda lines: [lines[0], lines[1].replace(b'"seq":2', b'"seq":2.0'), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b'"payload":{', b'"payload":[{'), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b'"type":"', b'"type":7,"x":"'), *lines[2:]],
        lambda lines: [lines[0], b"\xff\xfe" + lines[1], *lines[2:]],
    ],
)
def test_lines_that_are_not_the_next_events_are_refused(damage: Any) -> None:
    """They are then read one by one, which tells which line it is."""
    lines = damage(fixture("completed").split(b"\n")[:-1])
    with pytest.raises(ValueError):  # noqa: PT011 the text is for nobody
        by_lines("completed", b"\n".join(lines) + b"\n")


@bounded
@given(programs())
def test_rows_and_summary_of_random_workflows_agree_at_every_batch(
    program: tuple[StateSpec, ...],
) -> None:
    """DESIGN 2: one fold serves everything."""
    store = MemoryStore()
    finish(program, store, World())
    events = log(store)
    ends = [event.seq for event in events if not event.more]
    for end in (*ends[:: max(len(ends) // 4, 1)], len(events)):
        part = events[:end]
        rows = records(RUN, part)
        counts_agree(part, rows)
        found = digest(RUN, part)
        assert found.summary == fold(RUN, part).summary
        assert found.llm_calls == rows.llm_calls
        assert by_lines(RUN, text_of(part), pieces=3) == found
    assert [row.seq for row in rows.states] == [e.seq for e in events if e.type == "state_entered"]
    assert all(row.outcome for row in rows.states)


@bounded
@given(programs(), st.integers(1, 30))
def test_rows_and_summary_agree_after_a_crash_and_a_resume(
    program: tuple[StateSpec, ...], where: int
) -> None:
    whole = MemoryStore()
    finish(program, whole, World())
    store = cut(whole, 1 + where % (len(batches(log(whole))) - 1))
    finish(program, store, World())
    events = log(store)
    counts_agree(events, records(RUN, events))


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = """state visit attempt call usage effective latency_ms tags error approval_id request_seq
approved context because ok name model"""
keys = st.sampled_from(KEYS.split())


@bounded
@given(
    st.lists(
        st.tuples(st.sampled_from([*PAYLOADS, "unknown"]), st.dictionaries(keys, odd)), max_size=15
    )
)
def test_no_payload_is_odd_enough_to_be_fatal(drafts: list[tuple[str, dict[str, Any]]]) -> None:
    """The rows are total, as the summary is."""
    events = made(("run_started", {"log_schema": 1}), *drafts)
    read = list(read_lines(RUN, [event.line for event in events]))
    rows = records(RUN, read)
    found = digest(RUN, read)
    assert found.summary == summarize(RUN, read)
    assert by_lines(RUN, text_of(read)) == found
    assert found.summary.last_seq == len(events)
    assert all(isinstance(row, tuple) for row in (*rows.states, *rows.llm_calls))


def test_a_tool_that_raised_is_counted_by_what_it_raised() -> None:
    wf = Workflow("w")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        @ctx.tools.register
        def look_up(name: str) -> str:
            raise KeyError(name)

        with suppress(ToolError):
            ctx.tools.call("look_up", {"name": "Ada"})

    store = MemoryStore()
    run_id = Runner(wf, store).run().run_id
    (row,) = records(run_id, store.read(run_id)).tool_calls
    assert (row.name, row.ok, row.error_type) == ("look_up", False, "KeyError")
