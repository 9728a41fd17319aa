"""The provider behind a client that is checked: a script, and a loopback server that plays it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replayt_core.ports.llm import Usage

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

KEY = "sk-contract-0123456789abcdef"
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Says:
    """The provider answers."""

    text: str = "hello"
    finish_reason: str = "stop"
    refusal: str | None = None
    tool_calls: bool = False
    usage: Usage | None = None
    model: str = "contract-model"


@dataclass(frozen=True, kw_only=True)
class Refuses:
    """The provider answers with an error status; `code` as OpenAI names the reason, if it does."""

    status: int
    message: str = "no"
    code: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """The provider says what is no reply, and hangs up."""

    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """The provider takes the request and says nothing."""


Turn = Says | Refuses | Breaks | Silence
"""What the provider of the kit does with one request."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer: how a turn looks on the wire of one protocol."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


Encoder = Callable[[Says | Refuses], Answer]
"""Puts a turn on the wire of one protocol."""


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request that arrived: its JSON, and its headers with names in lower case."""

    body: Any
    headers: Mapping[str, str]

    def values(self) -> list[Any]:
        """Every name and every value in the JSON, however deep."""
        return list(_leaves(self.body))

    def text(self) -> str:
        """The whole JSON as text, with quotes inside texts as they are."""
        return json.dumps(self.values(), ensure_ascii=False)


class Provider:
    """What `make_client` is given: where the client has to call, with which key.

    `turns` is what the provider will do, request by request, the last one again and again. A client
    that speaks HTTP calls `base_url`; one that is fed by hand plays `turns` itself.
    """

    def __init__(self, turns: Sequence[Turn], *, together: int = 1) -> None:
        self.turns = tuple(turns)
        self.key = KEY
        self.base_url = ""
        self.requests: list[SeenRequest] = []
        self.arrived = threading.Event()
        self.hung_up = threading.Event()
        self._together = threading.Barrier(together)
        self._guard = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def listening(self, encode: Encoder) -> Iterator[Provider]:
        """Serve the turns on loopback, at `base_url`, until the block ends."""
        # Here, since whoever imports the fakes of this package pays for what stands above.
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with contextlib.suppress(OSError):  # the client may hang up at any time
                    provider._play(self, encode)

            def log_message(self, *args: Any) -> None:
                """Say nothing: what went wrong is for the clause to say."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._over.set()
                server.shutdown()
                thread.join()

    def _play(self, handler: BaseHTTPRequestHandler, encode: Encoder) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._guard:
            turn = self.turns[min(len(self.requests), len(self.turns) - 1)]
            self.requests.append(SeenRequest(body=json.loads(body), headers=headers))
        self.arrived.set()
        if self._together.parties > 1:
            self._together.wait(_PATIENCE_SECONDS)
        if isinstance(turn, Silence):
            handler.close_connection = True
            self._wait_for_the_end(handler)
        elif isinstance(turn, Breaks):
            handler.close_connection = True
            handler.wfile.write(turn.data)
        else:
            _send(handler, encode(turn))

    def _wait_for_the_end(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(0.05)
        while not self._over.is_set():
            try:
                said = handler.connection.recv(1)
            except TimeoutError:
                continue
            except OSError:
                said = b""
            if not said:
                self.hung_up.set()
                return


def chat_completion(turn: Says | Refuses) -> Answer:
    """A turn as the OpenAI-compatible protocol writes it."""
    if isinstance(turn, Refuses):
        error = {"message": turn.message, "type": "error", "param": None, "code": turn.code}
        headers = {"Retry-After": turn.retry_after} if turn.retry_after else {}
        return Answer(status=turn.status, body={"error": error}, headers=headers)
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.refusal is not None:
        message |= {"content": None, "refusal": turn.refusal}
    if turn.tool_calls:
        function = {"name": "look", "arguments": "{}"}
        call = {"id": "call_1", "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": turn.finish_reason}
    body: dict[str, Any] = {
        "id": "chatcmpl-contract",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": turn.model,
        "choices": [choice],
    }
    if turn.usage is not None:
        body["usage"] = {
            "prompt_tokens": turn.usage.prompt_tokens,
            "completion_tokens": turn.usage.completion_tokens,
            "total_tokens": turn.usage.total_tokens,
        }
    return Answer(status=200, body=body)


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    data = json.dumps(answer.body).encode()
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield name
            yield from _leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value)
    else:
        yield node
