"""What broken and hostile servers answer, as data: one case, one way to be wrong, one error kind.

Kind `ok` marks answers that are odd and yet whole: to refuse them would be wrong too.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any

from tests.llm.helpers import Script, answer, completion, sends

KEY = "sk-planted-0123456789"
TIMEOUT = 20.0
"""Of a call that ends by what is answered, however busy the machine is."""
SHORT_TIMEOUT = 0.4
"""Of a call that nothing else ends."""
GOOD = '{"name": "x", "count": 1}'
"""The content that the cases' model (`Answer`) takes."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer and what a call makes of it; `retries` are allowed, `tries` are seen."""

    name: str
    script: Script
    kind: str
    status: int | None = None
    retries: int = 0
    tries: int = 1
    timeout: float = TIMEOUT


# --- scripts --------------------------------------------------------------------------------------


def reset(sock: socket.socket, over: threading.Event) -> None:
    """Break the connection off with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def reset_behind(data: bytes) -> Script:
    """Send something, then break off."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(data)
        reset(sock, over)

    return script


def drip(first: bytes, piece: bytes) -> Script:
    """Send `first`, then `piece` again and again for as long as someone listens."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(first)
        while not over.wait(0.05):
            sock.sendall(piece)

    return script


def silence(sock: socket.socket, over: threading.Event) -> None:
    """Say nothing, and keep the connection."""
    over.wait(30)


def flood(head: bytes, piece: bytes, times: int) -> Script:
    """Send far too much."""

    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(head)
        for _ in range(times):
            sock.sendall(piece)

    return script


# --- answers --------------------------------------------------------------------------------------


def body(value: Any) -> Script:
    """A 200 with this JSON, or with these bytes."""
    return sends(answer(value if isinstance(value, bytes) else json.dumps(value).encode()))


def says(content: Any, **choice: Any) -> Script:
    """A completion whose message holds this content."""
    return sends(answer(completion(content, **choice)))


def message(**fields: Any) -> Script:
    """A completion whose message is this."""
    return body({"choices": [{"message": fields, "finish_reason": "stop"}]})


def refuses(status: str, error: Any = None, *headers: str) -> Script:
    """An error status with this JSON, or these bytes, inside."""
    data = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return sends(answer(data, status=status, headers=headers))


def usage(text: str) -> Script:
    """A whole reply with this JSON text as its usage."""
    head = completion(GOOD)[:-1]
    return body(head + b', "usage": ' + text.encode() + b"}")


WHOLE = answer(completion(GOOD))

_HTTP: list[tuple[str, Script, str]] = [
    ("hangs up", sends(b""), "protocol"),
    ("reset before a byte", reset, "connection"),
    ("reset in mid-body", reset_behind(WHOLE[:-20]), "connection"),
    ("no HTTP", sends(b"SSH-2.0-OpenSSH_9\r\n"), "protocol"),
    ("HTTP/0.9", sends(b"hello\n"), "protocol"),
    ("a status that is none", sends(b"HTTP/1.1 abc OK\r\n\r\n"), "protocol"),
    ("switches protocols", sends(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"), "protocol"),
    ("short body", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{}"), "protocol"),
    ("short chunks", sends(CHUNKED + b"ffff\r\n{}"), "protocol"),
    ("bad chunk size", sends(CHUNKED + b"zz\r\nhi\r\n"), "protocol"),
    ("endless chunk size", flood(CHUNKED, b"f" * 65536, 64), "protocol"),
    ("endless chunk extension", flood(CHUNKED + b"1;a=", b"x" * 65536, 64), "protocol"),
    ("endless trailers", flood(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 8192, 64), "protocol"),
    ("chunks inside gzip", sends(WHOLE.replace(b"\r\n", b"\r\nTransfer-Encoding: gzip, chunked\r\n",
                                               1)), "protocol"),
    ("two lengths", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}"),
     "protocol"),
    ("negative length", sends(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "protocol"),
    ("huge headers", sends(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3_000_000), "protocol"),
    ("a header without a name", sends(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}"), "protocol"),
    ("NUL in a header", sends(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n{}"),
     "protocol"),
    ("announced too large", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
     "too_large"),
    ("endless body", flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536, 4_800), "too_large"),
    ("endless chunks", flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", 4_800), "too_large"),
    ("gzip", sends(answer(gzip.compress(completion(GOOD)), headers=["Content-Encoding: gzip"])),
     "protocol"),
    ("gzip bomb", flood(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
                        gzip.compress(b" " * 10_000_000), 30), "protocol"),
    ("unknown coding", sends(answer(completion(GOOD), headers=["Content-Encoding: x-odd"])),
     "protocol"),
    ("silence", silence, "timeout"),
    ("drips the status line", drip(b"HTTP/1.1 200 ", b"a"), "timeout"),
    ("drips headers", drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), "timeout"),
    ("drips one header", drip(b"HTTP/1.1 200 OK\r\nX: ", b"a"), "timeout"),
    ("drips the body", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" "), "timeout"),
    ("drips chunks", drip(CHUNKED, b"1\r\n \r\n"), "timeout"),
    ("drips 100 Continue", drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    ("drips an error", drip(b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n", b"x"), "timeout"),
    ("whole with a BOM", body(b"\xef\xbb\xbf" + completion(GOOD)), "ok"),
    ("whole with a smuggled second reply", sends(WHOLE + answer(completion("evil"))), "ok"),
    ("whole and says it is HTML", sends(answer(completion(GOOD), headers=["Content-Type: text/html",
                                                                          "Set-Cookie: a=b"])),
     "ok"),
]  # fmt: skip

_STATUS: list[tuple[str, Script, str, int]] = [
    ("204", sends(b"HTTP/1.1 204 No Content\r\n\r\n"), "protocol", 204),
    ("redirect", refuses("302 Found", "x", "Location: http://127.0.0.1:9/"), "protocol", 302),
    ("redirect to a file", refuses("307 T", "x", "Location: file:///etc/passwd"), "protocol", 307),
    ("redirect to itself", refuses("308 P", "x", "Location: /v1/chat"), "protocol", 308),
    ("401 that echoes the key", refuses("401 No", f"wrong key {KEY}"), "auth", 401),
    ("401 as nginx says it", refuses("401 No", b"<html>nginx</html>"), "auth", 401),
    ("403 that echoes the key", refuses("403 No", {"message": f"{KEY} may not"}), "auth", 403),
    ("402", refuses("402 Pay", {"message": "pay"}), "quota", 402),
    ("404 page", refuses("404 Not Found", b"<html>nginx</html>"), "not_found", 404),
    ("400 with the key in a URL", refuses("400 Bad", f"see https://u:{KEY}@h.example/?k={KEY}#f"),
     "bad_request", 400),
    ("400 with terminal codes", refuses("400 Bad", "\x1b[2J\x1b]0;x\x07\u202egnp\r\nX"),
     "bad_request", 400),
    ("400 with a huge message", refuses("400 Bad", "word " * 12_000), "bad_request", 400),
    ("400 with odd types", refuses("400 Bad", {"message": [1], "code": 7, "param": {}}),
     "bad_request", 400),
    ("400 from a content filter", refuses("400 Bad", {"message": "no", "code": "content_filter"}),
     "content_filter", 400),
    ("413", refuses("413 Too Large", b""), "bad_request", 413),
    ("451", refuses("451 Law", None), "bad_request", 451),
    ("429 without credit", refuses("429 No", {"code": "insufficient_quota", "message": "no"}),
     "quota", 429),
    ("429 to wait for ever", refuses("429 Slow", "x", "Retry-After: 100000"), "rate_limit", 429),
    ("429 to wait till 2100", refuses("429 S", "x", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT"),
     "rate_limit", 429),
    ("429 to wait without number", refuses("429 S", "x", "Retry-After: 1e999"), "rate_limit", 429),
    ("500 in plain text", refuses("500 Oops", b"Internal Server Error"), "server", 500),
    ("503 compressed", refuses("503 Busy", b"\x1f\x8b", "Content-Encoding: gzip"), "server", 503),
    ("503 without end", flood(b"HTTP/1.1 503 Busy\r\n\r\n", b"x" * 65536, 4_800), "server", 503),
    ("599", refuses("599 Odd", None), "server", 599),
    ("999", refuses("999 Denied", None), "server", 999),
]  # fmt: skip

_JSON: list[tuple[str, Script, str]] = [
    ("empty 200", body(b""), "protocol"),
    ("HTML", body(b"<html>captive portal</html>"), "protocol"),
    ("truncated JSON", body(completion(GOOD)[:-5]), "protocol"),
    ("invalid UTF-8", body(completion("hi").replace(b"hi", b"\xff\xfe")), "protocol"),
    ("UTF-16", body(completion(GOOD).decode().encode("utf-16")), "protocol"),
    ("an event stream", body(b'data: {"choices": []}\n\ndata: [DONE]\n\n'), "protocol"),
    ("null", body(None), "protocol"),
    ("a list", body([1]), "protocol"),
    ("deep JSON", body(b"[" * 100_000), "protocol"),
    ("deep objects", body(b'{"a":' * 50_000), "protocol"),
    ("brace bomb", body(b"[" * 1_000_000), "too_large"),
    ("a million empty lists", body(b"[" + b"[]," * 1_000_000 + b"[]]"), "too_large"),
    ("a million small objects", body(b"[" + b'{"":0},' * 500_000 + b"0]"), "too_large"),
    ("6,000 digits", body(b'{"choices": ' + b"9" * 6_000 + b"}"), "protocol"),
    ("no choices", body({"choices": []}), "empty"),
    ("choices null", body({"choices": None}), "protocol"),
    ("a choice of null", body({"choices": [None]}), "protocol"),
    ("a choice without message", body({"choices": [{"text": "x"}]}), "protocol"),
    ("error in 200", body({"error": {"message": f"no, {KEY}"}}), "error_in_200"),
    ("error in 200 as text", body({"error": "no"}), "error_in_200"),
    ("error in a choice", body({"choices": [{"error": {"message": KEY}}]}), "error_in_200"),
    ("content a number", says(7), "protocol"),
    ("content an object", says({"a": 1}), "protocol"),
    ("NaN in usage", usage('{"prompt_tokens": NaN, "completion_tokens": -1}'), "ok"),
    ("usage that is none", usage('[{"prompt_tokens": 1e400}]'), "ok"),
    ("6,000 digits in usage", usage('{"total_tokens": ' + "9" * 4_000 + "}"), "ok"),
]  # fmt: skip

_REPLY: list[tuple[str, Script, str]] = [
    ("content null", says(None), "empty"),
    ("content empty", says(""), "empty"),
    ("content blank", says(" \n\t\u3000"), "empty"),
    ("reasoning alone", says([{"type": "reasoning", "text": GOOD}]), "empty"),
    ("refusal", message(content=None, refusal=f"no, {KEY}"), "refusal"),
    ("refusal beside content", message(content=GOOD, refusal="no"), "refusal"),
    ("refusal among the parts", says([{"type": "refusal", "refusal": "no"}]), "refusal"),
    ("tool calls alone", message(content=None, tool_calls=[{"id": "1"}]), "tool_calls_only"),
    ("function call alone", message(content="", function_call={"name": "f"}), "tool_calls_only"),
    ("cut by a filter", says(GOOD, finish_reason="content_filter"), "content_filter"),
    ("cut at the limit", says(GOOD[:10], finish_reason="length"), "truncated"),
    ("cut at the limit, and whole", says(GOOD, finish_reason="length"), "truncated"),
    ("cut at the limit before a word", says("", finish_reason="length"), "truncated"),
    ("prose", says(f"Sure! My key is {KEY}."), "not_json"),
    ("broken JSON", says(GOOD[:-3]), "not_json"),
    ("two objects", says(GOOD + "\n" + GOOD), "not_json"),
    ("NaN for a number", says('{"name": "x", "count": NaN}'), "not_json"),
    ("braces without end", says('{"a":' * 40_000), "not_json"),
    ("wrong types", says(f'{{"name": 1, "count": "{KEY}"}}'), "schema"),
    ("fields missing", says("{}"), "schema"),
    ("a list for the object", says("[1, 2]"), "not_json"),
    ("a field without end", says(json.dumps({"name": "y" * 1_000_000, "count": 1})), "schema"),
    ("four bytes a letter", says("\U0001f600" + "y" * 4_100_000), "not_json"),
    ("lone surrogates", says('{"name": "\\ud800", "count": 1}'), "schema"),
    ("in a fence", says(f"```json\n{GOOD}\n```"), "ok"),
    ("in parts", says([{"type": "text", "text": GOOD[:9]}, GOOD[9:]]), "ok"),
    ("the key as name of the model", body({"model": KEY, "choices": [{"message": {"content": GOOD},
                                           "finish_reason": KEY}]}), "ok"),
    ("the key as request id", sends(answer(completion(GOOD), headers=[f"X-Request-Id: {KEY}"])),
     "ok"),
]  # fmt: skip


def _cases() -> dict[str, Case]:
    made = [
        Case(name=n, script=s, kind=k, timeout=SHORT_TIMEOUT if k == "timeout" else TIMEOUT)
        for n, s, k in [*_HTTP, *_JSON, *_REPLY]
    ]
    made += [Case(name=n, script=s, kind=k, status=status) for n, s, k, status in _STATUS]
    made += [
        Case(name="busy for ever", script=refuses("503 Busy", "x", "Retry-After: 0.05"),
             kind="server", status=503, retries=2, tries=3),
        Case(name="busy till the end", script=refuses("503 Busy", "x", "Retry-After: 1"),
             kind="server", status=503, retries=9, tries=2, timeout=1.9),
        Case(name="no credit, and asked to retry", retries=2, kind="quota", status=429,
             script=refuses("429 No", {"code": "insufficient_quota"}, "Retry-After: 0")),
        Case(name="breaks off, with retries left", retries=2, kind="connection", script=reset),
    ]  # fmt: skip
    assert len({case.name for case in made}) == len(made)
    return {case.name: case for case in made}


CASES = _cases()
