"""The one module that imports httpx: one attempt, bounded in time and size.

httpx limits each read and not the whole, so a server that drips a byte a second would hold a call
for ever; name resolution has no limit at all. Therefore each attempt runs in a thread of its own,
and who waits for it, or awaits it, does so exactly as long as the deadline says. An attempt that is
given up has its sockets shut down, which ends its thread.

An event loop awaits the same threads: so the same limits hold there, nothing that a reply costs
holds up the loop, and connections outlive a loop (each `asyncio.run` makes a new one).

A `_Lane` is an httpx client that serves one attempt at a time, so that shutting it down hurts
nobody else. Lanes that ended well are used again: this is what keeps connections alive.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import weakref
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from replayt_core.errors import LLMError
from replayt_llm._attempt import Attempt
from replayt_llm._exchange import HTTPCall, HTTPReply, NotSentError
from replayt_llm._scrub import scrub

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Several times what any model can say in one reply. Text with one emoji takes four times as much
memory as bytes, and twice that while it is parsed."""
MAX_ERROR_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
MOST_IDLE = 20
"""How many connections are kept at most, after a burst of calls at once."""
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class HTTPTransport:
    """Sends over httpx. `http` replaces the network below httpx, for tests.

    Proxies come from the environment as httpx reads it (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
    `NO_PROXY`), except that loopback is always called directly. Certificates are checked against
    the files named by `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE` in `env` when any is set. Redirects
    are never followed.
    """

    def __init__(
        self,
        *,
        http: httpx.BaseTransport | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._http = http
        self._env = os.environ if env is None else env
        self._guard = threading.Lock()
        self._idle: list[_Lane] = []
        self._owner = os.getpid()
        self._tls: ssl.SSLContext | None = None
        # Who forgets to close loses the connections with the last reference to this.
        weakref.finalize(self, _close_all, self._idle)

    def send(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The complete reply within `seconds`.

        Raises `NotSentError` when no connection came about, else `LLMError` by kind.
        """
        lane = self._take(call)
        reply = self._attempt(lane, call, seconds).wait()
        self._put_back(lane)
        return reply

    async def send_async(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The same, awaited. Cancelling it ends the attempt and its connection."""
        lane = self._take(call)
        reply = await self._attempt(lane, call, seconds).wait_async()
        self._put_back(lane)
        return reply

    def close(self) -> None:
        """Close the connections that are kept. The transport can be used again."""
        with self._guard:
            lanes = self._idle[:]
            self._idle.clear()
        _close_all(lanes)

    def _attempt(self, lane: _Lane, call: HTTPCall, seconds: float) -> Attempt:
        def work() -> HTTPReply:
            if lane.client is None:  # here, since reading certificates takes its time
                lane.client = self._open(call)
            reply = _exchange(lane.client, lane, call, seconds)
            if not lane.clean():
                lane.close()
            return reply

        return Attempt(work, seconds=seconds, abandon=lane.abandon, close=lane.close)

    def _take(self, call: HTTPCall) -> _Lane:
        with self._guard:
            if self._owner != os.getpid():  # a forked child must not speak on its parent's sockets
                self._owner = os.getpid()
                self._idle.clear()
            for index in reversed(range(len(self._idle))):  # the one used last: the freshest
                if self._idle[index].direct == call.loopback:
                    return self._idle.pop(index)
        return _Lane(direct=call.loopback)

    def _put_back(self, lane: _Lane) -> None:
        if lane.closed:
            return
        with self._guard:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(lane)
                return
        lane.close()

    def _open(self, call: HTTPCall) -> httpx.Client:
        plain_loopback = call.loopback and call.url.startswith("http:")
        verify = False if plain_loopback else self._context()
        try:
            return httpx.Client(
                transport=self._http,
                verify=verify,
                trust_env=not call.loopback,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # takes none
            )
        except Exception:  # its text can hold the proxy's password
            raise LLMError(
                "not_configured",
                "the proxy settings of the environment cannot be used: look at HTTPS_PROXY, "
                "HTTP_PROXY, ALL_PROXY and NO_PROXY.",
            ) from None

    def _context(self) -> ssl.SSLContext:
        with self._guard:
            if self._tls is None:
                self._tls = _tls_context(self._env)
            return self._tls


def _tls_context(env: Mapping[str, str]) -> ssl.SSLContext:
    named = [(name, env[name]) for name in CA_VARIABLES if env.get(name)]
    if not named:
        try:
            return httpx.create_ssl_context(verify=True, trust_env=False)
        except OSError as exc:
            raise LLMError(
                "not_configured",
                "the certificates that come with the HTTP library cannot be read "
                f"({type(exc).__name__}): name a file of certificates in SSL_CERT_FILE.",
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, path in named:
        try:
            if os.path.isdir(path):
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as exc:
            raise LLMError(
                "not_configured",
                f"{name} names {path!r}, which is no readable file of certificates "
                f"({type(exc).__name__}).",
            ) from None
    return context


class _Lane:
    def __init__(self, *, direct: bool) -> None:
        self.direct = direct
        self.client: httpx.Client | None = None
        self._sockets: list[socket.socket] = []
        self._guard = threading.Lock()
        self._abandoned = False

    def close(self) -> None:
        """Give the connection back. Not while an attempt runs: that is what `abandon` is for."""
        if self.client is not None:
            self.client.close()

    @property
    def closed(self) -> bool:
        """Whether the lane is of no more use."""
        return self.client is None or self.client.is_closed

    def clean(self) -> bool:
        """Whether nothing that the server sent is left to be taken for its next reply.

        httpx does not look, and has no public way to; what cannot be seen counts as not clean.
        """
        pools = [getattr(self.client, "_transport", None)]
        pools += getattr(self.client, "_mounts", {}).values()
        try:
            for pool in pools:
                for connection in pool._pool.connections if pool is not None else ():
                    while not hasattr(connection, "_h11_state"):
                        connection = connection._connection  # noqa: PLW2901 - the one inside
                    if connection._h11_state.trailing_data[0]:
                        return False
        except AttributeError:
            return False
        return True

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hears from httpx of each connection; its socket is what `abandon` shuts down."""
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        stream = info.get("return_value")
        sock = stream.get_extra_info("socket") if stream is not None else None
        if not isinstance(sock, socket.socket):
            return
        with self._guard:
            self._sockets = [*self._sockets[-3:], sock]
            late = self._abandoned
        if late:
            _shut(sock)

    def abandon(self) -> None:
        """End whatever runs here; the lane is not used again."""
        with self._guard:
            self._abandoned = True
            sockets = self._sockets
        for sock in sockets:
            _shut(sock)


def _shut(sock: socket.socket) -> None:
    # An error: closed already, or taken over by the TLS socket that stands beside it.
    with contextlib.suppress(OSError):
        # The plain socket's method: SSLSocket's would drop its TLS state under the reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _close_all(lanes: list[_Lane]) -> None:
    for lane in lanes:
        lane.close()


def _exchange(client: httpx.Client, lane: _Lane, call: HTTPCall, seconds: float) -> HTTPReply:
    limits = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
    try:
        request = client.build_request(
            call.method,
            call.url,
            content=call.body or None,
            headers=dict(call.headers),
            timeout=limits,
            extensions={"trace": lane.trace},
        )
        response = client.send(request, stream=True)
        try:
            return _read(response, call)
        finally:
            response.close()
    except LLMError:
        raise
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as exc:
        if "CERTIFICATE" in str(exc).upper():  # will be no better the next time
            raise LLMError("connection", _cannot_connect(exc, call)) from None
        raise NotSentError(_cannot_connect(exc, call)) from None
    except httpx.TimeoutException:
        problem = f"{call.method} {call.where} took longer than {round(seconds, 1):g} s."
        raise LLMError("timeout", problem) from None
    except (httpx.RemoteProtocolError, httpx.DecodingError) as exc:
        raise LLMError(
            "protocol",
            f"{call.method} {call.where}: the server broke the HTTP protocol "
            f"({scrub(str(exc), call.secrets, limit=120)}).",
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as exc:
        raise LLMError(
            "not_configured",
            f"{call.method} {call.where} cannot be made with this URL and these headers "
            f"({type(exc).__name__}).",
        ) from None
    except (httpx.TransportError, OSError) as exc:
        raise LLMError(
            "connection",
            f"{call.method} {call.where}: the connection broke in mid-call ({type(exc).__name__}).",
        ) from None
    except Exception as exc:
        raise LLMError(
            "other", f"{call.method} {call.where}: {type(exc).__name__} in the HTTP library."
        ) from None


def _read(response: httpx.Response, call: HTTPCall) -> HTTPReply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    status = response.status_code
    well = 200 <= status < 300
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        if not well:  # the status is what matters; the text is left alone
            return HTTPReply(status=status, headers=headers, body=b"")
        raise LLMError(
            "protocol",
            f"{call.method} {call.where}: the reply is compressed, though that was declined. A "
            "gateway in between may do it: have it send plain JSON.",
            status=status,
        )
    limit = MAX_REPLY_BYTES if well else MAX_ERROR_BYTES
    size = headers.get("content-length", "")
    announced = int(size) if size.isdecimal() and len(size) < 19 else 0
    parts: list[bytes] = []
    total = 0
    if announced <= limit:
        for part in response.iter_raw():
            total += len(part)
            if total > limit:
                break
            parts.append(part)
    if well and max(total, announced) > limit:
        raise LLMError(
            "too_large",
            f"{call.method} {call.where}: the reply is larger than {limit // (1024 * 1024)} MiB "
            "and was not read to its end.",
            status=status,
        )
    return HTTPReply(status=status, headers=headers, body=b"".join(parts))


def _cannot_connect(exc: Exception, call: HTTPCall) -> str:
    if isinstance(exc, httpx.ConnectTimeout):
        problem = f"no connection within {CONNECT_SECONDS:g} s"
    elif isinstance(exc, httpx.ProxyError):
        problem = "the proxy of the environment refused"
    else:
        problem = scrub(str(exc), call.secrets, limit=120) or "no connection"
    hint = "Is the server running, and base_url right?"
    if "CERTIFICATE" in problem.upper():
        hint = "Behind a company's own authority, name its file in SSL_CERT_FILE."
    return f"{call.method} {call.where}: cannot connect ({problem}). {hint}"
