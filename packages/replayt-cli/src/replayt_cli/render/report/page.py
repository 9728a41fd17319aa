"""Everything that the report page shows of a run, ready for the template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replayt_cli.arguments.store_choice import command_line
from replayt_cli.render.graph.layout import Graph
from replayt_cli.render.graph.svg import Marks, draw, times
from replayt_cli.render.report.calls import error_text
from replayt_cli.render.report.rows import Block, Fact, Row, Source, Tone, took
from replayt_cli.render.report.scale import Interval, make_scale
from replayt_cli.render.report.step_rows import approval_verdict
from replayt_cli.render.report.steps import Step, StepGroup, make_steps
from replayt_cli.render.report.usage import UsageTable, usage_table
from replayt_cli.render.report.values import Allowance, duration_text, items, mapping
from replayt_cli.render.text import count_of
from replayt_cli.show.recorded_run import RecordedRun
from replayt_core import Approval, Event, RunState, RunSummary
from replayt_core.records import Records, records
from replayt_core.timeline import TimelineEntry, timeline
from replayt_core.why import why

_KEPT = {
    "full": "The log keeps prompts and replies in full.",
    "redacted": "The log keeps no message bodies: of a prompt its size and hash, of a reply also "
    "its first 200 characters.",
    "structured_only": "The log keeps no text of prompts and replies: sizes and hashes only.",
}
_STANDS = {
    "interrupted": "The log has no end: the process that executed the run ended before the run "
    "did. It can be resumed.",
    "unchained": "The log has no end: the process that executed the run ended before the run did.",
    "running": "The run is being executed: this page ends with the last event that was written.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the reader has to know first: what failed, what is waited for, what is damaged."""

    tone: Tone
    title: str
    text: str = ""
    command: str = ""
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalLine:
    """A line of the table of approvals: who decided what, when and why."""

    seq: int
    name: str
    verdict: str
    tone: Tone
    by: str
    reason: str
    asked: str
    answered: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The report of a run."""

    run_id: str
    workflow: str
    status: str
    summary: RunSummary
    duration: str
    waited: str
    notices: tuple[Notice, ...]
    counts: tuple[Fact, ...]
    origin: tuple[Fact, ...]
    tags: tuple[tuple[str, str], ...]
    inputs: tuple[Block, ...]
    entry_context: tuple[Block, ...]
    kept: str
    graph: str
    declared: bool
    ticks: tuple[tuple[float, str], ...]
    shortened: bool
    before: tuple[Row, ...]
    groups: tuple[StepGroup, ...]
    approvals: tuple[ApprovalLine, ...]
    usage: UsageTable | None
    head: str
    chained: bool
    verify: str
    entries: tuple[TimelineEntry, ...]
    places: Mapping[int, str]
    cut: int


def make_page(run: RecordedRun) -> Page:
    """The page of a recorded run, from its log alone."""
    state, events = run.state, run.events
    entries = tuple(timeline(state.run_id, events))
    found = records(state.run_id, events)
    source = _source(run, entries)
    before, groups = make_steps(state, events, found, why(events), source)
    steps = [step for group in groups for step in group.steps]
    end = entries[-1].offset_seconds if entries else 0.0
    waited = sum(until - since for since, until in source.pauses)
    started = mapping(events[0].payload) if events and events[0].type == "run_started" else {}
    return Page(
        run_id=state.run_id,
        workflow=_workflow(state.summary),
        status=run.status,
        summary=state.summary,
        duration=duration_text(end),
        waited=took(waited) if waited else "",
        notices=tuple(_notices(run)),
        counts=_counts(state.summary),
        origin=tuple(_origin(state, started)),
        tags=tuple(sorted(state.summary.tags.items())),
        inputs=_values(state.inputs, source),
        entry_context=_values(mapping(started.get("context")), source),
        kept=_KEPT.get(state.summary.log_mode or "", "The log does not name its mode."),
        graph=_graph(run, found, steps),
        declared=bool(mapping(state.graph).get("states")),
        ticks=tuple((at, duration_text(moment)) for at, moment in source.scale.ticks()),
        shortened=source.scale.shortened,
        before=tuple(before),
        groups=groups,
        approvals=tuple(_approval_line(item, source) for item in state.approvals.values()),
        usage=usage_table(found.llm_calls),
        head=state.head,
        chained=state.chained,
        verify=command_line("replayt", "verify", state.run_id, "--head", state.head)
        if state.chained
        else command_line("replayt", "verify", state.run_id),
        entries=entries,
        places=_places(before, steps),
        cut=source.allowance.cut,
    )


def _source(run: RecordedRun, entries: Sequence[TimelineEntry]) -> Source:
    moments = {entry.seq: entry.offset_seconds for entry in entries}
    pauses = tuple(_pauses(run.events, moments))
    return Source(
        events={event.seq: event for event in run.events},
        entries={entry.seq: entry for entry in entries},
        scale=make_scale(0.0, entries[-1].offset_seconds if entries else 0.0, pauses),
        pauses=pauses,
        allowance=Allowance(),
        log_mode=run.state.summary.log_mode,
    )


def _pauses(events: Sequence[Event], moments: dict[int, float]) -> list[Interval]:
    """When nobody executed the run: from the last event of a process to the next one's first."""
    found = []
    last = 0.0
    for event in events:
        moment = moments[event.seq]
        if event.type == "run_resumed" and moment > last:
            found.append((last, moment))
        if event.type not in ("approval_resolved", "log_repaired"):
            last = moment
    return found


