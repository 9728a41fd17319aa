"""What a check found, as text: a report for one run, a line for one of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replayt_cli.check.recorded_runs import CheckedRun, Tally
from replayt_cli.render.text import count_of, cut, echo, escape, one_line, paint, width, wrap
from replayt_core import Difference, Verification

_LABEL = 14
_LINE_CHARS = 200
_AROUND = 60


def print_report(run: CheckedRun) -> None:
    """What was checked of one run, then what was found."""
    summary = run.summary
    name = f"{summary.workflow_name}@{summary.workflow_version}"
    shown = "" if summary.workflow_name is None else f"  {one_line(name)}"
    status = paint(run.finding, run.finding)
    for line in wrap(f"run {run.run_id}{shown}  {status}", width(), indent=""):
        echo(line)
    found = run.verification
    if found is None:
        _field("timed out" if run.timed_out else "damage", run.problem or "")
        return
    _field("checked", _checked(found))
    _field("head", found.head)
    if found.head_found is not None:
        _field("asked head", "stands in the log" if found.head_found else "is that of no line")
    if run.torn_bytes:
        _field("torn tail", f"{count_of(run.torn_bytes, 'byte')} of a batch that was cut short")
    if found.unchained:
        strict = "" if run.strict else "; --strict counts them as a finding"
        _field("unchained", f"{_seqs(found.unchained)} (without `prev`){strict}")
    if found.damage is not None:
        _field("damage", found.damage)
    for seq, problem in found.illegal:
        _field("illegal", f"seq {seq}: {problem}")
    for text in found.not_replayable:
        _field("not replayable", text)
    if found.difference is not None:
        _print_difference(found.difference)
    if found.difference is not None and found.notes:
        echo()
    for text in found.notes:
        _field("note", text)


def print_finding(run: CheckedRun) -> None:
    """One line for a run that did not pass."""
    line = cut(f"{run.run_id}  {run.finding}  {one_line(_in_short(run))}", width())
    before, found, after = line.partition(run.finding)
    echo(f"{before}{paint(found, run.finding)}{after}")


def print_tally(tally: Tally) -> None:
    """The closing line of a check of many."""
    failed = f"{tally.failed} failed" + (f" ({tally.damaged} damaged)" if tally.damaged else "")
    parts = [f"{count_of(tally.checked, 'run')} checked: {tally.passed} ok, {failed}"]
    if tally.other_workflow:
        parts.append(f"{tally.other_workflow} of other workflows skipped")
    if tally.other_tags:
        parts.append(f"{tally.other_tags} with other tags skipped")
    if tally.not_replayable:
        parts.append(f"{tally.not_replayable} with calls that are not replayable")
    if tally.with_unchained:
        parts.append(f"{tally.with_unchained} with unchained lines")
    for line in wrap("; ".join(parts), width(), indent=""):
        echo(line)


def _in_short(run: CheckedRun) -> str:
    found = run.verification
    if found is None or found.damage is not None:
        return (run.problem if found is None else found.damage) or ""
    if found.illegal:
        seq, problem = found.illegal[0]
        return f"seq {seq}: {problem}"
    if found.difference is not None:
        return f"{_place(found.difference)}: {found.difference.what}"
    return f"{_seqs(found.unchained)} without `prev`"


def _checked(found: Verification) -> str:
    chain = "chained" if found.chained else "of an older release, without a chain"
    text = f"{count_of(found.events, 'event')}, {chain}"
    if found.executed:
        attempts = count_of(found.attempts, "attempt")
        served = count_of(found.served_calls, "call")
        return f"{text}; {attempts} executed again, {served} served from the log"
    return f"{text}; no handler was executed"


def _print_difference(difference: Difference) -> None:
    echo()
    for line in wrap(f"first difference: {one_line(difference.what)}", width(), indent=""):
        echo(line)
    _field("at", _place(difference))
    _field("recorded", difference.recorded)
    _field("now", difference.now)
    for detail in _narrowed(difference.details):
        columns = width()
        indent = " " * (4 + len(detail) - len(detail.lstrip()))
        for line in wrap(escape(detail.lstrip()), columns, indent=indent):
            echo(line)


def _place(difference: Difference) -> str:
    where = f"seq {difference.seq}, state {difference.state}"
    if difference.visit > 1:
        where += f", visit {difference.visit}"
    if difference.attempt > 1:
        where += f", attempt {difference.attempt}"
    return f"{where}, {difference.location}" if difference.location else where


def _narrowed(details: Sequence[str]) -> Iterator[str]:
    """Of long lines that changed only the surroundings of the first change."""
    lines = [*details, ""]
    index = 0
    while index < len(details):
        old, new = lines[index], lines[index + 1]
        changed = old.lstrip().startswith("-") and new.lstrip().startswith("+")
        if changed and max(len(old), len(new)) > _LINE_CHARS:
            yield from _around_change(old, new)
            index += 2
        else:
            yield cut(old, _LINE_CHARS)
            index += 1


def _around_change(old: str, new: str) -> Iterator[str]:
    start = len(old) - len(old.lstrip()) + 1
    pairs = zip(old[start:], new[start:], strict=False)
    same = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)) - start)
    begin = max(start + same - _AROUND, start)
    end = start + same + _AROUND
    for line in (old, new):
        before = "…" if begin > start else ""
        after = "…" if len(line) > end else ""
        yield f"{line[:start]}{before}{line[begin:end]}{after}"


def _seqs(seqs: Sequence[int]) -> str:
    shown = ", ".join(map(str, seqs[:8])) + (", …" if len(seqs) > 8 else "")
    return f"{count_of(len(seqs), 'line')}: seq {shown}"


def _field(label: str, text: str) -> None:
    columns = width()
    start = f"  {label:<{_LABEL}}  "
    lines = wrap(one_line(text), None if columns is None else columns - len(start), indent="")
    echo(f"{start}{lines[0]}")
    for line in lines[1:]:
        echo(" " * len(start) + line.strip())
