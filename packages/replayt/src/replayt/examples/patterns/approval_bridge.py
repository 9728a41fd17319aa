"""A web page on which people answer what paused runs ask. Standard library only.

Why it exists: the person who decides has no shell. The page shows what was asked with its digest,
writes the answer with the name of who is signed in, and executes nothing: a worker that has the
workflow's code goes on with the run (`bridge_answers.resume_answered`).

    python -m replayt.examples.patterns.approval_bridge --log-dir .replayt/runs --people people.json

It listens on loopback. Put a proxy with TLS before it and set `--secure-cookie` there.
"""

from __future__ import annotations

import os
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from replayt.examples.patterns.bridge_app import ApprovalBridge
from replayt.examples.patterns.bridge_sessions import Sessions, load_people
from replayt.examples.patterns.command_line import Options


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 30


def make_bridge(
    directory: str | os.PathLike[str],
    people: dict[str, str],
    *,
    port: int = 0,
    secure_cookie: bool = False,
) -> WSGIServer:
    """A server on loopback, not yet serving; port 0 takes a free one."""
    app = ApprovalBridge(Path(directory), Sessions(people), secure_cookie=secure_cookie)
    return make_server("127.0.0.1", port, app, server_class=_Server, handler_class=_Handler)


def main() -> None:
    """Serve until the process is stopped."""
    options = Options(description="Answer approvals of paused runs in a browser.")
    options.add_argument("--log-dir", default=".replayt/runs")
    options.add_argument("--people", type=Path, required=True)
    options.add_argument("--port", type=int, default=8808)
    options.add_argument("--secure-cookie", action="store_true")
    chosen = options.parse_args()
    try:
        people = load_people(chosen.people)
    except (OSError, ValueError) as error:
        options.error(str(error))
    with make_bridge(
        chosen.log_dir,
        people,
        port=chosen.port,
        secure_cookie=chosen.secure_cookie,
    ) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
