"""The steps of a run: each attempt with its calls, what it changed, and where it went and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replayt_cli.render.report.rows import Bar, Block, Fact, Row, Source, Tone, took
from replayt_cli.render.report.step_rows import StepRows
from replayt_cli.render.report.values import Shown, duration_text, json_text
from replayt_core import Event, RunState, apply, new_state
from replayt_core.records import Records, StateRow
from replayt_core.why import Branch, Cause

GROUP = 50
"""Of a long run so many steps are shown together, and opened together."""
_UNGROUPED = 80
_SHORT = 80
_CAUSE = 280  # what was looked at has its own place; here it is only told
_MOST_UNCHANGED = 40

_TONES: dict[str, Tone] = {"failed": "bad", "retried": "bad", "paused": "wait"}


@dataclass(frozen=True, slots=True)
class Change:
    """A key of the context: before, after, and the event that wrote the value it had at entry.

    `before` and `after` are None where the key was absent; a long value that did not change is
    only named, and `written` leads to where it stands.
    """

    key: str
    before: Shown | None
    after: Shown | None
    changed: bool
    written: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """Where the step went, why, and where it could have gone."""

    target: str
    reason: str
    causes: tuple[tuple[Fact, Shown | None], ...]
    not_taken: tuple[str, ...]
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One attempt of a visit, as a line of the waterfall with all that belongs to it."""

    number: int
    seq: int
    last_seq: int
    name: str
    hint: str
    tone: Tone
    verdict: str
    duration: str
    start: float
    end: float
    bars: tuple[Bar, ...]
    changes: tuple[Change, ...]
    unchanged: int
    uncommitted: Block | None
    move: Move | None
    rows: tuple[Row, ...]


@dataclass(slots=True)
class _Attempt:
    """The events of one attempt and the context around it."""

    row: StateRow
    events: list[Event]
    before: dict[str, Any]
    written_by: dict[str, int]
    after: dict[str, Any] | None = None
    uncommitted: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepGroup:
    """Steps that are shown together, on an axis of their own; `bars` stand on the run's."""

    first: Step
    last: Step
    steps: tuple[Step, ...]
    troubled: int
    duration: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


def make_steps(
    state: RunState,
    events: Sequence[Event],
    found: Records,
    branches: Iterable[Branch],
    source: Source,
) -> tuple[list[Row], tuple[StepGroup, ...]]:
    """The rows before the first step, and the steps in order, in groups where there are many."""
    before, attempts = _attempts(state.run_id, events, found.states)
    by_move = {branch.seq: branch for branch in branches}
    size = GROUP if len(attempts) > _UNGROUPED else max(len(attempts), 1)
    rows = StepRows(source, found, state.approvals)
    first = rows.of(before)
    groups = tuple(
        _group(index, attempts[index : index + size], rows, by_move, source)
        for index in range(0, len(attempts), size)
    )
    return first, groups


def _group(
    index: int,
    attempts: Sequence[_Attempt],
    rows: StepRows,
    by_move: Mapping[int, Branch],
    run: Source,
) -> StepGroup:
    start = run.moment(attempts[0].row.seq) if index else 0.0
    end = run.moment(attempts[-1].events[-1].seq)
    rows.source = run.zoomed(start, end)
    steps = tuple(
        _step(number, attempt, rows, by_move)
        for number, attempt in enumerate(attempts, start=index + 1)
    )
    return StepGroup(
        first=steps[0],
        last=steps[-1],
        steps=steps,
        troubled=sum(step.tone == "bad" for step in steps),
        duration=took(run.worked(start, end)),
        bars=(run.bar("state", start, end),),
        ticks=tuple((at, duration_text(moment)) for at, moment in rows.source.scale.ticks()),
    )


def _attempts(
    run_id: str, events: Sequence[Event], states: Sequence[StateRow]
) -> tuple[list[Event], list[_Attempt]]:
    """The events by attempt, each with the context as the fold has it before and behind."""
    entered = {row.seq: row for row in states}
    state: RunState = new_state(run_id)
    before: list[Event] = []
    attempts: list[_Attempt] = []
    for event in events:
        apply(state, event)
        row = entered.get(event.seq)
        if row is not None:
            attempts.append(_Attempt(row, [event], dict(state.context), dict(state.written_by)))
            continue
        if not attempts:
            before.append(event)
            continue
        attempt = attempts[-1]
        attempt.events.append(event)
        if event.type in ("state_exited", "retry_scheduled", "run_failed"):
            attempt.after = dict(state.context)
        elif event.type == "run_paused" and state.pause is not None:
            attempt.uncommitted = state.pause.delta
        elif event.type == "run_resumed":
            attempt.uncommitted = None
    return before, attempts


