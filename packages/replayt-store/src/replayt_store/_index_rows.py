"""A run as a row of the index, and a row as a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from replayt_core import RunSummary
from replayt_store._when import UNKNOWN, micros, timestamp
from replayt_store.selection import Selection

if TYPE_CHECKING:
    from replayt_core.records import Digest, LLMCallRow


@dataclass(frozen=True, kw_only=True)
class IndexedRun:
    """One run as the index knows it.

    `path` names its states in order, as `replayt_core.records.Digest` has it. `size` is in bytes,
    `written_ts` the time of the file as a log timestamp; both None where the store has neither.
    `problem` says in one line why the log cannot be read to its end; the summary then covers what
    stands before. Whether somebody executes the run right now only its lock tells.
    """

    summary: RunSummary
    path: str
    size: int | None
    written_ts: str | None
    problem: str | None

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.summary.run_id

    @property
    def status(self) -> str:
        """`damaged`, or how the run stands as far as its log says."""
        return status_of(self.summary, self.problem)


class ReadRun(NamedTuple):
    """A run that was just read. `mark` is what its source recognises an unchanged run by."""

    run_id: str
    mark: str
    looked_ns: int
    size: int | None
    written_us: int | None
    problem: str | None
    digest: Digest


SUMMARY = (
    "workflow_name",
    "workflow_version",
    "log_mode",
    "tags",
    "ended",
    "paused",
    "state",
    "error",
    "failed_state",
    "started_ts",
    "last_ts",
    "last_seq",
    "events",
    "states",
    "transitions",
    "llm_calls",
    "llm_failures",
    "llm_retries",
    "tool_calls",
    "approvals",
    "retries",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "hosts",
    "providers",
)
COLUMNS = (
    "run_id",
    "mark",
    "watched",
    "looked_ns",
    "size",
    "written_us",
    "problem",
    "path",
    "status",
    "sorted_at",
    "started_at",
    "last_at",
    *SUMMARY,
)
# Those of `LLMCallRow`, whose import brings the fold with it.
CALL_COLUMNS = (
    "run_id",
    "seq",
    "ts",
    "state",
    "visit",
    "attempt",
    "call",
    "provider",
    "host",
    "model",
    "reply_model",
    "schema_name",
    "ok",
    "latency_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "finish_reason",
    "error_kind",
    "retries",
)
_LATENCY = CALL_COLUMNS.index("latency_ms") - 1
EVERY_RUN = "1"
"""The condition of a selection that selects every run."""
UNSETTLED = "?"
"""Ends the mark of a run that may have changed without a trace since it was looked at."""

SCHEMA = (
    f"CREATE TABLE runs ({', '.join(COLUMNS)}, PRIMARY KEY (run_id)) WITHOUT ROWID",
    "CREATE INDEX newest ON runs (sorted_at DESC, run_id DESC)",
    # All that is asked of it stands in it, `watched` too: else SQLite looks each row up.
    "CREATE INDEX watched ON runs (status, run_id, mark, watched) WHERE watched",
    f"CREATE TABLE llm_calls ({', '.join(CALL_COLUMNS)}, PRIMARY KEY (run_id, seq)) WITHOUT ROWID",
    "CREATE TABLE empty_logs (run_id PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE place (mark)",
    "INSERT INTO place VALUES (NULL)",
)

_MOST = (1 << 63) - 1


def status_of(summary: RunSummary, problem: str | None) -> str:
    """How a run stands."""
    return "damaged" if problem else summary.status


def run_values(read: ReadRun) -> tuple[object, ...]:
    """The values of `COLUMNS`."""
    summary = read.digest.summary
    status = status_of(summary, read.problem)
    started_at = micros(summary.started_ts)
    return (
        read.run_id,
        read.mark,
        status != "completed" or read.mark.endswith(UNSETTLED),
        read.looked_ns,
        read.size,
        read.written_us,
        read.problem,
        read.digest.path,
        status,
        # Where nobody knows when a run started, it is listed where it was written.
        started_at if read.written_us is None or started_at != UNKNOWN else read.written_us,
        started_at,
        micros(summary.last_ts),
        summary.workflow_name,
        summary.workflow_version,
        summary.log_mode,
        _json(summary.tags),
        summary.ended,
        summary.paused,
        summary.state,
        None if summary.error is None else _json(summary.error),
        summary.failed_state,
        summary.started_ts,
        summary.last_ts,
        summary.last_seq,
        summary.events,
        summary.states,
        summary.transitions,
        summary.llm_calls,
        summary.llm_failures,
        summary.llm_retries,
        summary.tool_calls,
        summary.approvals,
        summary.retries,
        repr(summary.latency_ms),
        min(summary.prompt_tokens, _MOST),
        min(summary.completion_tokens, _MOST),
        min(summary.total_tokens, _MOST),
        _json(sorted(summary.hosts)) if summary.hosts else None,
        _json(sorted(summary.providers)) if summary.providers else None,
    )


def call_values(run_id: str, row: LLMCallRow) -> tuple[object, ...]:
    """The values of `CALL_COLUMNS`. Milliseconds as text: SQLite would write fewer digits."""
    latency = None if row.latency_ms is None else repr(row.latency_ms)
    return (run_id, *row[:_LATENCY], latency, *row[_LATENCY + 1 :])


def indexed_run(row: Sequence[Any]) -> IndexedRun:
    """The run of a row of `COLUMNS`."""
    found = dict(zip(COLUMNS, row, strict=True))
    kept: dict[str, Any] = {name: found[name] for name in SUMMARY}
    kept["tags"] = json.loads(found["tags"])
    kept["paused"] = bool(found["paused"])
    kept["latency_ms"] = float(found["latency_ms"])
    kept["error"] = None if found["error"] is None else json.loads(found["error"])
    for name in ("hosts", "providers"):
        kept[name] = set(json.loads(found[name])) if found[name] else set()
    return IndexedRun(
        summary=RunSummary(found["run_id"], **kept),
        path=found["path"],
        size=found["size"],
        written_ts=timestamp(found["written_us"]),
        problem=found["problem"],
    )


def condition(selection: Selection) -> tuple[str, list[object]]:
    """A selection as the condition of a `WHERE`, and its parameters."""
    parts, values = [EVERY_RUN], list[object]()
    if selection.workflow is not None:
        parts.append("workflow_name = ?")
        values.append(selection.workflow)
    if selection.statuses:
        parts.append(f"status IN ({', '.join('?' * len(selection.statuses))})")
        values += sorted(selection.statuses)
    if selection.since is not None:
        since = micros(selection.since)
        if since == UNKNOWN:
            raise ValueError(f"{selection.since!r} is no timestamp with a time zone")
        parts.append("last_at >= ?")
        values.append(since)
    for name, value in selection.tags.items():
        # In JSON text a quote inside a string is escaped, so this is that pair and nothing else.
        pair = _json({str(name): str(value)})[1:-1]
        parts.append("(instr(tags, ?) OR instr(tags, ?))")
        values += ["{" + pair, "," + pair]
    return " AND ".join(parts), values


# Made once: `json.dumps` makes an encoder for every call that names separators.
_json = json.JSONEncoder(separators=(",", ":")).encode
