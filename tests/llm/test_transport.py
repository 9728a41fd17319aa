"""Broken and hostile servers on a real loopback socket: right kind, bounded time and memory."""

from __future__ import annotations

import gc
import os
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from replayt_core.errors import LLMError
from replayt_llm import LLMSettings, OpenAICompatClient
from replayt_llm._exchange import HTTPCall, NotSentError
from replayt_llm._transport import MAX_REPLY_BYTES, MOST_IDLE, HTTPTransport
from tests.llm.corpus import CHUNKED, KEY, drip, flood, silence
from tests.llm.helpers import (
    answer,
    ask,
    completion,
    hostile,
    keeps_alive,
    no_retry,
    read_request,
    sends,
    together,
)

HERE = Path(__file__).parent
TIMEOUT = 20.0
SLACK = 0.5 + 9
"""What the promise allows on top of the timeout, and what else the machine may be doing. A call
that is not held to its timeout at all takes longer: the scripts go on for 30 s."""


def ask_server(base_url: str, *, timeout: float = TIMEOUT, on_retry=no_retry, **settings):
    """The outcome of one call (response or error) and its wall time."""
    settings.setdefault("max_retries", 0)
    client = OpenAICompatClient(LLMSettings(KEY, base_url, timeout_seconds=timeout, **settings))
    started = time.monotonic()
    try:
        outcome = client.complete(ask(), on_retry=on_retry)
    except LLMError as exc:
        outcome = exc
    finally:
        wall = time.monotonic() - started
        client.close()
    assert KEY not in str(outcome)
    assert KEY not in repr(outcome)
    return outcome, wall


GOOD = completion("hi")


def test_a_good_answer_arrives():
    with hostile(sends(answer(GOOD, headers=["X-Request-Id: r-7"]))) as server:
        outcome, _ = ask_server(server.base_url)
    assert (outcome.text, outcome.request_id) == ("hi", "r-7")
    request = server.requests[0]
    assert request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"accept-encoding: identity" in request.lower()
    assert f"Bearer {KEY}".encode() in request


def test_retries_and_waits_stay_inside_the_total_deadline():
    notices = []
    with hostile(sends(answer(b"{}", status="503 Busy"))) as server:
        outcome, wall = ask_server(
            server.base_url, timeout=1.0, max_retries=10, on_retry=notices.append
        )
    assert outcome.kind == "server"
    assert notices
    assert wall <= 1.0 + SLACK


def test_a_slow_second_attempt_gets_only_what_is_left():
    busy = sends(answer(b"{}", status="503 Busy", headers=["Retry-After: 0.1"]))
    with hostile(busy, silence) as server:
        outcome, wall = ask_server(
            server.base_url, timeout=0.8, max_retries=2, on_retry=lambda notice: None
        )
    assert outcome.kind == "timeout"
    assert wall <= 0.8 + SLACK


def test_a_retry_that_helps_gives_the_answer():
    busy = sends(answer(b"{}", status="429 Slow", headers=["Retry-After: 0"]))
    with hostile(busy, sends(answer(GOOD))) as server:
        outcome, _ = ask_server(server.base_url, max_retries=2, on_retry=lambda notice: None)
    assert outcome.text == "hi"


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else():
    with hostile(sends(answer(GOOD))) as other:
        location = f"Location: {other.base_url}/chat/completions"
        with hostile(sends(answer(b"", status="307 Moved", headers=[location]))) as server:
            outcome, _ = ask_server(server.base_url)
        assert outcome.kind == "protocol"
        assert other.requests == []


@pytest.mark.parametrize("coding", [b"", b"Content-Encoding: gzip\r\n"])
def test_300_mb_do_not_reach_memory(coding):
    resource = pytest.importorskip("resource")
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = CHUNKED[:-2] + coding + b"\r\n"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(flood(head, piece, 4_800)) as server:
        outcome, wall = ask_server(server.base_url)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcome.kind == ("protocol" if coding else "too_large")
    assert grown <= 64 * 1024
    assert wall <= TIMEOUT + SLACK


def test_a_reply_just_under_the_cap_is_read():
    body = GOOD + b" " * (MAX_REPLY_BYTES - len(GOOD))
    with hostile(sends(answer(body)), sends(answer(body + b" "))) as server:
        assert ask_server(server.base_url)[0].text == "hi"
        assert ask_server(server.base_url)[0].kind == "too_large"


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    notices = []
    outcome, _ = ask_server(
        f"http://127.0.0.1:{port}/v1", timeout=20, max_retries=1, on_retry=notices.append
    )
    assert outcome.kind == "connection"
    assert [notice.error_kind for notice in notices] == ["connection"]
    assert "Is the server running" in outcome.message


