"""Comparing what two runs were started with: workflow, inputs, context, and where a fork began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replayt_core._diff_findings import Findings
from replayt_core._diff_reading import ReadRun
from replayt_core._diff_result import ForkRelation
from replayt_core._diff_values import Change, Side, only, value_changes
from replayt_core._fork import ForkPoint, find_fork_point
from replayt_core.errors import VisitNotFoundError


def fork_between(a: ReadRun, b: ReadRun) -> tuple[ForkRelation, ForkPoint] | None:
    """How one of the runs is a fork of the other, and what of; None where neither is."""
    sides: tuple[tuple[Side, ReadRun, ReadRun], ...] = (("b", b, a), ("a", a, b))
    for side, fork, parent in sides:
        point = _fork_point(fork, parent)
        if point is not None:
            shared = sum(visit.seq < point.seq for visit in parent.visits)
            relation = ForkRelation(fork=side, seq=point.seq, state=point.state, shared=shared)
            return relation, point
    return None


def compare_starts(findings: Findings, a: ReadRun, b: ReadRun, point: ForkPoint | None) -> None:
    """The workflow's name, then the inputs, then everything else a run begins with."""
    if a.started_seq is None or b.started_seq is None:
        logs = [name for name, run in (("A", a), ("B", b)) if run.started_seq is None]
        why = f"the log of {' and of '.join(logs)} does not say what the run was started with"
        findings.leave("inputs", "inputs", why, a.started_seq, b.started_seq)
        return
    seqs: tuple[int | None, int | None] = (a.started_seq, b.started_seq)
    findings.look("workflow", "workflow", *seqs, _field_changes(a, b, "workflow_name"))
    findings.look("inputs", "inputs", *seqs, value_changes(a.state.inputs, b.state.inputs))
    findings.look("workflow", "workflow", *seqs, _field_changes(a, b, "workflow_version"))
    if a.state.graph and b.state.graph:
        changes = graph_changes(a.state.graph, b.state.graph)
        findings.look("workflow", "graph", *seqs, changes)
    elif a.state.graph or b.state.graph:
        which = "B" if a.state.graph else "A"
        findings.leave("workflow", "graph", f"the log of {which} does not hold it", *seqs)
    contexts = _start_contexts(a, b, point)
    if contexts is not None:
        if point is not None:
            seqs = _begun_at(a, point), _begun_at(b, point)
        findings.look("context", "context at the start", *seqs, value_changes(*contexts))


def code_changes(a: ReadRun, b: ReadRun) -> dict[str, Change]:
    """The handlers whose source text differs, by state; one without a text says nothing."""
    both = ((state, a.state.code[state], b.state.code.get(state)) for state in a.state.code)
    return {
        state: Change(path="code", a=left, b=right)
        for state, left, right in both
        if left is not None and right is not None and left != right
    }


def graph_changes(a: Any, b: Any) -> Iterator[Change]:
    """The initial state, then which states and edges only one of two graphs has."""
    yield from value_changes(a.get("initial"), b.get("initial"), "graph.initial")
    for name in ("states", "edges"):
        left, right = _names(a.get(name)), _names(b.get(name))
        yield from (only("a", item, f"graph.{name}") for item in left if item not in right)
        yield from (only("b", item, f"graph.{name}") for item in right if item not in left)


def _field_changes(a: ReadRun, b: ReadRun, name: str) -> Iterator[Change]:
    return value_changes(a.started.get(name), b.started.get(name), name)


def _start_contexts(a: ReadRun, b: ReadRun, point: ForkPoint | None) -> tuple[Any, Any] | None:
    """What the handlers began with, where it is not the inputs alone."""
    if point is None and "context" not in a.started and "context" not in b.started:
        return None
    begun = [
        point.context
        if point is not None and run.state.run_id == point.run_id
        else run.started.get("context", run.state.inputs)
        for run in (a, b)
    ]
    return begun[0], begun[1]


def _begun_at(run: ReadRun, point: ForkPoint) -> int | None:
    return point.seq if run.state.run_id == point.run_id else run.started_seq


def _fork_point(fork: ReadRun, parent: ReadRun) -> ForkPoint | None:
    origin = fork.state.forked_from
    if not isinstance(origin, dict) or origin.get("run_id") != parent.state.run_id:
        return None
    seq = origin.get("seq")
    if type(seq) is not int or not parent.visits or fork.state.run_id == parent.state.run_id:
        return None
    try:
        point = find_fork_point(parent.state.run_id, parent.events, seq)
    except VisitNotFoundError:
        return None  # the readable part of the parent ends before
    return point if point.seq == seq else None


def _names(items: Any) -> dict[str, None]:
    return {
        " -> ".join(map(str, item)) if isinstance(item, list) else str(item): None
        for item in (items if isinstance(items, list) else ())
    }
