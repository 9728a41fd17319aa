"""A run as text: `inspect` lists its events, `replay` tells them with their details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replayt_cli.arguments.event_filter import EventFilter, folded
from replayt_cli.render.columns import fill
from replayt_cli.render.json import inline
from replayt_cli.render.outcome import error_text
from replayt_cli.render.text import (
    count_of,
    cut,
    echo,
    escape,
    one_line,
    paint,
    short_time,
    width,
    wrap,
)
from replayt_cli.show.recorded_run import RecordedRun, ScannedRun
from replayt_core import Event, RunSummary, new_state
from replayt_core.timeline import TimelineEntry, timeline

_DETAIL_CHARS = 2_000
_BLOCK = 256
_KIND_MOST = 24  # on a terminal: the longest type of schema 1, so that titles keep their place


def print_inspection(run: ScannedRun, events: Iterable[Event], wanted: EventFilter) -> None:
    """What the run comes to, then one line an event as it is read, then how many were left out."""
    print_summary(run)
    if not run.events:
        return
    echo()
    columns, size = width(), len(str(run.state.last_seq))
    kinds = run.kind_width if columns is None else min(run.kind_width, _KIND_MOST)
    state = new_state(run.state.run_id)
    source = folded(state, events) if wanted.states else events
    block: list[str] = []
    count = 0
    for entry in timeline(run.state.run_id, source):
        if wanted.takes(entry.seq, entry.kind, state.state):
            count += 1
            line = event_line(entry, columns, seq_width=size, kind_width=kinds)
            block.append(line)
            if len(block) == _BLOCK:
                echo("\n".join(block))
                block = []
    if block:
        echo("\n".join(block))
    if wanted.given:
        echo(f"{count} of {count_of(run.events, 'event')}")


def print_summary(run: ScannedRun) -> None:
    """How the run stands, its counts, where it is from, what it waits for, and what is odd."""
    summary, columns = run.state.summary, width()
    began, last = short_time(summary.started_ts), short_time(summary.last_ts)
    lines = [headline(run), _counts(summary), f"started {began}, last event {last}"]
    if summary.tags:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))
        lines.append(f"tags {one_line(tags)}")
    lines.extend(_origins(run))
    if summary.error is not None:
        lines.append(f"error {error_text(summary.error)}")
    for approval in run.state.open_approvals():
        words = one_line(approval.summary)
        waits = f"waits for approval {escape(approval.approval_id)}"
        lines.append(waits + (f": {words}" if words else ""))
    for seq, problem in run.state.problems:
        lines.append(f"event {seq} does not fit: {one_line(problem)}")
    if run.torn_bytes:
        torn = count_of(run.torn_bytes, "byte")
        lines.append(f"torn tail: {torn} of a batch that was cut short follow")
    for line in lines:
        for part in wrap(line, columns, indent=""):
            echo(part)


def event_line(
    entry: TimelineEntry, columns: int | None, *, seq_width: int, kind_width: int
) -> str:
    """An event in one line: seq, time since the start, type, and what it says."""
    start = f"{entry.seq:>{seq_width}}  {offset(entry.offset_seconds)}  "
    kind = fill(escape(entry.kind), kind_width)
    return cut(f"{start}{kind}  {one_line(entry.title)}", columns)


def print_timeline(run: RecordedRun) -> None:
    """Each event in words, with its details below it."""
    columns = width()
    for line in wrap(headline(run), columns, indent=""):
        echo(line)
    for entry in timeline(run.state.run_id, run.events):
        title = one_line(entry.title)
        start = f"{offset(entry.offset_seconds)}  {entry.seq:>4}  "
        lines = wrap(title, columns, indent=start)
        # A wrapped title goes on below itself, not below the time.
        echo(lines[0])
        for line in lines[1:]:
            echo(" " * len(start) + line.removeprefix(start))
        for label, value in entry.details.items():
            text = cut(one_line(inline(value)), _DETAIL_CHARS)
            for line in wrap(f"{escape(label)}: {text}", columns, indent=" " * (len(start) + 2)):
                echo(line)


def _origins(run: ScannedRun) -> Iterator[str]:
    """What the run is a fork or a redacted copy of."""
    if run.forked_from is not None:
        parent = run.forked_from
        yield f"forked from {one_line(str(parent.get('run_id')))} seq {parent.get('seq')}"
    if run.pinned_from is not None:
        head = one_line(str(run.pinned_from.get("head")))
        yield f"redacted copy of the run with the head {head}"


def headline(run: RecordedRun | ScannedRun) -> str:
    """The run, its workflow and how it stands."""
    summary = run.state.summary
    name = "(no workflow is recorded)"
    if summary.workflow_name is not None:
        name = one_line(f"{summary.workflow_name}@{summary.workflow_version}")
    return f"run {run.state.run_id}  {name}  {paint(run.status, run.status)}"


def _counts(summary: RunSummary) -> str:
    counts = (
        (summary.events, "event"),
        (summary.states, "state"),
        (summary.transitions, "transition"),
        (summary.llm_calls, "llm call"),
        (summary.tool_calls, "tool call"),
        (summary.approvals, "approval"),
    )
    shown = [count_of(number, name) for number, name in counts]
    if summary.total_tokens:
        shown.append(count_of(summary.total_tokens, "token"))
    if summary.retries or summary.llm_retries:
        shown.append(count_of(summary.retries + summary.llm_retries, "retry", "retries"))
    return ", ".join(shown)


def offset(seconds: float) -> str:
    """Seconds since the start, in a column of eight."""
    if seconds < 1_000:
        return f"+{seconds:.3f}s".rjust(9)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{rest:02}".rjust(9)
