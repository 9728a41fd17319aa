"""Logs with known figures, written without executing anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports import EventStore
from replayt_store import JSONLStore

ENDS: dict[str, list[Draft]] = {
    "completed": [Draft("run_completed", {"final_state": "sort", "status": "completed"})],
    "failed": [
        Draft("run_failed", {"state": "sort", "error": {"type": "E", "message": "m"}}),
        Draft("run_completed", {"final_state": "sort", "status": "failed"}),
    ],
    "paused": [Draft("run_paused", {"reason": "approval", "request_seq": 2})],
    "interrupted": [],
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A model call: how long it took, its tokens, and whether it failed."""

    latency_ms: float = 100.0
    sent: int = 10
    received: int = 5
    model: str = "small"
    ok: bool = True

    def drafts(self, number: int) -> list[Draft]:
        effective = {"provider": "test", "host": "localhost", "model": self.model}
        usage = {
            "prompt_tokens": self.sent,
            "completion_tokens": self.received,
            "total_tokens": self.sent + self.received,
        }
        about = {"call": number, "state": "read", "effective": effective}
        request = {**about, "overrides": {}, "messages": [], "schema_name": None}
        response: dict[str, Any] = {
            **about,
            "ok": self.ok,
            "latency_ms": self.latency_ms,
            "model": self.model,
            "usage": usage if self.ok else None,
        }
        if not self.ok:
            response["error"] = {"type": "LLMError", "message": "no", "kind": "server"}
        return [Draft("llm_request", request), Draft("llm_response", response)]


def record(
    run_id: str,
    *,
    status: str = "completed",
    days: float = 0,
    workflow: str = "sorts",
    tags: Mapping[str, str] | None = None,
    calls: Sequence[Call] = (),
    store: EventStore | None = None,
) -> None:
    """A run through `read` and `sort` that ended so many days ago; its file is as old."""
    store = store or JSONLStore(".replayt/runs", sync="os")
    started = {
        "log_schema": 1,
        "workflow_name": workflow,
        "workflow_version": "1",
        "initial_state": "read",
        "inputs": {},
        "tags": dict(tags or {}),
        "log_mode": "redacted",
    }
    begun = [
        Draft("run_started", started),
        Draft("state_entered", {"state": "read", "visit": 1, "attempt": 1}),
    ]
    went_on = [
        *(draft for number, call in enumerate(calls, 1) for draft in call.drafts(number)),
        Draft("state_exited", {"state": "read", "next_state": "sort", "context": {}}),
        Draft("transition", {"from_state": "read", "to_state": "sort", "reason": "r"}),
        Draft("state_entered", {"state": "sort", "visit": 1, "attempt": 1}),
        *ENDS[status],
    ]
    when = datetime.now(timezone.utc) - timedelta(days=days)
    ts = when.isoformat(timespec="microseconds").replace("+00:00", "Z")
    first = seal(run_id, begun, after=0, head=first_prev(run_id), ts=ts)
    store.append(run_id, first, after=0)
    rest = seal(run_id, went_on, after=2, head=line_hash(first[-1].line), ts=ts)
    store.append(run_id, rest, after=2)
    if isinstance(store, JSONLStore):
        age(store.path(run_id), days)


def age(path: Path, days: float) -> None:
    """Make a file look that old."""
    then = (datetime.now(timezone.utc) - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


def damage(path: Path) -> None:
    """Change a byte in the middle of a log, keeping its time."""
    found = path.stat()
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"seq":4', b'"seq":9'))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


PLUGIN = """
from pathlib import Path

from replayt_store import JSONLStore


class Odd(JSONLStore):
    '''A directory of logs that cannot do what others can.'''

    def delete(self, run_id, *, after):
        from replayt_core import StoreWriteError

        raise StoreWriteError(f"cannot delete run {run_id}: the disk reports an I/O error")


class Keeps:
    '''A store without any further ability.'''

    def __init__(self):
        self._logs = JSONLStore("odd")

    def append(self, run_id, events, *, after):
        self._logs.append(run_id, events, after=after)

    def read(self, run_id, *, after=0):
        return self._logs.read(run_id, after=after)

    def run_ids(self):
        return self._logs.run_ids()


class Slow(JSONLStore):
    '''A directory of logs that waits before it deletes the fourth, where there is a fifo.'''

    deleted = 0

    def delete(self, run_id, *, after):
        if self.deleted == 3 and Path("waits").is_fifo():
            Path("waits").read_bytes()
        self.deleted += 1
        return super().delete(run_id, after=after)


def open_slow(url):
    return Slow("odd")


def open_odd(url):
    return Odd("odd")


def open_keeps(url):
    return Keeps()
"""


def install_plugin(directory: Path) -> None:
    """Four stores, found as those of an installed package; the last cannot be loaded."""
    directory.joinpath("odd_stores.py").write_text(PLUGIN)
    info = directory / "odd_stores-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: odd-stores\n")
    info.joinpath("entry_points.txt").write_text(
        "[replayt.stores]\n"
        "odd = odd_stores:open_odd\n"
        "slow = odd_stores:open_slow\n"
        "keeps = odd_stores:open_keeps\n"
        "gone = odd_stores_gone:open_gone\n"
    )
