"""The kit finds broken stores, by the clause that names the broken rule."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from replayt_core.memory import MemoryStore
from replayt_core.ports.store import EventStore
from replayt_core.testing import _processes
from replayt_core.testing.store_contract import (
    CLAUSES,
    StoreContract,
    StoreReport,
    check_clause,
    check_store,
)
from tests.core import broken_stores as broken
from tests.core.faults import broken_in

VOLUME = [
    "a_large_event_comes_back",
    "a_long_run_comes_back",
    "an_append_costs_the_same_in_a_long_run",
]
QUICK = [clause for clause in CLAUSES if clause.name not in VOLUME]
ON_FILES: list[Any] = []
if sys.platform != "win32":
    from tests.core import broken_file_stores
    from tests.core.plain_store import PlainStore, damage, tear

    ON_FILES = broken_in(broken_file_stores)
IN_MEMORY = [store for store in broken_in(broken) if not {*VOLUME} & {*store.fails}]
BY_VOLUME = [
    broken.CutsLargeEvents,
    broken.ForgetsTheStartOfALongRun,
    broken.LooksThroughTheRunAtEveryAppend,
]
needs_files = pytest.mark.skipif(not ON_FILES, reason="these stores lock with flock")


def failed(report: StoreReport) -> list[str]:
    return [result.clause.name for result in report.failed]


def check_files(store: Callable[[Path], EventStore], folder: Path) -> StoreReport:
    return check_store(
        lambda: store(folder),
        tear=partial(tear, folder),
        damage=partial(damage, folder),
        clauses=QUICK,
    )


@pytest.mark.parametrize("store", IN_MEMORY)
def test_a_broken_store_fails_the_clauses_that_name_its_fault(store: Any) -> None:
    report = check_store(store, persistent=False, clauses=QUICK)
    assert failed(report) == store.fails, str(report)
    assert not report.ok
    for result in report.failed:
        assert result.reason
        assert f"{result.clause.name}: {result.reason}" in str(report)


@pytest.mark.parametrize("store", BY_VOLUME)
def test_a_store_that_is_broken_by_volume_fails_the_clause_on_it(store: Any) -> None:
    clauses = [each for each in CLAUSES if each in QUICK or each.name in store.fails]
    report = check_store(store, persistent=False, clauses=clauses)
    assert failed(report) == store.fails, str(report)


@pytest.mark.skipif(
    not Path("/proc/self/io").exists(), reason="the system does not tell which bytes are moved"
)
def test_a_store_that_writes_everything_at_every_append_is_found_by_its_bytes(
    tmp_path: Path,
) -> None:
    (clause,) = (clause for clause in CLAUSES if clause.name.startswith("an_append_costs"))
    result = check_clause(
        clause, lambda: broken.WritesTheWholeRunAtEveryAppend(tmp_path), persistent=False
    )
    assert result.outcome == "failed"
    assert "bytes at 100 events" in result.reason


@needs_files
def test_the_store_that_the_next_ones_break_is_right(tmp_path: Path) -> None:
    assert failed(check_files(PlainStore, tmp_path)) == []


@needs_files
@pytest.mark.parametrize("store", ON_FILES)
def test_a_broken_store_on_files_fails_the_clauses_that_name_its_fault(
    store: Any, tmp_path: Path
) -> None:
    report = check_files(store, tmp_path)
    assert failed(report) == store.fails, str(report)


def test_every_clause_is_broken_by_some_store() -> None:
    """So that none of them passes whatever a store does."""
    stores = [*broken_in(broken), *ON_FILES]
    caught = {name for store in stores for name in store.fails}
    if ON_FILES:
        assert {clause.name for clause in CLAUSES} - caught == set()


@needs_files
def test_where_nothing_can_be_forked_those_clauses_are_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_processes, "FORK", None)
    report = check_files(PlainStore, tmp_path)
    left_out = {r.clause.name for r in report.results if "no fork" in r.reason}
    assert left_out == {
        "one_process_wins_each_seq",
        "a_killed_writer_loses_nothing",
        "a_lock_dies_with_its_holder",
    }
    assert report.ok


@needs_files
def test_without_being_told_how_the_kit_tears_and_damages_nothing(tmp_path: Path) -> None:
    report = check_store(lambda: PlainStore(tmp_path), clauses=QUICK)
    left_out = {r.clause.name: r.reason for r in report.results if "not told" in r.reason}
    assert "how to tear a log" in left_out["a_torn_tail_is_not_read"]
    assert "how to damage a log" in left_out["reading_stops_at_damage"]
    assert len(left_out) == 5


def test_a_store_that_forgets_fails_the_clauses_on_persistence() -> None:
    report = check_store(MemoryStore, persistent=True, clauses=QUICK)
    assert "reopening_shows_everything" in failed(report)
    assert not report.passed_base


def test_a_fault_in_an_ability_leaves_the_base_passed() -> None:
    assert check_store(broken.DeletesNothing, persistent=False, clauses=QUICK).passed_base
    assert not check_store(broken.MixesRuns, persistent=False, clauses=QUICK).passed_base


class OnlyTheBase:
    """No optional ability (SC-103: any object with the three methods)."""

    def __init__(self) -> None:
        inner = MemoryStore()
        self.append, self.read, self.run_ids = inner.append, inner.read, inner.run_ids


def test_abilities_that_a_store_lacks_are_not_offered_and_not_failed() -> None:
    report = check_store(OnlyTheBase, persistent=False, clauses=QUICK)
    assert report.ok
    lacking = {r.clause.ability for r in report.results if r.outcome == "not offered"}
    abilities = {"locking", "repair", "listing", "following", "deletion"}
    assert lacking == {"persistence", "damage", *abilities}
    assert "OnlyTheBase is no LocksRuns" in str(report)


def test_a_factory_that_raises_is_reported_and_not_raised() -> None:
    def factory() -> MemoryStore:
        raise OSError("no disk")

    report = check_store(factory)
    assert {result.reason for result in report.failed} == {"OSError: no disk"}


def test_every_clause_states_its_rule_and_is_a_test_of_the_class() -> None:
    names = [clause.name for clause in CLAUSES]
    assert len(set(names)) == len(names)
    for clause in CLAUSES:
        assert len(clause.rule) > 20
        test = getattr(StoreContract, f"test_{clause.name}")
        assert test.__doc__ == clause.rule


def test_the_kit_works_where_pytest_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from replayt_core.testing.store_contract import CLAUSES, check_store\n"
        "from replayt_core.memory import MemoryStore\n"
        f"quick = [clause for clause in CLAUSES if clause.name not in {VOLUME}]\n"
        "print(check_store(MemoryStore, persistent=False, clauses=quick).ok)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")
