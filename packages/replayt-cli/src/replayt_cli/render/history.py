"""A recorded run as text: `inspect` lists its events, `replay` tells them with their details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replayt_cli.recorded import RecordedRun, ScannedRun
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
from replayt_core import Event, RunSummary
from replayt_core.timeline import timeline

_DETAIL_CHARS = 2_000


def print_inspection(run: ScannedRun, events: Iterable[Event]) -> None:
    """A summary line, the counts, what the run waits for, then one line an event as it is read."""
    summary, columns = run.state.summary, width()
    echo(headline(run))
    for line in wrap(_counts(summary), columns, indent=""):
        echo(line)
    echo(f"started {short_time(summary.started_ts)}, last event {short_time(summary.last_ts)}")
    if summary.tags:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))
        echo(f"tags {one_line(tags)}")
    for line in _origins(run):
        echo(line)
    if summary.error is not None:
        echo(f"error {error_text(summary.error)}")
    for approval in run.state.open_approvals():
        words = one_line(approval.summary)
        echo(f"waits for approval {escape(approval.approval_id)}" + (f": {words}" if words else ""))
    for seq, problem in run.state.problems:
        echo(f"event {seq} does not fit: {one_line(problem)}")
    if run.torn_bytes:
        echo(f"torn tail: {count_of(run.torn_bytes, 'byte')} of a batch that was cut short follow")
    if not run.events:
        return
    echo()
    size, kinds = len(str(run.state.last_seq)), run.kind_width
    for entry in timeline(run.state.run_id, events):
        start = f"{entry.seq:>{size}}  {_offset(entry.offset_seconds)}  "
        echo(cut(f"{start}{escape(entry.kind):<{kinds}}  {one_line(entry.title)}", columns))


def print_timeline(run: RecordedRun) -> None:
    """Each event in words, with its details below it."""
    columns = width()
    echo(headline(run))
    for entry in timeline(run.state.run_id, run.events):
        title = one_line(entry.title)
        start = f"{_offset(entry.offset_seconds)}  {entry.seq:>4}  "
        lines = wrap(title, columns, indent=start)
        # A wrapped title goes on below itself, not below the time.
        echo(lines[0])
        for line in lines[1:]:
            echo(" " * len(start) + line.strip().removeprefix(start.strip()))
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


def _offset(seconds: float) -> str:
    """Seconds since the start, in a column of eight."""
    if seconds < 1_000:
        return f"+{seconds:.3f}s".rjust(9)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{rest:02}".rjust(9)
