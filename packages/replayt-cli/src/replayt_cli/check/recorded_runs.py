"""Checking recorded runs: what one of them comes to, and a whole store one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from replayt_cli import exit_codes
from replayt_cli.check.reexecution import Guard
from replayt_cli.show.recorded_run import nothing_to_show, torn_bytes
from replayt_cli.streams import kept_for_results
from replayt_core import (
    DamagedLogError,
    Event,
    RedactedValueError,
    RunNotFoundError,
    RunSummary,
    StepTimeout,
    Verification,
    Workflow,
    summarize,
    verify,
)
from replayt_core.ports import DescribesRequests, EventStore

Finding = Literal[
    "ok", "damaged", "illegal", "different", "head not found", "unchained", "timed out", "redacted"
]


@dataclass(frozen=True, kw_only=True)
class Again:
    """What handlers are executed again with: the workflow, and who watches them meanwhile.

    `llm_client` says what a model call would use now; None where nothing is configured. `supplied`
    are values that the logs have hidden.
    """

    workflow: Workflow
    guard: Guard
    llm_client: DescribesRequests | None = None
    supplied: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """One run, and what was found. `problem` says why nothing of it could be checked.

    `summary` knows what the first line says. With `strict` unchained lines are a finding.
    `torn_bytes` is the size of a batch that was cut short at the end: what a crash leaves behind.
    """

    run_id: str
    summary: RunSummary
    verification: Verification | None
    problem: str | None = None
    strict: bool = False
    timed_out: bool = False
    redacted: bool = False
    torn_bytes: int = 0

    @property
    def finding(self) -> Finding:
        """The first thing that is wrong: what is damaged cannot be judged any further."""
        found = self.verification
        if self.timed_out:
            return "timed out"
        if self.redacted:
            return "redacted"
        if found is None or found.damage is not None:
            return "damaged"
        if found.illegal:
            return "illegal"
        if found.difference is not None:
            return "different"
        if found.head_found is False:
            return "head not found"
        return "unchained" if self.strict and found.unchained else "ok"

    @property
    def exit_code(self) -> int:
        """The exit code of checking this run alone."""
        if self.finding == "ok":
            return exit_codes.DONE
        return exit_codes.DAMAGED if self.finding == "damaged" else exit_codes.FAILED

    def document(self) -> dict[str, Any]:
        """The run as JSON. What was not checked is null."""
        found = self.verification
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "workflow_name": self.summary.workflow_name,
            "workflow_version": self.summary.workflow_version,
            "log_mode": self.summary.log_mode,
            "ok": self.finding == "ok",
            "finding": self.finding,
            "damage": self.problem if found is None else found.damage,
        }
        if self.timed_out or self.redacted:
            return {**document, "damage": None, "problem": self.problem}
        if found is None:
            return document
        return {
            **document,
            "events": found.events,
            "head": found.head,
            "head_found": found.head_found,
            "torn_bytes": self.torn_bytes,
            "chained": found.chained,
            "unchained": list(found.unchained),
            "illegal": [{"seq": seq, "problem": problem} for seq, problem in found.illegal],
            "executed": found.executed,
            "attempts": found.attempts,
            "served_calls": found.served_calls,
            "difference": None if found.difference is None else asdict(found.difference),
            "not_replayable": list(found.not_replayable),
            "notes": list(found.notes),
        }


def check_run(
    store: EventStore,
    run_id: str,
    *,
    again: Again | None,
    head: str | None = None,
    strict: bool = False,
) -> CheckedRun:
    """Check one run. Damage is a finding; a run without events raises `RunNotFoundError`.

    So does, as `RedactedValueError`, a value that the log has hidden and nobody handed in.

    Of the handlers that are executed again the prints go to stderr.
    """
    summary, verification, problem, timed_out = RunSummary(run_id), None, None, False
    lines = _Lines()
    try:
        summary = _beginning(store, run_id)
        events = lines.counted(store.read(run_id))
        if again is None:
            verification = verify(None, events, head=head)
        else:
            verification = _execute(run_id, events, again, head)
    except DamagedLogError as error:
        problem = str(error)
    except StepTimeout as error:  # it struck between two handlers
        problem, timed_out = f"{error}; --timeout gives it more", True
    return CheckedRun(
        run_id=run_id,
        summary=summary,
        verification=verification,
        problem=problem,
        strict=strict,
        timed_out=timed_out,
        torn_bytes=torn_bytes(store, run_id, lines.size) if lines.ended else 0,
    )


class _Lines:
    """Counts the bytes of a log while it is read; `ended` says whether all of it was."""

    def __init__(self) -> None:
        self.size = 0
        self.ended = False

    def counted(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.size += len(event.line) + 1
            yield event
        self.ended = True


def _execute(run_id: str, events: Iterator[Event], again: Again, head: str | None) -> Verification:
    guard = again.guard
    with kept_for_results(), guard.checking(run_id):
        return verify(
            again.workflow,
            guard.reading(events),
            head=head,
            llm_client=again.llm_client,
            timeout_seconds=guard.seconds,
            supplied=again.supplied,
        )


@dataclass(kw_only=True)
class Tally:
    """What a whole store came to: counts alone, however many runs there are."""

    checked: int = 0
    passed: int = 0
    failed: int = 0
    damaged: int = 0
    other_workflow: int = 0
    other_tags: int = 0
    with_unchained: int = 0
    not_replayable: int = 0
    events: int = 0
    attempts: int = 0
    served_calls: int = 0

    @property
    def exit_code(self) -> int:
        """The exit code of the whole."""
        if self.damaged:
            return exit_codes.DAMAGED
        return exit_codes.DONE if self.checked and not self.failed else exit_codes.FAILED

    def document(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {"ok": self.exit_code == exit_codes.DONE, **asdict(self)}

    def add(self, run: CheckedRun) -> None:
        """Count a run."""
        self.checked += 1
        if run.finding == "ok":
            self.passed += 1
        else:
            self.failed += 1
            self.damaged += run.finding == "damaged"
        found = run.verification
        if found is not None:
            self.with_unchained += bool(found.unchained)
            self.not_replayable += bool(found.not_replayable)
            self.events += found.events
            self.attempts += found.attempts
            self.served_calls += found.served_calls


def check_all(
    store: EventStore,
    run_ids: Sequence[str],
    tally: Tally,
    *,
    again: Again | None,
    tags: Mapping[str, str],
    strict: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Iterator[CheckedRun]:
    """The runs with a finding, one after the other; `tally` counts all, `step` hears of each.

    Nothing is kept of a run that passed. A log that does not even start is a finding, whatever
    tags are wanted: nobody can tell whose it was.
    """
    for run_id in run_ids:
        checked = _check_one(store, run_id, tally, again=again, tags=tags, strict=strict)
        if checked is not None:
            tally.add(checked)
            if checked.finding != "ok":
                yield checked
        step()


def _check_one(
    store: EventStore,
    run_id: str,
    tally: Tally,
    *,
    again: Again | None,
    tags: Mapping[str, str],
    strict: bool,
) -> CheckedRun | None:
    summary = RunSummary(run_id)
    try:
        summary = _beginning(store, run_id)
        if not tags.items() <= summary.tags.items():
            tally.other_tags += 1
            return None
        if again is not None and summary.workflow_name != again.workflow.name:
            tally.other_workflow += 1
            return None
        return check_run(store, run_id, again=again, strict=strict)
    except RunNotFoundError:
        return None  # deleted meanwhile, or begun and not yet written
    except RedactedValueError as error:
        return CheckedRun(
            run_id=run_id, summary=summary, verification=None, problem=str(error), redacted=True
        )
    except Exception as error:
        # One bad run never breaks the check of the others.
        problem = str(error) if isinstance(error, DamagedLogError) else None
        return CheckedRun(
            run_id=run_id,
            summary=summary,
            verification=None,
            problem=problem or f"cannot be checked: {type(error).__name__}: {error}",
        )


def _beginning(store: EventStore, run_id: str) -> RunSummary:
    """What the first line says."""
    first = next(iter(store.read(run_id)), None)
    if first is None:
        raise nothing_to_show(store, run_id)
    return summarize(run_id, [first])
