"""The conformance kit for stores: every rule of `replayt_core.ports.store`, one clause each.

With pytest, in a test module of your package::

    from replayt_core.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self, directory):
            return MyStore(directory / "runs.db")

Without pytest: `print(check_store(lambda: MyStore("runs.db")))`.

Clauses of the base must hold. Clauses of an ability (locking, repair, listing, deletion) are asked
only of a store that offers it; the report tells the two apart. A clause never looks inside a store
and uses run ids of its own, so that a store which holds other runs can be checked too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replayt_core.ports.store import DeletesRuns, EventStore, ListsRuns, LocksRuns, RepairsRuns
from replayt_core.testing._store_case import (
    Ability,
    Clause,
    ContractViolation,
    StoreCase,
    StoreFactory,
)
from replayt_core.testing._store_clauses import CLAUSES

__all__ = [
    "CLAUSES",
    "Clause",
    "ClauseResult",
    "ContractViolation",
    "StoreCase",
    "StoreContract",
    "StoreFactory",
    "StoreReport",
    "check_clause",
    "check_store",
]

_OFFERED_BY: dict[Ability, type] = {
    "locking": LocksRuns,
    "repair": RepairsRuns,
    "listing": ListsRuns,
    "deletion": DeletesRuns,
}


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
        """Whether it can be used as a store."""
        return not any(result.clause.ability == "base" for result in self.failed)

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


def check_clause(clause: Clause, factory: StoreFactory, *, persistent: bool = True) -> ClauseResult:
    """Ask one clause of a store."""
    try:
        case = StoreCase(factory, persistent=persistent)
        if missing := _not_offered(clause, case):
            return ClauseResult(clause=clause, outcome="not offered", reason=missing)
        clause.check(case)
    except ContractViolation as violation:
        return ClauseResult(clause=clause, outcome="failed", reason=str(violation))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return ClauseResult(clause=clause, outcome="failed", reason=reason)
    return ClauseResult(clause=clause, outcome="passed")


def check_store(factory: StoreFactory, *, persistent: bool = True) -> StoreReport:
    """Ask every clause of the stores that `factory` opens; never raises for a broken store.

    Called again, `factory` opens the same store, unless `persistent` is False: then a store keeps
    its runs only as long as its object lives.
    """
    results = [check_clause(clause, factory, persistent=persistent) for clause in CLAUSES]
    return StoreReport(results=tuple(results))


class StoreContract:
    """Inherit in a class `Test…`, define `make_store`, and pytest runs one test a clause.

    `make_store` is given an empty directory and is called several times with the same one: it
    opens the same store each time. A store that lives in memory alone sets `persistent = False`.
    """

    persistent = True

    def make_store(self, directory: Path) -> EventStore:
        """Open the store to check."""
        raise NotImplementedError(f"define {type(self).__name__}.make_store(directory)")


def _not_offered(clause: Clause, case: StoreCase) -> str:
    if clause.ability == "persistence":
        return "" if case.persistent else "the store is declared as not persistent"
    wanted = _OFFERED_BY.get(clause.ability)
    if wanted is None or isinstance(case.store, wanted):
        return ""
    return f"{type(case.store).__name__} is no {wanted.__name__}"


def _as_test(clause: Clause) -> Callable[[StoreContract, Path], None]:
    def test(self: StoreContract, tmp_path: Path) -> None:
        case = StoreCase(lambda: self.make_store(tmp_path), persistent=self.persistent)
        if missing := _not_offered(clause, case):
            import pytest  # only under pytest; the kit works without

            pytest.skip(missing)
        clause.check(case)

    test.__name__ = f"test_{clause.name}"
    test.__doc__ = clause.rule
    return test


for _each in CLAUSES:
    setattr(StoreContract, f"test_{_each.name}", _as_test(_each))