def _workflow(summary: RunSummary) -> str:
    if summary.workflow_name is None:
        return "(no workflow is recorded)"
    return f"{summary.workflow_name}@{summary.workflow_version}"


def _notices(run: RecordedRun) -> list[Notice]:
    state, found = run.state, []
    if run.damage is not None:
        found.append(Notice(tone="bad", title="The log is damaged", text=str(run.damage)))
    if state.summary.error is not None:
        where = f" in {state.summary.failed_state}" if state.summary.failed_state else ""
        found.append(
            Notice(tone="bad", title=f"Failed{where}", text=error_text(state.summary.error))
        )
    for approval in state.open_approvals():
        found.append(
            Notice(
                tone="wait",
                title=f"Waits for approval {approval.approval_id}, "
                f"asked at {approval.requested_ts}",
                text=approval.summary,
                command=command_line(
                    "replayt", "resume", "TARGET", state.run_id, "--approval", approval.approval_id
                )
                if state.chained
                else "",
                seq=approval.request_seq,
            )
        )
    if run.status in ("interrupted", "running"):
        found.append(Notice(tone="wait", title=run.status.capitalize(), text=_unfinished(run)))
    for seq, problem in state.problems:
        found.append(Notice(tone="bad", title=f"Event {seq} does not fit", text=problem, seq=seq))
    return found


def _values(values: dict[str, Any], source: Source) -> tuple[Block, ...]:
    return tuple(source.block(key, value) for key, value in values.items())


def _unfinished(run: RecordedRun) -> str:
    """Why a run has no end, as far as its log says."""
    last = run.events[-1] if run.events else None
    if run.status == "interrupted" and last is not None and last.type == "run_interrupted":
        return (
            f"The process ended, the run did not: {last.payload.get('reason')}. It can be resumed."
        )
    if not run.state.chained and run.status == "interrupted":
        return _STANDS["unchained"]
    return _STANDS[run.status]


