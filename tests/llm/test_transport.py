"""Broken and hostile servers on a real loopback socket: right kind, bounded time and memory."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import httpx
import pytest

from replayt_core.errors import LLMError
from replayt_llm import LLMSettings, OpenAICompatClient
from replayt_llm._exchange import HTTPCall, NotSentError
from replayt_llm._transport import MAX_REPLY_BYTES, HTTPTransport
from tests.llm.helpers import answer, ask, completion, hostile, no_retry, read_request, sends

KEY = "sk-planted-0123456789"
HERE = Path(__file__).parent
TIMEOUT = 1.0
SLACK = 0.5  # what the promise allows on top of the timeout


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


def reset(sock: socket.socket, over: threading.Event) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def drip(first: bytes, piece: bytes):
    """Send `first`, then `piece` again and again for as long as someone listens."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(first)
        while not over.wait(0.05):
            sock.sendall(piece)

    return script


def silence(sock: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def flood(head: bytes, piece: bytes, times: int):
    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(head)
        for _ in range(times):
            sock.sendall(piece)

    return script


GOOD = completion("hi")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

BROKEN = {
    "html": (sends(answer(b"<html>portal</html>")), "protocol"),
    "empty 200": (sends(answer(b"")), "protocol"),
    "204": (sends(b"HTTP/1.1 204 No Content\r\n\r\n"), "protocol"),
    "truncated JSON": (sends(answer(GOOD[:-5])), "protocol"),
    "short body": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + GOOD), "protocol"),
    "short chunks": (sends(CHUNKED + b"ffff\r\n" + GOOD), "protocol"),
    "bad chunk size": (sends(CHUNKED + b"zz\r\nhi\r\n"), "protocol"),
    "invalid UTF-8": (sends(answer(GOOD.replace(b"hi", b"\xff\xfe"))), "protocol"),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH_9\r\n"), "protocol"),
    "hangs up": (sends(b""), "protocol"),
    "reset": (reset, "connection"),
    "no choices": (sends(answer(b'{"choices": []}')), "empty"),
    "error in 200": (sends(answer(b'{"error": {"message": "no"}}')), "error_in_200"),
    "gzip": (
        sends(answer(gzip.compress(GOOD), headers=["Content-Encoding: gzip"])), "protocol",
    ),
    "unknown coding": (sends(answer(GOOD, headers=["Content-Encoding: x-odd"])), "protocol"),
    "gzipped error": (
        sends(answer(b"\x1f\x8b", status="503 Busy", headers=["Content-Encoding: gzip"])), "server",
    ),
    "redirect": (
        sends(answer(b"", status="302 Found", headers=["Location: http://127.0.0.1:9/"])),
        "protocol",
    ),
    "huge headers": (sends(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3_000_000), "protocol"),
    "announced too large": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), "too_large",
    ),
    "negative length": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "protocol"),
    "braces": (sends(answer(b"[" * 1_000_000)), "protocol"),
    "silence": (silence, "timeout"),
    "drips headers": (drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), "timeout"),
    "drips one header": (drip(b"HTTP/1.1 200 OK\r\nX: ", b"a"), "timeout"),
    "drips the body": (
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" "), "timeout",
    ),
    "drips chunks": (drip(CHUNKED, b"1\r\n \r\n"), "timeout"),
    "drips 100 Continue": (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    "drips an error": (
        drip(b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n", b"x"), "timeout",
    ),
    "waits for ever": (
        sends(answer(b"{}", status="429 Slow", headers=["Retry-After: 100000"])), "rate_limit",
    ),
    "401": (sends(answer(f'{{"error": "key {KEY}"}}'.encode(), status="401 No")), "auth"),
    "404 page": (sends(answer(b"<html>nginx</html>", status="404 Not Found")), "not_found"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_has_its_kind_and_ends_in_time(case):
    script, kind = BROKEN[case]
    with hostile(script) as server:
        outcome, wall = (
            ask_server(server.base_url, max_retries=2, on_retry=lambda notice: None)
            if case == "waits for ever"
            else ask_server(server.base_url)
        )
    assert isinstance(outcome, LLMError), outcome
    assert outcome.kind == kind, outcome
    assert wall <= TIMEOUT + SLACK


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
    busy = sends(answer(b"{}", status="503 Busy"))
    with hostile(busy, silence) as server:
        outcome, wall = ask_server(
            server.base_url, timeout=1.0, max_retries=2, on_retry=lambda notice: None
        )
    assert outcome.kind == "timeout"
    assert wall <= 1.0 + SLACK


def test_a_retry_that_helps_gives_the_answer():
    busy = sends(answer(b"{}", status="429 Slow", headers=["Retry-After: 0"]))
    with hostile(busy, sends(answer(GOOD))) as server:
        outcome, _ = ask_server(
            server.base_url, timeout=20, max_retries=2, on_retry=lambda notice: None
        )
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
        outcome, wall = ask_server(server.base_url, timeout=20)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcome.kind == ("protocol" if coding else "too_large")
    assert grown <= 64 * 1024
    assert wall <= 20 + SLACK


def test_a_reply_just_under_the_cap_is_read():
    body = GOOD + b" " * (MAX_REPLY_BYTES - len(GOOD))
    with hostile(sends(answer(body)), sends(answer(body + b" "))) as server:
        assert ask_server(server.base_url, timeout=20)[0].text == "hi"
        assert ask_server(server.base_url, timeout=20)[0].kind == "too_large"


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


def keeps_alive(count: int):
    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(answer(GOOD))
        for _ in range(count - 1):
            if not read_request(sock):
                return
            sock.sendall(answer(GOOD))

    return script


def test_a_connection_is_used_again():
    with hostile(keeps_alive(3)) as server:
        client = OpenAICompatClient(LLMSettings(KEY, server.base_url))
        for _ in range(3):
            client.complete(ask(), on_retry=no_retry)
        client.close()
        assert server.connections == 1


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
                thread.join(timeout=10)
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
        assert time.monotonic() - started < 10
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
        assert not any(lane.client.is_closed for lane in parents)
        for lane in parents:
            lane.client.close()
        assert server.connections == 2
