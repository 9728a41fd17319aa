"""What differs between two runs, first cause first; made from their events alone.

The visits of states are aligned by name, so that a visit that only one run made shifts nothing;
inside a visit the attempts by their number, inside an attempt the calls, notes and approvals by
kind and name, or by what they asked. What differs is told in the order in which it happened: a
prompt before the reply, the reply before what was made of it, that before the move.

A difference is a cause or an effect of an earlier one. The logs cannot say which, but nothing
comes before the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from replayt_core._alignment import align
from replayt_core._diff_findings import Findings
from replayt_core._diff_reading import ReadRun, Visit, read_run
from replayt_core._diff_result import (
    PARTS,
    CallLatency,
    Delta,
    ForkRelation,
    NotCompared,
    Part,
    PartDiff,
    RunDiff,
    RunDifference,
    RunSide,
    VisitPair,
    VisitRef,
)
from replayt_core._diff_start import code_changes, compare_starts, fork_between
from replayt_core._diff_values import Change, Side, error_of, value_changes
from replayt_core._diff_visits import compare_visits, visit_of_one
from replayt_core._summary import RunSummary, summarize
from replayt_core.budget import Account
from replayt_core.events import Event

__all__ = [
    "PARTS",
    "CallLatency",
    "Change",
    "Delta",
    "ForkRelation",
    "NotCompared",
    "Part",
    "PartDiff",
    "RunDiff",
    "RunDifference",
    "RunSide",
    "Side",
    "VisitPair",
    "VisitRef",
    "diff",
]


def diff(a: Iterable[Event], b: Iterable[Event]) -> RunDiff:
    """Compare the runs with these events.

    Total: events of unknown types and payloads that do not fit are named in `not_compared` or left
    out. Where one run is a fork of the other, it is compared with what its parent did from that
    visit on.
    """
    return _Comparison(read_run(a), read_run(b)).finish()


class _Comparison:
    """Two runs while they are compared."""

    def __init__(self, a: ReadRun, b: ReadRun) -> None:
        self._a, self._b = a, b
        self._findings = Findings()
        found = fork_between(a, b)
        self._relation = found[0] if found else None
        self._point = found[1] if found else None
        self._code = code_changes(a, b)
        self._visits: list[tuple[Visit | None, Visit | None]] = []
        self._latencies: list[CallLatency] = []

    def finish(self) -> RunDiff:
        """Compare everything, in the order in which it happened."""
        findings = self._findings
        compare_starts(findings, self._a, self._b, self._point)
        findings.close()
        for left, right in _aligned(self._compared("a"), self._compared("b")):
            self._compare_visit(left, right)
        findings.close()
        self._compare_ends()
        findings.close()
        return self._result()

    def _compared(self, side: Side) -> list[Visit]:
        """The visits of a run without those that only the parent of a fork can have made."""
        first = self._first_seq(side)
        run = self._a if side == "a" else self._b
        return [visit for visit in run.visits if visit.seq >= first]

    def _first_seq(self, side: Side) -> int:
        relation = self._relation
        return 0 if relation is None or relation.fork == side else relation.seq

    def _compare_visit(self, a: Visit | None, b: Visit | None) -> None:
        findings = self._findings
        visit = a or b
        if visit is None:
            return
        findings.enter(visit.state, len(self._visits))
        self._visits.append((a, b))
        code = self._code.pop(visit.state, None)
        if code is not None:
            seqs = (a.seq if a else None, b.seq if b else None)
            findings.look("workflow", f"code of {visit.state}", *seqs, [code])
        if a is not None and b is not None:
            findings.look("states", visit.state, a.seq, b.seq, ())
            self._latencies += compare_visits(findings, a, b)
        else:
            visit_of_one(findings, "b" if a is None else "a", visit)

    def _compare_ends(self) -> None:
        findings, a, b = self._findings, self._a, self._b
        seqs = (a.state.last_seq or None, b.state.last_seq or None)
        findings.look("status", "run", *seqs, value_changes(_end(a), _end(b)))
        for state, change in self._code.items():
            findings.look("workflow", f"code of {state}", a.started_seq, b.started_seq, [change])
        payloads_a, payloads_b = _unknown_payloads(a), _unknown_payloads(b)
        for kind in {**payloads_a, **payloads_b}:
            if payloads_a.get(kind) != payloads_b.get(kind):
                why = "this version does not know the type"
                findings.leave(None, f"events of type {kind}", why, None, None)

    def _result(self) -> RunDiff:
        findings = self._findings
        changed = {found.visit for found in findings.differences}
        figures_a = _figures(self._a, self._first_seq("a"))
        figures_b = _figures(self._b, self._first_seq("b"))

        def delta(name: str) -> Delta:
            return Delta(a=figures_a[name], b=figures_b[name])

        return RunDiff(
            a=_side(self._a),
            b=_side(self._b),
            relation=self._relation,
            visits=tuple(
                VisitPair(state=_state(a, b), a=_ref(a), b=_ref(b), changed=index in changed)
                for index, (a, b) in enumerate(self._visits)
            ),
            differences=tuple(findings.differences),
            parts=findings.parts(),
            not_compared=tuple(findings.not_compared),
            latency_ms=delta("latency_ms"),
            call_latencies=tuple(self._latencies),
            prompt_tokens=delta("prompt_tokens"),
            completion_tokens=delta("completion_tokens"),
            total_tokens=delta("total_tokens"),
            uncounted_replies=delta("uncounted_replies"),
            llm_retries=delta("llm_retries"),
        )


def _aligned(a: list[Visit], b: list[Visit]) -> Iterator[tuple[Visit | None, Visit | None]]:
    """All visits in order; between those that belong together, first what only A made."""
    done_a = done_b = 0
    pairs = align([visit.state for visit in a], [visit.state for visit in b])
    for left, right in [*pairs, (len(a), len(b))]:
        yield from ((visit, None) for visit in a[done_a:left])
        yield from ((None, visit) for visit in b[done_b:right])
        if left < len(a):
            yield a[left], b[right]
        done_a, done_b = left + 1, right + 1


def _end(run: ReadRun) -> dict[str, Any]:
    """How a run stands at the end of its log."""
    summary = run.state.summary
    stands: dict[str, Any] = {"status": summary.status, "final_state": run.state.final_state}
    if summary.error is not None:
        stands["error"] = error_of({"error": summary.error})
        stands["failed_state"] = summary.failed_state
    return stands


def _figures(run: ReadRun, first: int) -> dict[str, float]:
    """What the compared part of a run took."""
    events = [event for event in run.events if event.seq >= first]
    summary, account = summarize(run.state.run_id, events), Account()
    for event in events:
        if event.type == "llm_response":
            account.add_response(event.payload)
    return {
        "latency_ms": round(summary.latency_ms, 3),
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
        "total_tokens": summary.total_tokens,
        "llm_retries": summary.llm_retries,
        "uncounted_replies": account.uncounted_replies,
    }


def _side(run: ReadRun) -> RunSide:
    summary: RunSummary = run.state.summary
    return RunSide(
        run_id=run.state.run_id,
        workflow_name=summary.workflow_name,
        workflow_version=summary.workflow_version,
        status=summary.status,
        started_ts=summary.started_ts,
        last_ts=summary.last_ts,
        last_seq=summary.last_seq,
        log_mode=summary.log_mode,
        tags=dict(summary.tags),
        chained=run.state.chained,
        unknown=dict(run.state.unknown),
    )


def _state(a: Visit | None, b: Visit | None) -> str:
    visit = a or b
    return visit.state if visit is not None else ""


def _ref(visit: Visit | None) -> VisitRef | None:
    if visit is None:
        return None
    return VisitRef(visit=visit.visit, seq=visit.seq, last_seq=visit.last_seq)


def _unknown_payloads(run: ReadRun) -> dict[str, list[Any]]:
    """The payloads of each type that this version does not know."""
    found: dict[str, list[Any]] = {kind: [] for kind in run.state.unknown}
    for event in run.events:
        if event.type in found:
            found[event.type].append(event.payload)
    return found
