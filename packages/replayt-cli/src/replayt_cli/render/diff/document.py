"""Two runs compared, as JSON: every part with a flag, and every difference with its fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from replayt_cli.show.recorded_run import RecordedRun
from replayt_core.diff import Change, Delta, RunDiff, RunDifference, RunSide


def diff_document(a: RecordedRun, b: RecordedRun, found: RunDiff) -> dict[str, Any]:
    """The whole comparison; `differences` is in the order in which things happened."""
    first = found.first
    document: dict[str, Any] = {
        "a": _side(a, found.a),
        "b": _side(b, found.b),
        "relation": asdict(found.relation) if found.relation else None,
        "changed": found.changed,
        "first": _difference(first) if first else None,
    }
    for name, part in found.parts.items():
        document[name] = {
            "changed": part.changed,
            "compared": part.compared,
            "differences": len(part.differences),
        }
    document["status"] |= {"a": a.status, "b": b.status}
    document["states"] |= {
        "a": [pair.state for pair in found.visits if pair.a],
        "b": [pair.state for pair in found.visits if pair.b],
        "visits": [asdict(pair) for pair in found.visits],
    }
    document["latency_ms"] = {
        **_delta(found.latency_ms),
        "calls": [
            {**asdict(call), "latency_ms": _delta(call.latency_ms)} for call in found.call_latencies
        ],
    }
    document["tokens"] = {
        "prompt": _delta(found.prompt_tokens),
        "completion": _delta(found.completion_tokens),
        "total": _delta(found.total_tokens),
        "uncounted_replies": _delta(found.uncounted_replies),
    }
    document["llm_retries"] = _delta(found.llm_retries)
    document["differences"] = [_difference(item) for item in found.differences]
    document["not_compared"] = [asdict(item) for item in found.not_compared]
    return document


def _side(run: RecordedRun, side: RunSide) -> dict[str, Any]:
    return {
        **asdict(side),
        "run_id": run.state.run_id,
        "status": run.status,
        "damage": str(run.damage) if run.damage else None,
    }


def _difference(found: RunDifference) -> dict[str, Any]:
    return {
        "part": found.part,
        "what": found.what,
        "state": found.state,
        "visit": found.visit,
        "seq_a": found.seq_a,
        "seq_b": found.seq_b,
        "only": found.only,
        "changes": [_change(change) for change in found.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    """The side that has no value has no key: null is a value."""
    document: dict[str, Any] = {"path": change.path, "only": change.only}
    if change.only != "b":
        document["a"] = change.a
    if change.only != "a":
        document["b"] = change.b
    return document


def _delta(figure: Delta) -> dict[str, Any]:
    return {"a": figure.a, "b": figure.b, "delta": figure.delta}
