"""`complete_async`: the same calls, awaited; cancelling one ends it."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from replayt_core import LLMError, MemoryStore, Workflow, verify
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.ports import AsyncLLMClient, RetryNotice
from replayt_llm import LLMSettings, OfflineClient, OpenAICompatClient
from replayt_llm._transport import HTTPTransport
from tests.llm.corpus import CHUNKED, KEY, drip, refuses, silence
from tests.llm.helpers import (
    FakeClock,
    FakeTransport,
    Script,
    answer,
    ask,
    completion,
    hostile,
    keeps_alive,
    no_retry,
    read_request,
    reply,
    sends,
    together,
)

ASK = [{"role": "user", "content": "hello"}]


def client_of(base_url: str, **settings: Any) -> OpenAICompatClient:
    settings = {"timeout_seconds": 60, "max_retries": 0, **settings}
    return OpenAICompatClient(LLMSettings(KEY, base_url, **settings))


def watched(first: bytes, hung_up: threading.Event) -> Script:
    """Send `first`, answer no more, and say when the other side hangs up."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        try:
            sock.sendall(first)
            if not sock.recv(1):
                hung_up.set()
        except ConnectionError:
            hung_up.set()

    return script


def test_clients_that_can_be_awaited_say_so():
    assert isinstance(OpenAICompatClient(LLMSettings(KEY)), AsyncLLMClient)
    assert isinstance(OfflineClient(), AsyncLLMClient)
    made = asyncio.run(OfflineClient().complete_async(ask(), on_retry=no_retry))
    assert made == OfflineClient().complete(ask(), on_retry=no_retry)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_retry_is_told_before_its_wait_and_then_made(how):
    clock, notices = FakeClock(), []
    transport = FakeTransport(reply(b"{}", 503), reply(b"{}", 429, retry_after="2"), reply())
    client = OpenAICompatClient(
        LLMSettings(KEY),
        transport=transport,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        sleep_async=clock.sleep_async,
        jitter=lambda: 0.0,
    )
    threads = set()

    def on_retry(notice: RetryNotice) -> None:
        assert len(clock.slept) == len(notices), "told after the wait, not before"
        notices.append((notice.status, notice.delay_seconds))
        threads.add(threading.get_ident())

    if how == "sync":
        response = client.complete(ask(), on_retry=on_retry)
    else:
        response = asyncio.run(client.complete_async(ask(), on_retry=on_retry))
    assert response.text == "hi"
    assert notices == [(503, 0.5), (429, 2.0)]
    assert clock.slept == [0.5, 2.0]
    assert transport.seconds == [60, 59.5, 57.5]
    assert threads == {threading.get_ident()}


def test_calls_that_are_awaited_together_are_in_flight_together():
    """The server answers when the last one has asked: a loop that is held up waits for ever."""

    async def main(client: OpenAICompatClient) -> list[str]:
        calls = [client.complete_async(ask(), on_retry=no_retry) for _ in range(20)]
        return [response.text for response in await asyncio.gather(*calls)]

    with hostile(together(20, 20)) as server:
        client = client_of(server.base_url)
        for _ in range(2):  # the second time in another event loop
            assert asyncio.run(main(client)) == ["hi"] * 20
        client.close()
        assert server.connections == 20


