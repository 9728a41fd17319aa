"""`parse(..., repair=N)`: asking again with what did not fit (issue 5 point 2, SC-46 to SC-50)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import (
    DefinitionError,
    LLMError,
    LogMode,
    MemoryStore,
    RunContext,
    Runner,
    Workflow,
    verify,
)
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.pin import redacted_copy
from replayt_core.ports.llm import ChatResponse
from replayt_core.testing import FrozenClock, MockLLMClient
from replayt_core.timeline import timeline
from replayt_core.why import why
from tests.core.helpers import (
    ASK,
    RUN,
    EchoClient,
    batches,
    cut,
    log,
    one_step,
    only,
    payloads,
    run_once,
    types,
)
from tests.core.strict import strictly_valid

MODES = list(LogMode)
VALUE = "value-nobody-may-keep"
BAD = f'{{"team": 3, "urgent": "{VALUE}"}}'
PROSE = "I would rather not."
GOOD = '{"team": "sales"}'


class Ticket(BaseModel):
    team: str
    urgent: bool = False


def asking(repair: int, schema: type[BaseModel] = Ticket, messages: Any = ASK) -> Any:
    """A handler that keeps what came of it in the context."""

    def handler(ctx: RunContext) -> None:
        try:
            ctx.set("got", ctx.llm.parse(schema, messages=messages, repair=repair).model_dump())
        except LLMError as error:
            ctx.set("error", [error.kind, str(error), list(error.fields)])

    return handler


def answers(*replies: Any) -> MockLLMClient:
    mock = MockLLMClient()
    for reply in replies:
        mock.enqueue(reply)
    return mock


def test_without_repair_a_bad_reply_is_asked_for_once() -> None:
    """SC-49: 0 is the default."""
    mock = answers(BAD, GOOD)

    def handler(ctx: RunContext) -> None:
        with pytest.raises(LLMError):
            ctx.llm.parse(Ticket, messages=ASK)

    assert run_once(handler, llm_client=mock).status == "completed"
    assert mock.remaining == 1


@pytest.mark.parametrize("mode", MODES)
def test_each_repair_is_a_call_of_its_own_with_its_own_events(mode: LogMode) -> None:
    """SC-46, SC-50, SC-52: nothing that was asked or answered is missing from the log."""
    store, mock = MemoryStore(), answers(PROSE, BAD, GOOD)
    result = run_once(asking(3), store=store, llm_client=mock, log_mode=mode)
    assert result.context["got"] == {"team": "sales", "urgent": False}
    assert types(store)[2:11] == [
        "llm_request",
        "llm_response",
        "structured_output_failed",
        "llm_request",
        "llm_response",
        "structured_output_failed",
        "llm_request",
        "llm_response",
        "structured_output",
    ]
    assert [request["call"] for request in payloads(store, "llm_request")] == [1, 2, 3]
    assert "repair" not in payloads(store, "llm_request")[0]
    repairs = [request["repair"] for request in payloads(store, "llm_request")[1:]]
    assert [(item["of_call"], item["number"]) for item in repairs] == [(1, 1), (1, 2)]
    assert all(("content" in item["added"]) is (mode is LogMode.full) for item in repairs)
    for event in log(store):
        strictly_valid(event.type, event.payload)


@pytest.mark.parametrize("mode", MODES)
def test_it_is_told_which_fields_are_wrong_and_never_what_stood_in_them(mode: LogMode) -> None:
    """Issue 5 point 2: paths and types; what is sent does not depend on the log mode."""
    store, mock = MemoryStore(), answers(BAD, PROSE, GOOD)
    run_once(asking(2), store=store, llm_client=mock, log_mode=mode)
    _, second, third = (str(request.messages[-1]["content"]) for request in mock.requests)
    assert second == (
        "what is it?\n\nYour previous reply was no valid Ticket: team: string_type; urgent: "
        "bool_parsing. Reply again with one JSON object that fits the schema, and with nothing "
        "else."
    )
    assert "Ticket: the reply holds no JSON object. Reply again" in third
    assert VALUE not in second
    if mode is not LogMode.full:
        kept = b"".join(e.line for e in log(store) if e.type != "llm_response")
        assert VALUE.encode() not in kept


def test_the_messages_that_are_logged_are_those_of_the_handler() -> None:
    """SC-72: what was added stands beside them, with its own size and hash."""
    store = MemoryStore()
    run_once(asking(1), store=store, llm_client=answers(BAD, GOOD), log_mode="full")
    first, second = payloads(store, "llm_request")
    assert first["messages"] == second["messages"]
    added = second["repair"]["added"]
    assert added["content"].startswith("Your previous reply was no valid Ticket")
    assert added["bytes"] == len(added["content"].encode())


@pytest.mark.parametrize(
    ("last", "sent"),
    [
        ({"role": "user", "content": "x"}, 1),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, 1),
        ({"role": "assistant", "content": "x"}, 2),
        ({"role": "user", "content": None}, 2),
    ],
)
def test_it_joins_a_last_message_of_the_user_so_that_roles_alternate(last: Any, sent: int) -> None:
    """Issue 5: chat templates of local models refuse two user messages in a row."""
    mock = answers(BAD, GOOD)
    run_once(asking(1, messages=[last]), llm_client=mock)
    again = mock.requests[1].messages
    assert len(again) == sent
    assert again[-1]["role"] == "user"
    assert "no valid Ticket" in str(again[-1]["content"])
    assert "'type': 'text'" in str(again[-1]) or isinstance(again[-1]["content"], str)


def test_the_last_failure_is_raised_when_no_repair_is_left() -> None:
    """SC-49: its kind and fields, and how often was asked."""
    store, mock = MemoryStore(), answers(PROSE, BAD, BAD, GOOD)
    result = run_once(asking(2), store=store, llm_client=mock)
    kind, message, fields = result.context["error"]
    assert kind == "schema"
    assert message.endswith("(asked again 2 times)")
    assert set(fields) == {"team: string_type", "urgent: bool_parsing"}
    assert mock.remaining == 1


class NeverEqual(BaseModel):
    model_config = {"extra": "allow"}
    secret: Any = None
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return False


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ChatResponse(text=BAD, refusal="no"), "refusal"),
        (ChatResponse(text='{"team": "sal', finish_reason="length"), "truncated"),
        (ChatResponse(text=BAD, finish_reason="content_filter"), "content_filter"),
        (ChatResponse(text=""), "empty"),
        (ChatResponse(text="", has_tool_calls=True), "tool_calls_only"),
        (LLMError("timeout", "too slow"), "timeout"),
        (LLMError("server", "busy", status=503), "server"),
        (LLMError("error_in_200", "oops"), "error_in_200"),
        (LLMError("schema", "said the transport"), "schema"),
        (ValueError("a broken client"), "other"),
    ],
)
def test_only_a_reply_that_arrived_whole_is_repaired(reply: Any, kind: str) -> None:
    """Issue 5 point 2: never after a refusal, a truncation, a filter or a transport error."""
    mock = answers(reply, GOOD)
    result = run_once(asking(5), llm_client=mock)
    assert result.context["error"][0] == kind
    assert mock.remaining == 1


def test_a_refusal_of_a_repair_ends_it() -> None:
    """Issue 5 point 2."""
    mock = answers(BAD, ChatResponse(text="", refusal="no"), GOOD)
    result = run_once(asking(5), llm_client=mock)
    assert result.context["error"][:2] == [
        "refusal",
        "the model refused to answer (asked again once)",
    ]
    assert mock.remaining == 1


def test_a_model_that_the_log_cannot_bring_back_is_not_repaired() -> None:
    """DESIGN 2: it is the class that is at fault, not the reply."""
    mock = answers('{"secret": 1}', GOOD)

    def handler(ctx: RunContext) -> None:
        ctx.llm.parse(NeverEqual, messages=ASK, repair=3)

    result = run_once(handler, llm_client=mock)
    assert (result.error or {})["type"] == "NotReplayableError"
    assert mock.remaining == 1


@pytest.mark.parametrize("repair", [-1, True, 1.0, "2", None])
def test_repair_is_a_count(repair: Any) -> None:
    """House style 5: a mistake in the handler is named, and nothing is asked."""
    mock = answers(GOOD)
    result = run_once(asking(repair), llm_client=mock)
    assert (result.error or {})["type"] == DefinitionError.__name__
    assert "ctx.llm.parse: repair is how often to ask again" in (result.error or {})["message"]
    assert mock.remaining == 1


def test_what_the_reply_makes_long_is_bounded() -> None:
    """Issue 5: a reply with a thousand faults makes no prompt of a thousand lines."""

    class Prices(BaseModel):
        prices: dict[str, int]

    bad = '{"prices": {' + ", ".join(f'"{i:04}{"x" * 500}": "?"' for i in range(300)) + "}}"
    mock = answers(bad, '{"prices": {}}')
    run_once(asking(1, schema=Prices), llm_client=mock)
    text = str(mock.requests[1].messages[-1]["content"])
    assert "and 280 more" in text
    assert len(text) < 5_000


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_killed_anywhere_asks_only_what_is_missing(mode: LogMode) -> None:
    """DESIGN 5: a resume between two repairs serves those that have an end, in every mode."""
    replies = (PROSE, BAD, GOOD)
    whole = MemoryStore()
    run_once(asking(2), store=whole, llm_client=answers(*replies), log_mode=mode)
    for count in range(1, len(batches(log(whole)))):
        store = cut(whole, count)
        done = types(store).count("llm_response")
        mock = answers(*replies[done:])
        result = Runner(one_step(asking(2)), store, llm_client=mock).resume(RUN)
        assert result.context["got"] == {"team": "sales", "urgent": False}
        assert mock.remaining == 0
        assert [len(request.messages) for request in mock.requests] == [1] * (3 - done)
        report = verify(one_step(asking(2)), store.read(RUN))
        assert (report.ok, report.served_calls >= 3) == (True, True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("replies", [(BAD, GOOD), (PROSE, BAD)])
def test_verify_serves_every_repair(mode: LogMode, replies: tuple[str, str]) -> None:
    """DESIGN 5: the branch is the same, and nothing is unreplayable."""
    store = MemoryStore()
    run_once(asking(1), store=store, llm_client=answers(*replies), log_mode=mode)
    report = verify(one_step(asking(1)), store.read(RUN))
    assert (report.ok, report.served_calls, report.not_replayable) == (True, 2, ())


def test_verify_finds_a_handler_that_repairs_no_more() -> None:
    """DESIGN 5: the recorded call is not made any more."""
    store = MemoryStore()
    run_once(asking(1), store=store, llm_client=answers(BAD, GOOD))
    report = verify(one_step(asking(0)), store.read(RUN))
    assert report.difference is not None
    assert "repair 1" in report.difference.recorded


def test_asking_again_by_hand_is_not_the_recorded_repair() -> None:
    """DESIGN 5: the messages of the handler are the same, and what is asked is not."""

    def by_hand(ctx: RunContext) -> None:
        try:
            answer = ctx.llm.parse(Ticket, messages=ASK)
        except LLMError:
            answer = ctx.llm.parse(Ticket, messages=ASK)
        ctx.set("got", answer.model_dump())

    store = MemoryStore()
    run_once(asking(1), store=store, llm_client=answers(BAD, GOOD))
    report = verify(one_step(by_hand), store.read(RUN))
    assert report.difference is not None
    assert "repair 1" in report.difference.recorded
    assert "repair" not in report.difference.now


def test_the_wording_of_a_repair_may_change_with_a_release() -> None:
    """DESIGN 5: a fingerprint holds what the handler asked, and the wording is not its."""
    store = MemoryStore()
    run_once(asking(1), store=store, llm_client=answers(BAD, GOOD))
    other = MemoryStore()
    from replayt_core.chain import first_prev, line_hash, seal
    from replayt_core.events import Draft

    head, after = first_prev(RUN), 0
    for batch in batches(log(store)):
        drafts = []
        for event in batch:
            payload = dict(event.payload)
            if "repair" in payload:
                payload["repair"] = {**payload["repair"], "added": {**payload["repair"]["added"]}}
                payload["repair"]["added"]["sha256"] = "0" * 64
            drafts.append(Draft(event.type, payload))
        sealed = seal(RUN, drafts, after=after, head=head, ts=batch[0].ts)
        other.append(RUN, sealed, after=after)
        head, after = line_hash(sealed[-1].line), sealed[-1].seq
    assert verify(one_step(asking(1)), other.read(RUN)).ok


def test_async_writes_the_same_events() -> None:
    """Issue 3 point 8: sync equals async."""

    async def handler(ctx: AsyncRunContext) -> None:
        ctx.set("got", (await ctx.llm.parse(Ticket, messages=ASK, repair=2)).model_dump())

    plain, awaited = MemoryStore(), MemoryStore()
    run_once(asking(2), store=plain, llm_client=answers(PROSE, BAD, GOOD))
    runner = AsyncRunner(
        one_step(handler), awaited, llm_client=answers(PROSE, BAD, GOOD), clock=FrozenClock()
    )
    assert asyncio.run(runner.run(run_id=RUN)).status == "completed"

    def told(store: MemoryStore) -> list[Any]:
        return [
            (event.type, {k: v for k, v in event.payload.items() if k != "code"})
            for event in log(store)
        ]

    assert told(plain) == told(awaited)


def test_concurrent_repairs_are_served_in_the_recorded_order() -> None:
    """DESIGN 5: two parses at once, each repaired, killed at every batch."""

    async def handler(ctx: AsyncRunContext) -> None:
        async def one(name: str) -> str:
            asked = [{"role": "user", "content": name}]
            return (await ctx.llm.parse(Ticket, messages=asked, repair=1)).team

        ctx.set("teams", await asyncio.gather(one("a"), one("b"), one("c")))

    def reply(request: Any) -> str:
        text = str(request.messages[-1]["content"])
        return f'{{"team": "{text[0]}"}}' if "no valid" in text else "not yet"

    whole = MemoryStore()
    asyncio.run(AsyncRunner(one_step(handler), whole, llm_client=EchoClient(reply)).run(run_id=RUN))
    assert types(whole).count("llm_request") == 6
    for count in range(1, len(batches(log(whole)))):
        store = cut(whole, count)
        runner = AsyncRunner(one_step(handler), store, llm_client=EchoClient(reply))
        assert asyncio.run(runner.resume(RUN)).context["teams"] == ["a", "b", "c"]
        assert verify(one_step(handler), store.read(RUN)).ok


def test_a_pinned_copy_keeps_size_and_hash_of_what_was_added() -> None:
    """DESIGN 3: what mode `structured_only` keeps, of a repair as of any message."""
    store = MemoryStore()
    run_once(
        asking(1),
        store=store,
        llm_client=answers(PROSE, GOOD),
        log_mode=LogMode.full,
    )
    assert payloads(store, "llm_request")[1]["repair"]["added"]["content"]
    copied = [event.payload for event in redacted_copy(log(store)) if event.type == "llm_request"]
    assert set(copied[1]["repair"]["added"]) == {"role", "bytes", "sha256"}


def test_why_and_the_timeline_show_every_repair() -> None:
    """SC-46: each call the move rests on, and that it asked again."""
    wf = Workflow("w")
    wf.set_initial("only")

    @wf.step("only", to=["end"])
    def step(ctx: RunContext) -> str:
        asking(2)(ctx)
        return "end"

    wf.step("end")(lambda ctx: None)
    store = MemoryStore()
    Runner(wf, store, llm_client=answers(BAD, GOOD), clock=FrozenClock()).run(run_id=RUN)
    (branch,) = why(store.read(RUN))
    calls = [cause for cause in branch.causes if cause.read == "call"]
    requests = [event.seq for event in log(store) if event.type == "llm_request"]
    assert [cause.seq for cause in calls] == requests
    faults = ["team: string_type", "urgent: bool_parsing"]
    assert calls[0].value == {"failed": "schema", "fields": faults}
    assert calls[1].value == {"team": "sales", "urgent": False}
    titles = [entry.title for entry in timeline(RUN, store.read(RUN))]
    assert "ask the model again for Ticket (repair 1): mock, mock" in titles
    assert only(store, "run_completed")["status"] == "completed"
