"""A loopback server that answers exactly the bytes a test wants, and short ways to ask."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from replayt_core.ports import CallSettings, ChatRequest, ResponseSchema, RetryNotice
from replayt_llm._exchange import HTTPCall, HTTPReply

Script = Callable[[socket.socket, threading.Event], None]
HELLO = ({"role": "user", "content": "hello"},)


def ask(
    schema: dict[str, Any] | None = None, *, name: str = "Reply", **settings: Any
) -> ChatRequest:
    """A request that says hello, held to `schema` if there is one."""
    shape = None if schema is None else ResponseSchema(name=name, json_schema=schema)
    return ChatRequest(messages=HELLO, settings=CallSettings(**settings), schema=shape)


def no_retry(notice: RetryNotice) -> None:
    """For calls that must not be repeated."""
    raise AssertionError(f"unexpected retry: {notice}")


def completion(content: Any = "hi", **choice: Any) -> bytes:
    """The body of a plain chat completion."""
    message = {"role": "assistant", "content": content}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "model": "m",
            "choices": [{"message": message, "finish_reason": "stop", **choice}],
        }
    ).encode()


def answer(body: bytes, *, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """A whole HTTP answer around `body`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def sends(data: bytes) -> Script:
    """A script that reads the request, sends `data` and hangs up."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(data)

    return script


def keeps_alive(count: int, text: str = "hi") -> Script:
    """A script that answers `count` requests on one connection."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        for number in range(count):
            if number and not read_request(sock):
                return
            sock.sendall(answer(completion(text)))

    return script


def together(*sizes: int, text: str = "hi") -> Script:
    """A script that answers nobody before `sizes[0]` have asked, then `sizes[1]`, and so on.

    So calls that are not in flight at the same time are never answered.
    """
    barriers = [threading.Barrier(size) for size in sizes]
    asked = itertools.count()
    ends = list(itertools.accumulate(sizes))

    def script(sock: socket.socket, over: threading.Event) -> None:
        while True:
            number = next(asked)
            barriers[sum(number >= end for end in ends)].wait(30)
            sock.sendall(answer(completion(text)))
            if not read_request(sock):
                return

    return script


@dataclass
class HostileServer:
    """Plays one script a connection, the last one again when they run out."""

    base_url: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    _first: dict[int, bytes] = field(default_factory=dict)

    def request_on(self, sock: socket.socket) -> bytes:
        """The first request of a connection."""
        return self._first[id(sock)]


@contextmanager
def hostile(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
    """A server on loopback whose connections follow `scripts`; ended when the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = HostileServer(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    over = threading.Event()

    def serve_one(sock: socket.socket, script: Script) -> None:
        # The other side may hang up whenever it likes: that is what many of the tests are about.
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.callback(sock.close)
            sock.settimeout(30)
            if tls is not None:
                sock = stack.enter_context(tls.wrap_socket(sock, server_side=True))
            server._first[id(sock)] = read_request(sock)
            server.requests.append(server._first[id(sock)])
            server.asked.set()
            script(sock, over)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    def accept() -> None:
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            if peer in last:
                sock.close()
                return
            script = scripts[min(server.connections, len(scripts) - 1)]
            server.connections += 1
            thread = threading.Thread(target=serve_one, args=(sock, script), daemon=True)
            threads.append(thread)
            thread.start()

    threads: list[threading.Thread] = []
    last: list[Any] = []
    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        over.set()
        # Whoever has come counts, also where nobody has had the time to look yet: so a last one
        # queues up behind them.
        with socket.socket() as end:
            end.bind(("127.0.0.1", 0))
            last.append(end.getsockname())
            end.connect(listener.getsockname())
            accepting.join(timeout=60)
        listener.close()
        for thread in threads:
            thread.join(timeout=60)


def read_request(sock: socket.socket) -> bytes:
    """One whole request: head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        part = sock.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body


class FakeTransport:
    """Answers from a list without any network; what it was sent stands in `calls`."""

    def __init__(self, *replies: HTTPReply | Exception, clock: FakeClock | None = None) -> None:
        self._replies = list(replies)
        self._clock = clock
        self.calls: list[HTTPCall] = []
        self.seconds: list[float] = []

    def send(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The next reply, or the next exception."""
        self.calls.append(call)
        self.seconds.append(seconds)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def send_async(self, call: HTTPCall, *, seconds: float) -> HTTPReply:
        """The same."""
        return self.send(call, seconds=seconds)

    def close(self) -> None:
        """Nothing to close."""

    @property
    def sent(self) -> dict[str, Any]:
        """The JSON of the last call."""
        return json.loads(self.calls[-1].body)


class FakeClock:
    """Time that passes only when someone sleeps."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Now."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Let time pass."""
        self.sleep(seconds)


def reply(body: bytes = b"", status: int = 200, **headers: str) -> HTTPReply:
    """A reply as a transport gives it; `retry_after` is the header `retry-after`."""
    if status == 200 and not body:
        body = completion()
    return HTTPReply(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
    )


def error_body(message: str, **more: Any) -> bytes:
    """The body of an error in OpenAI's shape."""
    return json.dumps({"error": {"message": message, **more}}).encode()
