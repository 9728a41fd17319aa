"""Verification: is the log whole and legal, and does today's code still do what it records?

With a workflow the handlers are executed again, offline: every call is served from the log, and
what each attempt does is compared with what stands there. Not compared are times, ids, `prev`,
latency, usage, delays, epochs and the texts of errors. What a log mode did not keep is named,
never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replayt_core._fold import RunState, apply, new_state
from replayt_core._hiding import Hiding
from replayt_core._offline import Offline
from replayt_core._reexecution import Difference, Reexecution
from replayt_core._request_notes import RequestNotes
from replayt_core.chain import ChainReader, line_hash, starts_chain
from replayt_core.errors import DamagedLogError, DefinitionError, RunNotFoundError
from replayt_core.events import Event
from replayt_core.ports.llm import DescribesRequests
from replayt_core.ports.system import SystemClock
from replayt_core.tools import make_tool
from replayt_core.workflow import Workflow

__all__ = ["Difference", "Verification", "verify"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked of one run, and what was found.

    `unchained` lists the seqs of lines without `prev`; `attempts` and `served_calls` say how much
    was executed again; `not_replayable` names what the log mode did not keep; `notes` are changes
    that are no difference. `head` is the hash of the last line, `head_found` whether the hash that
    was asked for is that of a line (None: none was asked for).
    """

    run_id: str
    events: int
    head: str
    head_found: bool | None
    chained: bool
    unchained: tuple[int, ...]
    damage: str | None
    illegal: tuple[tuple[int, str], ...]
    executed: bool
    attempts: int
    served_calls: int
    difference: Difference | None
    not_replayable: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found. Unchained lines and what is not replayable are no finding."""
        return (
            self.damage is None
            and not self.illegal
            and self.difference is None
            and self.head_found is not False
        )


def verify(
    workflow: Workflow | None,
    events: Iterable[Event],
    *,
    head: str | None = None,
    tools: Sequence[Callable[..., Any]] = (),
    llm_client: DescribesRequests | None = None,
    timeout_seconds: float | None = None,
    supplied: Mapping[str, Any] | None = None,
) -> Verification:
    """Check one run's events: the chain, the numbering, the legality of every move.

    With a workflow its handlers are executed again against the log, to the first difference; logs
    of replayt 0.1 to 0.4 are not, since they lack what it takes. Nor are their moves judged, but
    for a second beginning in the same log. `tools` are those the runner was
    given. Of `llm_client` only `effective` is asked: where a model, host or limit differs from
    what was recorded, a note says so. After `timeout_seconds` a handler is stopped at its next use
    of `ctx`, which is a difference; one that never comes back cannot be stopped from here.

    What a handler raises is its outcome, `SystemExit` and its own `KeyboardInterrupt` too; a
    signal ends the call. Nothing is written, no network is used, and memory does not grow with the
    log. `supplied` hands in values that the log has hidden. Raises `RunNotFoundError` when there
    are no events, `RedactedValueError` where a handler would get a value that nobody handed in.
    """
    if timeout_seconds is not None and not timeout_seconds > 0:
        raise DefinitionError("verify: timeout_seconds must be above 0")
    deadline = None if timeout_seconds is None else SystemClock().monotonic() + timeout_seconds
    check: _Check | None = None
    again: Reexecution | None = None
    damage: str | None = None
    try:
        for batch in _batches(events):
            if check is None:
                check = _Check(batch[0].run_id, head)
                if workflow is not None and starts_chain(batch[0]):
                    offline = Offline(
                        workflow=workflow,
                        tools=[make_tool(function) for function in tools],
                        requests=RequestNotes(llm_client),
                        hiding=Hiding((), supplied),
                        deadline=deadline,
                    )
                    again = Reexecution(offline, check.state)
            check.read(batch)
            if again is not None:
                again.take(batch)
            for event in batch:
                apply(check.state, event)
    except DamagedLogError as error:
        damage = str(error)
        check = check or _Check(error.run_id, head)
    if check is None:
        raise RunNotFoundError("there are no events to verify")
    if again is not None:
        again.finish()
    state = check.state
    return Verification(
        run_id=state.run_id,
        events=check.events,
        head=state.head,
        head_found=None if head is None else check.head_found,
        chained=state.chained,
        unchained=tuple(check.unchained),
        damage=damage,
        illegal=tuple(state.problems),
        executed=again is not None,
        attempts=again.attempts if again else 0,
        served_calls=again.served if again else 0,
        difference=again.difference if again else None,
        not_replayable=tuple(again.not_replayable) if again else (),
        notes=tuple(again.notes()) if again else (),
    )


class _Check:
    """Follows the lines: what any reader can check without the workflow."""

    def __init__(self, run_id: str, head: str | None) -> None:
        self.state: RunState = new_state(run_id)
        self.events = 0
        self.unchained: list[int] = []
        self.head_found = False
        self._reader = ChainReader(run_id)
        self._head = head

    def read(self, batch: Sequence[Event]) -> None:
        """Raises `DamagedLogError` where a line does not follow the one before it."""
        for event in batch:
            self._reader.feed(event.line)
            self.events += 1
            if event.prev is None:
                self.unchained.append(event.seq)
            if self._head is not None and line_hash(event.line) == self._head:
                self.head_found = True
        if self._reader.in_batch:  # what a store makes of its lines is not what stands in them
            raise DamagedLogError(
                f"the log of run {self.state.run_id} is damaged: the line of event "
                f"{batch[-1].seq} ends no batch",
                run_id=self.state.run_id,
                where=f"event {batch[-1].seq}",
            )


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if not event.more:
            yield batch
            batch = []
