"""A model server on the loopback that answers when a test says so."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {
    "id": "1",
    "model": "tiny-1",
    "choices": [
        {"message": {"role": "assistant", "content": '{"label": "a"}'}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400},
}


class Model:
    """Each request waits for one `answer`."""

    def __init__(self) -> None:
        self.answers: queue.Queue[tuple[int, dict[str, Any], dict[str, str]]] = queue.Queue()
        self.url = ""

    def answer(self, status: int = 200, body: dict[str, Any] | None = None, **headers: str) -> None:
        """What the next request gets."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.put((status, ANSWER if body is None else body, named))

    @property
    def env(self) -> dict[str, str]:
        """What leads a command to it."""
        return {
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_KEY": "k-not-a-key",
            "REPLAYT_MODEL": "tiny",
        }


@contextmanager
def answering() -> Iterator[Model]:
    """The server, ended at the end."""
    model = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body, headers = model.answers.get(timeout=60)
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
