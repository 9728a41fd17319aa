"""The rows below a step: its calls, approvals, waits, notes, and whatever else was logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from replayt_cli.render.report.calls import (
    CALL_EVENTS,
    calls_of,
    model_row,
    seconds_of,
    tool_row,
)
from replayt_cli.render.report.rows import Fact, Kind, Row, Source, Tone, took
from replayt_core import Approval, Event
from replayt_core.records import Records

_KINDS: dict[str, Kind] = {
    "step_error": "error",
    "run_failed": "error",
    "step_note": "note",
    "retry_scheduled": "wait",
    "run_paused": "wait",
    "approval_resolved": "approval",  # one that was ignored
}
# What is told elsewhere: by the step itself, by its branch, or in the row of the approval.
_TOLD_ELSEWHERE = CALL_EVENTS | {
    "run_started",
    "state_entered",
    "state_exited",
    "transition",
    "approval_applied",
}


class StepRows:
    """Makes the rows of one run, on the axis of `source`."""

    def __init__(self, source: Source, found: Records, approvals: Mapping[int, Approval]) -> None:
        self.source = source
        self._model = {row.seq: row for row in found.llm_calls}
        self._tool = {row.seq: row for row in found.tool_calls}
        self._approvals = approvals
        self._answers = {item.resolved_seq for item in approvals.values()}

    def of(self, events: Sequence[Event]) -> list[Row]:
        """The rows of these events, in order."""
        source, calls = self.source, calls_of(events)
        in_rows = {
            part.seq
            for seq, parts in calls.items()
            if seq in self._model or seq in self._tool
            for part in parts
        }
        rows = []
        for event in events:
            seq = event.seq
            if seq in self._model:
                rows.append(model_row(source, self._model[seq], calls.get(seq, [event])))
            elif seq in self._tool:
                rows.append(tool_row(source, self._tool[seq], calls.get(seq, [event])))
            elif seq in self._approvals:
                rows.append(approval_row(source, self._approvals[seq]))
            elif event.type in CALL_EVENTS:
                if seq not in in_rows:  # an end that belongs to no start, a call made again
                    rows.append(source.told(seq, "mark"))
            elif event.type not in _TOLD_ELSEWHERE and seq not in self._answers:
                rows.append(self._told(event))
        return rows

    def _told(self, event: Event) -> Row:
        kind = _KINDS.get(event.type, "mark")
        tone: Tone = "bad" if kind == "error" else "wait" if kind == "wait" else ""
        row = self.source.told(event.seq, kind, tone)
        delay = seconds_of(event.payload.get("delay_seconds"))
        if event.type != "retry_scheduled" or not delay:
            return row
        start = self.source.moment(event.seq)
        return replace(
            row, bars=(self.source.bar("wait", start, start + delay),), duration=took(delay)
        )


def approval_row(source: Source, approval: Approval) -> Row:
    """A request for an approval with its answer: who, when, why."""
    start = end = source.moment(approval.request_seq)
    facts = [Fact("asked at", approval.requested_ts)]
    if approval.resolved_seq is not None:
        end = source.moment(approval.resolved_seq)
        facts += [
            Fact("answer", "approved" if approval.approved else "rejected", approval.resolved_seq),
            Fact("by", approval.by or "nobody is named"),
            Fact("reason", approval.reason or "none was given"),
            Fact("answered at", source.events[approval.resolved_seq].ts),
            Fact("acted on", "yes" if approval.applied else "not yet"),
        ]
    if approval.digest:
        facts.append(Fact("SHA-256 of what was shown", approval.digest))
    blocks = [source.block("what was shown", approval.summary)] if approval.summary else []
    if approval.details not in (None, "", {}, []):
        blocks.append(source.block("details", approval.details))
    tone: Tone = "wait" if approval.open else "good" if approval.approved else "bad"
    return Row(
        seq=approval.request_seq,
        kind="approval",
        title=approval.approval_id,
        hint=f"by {approval.by}" if approval.by else "",
        tone=tone,
        verdict=approval_verdict(approval),
        duration=took(end - start) if end > start else "",
        bars=(source.bar("wait", start, end),),
        facts=tuple(facts),
        blocks=tuple(blocks),
    )


def approval_verdict(approval: Approval) -> str:
    """How a request for an approval stands."""
    if approval.open:
        return "waits for an answer"
    return "approved" if approval.approved else "rejected"