def test_a_name_that_does_not_resolve_in_time_is_a_timeout(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(30) and [])
    outcome, wall = ask_server("http://slow.localhost:1/v1", timeout=0.3)
    release.set()
    assert outcome.kind == "timeout"
    assert wall <= 0.3 + SLACK


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_used_again():
    with hostile(keeps_alive(3)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        for _ in range(3):
            client.complete(ask(), on_retry=no_retry)
        client.close()
        assert server.connections == 1


def test_a_second_reply_that_nobody_asked_for_does_not_answer_the_next_call():
    """A server, or a proxy that mixes up its clients, must not choose later answers beforehand."""
    twice = answer(GOOD) + answer(completion("smuggled"))
    with hostile(sends(twice), sends(answer(GOOD))) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        texts = [client.complete(ask(), on_retry=no_retry).text for _ in range(2)]
        client.close()
        assert texts == ["hi", "hi"]
        assert server.connections == 2


def test_cookies_are_not_taken():
    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(answer(GOOD, headers=["Set-Cookie: track=me; Path=/"]))
        server.requests.append(read_request(sock))
        sock.sendall(answer(GOOD))

    with hostile(script) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        for _ in range(2):
            client.complete(ask(), on_retry=no_retry)
        client.close()
    assert len(server.requests) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_a_burst_keeps_a_bounded_number_of_connections():
    """All calls are in flight at once: each is answered when the last has arrived."""
    burst = MOST_IDLE + 5
    with hostile(together(burst, burst)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url, timeout_seconds=60))
        for _ in range(2):
            with ThreadPoolExecutor(burst) as pool:
                made = [pool.submit(client.complete, ask(), on_retry=no_retry)
                        for _ in range(burst)]  # fmt: skip
            assert [one.result().text for one in made] == ["hi"] * burst
        client.close()
        assert server.connections == burst + 5


def test_a_client_that_nobody_closed_gives_its_connections_back():
    hung_up = threading.Event()

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(answer(GOOD))
        if not read_request(sock):
            hung_up.set()

    with hostile(script) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        client.complete(ask(), on_retry=no_retry)
        del client
        gc.collect()
        assert hung_up.wait(60)


def test_closing_gives_the_connections_back_and_a_later_call_opens_new_ones():
    with hostile(keeps_alive(1)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        for _ in range(2):
            client.complete(ask(), on_retry=no_retry)
            client.close()
        assert server.connections == 2


def test_a_call_that_is_given_up_does_not_harm_the_next():
    with hostile(silence, sends(answer(GOOD))) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url, max_retries=0))
        with pytest.raises(LLMError):
            client.complete(ask(timeout_seconds=0.2), on_retry=no_retry)
        assert client.complete(ask(), on_retry=no_retry).text == "hi"
        client.close()


def test_a_call_that_is_given_up_ends_its_thread():
    with hostile(drip(CHUNKED, b"1\r\n \r\n")) as server:
        outcome, _ = ask_server(server.base_url, timeout=0.2)
        assert outcome.kind == "timeout"
        for thread in threading.enumerate():
            if thread.name == "replayt-llm-call":
                thread.join(timeout=60)
                assert not thread.is_alive()


def test_many_threads_share_one_client():
    with hostile(keeps_alive(50)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url, timeout_seconds=20))
        texts: list[str] = []

        def work() -> None:
            for _ in range(5):
                texts.append(client.complete(ask(), on_retry=no_retry).text)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        client.close()
        assert texts == ["hi"] * 40
        assert server.connections <= 8


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX interval timers")
def test_a_signal_breaks_into_a_waiting_call():
    class StepTimeout(BaseException):
        pass

    def ring(signum, frame):
        raise StepTimeout

    with hostile(silence) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url, timeout_seconds=30))
        previous = signal.signal(signal.SIGALRM, ring)
        started = time.monotonic()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(StepTimeout):
                client.complete(ask(), on_retry=no_retry)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert time.monotonic() - started < 25
        client.close()


# --- below httpx ----------------------------------------------------------------------------------


