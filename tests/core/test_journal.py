"""The journal: finished calls are served, the others are made again or asked about (DESIGN 5)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import (
    DeterminismError,
    LLMError,
    LogMode,
    MemoryStore,
    NotJSONError,
    NotServableError,
    RefusedError,
    RetryPolicy,
    RunContext,
    Runner,
    StoreError,
    ToolError,
    Workflow,
    fold,
)
from replayt_core.testing import MockLLMClient
from tests.core.helpers import (
    ASK,
    RUN,
    DyingStore,
    EchoClient,
    Handler,
    Killed,
    batches,
    cut,
    cut_behind,
    log,
    one_step,
    only,
    payloads,
    run_dying,
    run_once,
    types,
)


class Reply(BaseModel):
    n: int


class Effects:
    """A step with a tool call and a structured call, which counts what really happens."""

    def __init__(self, *, idempotent: bool = False) -> None:
        self.bodies = 0
        self.idempotent = idempotent
        self.client = EchoClient(lambda request: '{"n": 5}')

    def __call__(self, ctx: RunContext) -> None:
        ctx.tools.register(self.pay, idempotent=self.idempotent)
        paid = ctx.tools.call("pay", {"amount": 2})
        reply = ctx.llm.parse(Reply, messages=ASK)
        ctx.note("done", data=reply.n)
        ctx.set("sum", paid + reply.n)

    def pay(self, amount: int) -> int:
        self.bodies += 1
        return amount * 10

    def runner(self, store: Any) -> Runner:
        return Runner(one_step(self), store, llm_client=self.client)


@pytest.fixture
def whole() -> MemoryStore:
    """The log of `Effects` as it is when nothing dies."""
    store = MemoryStore()
    Effects().runner(store).run(run_id=RUN)
    return store


BATCHES = [
    ["run_started", "state_entered"],
    ["tool_call"],
    ["tool_result"],
    ["llm_request"],
    ["llm_response", "structured_output"],
    ["step_note"],
    ["state_exited", "run_completed"],
]


def test_the_log_of_a_step_is_written_batch_by_batch(whole: MemoryStore) -> None:
    """SC-106, SC-107, DESIGN 2: append before acting on a decision."""
    found: list[list[str]] = [[]]
    for event in log(whole):
        found[-1].append(event.type)
        if not event.more:
            found.append([])
    assert found[:-1] == BATCHES


@pytest.mark.parametrize(
    ("appends", "bodies", "calls"), [(1, 1, 1), (3, 0, 1), (4, 0, 1), (5, 0, 0), (6, 0, 0)]
)
def test_what_had_finished_is_served_and_the_rest_is_made(
    whole: MemoryStore, appends: int, bodies: int, calls: int
) -> None:
    """SC-86, SC-88, R-2 (RELIABILITY b1): killed behind each batch and taken up."""
    effects = Effects()
    store = cut(whole, appends)
    result = effects.runner(store).resume(RUN)
    assert result.status == "completed"
    assert result.context == {"sum": 25}
    assert (effects.bodies, effects.client.calls) == (bodies, calls)
    assert types(store).count("state_entered") == 1
    assert types(store).count("tool_call") == 1
    assert types(store).count("step_note") == 1


@pytest.mark.parametrize("appends", range(len(BATCHES)))
def test_a_process_that_dies_in_an_append_leaves_what_it_acknowledged(appends: int) -> None:
    """R-1 (RELIABILITY b1), DESIGN 4: nothing is appended after a failed append."""
    effects, store = Effects(), DyingStore(appends)
    run_dying(effects.runner(store))
    assert types(store) == [kind for batch in BATCHES[:appends] for kind in batch]


def test_served_calls_write_nothing_and_run_resumed_marks_the_take_up(whole: MemoryStore) -> None:
    """DESIGN 5: no second `state_entered`; the first event written is the first the log lacks."""
    store = cut_behind(whole, "step_note")
    result = Effects().runner(store).resume(RUN)
    assert types(store)[8:] == ["run_resumed", "state_exited", "run_completed"]
    assert result.served_calls == 2
    resumed = only(store, "run_resumed")
    assert (resumed["epoch"], resumed["from_seq"], resumed["reason"]) == (2, 8, "interrupted")


def test_a_model_call_without_a_response_is_made_again_under_its_number(
    whole: MemoryStore,
) -> None:
    """DESIGN 5: a request without a result is written again; the later one counts."""
    store = cut_behind(whole, "llm_request")
    Effects().runner(store).resume(RUN)
    assert [item["call"] for item in payloads(store, "llm_request")] == [2, 2]
    assert len(payloads(store, "llm_response")) == 1
    again = cut_behind(store, "structured_output")
    effects = Effects()
    effects.runner(again).resume(RUN)
    assert effects.client.calls == 0


def test_a_tool_call_without_a_result_pauses_as_outcome_unknown(whole: MemoryStore) -> None:
    """Issue 3 point 3: unless the tool is idempotent; the pause names the call."""
    effects, store = Effects(), cut_behind(whole, "tool_call")
    result = effects.runner(store).resume(RUN)
    assert (result.status, effects.bodies) == ("paused", 0)
    paused = only(store, "run_paused")
    assert paused["reason"] == "outcome_unknown"
    assert paused["call"] == 3
    before = log(store)
    assert effects.runner(store).resume(RUN).status == "paused"
    assert log(store) == before


def test_an_idempotent_tool_is_called_again_without_asking(whole: MemoryStore) -> None:
    """DESIGN 5."""
    effects, store = Effects(idempotent=True), cut_behind(whole, "tool_call")
    assert effects.runner(store).resume(RUN).context == {"sum": 25}
    assert effects.bodies == 1
    assert [item["call"] for item in payloads(store, "tool_call")] == [1, 1]


SETTLED: dict[str, tuple[dict[str, Any], int, Any]] = {
    "retry": ({"retry_calls": [3]}, 1, 25),
    "result": ({"call_results": {3: 7}}, 0, 12),
    "fail": ({"failed_calls": [3]}, 0, None),
}


@pytest.mark.parametrize("asked_first", [True, False])
@pytest.mark.parametrize("how", SETTLED)
def test_a_person_settles_an_unknown_outcome(
    whole: MemoryStore, how: str, asked_first: bool
) -> None:
    """DESIGN 5: made again, given its result, or failed; before or after the run has asked."""
    answer, bodies, total = SETTLED[how]
    effects, store = Effects(), cut_behind(whole, "tool_call")
    if asked_first:
        effects.runner(store).resume(RUN)
    result = effects.runner(store).resume(RUN, **answer)
    assert effects.bodies == bodies
    if total is None:
        assert result.status == "failed"
        assert (result.error or {})["kind"] == "CallFailed"
        assert only(store, "tool_result")["ok"] is False
    else:
        assert result.context == {"sum": total}
        assert len(payloads(store, "tool_result")) == 1


def test_the_answer_to_an_unknown_outcome_is_on_record(whole: MemoryStore) -> None:
    """DESIGN 3: `run_resumed` holds the overrides that were used."""
    store = cut_behind(whole, "tool_call")
    Effects().runner(store).resume(RUN)
    Effects().runner(store).resume(RUN, call_results={3: 7})
    assert payloads(store, "run_resumed")[1]["overrides"] == {
        "calls": {"3": {"action": "result", "value": 7}}
    }


def test_an_answer_for_another_call_settles_nothing(whole: MemoryStore) -> None:
    """DESIGN 5: the public name of a call is the seq of its request."""
    effects, store = Effects(), cut_behind(whole, "tool_call")
    effects.runner(store).resume(RUN)
    before = log(store)
    with pytest.raises(RefusedError, match=r"seq 1 .* such calls: 3"):
        effects.runner(store).resume(RUN, retry_calls=[1])
    assert (log(store), effects.bodies) == (before, 0)


def test_a_result_that_is_no_json_is_refused_before_anything_is_written(
    whole: MemoryStore,
) -> None:
    """R-24."""
    store = cut_behind(whole, "tool_call")
    before = log(store)
    with pytest.raises(NotJSONError, match="call 3"):
        Effects().runner(store).resume(RUN, call_results={3: {1}})
    assert log(store) == before


def test_a_given_result_that_does_not_fit_the_annotation_is_refused(whole: MemoryStore) -> None:
    """SC-80, DESIGN 5: what a person says happened never ends in the tool being called again."""
    store = cut_behind(whole, "tool_call")
    effects = Effects()
    with pytest.raises(RefusedError, match=r"call 3 does not fit.*int_parsing"):
        effects.runner(store).resume(RUN, call_results={3: "many"})
    assert effects.bodies == 0
    assert fold(RUN, store.read(RUN)).summary.status == "paused"
    assert "tool_result" not in [event.type for event in log(store)]
    assert Effects().runner(store).resume(RUN, call_results={3: 25}).context == {"sum": 30}


def test_a_crash_after_an_answered_call_leaves_the_run_resumable(whole: MemoryStore) -> None:
    """DESIGN 5: the answer is used up with the resume that acted on it."""
    store = cut_behind(whole, "tool_call")
    Effects().runner(store).resume(RUN)
    answered = cut(store, 99)
    Effects().runner(answered).resume(RUN, retry_calls=[3])
    for behind in ("tool_call", "tool_result"):
        effects = Effects()
        batches_behind = cut_after_last(answered, behind)
        result = effects.runner(batches_behind).resume(RUN)
        if behind == "tool_call":
            assert (result.status, effects.bodies) == ("paused", 0)
            asked = [e.seq for e in log(batches_behind) if e.type == "tool_call"]
            assert len(asked) == 2
            assert payloads(batches_behind, "run_paused")[-1]["call"] == asked[-1]
        else:
            assert (result.context, effects.bodies) == ({"sum": 25}, 0)


def cut_after_last(store: MemoryStore, kind: str) -> MemoryStore:
    """A store that holds a run up to the last event of a type."""
    whole = batches(log(store))
    ends = [n for n, batch in enumerate(whole, 1) if any(e.type == kind for e in batch)]
    return cut(store, ends[-1])


def asks(**changed: Any) -> Handler:
    """A handler that makes one call of each kind, with something changed."""
    asked = {
        "text": "what is it?",
        "model": None,
        "schema": Reply,
        "tool": "look",
        "arguments": {"a": 1, "b": [2]},
        "tool_first": False,
        "note": "n",
        "skip": False,
        **changed,
    }

    class Answer(BaseModel):
        n: int

    def call_tool(ctx: RunContext) -> None:
        ctx.tools.register(lambda a, b: 1, name=asked["tool"])
        ctx.tools.call(asked["tool"], asked["arguments"])

    def handler(ctx: RunContext) -> None:
        schema = Answer if asked["schema"] == "other" else Reply
        if asked["tool_first"]:
            call_tool(ctx)
        messages = [{"role": "user", "content": asked["text"]}]
        ctx.llm.with_settings(model=asked["model"]).parse(schema, messages=messages)
        ctx.note(asked["note"])
        if not asked["skip"]:
            call_tool(ctx)
        if asked.get("dies"):
            raise Killed

    return handler


def recorded() -> MemoryStore:
    """A run that was interrupted after an llm call, a note and a tool call were recorded."""
    store = MemoryStore()
    with pytest.raises(Killed):
        run_once(asks(dies=True), store=store, llm_client=MockLLMClient().enqueue('{"n": 1}'))
    return store


CHANGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "one character of a prompt": ({"text": "what is it!"}, "llm Reply", "llm Reply"),
    "a setting": ({"model": "m2"}, "llm Reply", "m2"),
    "the schema": ({"schema": "other"}, "llm Reply", "llm Answer"),
    "one tool argument": ({"arguments": {"a": 1, "b": [3]}}, '{"a":1,"b":[2]}', '{"a":1,"b":[3]}'),
    "the tool": ({"tool": "see"}, "tool look", "tool see"),
    "the order of calls": ({"tool_first": True}, "llm Reply", "tool look"),
    "a note": ({"note": "other"}, '"n"', '"other"'),
    "a call that is gone": ({"skip": True}, "tool look", "the handler ended"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_handler_that_asks_for_something_else_is_told_recorded_and_now(change: str) -> None:
    """Issue 3 point 1: `DeterminismError` names both; the run stays as it is, resumable."""
    changed, then, now = CHANGES[change]
    store = recorded()
    with pytest.raises(DeterminismError) as caught:
        Runner(one_step(asks(**changed)), store, llm_client=MockLLMClient()).resume(RUN)
    assert then in caught.value.recorded
    assert now in caught.value.now
    assert caught.value.recorded in str(caught.value)
    assert caught.value.now in str(caught.value)
    assert caught.value.seq in [event.seq for event in log(store)]
    assert RUN in str(caught.value)
    assert "'only'" in str(caught.value)
    assert types(store)[-2:] == ["run_resumed", "run_interrupted"]
    assert payloads(store, "run_interrupted")[-1]["reason"] == "DeterminismError"
    mended = Runner(one_step(asks()), store, llm_client=MockLLMClient()).resume(RUN)
    assert mended.status == "completed"


@pytest.mark.parametrize("swallow", [Exception, BaseException])
def test_a_divergence_cannot_be_swallowed(swallow: type[BaseException]) -> None:
    """Issue 3: a handler that catches it does not get away with it."""

    def handler(ctx: RunContext) -> None:
        try:
            asks(text="something else")(ctx)
        except swallow:
            ctx.set("swallowed", True)

    store = recorded()
    with pytest.raises(DeterminismError):
        Runner(one_step(handler), store, llm_client=MockLLMClient()).resume(RUN)
    assert "state_exited" not in types(store)


def test_the_order_of_arguments_is_no_difference() -> None:
    """DESIGN 5: a fingerprint holds what was asked."""
    store = recorded()
    handler = asks(arguments={"b": [2], "a": 1})
    assert Runner(one_step(handler), store, llm_client=MockLLMClient()).resume(RUN).status == (
        "completed"
    )


def test_what_the_environment_filled_in_is_no_difference() -> None:
    """DESIGN 5: model, host and limits of the client stand in `effective` only."""

    class Other(MockLLMClient):
        def effective(self, request: Any) -> dict[str, Any]:
            return {"provider": "other", "model": "another"}

    assert Runner(one_step(asks()), recorded(), llm_client=Other()).resume(RUN).status == (
        "completed"
    )


def test_a_retry_calls_live() -> None:
    """DESIGN 5: recorded calls are served to the same attempt only."""
    client = EchoClient()

    def handler(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=ASK)
        if ctx.attempt == 1:
            raise ValueError

    run_once(handler, llm_client=client, retries=RetryPolicy(2))
    assert client.calls == 2


def text_step(*, tool: bool = False, seen: list[int] | None = None) -> Workflow:
    """A text call, perhaps a tool call, and a second text call."""

    def handler(ctx: RunContext) -> None:
        if seen is not None:
            seen.append(ctx.attempt)
        first = ctx.llm.complete_text(messages=ASK)
        if tool:
            ctx.tools.register(lambda: 1, name="t", idempotent=True)
            ctx.tools.call("t")
        ctx.set("texts", [first, ctx.llm.complete_text(messages=ASK)])

    return one_step(handler)


def text_log(mode: LogMode, *, tool: bool = False) -> MemoryStore:
    """Cut behind the first reply, or behind the tool call that follows it."""
    store = MemoryStore()
    Runner(text_step(tool=tool), store, llm_client=EchoClient(), log_mode=mode).run(run_id=RUN)
    return cut_behind(store, "tool_call" if tool else "llm_response")


def test_a_text_reply_is_served_in_mode_full() -> None:
    """SC-88, DESIGN 5."""
    client, store, seen = EchoClient(), text_log(LogMode.full), []
    result = Runner(text_step(seen=seen), store, llm_client=client).resume(RUN)
    assert result.context == {"texts": ["what is it?"] * 2}
    assert (client.calls, seen) == (1, [1])


@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_a_text_reply_that_was_not_kept_restarts_the_state_as_its_next_attempt(
    mode: LogMode,
) -> None:
    """DESIGN 5: live, and it says so."""
    client, store, seen = EchoClient(), text_log(mode), []
    result = Runner(text_step(seen=seen), store, llm_client=client).resume(RUN)
    assert result.status == "completed"
    assert (client.calls, seen) == (2, [2])
    resumed = only(store, "run_resumed")
    assert "seq 3" in resumed["overrides"]["restarted"]
    assert [item["attempt"] for item in payloads(store, "state_entered")] == [1, 2]
    assert [item["visit"] for item in payloads(store, "state_entered")] == [1, 1]


@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_it_is_refused_where_the_attempt_has_called_tools(mode: LogMode) -> None:
    """DESIGN 5: resume refuses and lists the calls; nothing is written, no handler runs."""
    store, seen = text_log(mode, tool=True), []
    before = log(store)
    with pytest.raises(NotServableError, match="seq 3"):
        Runner(text_step(tool=True, seen=seen), store, llm_client=EchoClient()).resume(RUN)
    assert (log(store), seen) == (before, [])


def test_restarting_the_state_makes_the_calls_again_and_is_recorded() -> None:
    """DESIGN 5: `--restart-state` is the way out where text was not kept."""
    client, store, seen = EchoClient(), text_log(LogMode.redacted, tool=True), []
    runner = Runner(text_step(tool=True, seen=seen), store, llm_client=client)
    assert runner.resume(RUN, restart_state=True).status == "completed"
    assert (client.calls, seen) == (2, [2])
    assert only(store, "run_resumed")["overrides"] == {"restart_state": True}


def test_restarting_the_state_is_the_way_out_of_a_divergence() -> None:
    """DESIGN 5: after the code was mended."""
    store, mock = recorded(), MockLLMClient().enqueue('{"n": 2}')
    runner = Runner(one_step(asks(text="mended")), store, llm_client=mock)
    with pytest.raises(DeterminismError):
        runner.resume(RUN)
    assert runner.resume(RUN, restart_state=True).status == "completed"
    assert [item["attempt"] for item in payloads(store, "state_entered")] == [1, 2]


def test_a_failed_text_call_can_be_served_in_every_mode() -> None:
    """DESIGN 5: what the log holds of it is its error."""
    seen: list[str] = []

    def handler(ctx: RunContext) -> None:
        try:
            ctx.llm.complete_text(messages=ASK)
        except LLMError as error:
            seen.append(error.kind)
        if len(seen) == 1:
            raise Killed

    store, mock = MemoryStore(), MockLLMClient().enqueue("")
    with pytest.raises(Killed):
        run_once(handler, store=store, llm_client=mock)
    assert Runner(one_step(handler), store, llm_client=mock).resume(RUN).status == "completed"
    assert seen == ["empty", "empty"]


@pytest.mark.parametrize("fails", ["unknown", "arguments", "body"])
def test_a_failed_tool_call_is_served_as_the_same_error(fails: str) -> None:
    """DESIGN 2: a handler that catches takes the same branch."""
    seen: list[tuple[str, str]] = []
    bodies: list[int] = []

    def body(n: int) -> None:
        bodies.append(n)
        raise KeyError("stock")

    def handler(ctx: RunContext) -> None:
        if fails != "unknown":
            ctx.tools.register(body, name="t")
        try:
            ctx.tools.call("t", {"n": "x" if fails == "arguments" else 1})
        except ToolError as error:
            seen.append((error.error_type, error.message))
        if len(seen) == 1:
            raise Killed

    store = MemoryStore()
    with pytest.raises(Killed):
        run_once(handler, store=store)
    assert Runner(one_step(handler), store).resume(RUN).status == "completed"
    assert seen[0] == seen[1]
    assert len(bodies) == (fails == "body")


def test_a_store_that_fails_inside_a_call_stops_the_run_whatever_the_handler_catches() -> None:
    """DESIGN 4: after an unknown outcome nobody repeats the append."""

    class Fails(MemoryStore):
        def append(self, run_id: str, events: Any, *, after: int) -> None:
            if any(event.type == "tool_result" for event in events):
                raise OSError("disk full")
            super().append(run_id, events, after=after)

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda: 1, name="t")
        try:
            ctx.tools.call("t")
        except Exception:
            ctx.note("went on")

    store = Fails()
    with pytest.raises(StoreError, match="disk full"):
        run_once(handler, store=store)
    assert types(store)[-1] == "tool_call"


def test_a_visit_served_whole_asks_for_nothing(whole: MemoryStore) -> None:
    """SC-45: the same log gives the same path, offline."""

    def offline(_: Any) -> str:
        raise AssertionError("no call may be made")

    store = cut_behind(whole, "step_note")
    effects = Effects()
    effects.client = EchoClient(offline)
    assert effects.runner(store).resume(RUN).context == {"sum": 25}
