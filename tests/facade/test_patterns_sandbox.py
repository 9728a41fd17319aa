"""SC-193. Somebody else's loop in a process of its own: what it can do, and what it cannot."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from replayt import MemoryStore, Runner, verify
from replayt.examples.patterns.sandbox import (
    Limits,
    SandboxError,
    can_close_network,
    run_contained,
)
from replayt.examples.patterns.sandbox_step import make_workflow

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="limits need a POSIX system"),
    pytest.mark.skipif(
        sys.platform != "win32" and not can_close_network(),
        reason="this system does not permit `unshare`, so nothing is run",
    ),
]
LOOP = """
def main(task):
    print("noise on stdout")
    title, rounds = task["text"], 0
    while len(title) > 20:
        title, rounds = title.rsplit(" ", 1)[0], rounds + 1
    return {"title": title, "rounds": max(rounds, 1)}
"""


class Value(BaseModel):
    value: Any


def contained(folder: Path, body: str, *, task: Any = None, **limits: Any) -> Any:
    program = folder / "loop.py"
    program.write_text(f"def main(task):\n    {body}\n", encoding="utf-8")
    return run_contained(program, task, Value, Limits(**{"seconds": 100, **limits})).value


def test_the_workflow_decides_about_what_the_loop_proposes_and_verify_runs_no_loop(
    tmp_path: Path,
) -> None:
    program, store = tmp_path / "loop.py", MemoryStore()
    program.write_text(LOOP, encoding="utf-8")
    wf = make_workflow(program, Limits())
    inputs = {"text": "A long text about machines and looms", "banned": ["cheap"]}
    done = Runner(wf, store).run(inputs)
    assert (done.status, done.final_state) == ("completed", "publish"), done.error
    assert done.context["title"] == "A long text about"
    assert Runner(wf, store).run({**inputs, "banned": ["LONG"]}).final_state == "edit_by_hand"
    program.unlink()
    checked = verify(make_workflow(program, Limits()), store.read(done.run_id))
    assert (checked.ok, checked.served_calls) == (True, 1)


def test_a_loop_that_fails_is_no_failed_run(tmp_path: Path) -> None:
    wf = make_workflow(tmp_path / "missing.py", Limits())
    done = Runner(wf, MemoryStore()).run({"text": "x", "banned": []})
    assert (done.status, done.final_state) == ("completed", "edit_by_hand")


def test_it_gets_json_and_gives_json_whatever_it_prints(tmp_path: Path) -> None:
    task = {"text": "é\u202e", "numbers": [1, 2.5, None]}
    body = "import os; print('noise'); os.system('echo noise'); return {'value': task}"
    assert contained(tmp_path, body, task=task) == task


def test_it_has_no_network(tmp_path: Path) -> None:
    """A port that this process can reach; the loop sees not even loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        body = (
            f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); "
            "return {'value': 'reached'}"
        )
        with pytest.raises(SandboxError, match="an error, or a limit"):
            contained(tmp_path, body)
        assert contained(tmp_path, body, network="open") == "reached"


def test_where_the_network_cannot_be_closed_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # so there is no `unshare`
    can_close_network.cache_clear()
    marker = tmp_path / "ran"
    body = f"open({str(marker)!r}, 'w').close(); return {{'value': 1}}"
    try:
        with pytest.raises(SandboxError, match="the network stays open"):
            contained(tmp_path, body)
        assert not marker.exists()
        assert contained(tmp_path, body, network="open") == 1
        assert marker.exists()
    finally:
        can_close_network.cache_clear()


def test_it_sees_none_of_our_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ours")
    body = "import os; return {'value': dict(os.environ)}"
    seen = contained(tmp_path, body)
    assert "sk-ours" not in json.dumps(seen)
    assert {"PATH", "HOME", "LANG"} <= seen.keys() <= {"PATH", "HOME", "LANG", "LC_CTYPE"}
    program = tmp_path / "loop.py"
    given = {"MODEL_KEY": "sk-its-own"}
    found = run_contained(program, None, Value, Limits(), environment=given)
    assert found.value["MODEL_KEY"] == "sk-its-own"


@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        ("x = bytearray(2**30); return {'value': len(x)}", {"memory_mb": 256}, "a limit"),
        ("while True: pass", {"seconds": 1}, "a limit|within 1 seconds"),
        ("import time; time.sleep(60)", {"seconds": 1}, "no answer within 1 seconds"),
        ("return {'value': 'x' * 5000}", {"output_bytes": 1000}, "a limit"),
        ("return {'wrong': 1}", {}, "no Value: 1 fault"),
        ("return {'value': {1, 2}}", {}, "an error"),
        ("return {'value': float('nan')}", {}, "an error"),
        ("raise SystemExit(0)", {}, "no Value"),
        ("import os; os._exit(0)", {}, "no Value"),
    ],
)
def test_what_breaks_a_limit_or_answers_with_something_else_is_no_answer(
    tmp_path: Path, body: str, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(SandboxError, match=said):
        contained(tmp_path, body, **limits)


def test_nothing_that_it_started_outlives_it(tmp_path: Path) -> None:
    """A process that left its session holds a pipe's end; at the end of the task it is gone."""
    import os

    pipe = tmp_path / "held"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    body = (
        "import subprocess; "
        f"subprocess.Popen(['sleep', '60'], stdout=open({str(pipe)!r}, 'wb'), "
        "start_new_session=True); return {'value': 1}"
    )
    assert contained(tmp_path, body) == 1
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "the last writer is gone"
    os.close(reader)