def _step(
    number: int,
    attempt: _Attempt,
    rows: StepRows,
    by_move: Mapping[int, Branch],
) -> Step:
    row, source = attempt.row, rows.source
    start, last_seq = source.moment(row.seq), attempt.events[-1].seq
    end_seq = _end_seq(attempt)
    end = source.moment(end_seq if end_seq is not None else last_seq)
    branch = next((by_move[e.seq] for e in attempt.events if e.seq in by_move), None)
    changes, unchanged = _changes(attempt, source)
    hints = [f"visit {row.visit}"] if row.visit > 1 else []
    hints += [f"attempt {row.attempt}"] if row.attempt > 1 else []
    return Step(
        number=number,
        seq=row.seq,
        last_seq=last_seq,
        name=row.state,
        hint=", ".join(hints),
        tone=_TONES.get(row.outcome or "", ""),
        verdict=_verdict(row, attempt.events),
        duration=took(source.worked(start, end)),
        start=start,
        end=end,
        bars=source.bars("state", start, end, source.pauses),
        changes=changes,
        unchanged=unchanged,
        uncommitted=_uncommitted(attempt, source),
        move=_move(branch, source) if branch is not None else None,
        rows=tuple(rows.of(attempt.events[1:])),
    )


def _end_seq(attempt: _Attempt) -> int | None:
    """The event that ended the attempt, if one did."""
    ends = {"exited": "state_exited", "retried": "retry_scheduled", "failed": "run_failed"}
    wanted = ends.get(attempt.row.outcome or "")
    return next((event.seq for event in attempt.events if event.type == wanted), None)


def _verdict(row: StateRow, events: Sequence[Event]) -> str:
    if row.outcome == "exited":
        return "" if row.next_state is not None else "ends the run"
    if row.outcome == "retried":
        return "failed, tried again"
    if row.outcome is None:
        return "did not end" if events[-1].type != "run_completed" else ""
    return {"failed": "failed", "paused": "waits"}[row.outcome]


def _changes(attempt: _Attempt, source: Source) -> tuple[tuple[Change, ...], int]:
    """The context before and after; how many keys that did not change are left out."""
    before, after = attempt.before, attempt.after
    after = before if after is None else after
    changed: list[Change] = []
    kept: list[Change] = []
    for key in dict.fromkeys([*before, *after]):
        written = attempt.written_by.get(key)
        if key in before and key in after and before[key] is after[key]:
            if len(kept) < _MOST_UNCHANGED:
                text = json_text(before[key])
                shown = source.allowance.take(text) if len(text) <= _SHORT else None
                kept.append(Change(key, shown, shown, False, written))
            continue
        changed.append(
            Change(
                key,
                _value(before, key, source),
                _value(after, key, source),
                True,
                written,
            )
        )
    left_out = len(before.keys() | after.keys()) - len(changed) - len(kept)
    return (*changed, *kept), left_out


def _value(context: Mapping[str, Any], key: str, source: Source) -> Shown | None:
    return source.allowance.take(json_text(context[key])) if key in context else None


def _uncommitted(attempt: _Attempt, source: Source) -> Block | None:
    if not attempt.uncommitted:
        return None
    if not attempt.uncommitted.get("set") and not attempt.uncommitted.get("unset"):
        return None
    return source.block("changed before the pause, not committed", dict(attempt.uncommitted))


def _move(branch: Branch, source: Source) -> Move:
    return Move(
        target=branch.to_state,
        reason=branch.reason,
        causes=tuple(_cause(cause, source) for cause in branch.causes),
        not_taken=branch.not_taken,
        seq=branch.seq,
    )


def _cause(cause: Cause, source: Source) -> tuple[Fact, Shown | None]:
    place = f"in {cause.state}" if cause.state and cause.seq is not None else ""
    absent = cause.seq is None and cause.read == "context"
    fact = Fact(f"{cause.read} {cause.name}", "there was none" if absent else place, cause.seq)
    if cause.value is None:
        return fact, None
    return fact, source.allowance.excerpt(json_text(cause.value), _CAUSE)
