"""The look at a provider: one bounded GET, no secret shown, nothing sent where no call could be."""

from __future__ import annotations

import socket
import threading

import pytest

from replayt_core.errors import LLMError
from replayt_llm import LLMSettings, probe
from replayt_llm._exchange import NotSentError
from tests.llm.helpers import FakeTransport, answer, hostile, reply, sends

KEY = "sk-planted-0123456789"


def test_a_server_that_lists_its_models_is_reachable() -> None:
    """SC-177: a GET on `<base>/models`."""
    with hostile(sends(answer(b'{"data": []}'))) as server:
        found = probe(LLMSettings(KEY, server.base_url))
    assert (found.outcome, found.status, found.detail) == ("reachable", 200, "")
    assert len(server.requests) == 1
    head = server.requests[0].decode()
    assert head.startswith("GET /v1/models HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n" in head
    assert head.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(401, "unauthorized"), (403, "unauthorized"), (404, "reachable"), (503, "reachable")],
)
def test_what_a_server_answers_is_told(status: int, outcome: str) -> None:
    found = probe(
        LLMSettings(KEY, "https://user:hunter22@h.example/v1?token=abcdefgh"),
        transport=FakeTransport(reply(f'{{"error": "{KEY}"}}'.encode(), status)),
    )
    assert (found.outcome, found.status) == (outcome, status)
    assert found.detail == f"GET https://h.example/v1/models answered {status}"


def test_a_host_that_cannot_be_reached_is_unreachable() -> None:
    """SC-176."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = probe(LLMSettings(KEY, f"http://127.0.0.1:{port}/v1"))
    assert found.outcome == "unreachable"
    assert "cannot connect" in found.detail
    assert KEY not in repr(found)


def test_a_server_that_says_nothing_is_given_up() -> None:
    """SC-177: bounded time. The server waits until the test is over."""

    def silence(sock: socket.socket, over: threading.Event) -> None:
        over.wait(30)

    with hostile(silence) as server:
        found = probe(LLMSettings(KEY, server.base_url), timeout_seconds=0.2)
    assert found.outcome == "unreachable"
    assert "0.2 s" in found.detail


@pytest.mark.parametrize(
    "settings",
    [
        LLMSettings(),
        LLMSettings(provider="offline"),
        LLMSettings(KEY, "http://h.example/v1"),
        LLMSettings(KEY, provider="azure"),
    ],
    ids=["no key", "offline", "plain http", "no URL"],
)
def test_where_no_call_could_be_made_nothing_is_sent(settings: LLMSettings) -> None:
    """SC-176: no key, no request."""
    transport = FakeTransport()
    found = probe(settings, transport=transport)
    assert found.outcome == "skipped"
    assert found.detail
    assert transport.calls == []


def test_loopback_is_asked_without_a_key() -> None:
    transport = FakeTransport(reply())
    assert probe(LLMSettings(provider="ollama"), transport=transport).outcome == "reachable"
    assert "Authorization" not in transport.calls[0].headers


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotSentError("cannot connect"), "unreachable"),
        (LLMError("protocol", "broke the protocol"), "unreachable"),
        (LLMError("too_large", "larger than 8 MiB", status=200), "reachable"),
    ],
)
def test_no_error_gets_out(error: LLMError, outcome: str) -> None:
    found = probe(LLMSettings(KEY), transport=FakeTransport(error))
    assert found.outcome == outcome