def _counts(summary: RunSummary) -> tuple[Fact, ...]:
    counts = [
        Fact("state" if summary.states == 1 else "states", f"{summary.states:,}"),
        Fact("model call" if summary.llm_calls == 1 else "model calls", f"{summary.llm_calls:,}"),
        Fact("tool call" if summary.tool_calls == 1 else "tool calls", f"{summary.tool_calls:,}"),
    ]
    if summary.total_tokens:
        counts.append(Fact("tokens", f"{summary.total_tokens:,}"))
    retries = summary.retries + summary.llm_retries
    if retries:
        counts.append(Fact("retry" if retries == 1 else "retries", f"{retries:,}"))
    if summary.approvals:
        counts.append(
            Fact("approval" if summary.approvals == 1 else "approvals", f"{summary.approvals:,}")
        )
    return (*counts, Fact("event" if summary.events == 1 else "events", f"{summary.events:,}"))


def _origin(state: RunState, started: dict[str, object]) -> list[Fact]:
    summary = state.summary
    facts = [
        Fact("run", state.run_id),
        Fact("started", summary.started_ts or "not recorded"),
        Fact("last event", summary.last_ts or "not recorded"),
        Fact("log mode", summary.log_mode or "not recorded"),
    ]
    if summary.hosts:
        facts.append(Fact("hosts asked", ", ".join(sorted(summary.hosts))))
    forked = mapping(state.forked_from)
    if forked:
        facts.append(
            Fact(
                "forked from",
                f"{forked.get('run_id')}, at seq {forked.get('seq')} ({forked.get('hash')})",
            )
        )
    pinned = mapping(started.get("pinned_from"))
    if pinned:
        facts.append(Fact("pinned copy of the log with head", str(pinned.get("head"))))
    if state.epoch > 1:
        facts.append(Fact("executed by", count_of(state.epoch, "process", "processes")))
    return facts


def _graph(run: RecordedRun, found: Records, steps: Sequence[Step]) -> str:
    """The declared graph with what the run did; of older logs what it did alone."""
    declared = mapping(run.state.graph)
    edges = [
        (str(edge[0]), str(edge[1]))
        for edge in items(declared.get("edges"))
        if isinstance(edge, list) and len(edge) > 1
    ]
    made = Counter(
        (row.from_state, row.to_state)
        for row in found.transitions
        if row.from_state is not None and row.to_state is not None
    )
    visits = Counter(row.state for row in found.states if row.attempt == 1)
    attempts = Counter(row.state for row in found.states)
    initial = declared.get("initial")
    if not isinstance(initial, str):
        initial = found.states[0].state if found.states else None
    graph = Graph(
        initial=initial,
        states=[*(str(name) for name in items(declared.get("states"))), *attempts],
        edges=[*edges, *made],
    )
    marks = Marks(
        moves={edge: times(count) if count > 1 else "" for edge, count in made.items()},
        captions={name: _caption(visits[name], attempts[name]) for name in attempts},
        stands=steps[-1].name if steps else None,
        status=run.status,
    )
    return draw(graph, marks, title=f"The path of run {run.state.run_id}")


def _caption(visits: int, attempts: int) -> str:
    if attempts > visits:
        return f"{count_of(visits, 'visit')}, {attempts} attempts"
    return count_of(visits, "visit")


def _approval_line(approval: Approval, source: Source) -> ApprovalLine:
    answer = approval.resolved_seq
    return ApprovalLine(
        seq=approval.request_seq,
        name=approval.approval_id,
        verdict=approval_verdict(approval),
        tone="wait" if approval.open else "good" if approval.approved else "bad",
        by=approval.by or "",
        reason=approval.reason or "",
        asked=approval.requested_ts,
        answered=source.events[answer].ts if answer is not None else "",
    )


def _places(before: Sequence[Row], steps: Sequence[Step]) -> dict[int, str]:
    """Where on the page each event stands: in its own row, else with its step."""
    places = {1: "origin"}
    for step in steps:
        places |= dict.fromkeys(range(step.seq, step.last_seq + 1), f"s{step.seq}")
        places |= {row.seq: f"s{row.seq}" for row in step.rows}
    return places | {row.seq: f"s{row.seq}" for row in before}
