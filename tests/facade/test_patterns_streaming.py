"""SC-193. Tokens on the screen, one result in the log: a real model server, and a cut stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from replayt import MemoryStore, RedactedValueError, Runner, Workflow, verify
from replayt.examples.patterns.streaming import make_workflow
from tests.model_server.plugin import ModelServer

WORDS = ["Hel", "lo, ", "Ada", "\u202e!"]


def said(text: str, reason: str | None = None) -> bytes:
    choice = {"delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@contextmanager
def server(*parts: bytes, status: int = 200) -> Iterator[str]:
    """A server on loopback that sends these parts and closes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            for part in parts:
                self.wfile.write(part)
                self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_port}/v1"
        finally:
            served.shutdown()
            thread.join()


def flow(base_url: str, screen: list[str]) -> Workflow:
    options = {"model": "m", "max_tokens": 50}
    return make_workflow(base_url=base_url, api_key=None, options=options, show=screen.append)


WHOLE = (b": comment\n\n", *map(said, WORDS), said("", "stop"), b"data: [DONE]\n\n")


def test_the_pieces_are_shown_as_they_come_and_the_log_has_one_result_and_one_note() -> None:
    screen: list[str] = []
    store = MemoryStore()
    with server(*WHOLE) as url:
        done = Runner(flow(url, screen), store).run({"question": "Hello?"})
    assert (done.status, done.final_state, screen) == ("completed", "done", WORDS)
    events = list(store.read(done.run_id))
    (result,) = [event.payload["result"] for event in events if event.type == "tool_result"]
    assert result == {"text": "".join(WORDS), "pieces": 4, "finish_reason": "stop"}
    (note,) = [event.payload for event in events if event.type == "step_note"]
    assert note["data"] == {"characters": len("".join(WORDS)), "pieces": 4}


def test_verify_shows_nothing_and_asks_nobody() -> None:
    store = MemoryStore()
    with server(*WHOLE) as url:
        done = Runner(flow(url, []), store).run({"question": "Hello?"})
    screen: list[str] = []
    checked = verify(flow(url, screen), store.read(done.run_id))
    assert (checked.ok, checked.served_calls, screen) == (True, 1, [])


def test_a_stream_that_breaks_off_is_never_taken_for_a_whole_one() -> None:
    screen: list[str] = []
    with server(*map(said, WORDS)) as url:
        cut = Runner(flow(url, screen), MemoryStore()).run({"question": "Hello?"})
    assert (cut.final_state, screen) == ("call_back", WORDS)
    with server(said("Hello"), said("", "length"), b"data: [DONE]\n\n") as url:
        assert (
            Runner(flow(url, []), MemoryStore()).run({"question": "?"}).final_state == "call_back"
        )
    with server(status=503) as url:
        assert (
            Runner(flow(url, []), MemoryStore()).run({"question": "?"}).final_state == "call_back"
        )
    nowhere = "http://127.0.0.1:9/v1"  # the discard service, which nobody offers any more
    done = Runner(flow(nowhere, []), MemoryStore()).run({"question": "?"})
    assert done.final_state == "call_back"


def test_where_no_log_may_hold_the_text_it_has_its_hash_and_verify_wants_it() -> None:
    store = MemoryStore()
    with server(*WHOLE) as url:
        runner = Runner(flow(url, []), store, redact_keys=["text"])
        done = runner.run({"question": "Hello?"})
    assert done.final_state == "done"
    assert b"Ada" not in b"".join(event.line for event in store.read(done.run_id))
    with pytest.raises(RedactedValueError, match="'text'"):
        verify(flow(url, []), store.read(done.run_id))
    supplied = {"text": "".join(WORDS)}
    assert verify(flow(url, []), store.read(done.run_id), supplied=supplied).ok


def test_a_real_model_server_streams_to_the_screen(model_server: ModelServer) -> None:
    screen: list[str] = []
    schema = {"type": "string", "enum": ["yes, of course", "no, not at all"]}
    options = {
        "model": "tiny-random",
        "max_tokens": 200,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
    }
    wf = make_workflow(
        base_url=model_server.base_url, api_key=None, options=options, show=screen.append
    )
    done = Runner(wf, MemoryStore()).run({"question": "Will it rain?"})
    assert (done.status, done.final_state) == ("completed", "done"), done.error
    assert len(screen) > 1
    assert json.loads("".join(screen)) in schema["enum"]
