"""Tokens on the user's screen as they come; in the log, one result and one note.

Why it exists: a person waits better when the text grows. Tokens are no decisions, though, so they
are no events: the stream is read inside a typed tool, whose result is the whole text. A resumed or
re-executed run is served that text, asks nobody and shows nothing. A stream that breaks off is a
failed tool, and half a text is never taken for a whole one.

    answer --> done
       |
       +----> call_back

The log keeps the text, in every log mode, because `verify` needs it. Where no log may hold it, run
with `redact_keys=["text"]`: the log has its SHA-256, and whoever verifies hands the text in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from replayt import RunContext, ToolError, Workflow

MAX_LINE_BYTES = 1_000_000
Show = Callable[[str], None]


class Streamed(BaseModel):
    """A reply that came to its end. It is whole when the `finish_reason` is `stop`."""

    text: str
    pieces: int
    finish_reason: str


def stream_chat(base_url: str, api_key: str | None, body: dict[str, Any], show: Show) -> Streamed:
    """One streamed call of an OpenAI-compatible server; `show` gets each piece when it comes."""
    parts = urlsplit(base_url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.netloc, timeout=60)
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    pieces, reason = [], None
    try:
        sent = json.dumps({**body, "stream": True})
        connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", sent, headers)
        with connection.getresponse() as response:
            if response.status != 200:
                raise ConnectionError(f"the server said {response.status}")
            for choice in _choices(response):
                if piece := choice.get("delta", {}).get("content"):
                    pieces.append(piece)
                    show(piece)
                reason = choice.get("finish_reason") or reason
    except HTTPException as error:
        raise ConnectionError(f"the stream broke off: {error!r}") from error
    finally:
        connection.close()
    if reason is None:
        raise ConnectionError("the stream broke off")
    return Streamed(text="".join(pieces), pieces=len(pieces), finish_reason=reason)


def _choices(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """What a stream of server-sent events holds, up to `[DONE]`."""
    while line := response.readline(MAX_LINE_BYTES):
        name, _, data = line.decode("utf-8").partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            return
        yield from json.loads(data).get("choices", [])[:1]


def make_workflow(
    *, base_url: str, api_key: str | None, options: Mapping[str, Any], show: Show
) -> Workflow:
    """A workflow whose `answer` streams to `show`; `options` name the model and its limits."""
    wf = Workflow("streaming", version="1")
    wf.set_initial("answer")

    def stream_reply(question: str) -> Streamed:
        """Stream one reply."""
        messages = [{"role": "user", "content": question}]
        return stream_chat(base_url, api_key, {**options, "messages": messages}, show)

    @wf.step("answer", to=["done", "call_back"], expects={"question": str})
    def answer(ctx: RunContext) -> str:
        ctx.tools.register(stream_reply)
        try:
            reply: Streamed = ctx.tools.call("stream_reply", {"question": ctx.get("question")})
        except ToolError as error:
            ctx.because(f"no whole reply: {error.message}")
            return "call_back"
        if reply.finish_reason != "stop":
            ctx.because(f"the reply is cut short: {reply.finish_reason}")
            return "call_back"
        size = {"characters": len(reply.text), "pieces": reply.pieces}
        ctx.note("streamed", f"{size['characters']} characters were shown", data=size)
        return "done"

    @wf.step("done")
    def done(ctx: RunContext) -> None:
        return None

    @wf.step("call_back")
    def call_back(ctx: RunContext) -> None:
        """The user has seen half a text and is told that it is none."""

    return wf
