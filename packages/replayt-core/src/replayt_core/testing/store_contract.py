"""The conformance kit for stores: every rule of `replayt_core.ports.store`, one clause each.

With pytest, in a test module of your package::

    from replayt_core.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self, directory):
            return MyStore(directory / "runs.db")

Without pytest: `print(check_store(lambda: MyStore("runs.db")))`.

Clauses of the base must hold, and those on persistence too, unless a store is declared as living in
memory. Clauses of an ability (locking, repair, listing, following, deletion) are asked only of a
store that offers it; those on torn and damaged logs only where the kit is told how to make one
(`tear`, `damage`), since it never looks inside a store. The report tells them apart. A clause uses
run ids of its own, so that a store which holds other runs can be checked too.

A run is killed and raced by forked processes; the store's factory is called again in each of them.
What the kit cannot see is power loss, and what an append costs a server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replayt_core.ports.store import (
    DeletesRuns,
    EventStore,
    FollowsRuns,
    ListsRuns,
    LocksRuns,
    RepairsRuns,
)
from replayt_core.testing._processes import processes_are_missing
from replayt_core.testing._store_case import (
    Ability,
    Clause,
    ContractViolation,
    Damage,
    StoreCase,
    StoreFactory,
    Tear,
)
from replayt_core.testing._store_clauses import CLAUSES

__all__ = [
    "CLAUSES",
    "Clause",
    "ClauseResult",
    "ContractViolation",
    "Damage",
    "StoreCase",
    "StoreContract",
    "StoreFactory",
    "StoreReport",
    "Tear",
    "check_clause",
    "check_store",
]

_OFFERED_BY: dict[Ability, type] = {
    "locking": LocksRuns,
    "repair": RepairsRuns,
    "listing": ListsRuns,
    "following": FollowsRuns,
    "deletion": DeletesRuns,
}
_MUST: tuple[Ability, ...] = ("base", "persistence")


@dataclass(frozen=True, kw_only=True)
class ClauseResult:
    """How a store stands to one clause; `reason` says why, unless it passed."""

    clause: Clause
    outcome: Literal["passed", "failed", "not offered"]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class StoreReport:
    """How a store stands to every clause. `str()` of it is for people."""

    results: tuple[ClauseResult, ...]

    @property
    def failed(self) -> tuple[ClauseResult, ...]:
        """The clauses that the store breaks."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def passed_base(self) -> bool:
        """Whether it can be used as a store: base and persistence."""
        return not any(result.clause.ability in _MUST for result in self.failed)

    @property
    def ok(self) -> bool:
        """Whether it also keeps what it offers beyond the base."""
        return not self.failed

    def __str__(self) -> str:
        lines: list[str] = []
        for ability in dict.fromkeys(result.clause.ability for result in self.results):
            lines.append(ability)
            for result in self.results:
                if result.clause.ability == ability:
                    lines.append(f"  {result.outcome:<11}  {result.clause.rule}")
                    if result.outcome == "failed":
                        lines.append(f"               {result.clause.name}: {result.reason}")
                    elif result.reason:
                        lines.append(f"               {result.reason}")
        counts = [
            f"{sum(result.outcome == outcome for result in self.results)} {outcome}"
            for outcome in ("passed", "failed", "not offered")
        ]
        return "\n".join([*lines, ", ".join(counts)])


def check_clause(
    clause: Clause,
    factory: StoreFactory,
    *,
    persistent: bool = True,
    tear: Tear | None = None,
    damage: Damage | None = None,
) -> ClauseResult:
    """Ask one clause of a store."""
    try:
        case = StoreCase(factory, persistent=persistent, tear=tear, damage=damage)
        if missing := _not_offered(clause, case):
            return ClauseResult(clause=clause, outcome="not offered", reason=missing)
        clause.check(case)
    except ContractViolation as violation:
        return ClauseResult(clause=clause, outcome="failed", reason=str(violation))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return ClauseResult(clause=clause, outcome="failed", reason=reason)
    return ClauseResult(clause=clause, outcome="passed")


def check_store(
    factory: StoreFactory,
    *,
    persistent: bool = True,
    tear: Tear | None = None,
    damage: Damage | None = None,
    clauses: Sequence[Clause] = CLAUSES,
) -> StoreReport:
    """Ask every clause of the stores that `factory` opens; never raises for a broken store.

    Called again, `factory` opens the same store, unless `persistent` is False: then a store keeps
    its runs only as long as its object lives. `tear(run_id)` leaves the beginning of a batch at the
    end of that run, as a crash in the middle of an append would, and returns it;
    `damage(run_id, seq)` changes what is kept of an event. Without them their clauses are not
    asked.
    """
    results = [
        check_clause(clause, factory, persistent=persistent, tear=tear, damage=damage)
        for clause in clauses
    ]
    return StoreReport(results=tuple(results))


class StoreContract:
    """Inherit in a class `Test…`, define `make_store`, and pytest runs one test a clause.

    `make_store` is given an empty directory and is called several times with the same one: it
    opens the same store each time. A store that lives in memory alone sets `persistent = False`.
    Define `tear` and `damage` too where your store can be torn or damaged.
    """

    persistent = True

    def make_store(self, directory: Path) -> EventStore:
        """Open the store to check."""
        raise NotImplementedError(f"define {type(self).__name__}.make_store(directory)")

    def tear(self, directory: Path, run_id: str) -> bytes:
        """Leave the beginning of a batch at the end of that run, as a crash would; what it is."""
        raise NotImplementedError(f"define {type(self).__name__}.tear(directory, run_id)")

    def damage(self, directory: Path, run_id: str, seq: int) -> None:
        """Change what is kept of that event, so that it no longer is what was appended."""
        raise NotImplementedError(f"define {type(self).__name__}.damage(directory, run_id, seq)")

    def _case(self, directory: Path) -> StoreCase:
        defined = type(self)
        tears = defined.tear is not StoreContract.tear
        damages = defined.damage is not StoreContract.damage
        return StoreCase(
            lambda: self.make_store(directory),
            persistent=self.persistent,
            tear=(lambda run_id: self.tear(directory, run_id)) if tears else None,
            damage=(lambda run_id, seq: self.damage(directory, run_id, seq)) if damages else None,
        )


def _not_offered(clause: Clause, case: StoreCase) -> str:
    wanted = _OFFERED_BY.get(clause.ability)
    if wanted is not None and not isinstance(case.store, wanted):
        return f"{type(case.store).__name__} is no {wanted.__name__}"
    if "persistence" in clause.needs and not case.persistent:
        return "the store is declared as not persistent"
    for hook in ("tear", "damage"):
        if hook in clause.needs and getattr(case, hook) is None:
            return f"the kit was not told how to {hook} a log of this store"
    return processes_are_missing() if "processes" in clause.needs else ""


def _as_test(clause: Clause) -> Callable[[StoreContract, Path], None]:
    def test(self: StoreContract, tmp_path: Path) -> None:
        case = self._case(tmp_path)
        if missing := _not_offered(clause, case):
            import pytest  # only under pytest; the kit works without

            pytest.skip(missing)
        clause.check(case)

    test.__name__ = f"test_{clause.name}"
    test.__doc__ = clause.rule
    return test


for _each in CLAUSES:
    setattr(StoreContract, f"test_{_each.name}", _as_test(_each))