def test_a_connection_is_used_again_across_loops_and_by_sync_calls():
    with hostile(keeps_alive(3)) as server:
        client = client_of(server.base_url)
        for _ in range(2):
            asyncio.run(client.complete_async(ask(), on_retry=no_retry))
        client.complete(ask(), on_retry=no_retry)
        client.close()
        assert server.connections == 1


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED + b"5\r\nhell"])
def test_cancelling_a_call_closes_its_connection_and_ends_its_thread(first):
    hung_up = threading.Event()

    async def main(client: OpenAICompatClient) -> None:
        call = asyncio.ensure_future(client.complete_async(ask(), on_retry=no_retry))
        await asyncio.to_thread(server.asked.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with hostile(watched(first, hung_up), sends(answer(completion("next")))) as server:
        client = client_of(server.base_url)
        asyncio.run(main(client))
        assert hung_up.wait(60)
        for thread in threading.enumerate():
            if thread.name == "replayt-llm-call":
                thread.join(timeout=60)
                assert not thread.is_alive()
        assert client.complete(ask(), on_retry=no_retry).text == "next"
        client.close()


def test_a_call_that_is_cancelled_while_it_waits_for_a_retry_asks_no_more():
    async def main(client: OpenAICompatClient) -> None:
        waits = asyncio.Event()
        call = asyncio.ensure_future(
            client.complete_async(ask(), on_retry=lambda notice: waits.set())
        )
        await waits.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with hostile(refuses("503 Busy", "x", "Retry-After: 20")) as server:
        client = client_of(server.base_url, max_retries=2)
        asyncio.run(main(client))
        client.close()
        assert server.connections == 1


def test_one_failure_cancels_its_siblings_where_the_caller_says_so():
    hung_up = threading.Event()

    def script(sock: socket.socket, over: threading.Event) -> None:
        if b"fail" in server.request_on(sock):
            sock.sendall(answer(b"{}", status="400 Bad"))
        else:
            watched(b"", hung_up)(sock, over)

    async def main(client: OpenAICompatClient) -> None:
        slow = asyncio.ensure_future(client.complete_async(ask(), on_retry=no_retry))
        await asyncio.to_thread(server.asked.wait, 60)
        with pytest.raises(LLMError) as caught:
            await client.complete_async(ask(model="fail"), on_retry=no_retry)
        assert caught.value.kind == "bad_request"
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    with hostile(script) as server:
        client = client_of(server.base_url)
        asyncio.run(main(client))
        assert hung_up.wait(60)
        client.close()


def test_the_deadline_holds_for_a_name_that_does_not_resolve(monkeypatch):
    """And the loop ends at once: no executor of its own waits for the name."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(60) and [])
    client = client_of("http://slow.localhost:1/v1", timeout_seconds=0.2)
    with pytest.raises(LLMError) as caught:
        asyncio.run(client.complete_async(ask(), on_retry=no_retry))
    assert not release.is_set()
    release.set()
    assert caught.value.kind == "timeout"
    client.close()


def test_what_cannot_be_called_is_refused_before_a_thread_starts():
    with pytest.raises(LLMError, match="OPENAI_API_KEY is not set"):
        asyncio.run(OpenAICompatClient(LLMSettings()).complete_async(ask(), on_retry=no_retry))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_system_without_a_thread_to_spare_is_an_error_of_the_call(how, monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def awaited(client: OpenAICompatClient) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        await client.complete_async(ask(), on_retry=no_retry)

    def waited_for(client: OpenAICompatClient) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        client.complete(ask(), on_retry=no_retry)

    client = OpenAICompatClient(
        LLMSettings(KEY, "http://127.0.0.1:9/v1"), transport=HTTPTransport()
    )
    with pytest.raises(LLMError, match="no further thread") as caught:
        asyncio.run(awaited(client)) if how == "async" else waited_for(client)
    assert caught.value.kind == "other"


# --- through AsyncRunner --------------------------------------------------------------------------


class Verdict(BaseModel):
    label: Literal["good", "bad"]
    reason: Annotated[str, Field(max_length=12)]


def workflow(count: int) -> Workflow:
    """`count` structured calls at once, in one state."""
    wf = Workflow("together")
    wf.set_initial("judge")

    @wf.step("judge")
    async def judge(ctx: AsyncRunContext) -> None:
        async def one(number: int) -> Verdict | LLMError:
            llm = ctx.llm.with_settings(seed=number)
            return await llm.parse(Verdict, messages=[{"role": "user", "content": f"{number}"}])

        made = await asyncio.gather(*map(one, range(count)), return_exceptions=True)
        ctx.set("kinds", [getattr(item, "kind", "ok") for item in made])

    return wf


def events(store: MemoryStore, kind: str) -> list[Any]:
    return [event.payload for run in store.run_ids() for event in store.read(run)
            if event.type == kind]  # fmt: skip


def test_gathered_calls_to_a_real_model_are_logged_and_verify(model_server):
    store = MemoryStore()
    settings = LLMSettings(base_url=model_server.base_url, provider="llamacpp", max_tokens=200)
    client = settings.client()
    runner = AsyncRunner(workflow(8), store, llm_client=client)
    result = asyncio.run(runner.run(run_id="r1"))
    client.close()
    assert (result.status, result.context["kinds"]) == ("completed", ["ok"] * 8)
    assert len(events(store, "structured_output")) == 8
    assert all(payload["usage"]["total_tokens"] > 0 for payload in events(store, "llm_response"))
    assert verify(workflow(8), store.read("r1")).ok


def test_gathered_calls_to_a_broken_server_each_end_with_their_kind():
    scripts = [
        sends(answer(completion('{"label": "good", "reason": "x"}'))),
        drip(CHUNKED, b"1\r\n \r\n"),
        refuses("401 No", f"wrong {KEY}"),
        sends(b"nonsense\r\n"),
        silence,
        sends(answer(completion(""))),
    ]
    store = MemoryStore()
    with hostile(*scripts) as server:
        client = client_of(server.base_url, timeout_seconds=2)
        runner = AsyncRunner(workflow(len(scripts)), store, llm_client=client)
        result = asyncio.run(runner.run(run_id="r1"))
        client.close()
    assert sorted(result.context["kinds"]) == [
        "auth", "empty", "ok", "protocol", "timeout", "timeout",
    ]  # fmt: skip
    assert len(events(store, "llm_response")) == len(scripts)
    assert all(KEY.encode() not in event.line for event in store.read("r1"))
    assert verify(workflow(len(scripts)), store.read("r1")).ok


def test_cancelling_a_run_ends_its_calls_and_a_resume_makes_them_again():
    hung_up = threading.Event()
    good = answer(completion('{"label": "good", "reason": "x"}'))
    store = MemoryStore()

    async def cancelled(client: OpenAICompatClient) -> None:
        run = asyncio.ensure_future(
            AsyncRunner(workflow(1), store, llm_client=client).run(run_id="r1")
        )
        await asyncio.to_thread(server.asked.wait, 60)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    with hostile(watched(b"", hung_up), sends(good)) as server:
        client = client_of(server.base_url)
        asyncio.run(cancelled(client))
        assert hung_up.wait(60)
        assert events(store, "llm_response") == []
        result = asyncio.run(AsyncRunner(workflow(1), store, llm_client=client).resume("r1"))
        client.close()
    assert (result.status, result.context["kinds"]) == ("completed", ["ok"])
    assert len(events(store, "llm_request")) == 2


def test_a_step_that_runs_out_of_time_ends_its_call():
    hung_up = threading.Event()
    store = MemoryStore()
    wf = Workflow("slow")
    wf.set_initial("ask")

    @wf.step("ask", timeout=0.5)
    async def ask_model(ctx: AsyncRunContext) -> None:
        await ctx.llm.complete_text(messages=ASK)

    with hostile(watched(b"", hung_up)) as server:
        client = client_of(server.base_url)
        result = asyncio.run(AsyncRunner(wf, store, llm_client=client).run())
        assert hung_up.wait(60)
        client.close()
    assert result.status == "failed"
    assert events(store, "llm_response")[0]["error"]["kind"] == "timeout"


def test_a_second_request_is_read_only_from_its_own_connection():
    """The answers of calls in flight together are not mixed up."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        request = server.request_on(sock)
        for _ in range(20):
            body = request.partition(b"\r\n\r\n")[2]
            model = body.split(b'"model": "')[1].split(b'"')[0].decode()
            sock.sendall(answer(completion(model)))
            request = read_request(sock)
            if not request:
                return

    async def main(client: OpenAICompatClient) -> list[str]:
        async def one(number: int) -> str:
            made = [await client.complete_async(ask(model=f"m{number}"), on_retry=no_retry)
                    for _ in range(3)]  # fmt: skip
            return "".join(response.text for response in made)

        return await asyncio.gather(*map(one, range(10)))

    with hostile(script) as server:
        client = client_of(server.base_url)
        texts = asyncio.run(main(client))
        client.close()
    assert texts == [f"m{number}" * 3 for number in range(10)]