def post(handler, url: str = "https://h.example/v1/chat/completions", **env: str):
    call = HTTPCall(url=url, where="https://h.example/v1", headers={}, body=b"{}",
                    loopback=False, secrets=(KEY,))  # fmt: skip
    transport = HTTPTransport(http=httpx.MockTransport(handler), env=env)
    try:
        return transport.send(call, seconds=20)
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (httpx.ConnectError(f"x {KEY}"), "connection", False),
        (httpx.ConnectTimeout("x"), "connection", False),
        (httpx.ProxyError(f"x {KEY}"), "connection", False),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] x"), "connection", True),
        (httpx.ReadTimeout("x"), "timeout", True),
        (httpx.WriteTimeout("x"), "timeout", True),
        (httpx.PoolTimeout("x"), "timeout", True),
        (httpx.ReadError(f"x {KEY}"), "connection", True),
        (httpx.WriteError("x"), "connection", True),
        (httpx.CloseError("x"), "connection", True),
        (httpx.RemoteProtocolError(f"x {KEY}"), "protocol", True),
        (httpx.LocalProtocolError(f"x {KEY}"), "not_configured", True),
        (httpx.UnsupportedProtocol("x"), "not_configured", True),
        (httpx.InvalidURL(f"x {KEY}"), "not_configured", True),
        (httpx.TooManyRedirects("x"), "other", True),
        (OSError(f"x {KEY}"), "connection", True),
        (ValueError(f"x {KEY}"), "other", True),
    ],
)
def test_every_error_of_httpx_is_mapped(error, kind, sent):
    def handler(request):
        raise error

    with pytest.raises(LLMError) as caught:
        post(handler)
    assert caught.value.kind == kind
    assert isinstance(caught.value, NotSentError) is not sent
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_certificate_that_is_not_trusted_names_the_way_out():
    def handler(request):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")

    with pytest.raises(LLMError, match="SSL_CERT_FILE"):
        post(handler)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_sc_68_a_ca_file_that_cannot_be_read_is_named(name, tmp_path):
    missing = str(tmp_path / "corporate.pem")
    with pytest.raises(LLMError, match=name) as caught:
        post(lambda request: httpx.Response(200), **{name: missing})
    assert caught.value.kind == "not_configured"


def tls_call(base_url: str, *, timeout: float = 20, **env: str):
    client = OpenAICompatClient(
        LLMSettings(KEY, base_url, timeout_seconds=timeout, max_retries=0),
        transport=HTTPTransport(env=env),
    )
    try:
        return client.complete(ask(), on_retry=no_retry)
    except LLMError as exc:
        return exc
    finally:
        client.close()


@pytest.fixture
def server_tls() -> ssl.SSLContext:
    """What a server on localhost shows: a certificate that nobody trusts by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "localhost.pem")
    return context


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_sc_68_a_company_ca_file_is_honoured(name, server_tls):
    with hostile(sends(answer(GOOD)), tls=server_tls) as server:
        base_url = server.base_url.replace("http://127.0.0.1", "https://localhost")
        refused = tls_call(base_url)
        assert refused.kind == "connection"
        assert "SSL_CERT_FILE" in refused.message
        assert tls_call(base_url, **{name: str(HERE / "localhost-ca.pem")}).text == "hi"


def test_a_drip_over_tls_ends_in_time(server_tls):
    with hostile(drip(CHUNKED, b"1\r\n \r\n"), tls=server_tls) as server:
        base_url = server.base_url.replace("http:", "https:")
        started = time.monotonic()
        outcome = tls_call(base_url, timeout=0.5, SSL_CERT_FILE=str(HERE / "localhost-ca.pem"))
        assert outcome.kind == "timeout"
        assert time.monotonic() - started <= 0.5 + SLACK


def test_a_broken_proxy_setting_does_not_show_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://user:proxy-secret@[bad")
    call = HTTPCall(url="https://h.example/", where="https://h.example", headers={}, body=b"",
                    loopback=False)  # fmt: skip
    with pytest.raises(LLMError, match="HTTPS_PROXY") as caught:
        HTTPTransport(env={}).send(call, seconds=5)
    assert caught.value.kind == "not_configured"
    assert "proxy-secret" not in str(caught.value)


def test_loopback_is_called_directly_whatever_proxy_is_set(monkeypatch):
    with hostile(sends(answer(GOOD))) as server, hostile(sends(answer(b"{}"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("ALL_PROXY", proxy.base_url.removesuffix("/v1"))
        assert ask_server(server.base_url)[0].text == "hi"
        assert proxy.requests == []


def test_other_hosts_go_through_the_proxy_of_the_environment(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with hostile(sends(answer(GOOD))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        outcome, _ = ask_server("http://models.example/v1", allow_insecure_http=True)
        assert outcome.text == "hi"
        assert proxy.requests[0].startswith(b"POST http://models.example/v1/chat/completions ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_speak_on_its_parents_connection():
    transport = HTTPTransport()
    with hostile(keeps_alive(5)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url), transport=transport)
        client.complete(ask(), on_retry=no_retry)
        parents = list(transport._idle)
        transport._owner = -1  # as a child would find it
        client.complete(ask(), on_retry=no_retry)
        client.close()
        assert not any(lane.closed for lane in parents)
        for lane in parents:
            lane.close()
        assert server.connections == 2
