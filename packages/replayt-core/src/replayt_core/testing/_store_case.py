"""What a clause of the store kit works with."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.errors import RunLockedError
from replayt_core.events import Draft, Event
from replayt_core.ports.store import EventStore

StoreFactory = Callable[[], EventStore]
"""Opens the store; called again, it opens the same one, as another process would."""

Tear = Callable[[str], bytes]
"""Leaves the beginning of one more batch at the end of that run, as a crash in the middle of an
append would; what it left."""

Damage = Callable[[str, int], None]
"""Changes what is kept of one event of a run, so that it no longer is what was appended."""

Ability = Literal[
    "base", "persistence", "locking", "repair", "damage", "listing", "following", "deletion"
]
Need = Literal["persistence", "processes", "tear", "damage"]
_NEVER_RELEASED = 60.0
TS = "2026-01-02T03:04:05.678901Z"


class ContractViolation(AssertionError):
    """A store breaks the clause that raised this."""


class StoreCase:
    """What a clause works with: the store, a run id that no run has, and a writer of events."""

    def __init__(
        self,
        factory: StoreFactory,
        *,
        persistent: bool = True,
        tear: Tear | None = None,
        damage: Damage | None = None,
    ) -> None:
        self.open = factory
        self.persistent = persistent
        self.tear = tear
        self.damage = damage
        self.store = factory()
        self.run_id = self.new_run_id()

    def new_run_id(self) -> str:
        """A run id that no run has."""
        return f"contract-{uuid.uuid4().hex}"

    def another(self) -> EventStore:
        """The store as another process would open it; the same object if it is not persistent."""
        return self.open() if self.persistent else self.store

    def batch(
        self, kinds: Sequence[str], *, after: Sequence[Event] = (), run_id: str | None = None
    ) -> list[Event]:
        """A sealed batch that follows those events."""
        drafts = [Draft(kind, {"n": len(after) + at}) for at, kind in enumerate(kinds, 1)]
        return self.sealed(drafts, after=after, run_id=run_id)

    def sealed(
        self, drafts: Sequence[Draft], *, after: Sequence[Event] = (), run_id: str | None = None
    ) -> list[Event]:
        """Those drafts, sealed behind those events."""
        run = self.run_id if run_id is None else run_id
        head = line_hash(after[-1].line) if after else first_prev(run)
        return seal(run, drafts, after=len(after), head=head, ts=TS)

    def written(self, *sizes: int, run_id: str | None = None) -> list[Event]:
        """Append batches of those sizes to a new run and return their events."""
        events: list[Event] = []
        for size in sizes:
            kinds = ["run_started" if not events and not at else "note" for at in range(size)]
            batch = self.batch(kinds, after=events, run_id=run_id)
            self.store.append(run_id or self.run_id, batch, after=len(events))
            events += batch
        return events

    def expect(
        self,
        events: Sequence[Event],
        what: str,
        *,
        store: EventStore | None = None,
        run_id: str | None = None,
    ) -> None:
        """The run reads as exactly these events, byte for byte."""
        found = list((store or self.store).read(run_id or self.run_id))
        seqs, wanted = [event.seq for event in found], [event.seq for event in events]
        require(seqs == wanted, f"{what}: seqs {seqs[:20]} are read, {wanted[:20]} were to be")
        for got, want in zip(found, events, strict=True):
            require(got.line == want.line, f"{what}: the bytes of event {want.seq} changed")
            require(got == want, f"{what}: event {want.seq} is decoded differently")

    def refuses(self, events: Sequence[Event], *, after: int, error: type[Exception]) -> None:
        """An append raises that error and writes nothing."""
        before = list(self.store.read(self.run_id))
        what = f"append of seqs {[event.seq for event in events]} with after={after}"
        try:
            self.store.append(self.run_id, events, after=after)
        except error:
            pass
        except Exception as other:
            name = type(other).__name__
            raise ContractViolation(
                f"{what} raised {name} ({other}), not {error.__name__}"
            ) from other
        else:
            raise ContractViolation(f"{what} was accepted, {error.__name__} must be raised")
        self.expect(before, f"{what} wrote something although it raised {error.__name__}")


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One rule: `check` raises when the store breaks it."""

    name: str
    rule: str
    ability: Ability
    check: Callable[[StoreCase], None]
    needs: frozenset[Need] = frozenset()


def clause(
    ability: Ability = "base", *needs: Need
) -> Callable[[Callable[[StoreCase], None]], Clause]:
    """A function as a clause: its name, and the first line of its docstring as the rule."""

    def made(check: Callable[[StoreCase], None]) -> Clause:
        rule = (check.__doc__ or "").partition("\n")[0].rstrip(".")
        return Clause(
            name=check.__name__, rule=rule, ability=ability, check=check, needs=frozenset(needs)
        )

    return made


def append_patiently(store: EventStore, run_id: str, batch: Sequence[Event], *, after: int) -> None:
    """Append; a store that locks may make one of two writers wait and then give up.

    Some stores wait for a lock and others refuse at once, and the other writer may hang in a sync
    for long where the disk is busy: only a lock that is never released is a fault.
    """
    end = time.monotonic() + _NEVER_RELEASED
    while time.monotonic() < end:
        try:
            return store.append(run_id, batch, after=after)
        except RunLockedError:
            time.sleep(0.002)
    raise ContractViolation("an append was refused as locked, although nobody holds the run")


def require(condition: bool, message: str) -> None:
    """Raise `ContractViolation` unless the condition holds."""
    if not condition:
        raise ContractViolation(message)
