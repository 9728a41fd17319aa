"""Deleting old runs: what goes, what stays and why, and that nothing alive is ever deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from replayt_core.chain import first_prev, line_hash, seal
from replayt_core.errors import StoreError, StoreWriteError
from replayt_core.events import Draft, Event
from replayt_core.memory import MemoryStore
from replayt_core.ports.store import EventStore
from replayt_store import JSONLStore, MirrorStore, SQLiteStore
from replayt_store.index import RunIndex
from replayt_store.retention import (
    STATUSES,
    Collected,
    RetentionPlan,
    RetentionPolicy,
    collect,
    plan,
)
from tests.store.helpers import add_bytes

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
ENDS = {
    "completed": [Draft("run_completed", {"final_state": "s", "status": "completed"})],
    "failed": [
        Draft("run_failed", {"state": "s", "error": {"type": "E", "message": "m"}}),
        Draft("run_completed", {"final_state": "s", "status": "failed"}),
    ],
    "paused": [Draft("run_paused", {"reason": "approval", "request_seq": 2})],
    "interrupted": [Draft("state_entered", {"state": "s", "visit": 1, "attempt": 1})],
}


def stamp(when: datetime) -> str:
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def add(store: EventStore, run_id: str, drafts: Sequence[Draft], when: datetime) -> None:
    """Append a batch at that time."""
    events = list(store.read(run_id))
    head = line_hash(events[-1].line) if events else first_prev(run_id)
    sealed = seal(run_id, drafts, after=len(events), head=head, ts=stamp(when))
    store.append(run_id, sealed, after=len(events))


def record(
    store: EventStore,
    run_id: str,
    *,
    days: float,
    status: str = "completed",
    tags: dict[str, str] | None = None,
    file_days: float | None = None,
) -> None:
    """A run whose last event is that many days old, and whose file is as old or `file_days`."""
    started = {
        "log_schema": 1,
        "workflow_name": "w",
        "workflow_version": "1",
        "tags": tags or {},
        "log_mode": "redacted",
    }
    when = NOW - timedelta(days=days)
    add(store, run_id, [Draft("run_started", started)], when - timedelta(hours=1))
    add(store, run_id, ENDS[status], when)
    age(store, run_id, days if file_days is None else file_days)


def age(store: EventStore, run_id: str, days: float) -> None:
    """Make the file of a run look that old."""
    store = getattr(store, "primary", store)
    if isinstance(store, JSONLStore):
        seconds = (NOW - timedelta(days=days)).timestamp()
        os.utime(store.path(run_id), (seconds, seconds))


def planned(
    store: EventStore, *, now: datetime = NOW, days: float = 30, **more: object
) -> RetentionPlan:
    with RunIndex.of(store) as index:
        policy = RetentionPolicy(older_than=timedelta(days=days), **more)  # type: ignore[arg-type]
        return plan(index, store, policy, now=now)


def expired(found: RetentionPlan) -> set[str]:
    return {run.run_id for run in found.expired}


def left(store: EventStore) -> set[str]:
    return set(store.run_ids())


@pytest.fixture(params=["jsonl", "sqlite", "memory", "mirror"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    jsonl, sqlite = JSONLStore(tmp_path / "logs"), SQLiteStore(tmp_path / "runs.db")
    made: dict[str, Callable[[], EventStore]] = {
        "jsonl": lambda: jsonl,
        "sqlite": lambda: sqlite,
        "mirror": lambda: MirrorStore(jsonl, sqlite),
    }
    yield made[request.param]()
    sqlite.close()


def test_old_runs_that_ended_go_and_younger_ones_stay(store: EventStore) -> None:
    record(store, "old", days=31)
    record(store, "old-failed", days=90, status="failed")
    record(store, "young", days=29)
    found = planned(store)
    assert [run.run_id for run in found.expired] == ["old-failed", "old"]
    assert found.kept == {"younger": 1}
    assert left(store) == {"old", "old-failed", "young"}  # a plan deletes nothing
    done = collect(store, found)
    assert (done.run_ids, done.skipped) == (("old-failed", "old"), ())
    assert left(store) == {"young"}
    assert list(store.read("old")) == []


def test_the_bytes_freed_are_those_that_the_plan_said(tmp_path: Path) -> None:
    """SC-165."""
    store = JSONLStore(tmp_path)
    record(store, "a", days=40)
    record(store, "b", days=50)
    size = sum(store.path(run_id).stat().st_size for run_id in ("a", "b"))
    found = planned(store)
    assert found.size == size
    assert collect(store, found).size == size


def test_the_age_is_that_of_the_later_of_last_event_and_file(tmp_path: Path) -> None:
    """SC-163."""
    store = JSONLStore(tmp_path)
    record(store, "both-old", days=40)
    record(store, "file-young", days=40, file_days=5)
    record(store, "event-young", days=5, file_days=40)
    found = planned(store)
    assert expired(found) == {"both-old"}
    assert found.kept == {"younger": 2}


def test_a_run_of_exactly_that_age_goes(store: EventStore) -> None:
    record(store, "exact", days=30)
    assert expired(planned(store)) == {"exact"}
    assert expired(planned(store, now=NOW - timedelta(microseconds=1))) == set()


@pytest.mark.parametrize("status", ["paused", "interrupted"])
def test_a_run_without_an_end_goes_only_when_its_status_is_asked_for(
    store: EventStore, status: str
) -> None:
    record(store, "open", days=400, status=status)
    record(store, "ended", days=400)
    assert expired(planned(store)) == {"ended"}
    assert planned(store).kept == {status: 1}
    asked = planned(store, statuses=frozenset({status}))
    assert expired(asked) == {"open"}
    assert collect(store, asked).run_ids == ("open",)
    assert left(store) == {"ended"}


def test_a_damaged_run_goes_only_when_asked_for(tmp_path: Path) -> None:
    """SC-166."""
    store = JSONLStore(tmp_path)
    record(store, "bad", days=40)
    text = store.path("bad").read_bytes()
    store.path("bad").write_bytes(text.replace(b'"seq":2', b'"seq":7'))
    store.path("foreign").write_text("these are my notes\n")
    for run_id in ("bad", "foreign"):
        age(store, run_id, 40)
    assert planned(store).kept == {"damaged": 2}
    found = planned(store, statuses=frozenset({"damaged"}))
    assert expired(found) == {"bad", "foreign"}
    assert sorted(collect(store, found).run_ids) == ["bad", "foreign"]
    assert left(store) == set()


def test_a_run_with_a_broken_chain_goes_only_as_a_damaged_one(tmp_path: Path) -> None:
    """The index does not look at the chain, so this shows at the deletion, or when asked for."""
    store = JSONLStore(tmp_path)
    record(store, "edited", days=40, tags={"env": "ci"})
    text = store.path("edited").read_bytes()
    store.path("edited").write_bytes(text.replace(b'"env":"ci"', b'"env":"CI"'))
    age(store, "edited", 40)
    done = collect(store, planned(store))
    assert [(run.run_id, run.why) for run in done.skipped] == [("edited", "damaged")]
    assert left(store) == {"edited"}
    found = planned(store, statuses=frozenset({"damaged"}))
    assert [(run.run_id, run.status, run.last_seq) for run in found.expired] == [
        ("edited", "damaged", 1)
    ]
    assert collect(store, found).run_ids == ("edited",)
    assert left(store) == set()


def test_a_torn_run_counts_as_interrupted_and_its_tails_go_with_it(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path)
    record(store, "torn", days=40, status="interrupted")
    add_bytes(store, b'{"ts":', "torn")
    assert store.repair("torn") is not None
    add_bytes(store, b'{"ts":"2026', "torn")
    age(store, "torn", 40)
    assert planned(store).kept == {"interrupted": 1}
    size = sum(path.stat().st_size for path in tmp_path.glob("torn*"))
    assert len(list(tmp_path.glob("torn*"))) == 2
    done = collect(store, planned(store, statuses=frozenset({"interrupted"})))
    assert (done.run_ids, done.size) == (("torn",), size)
    assert list(tmp_path.glob("torn*")) == []


def test_a_batch_cut_short_does_not_count_as_read(tmp_path: Path) -> None:
    """Its whole lines are no events yet, so the last seq is that of the batch before."""
    store = JSONLStore(tmp_path)
    record(store, "cut", days=40, status="interrupted")
    events = list(store.read("cut"))
    drafts = [Draft("step_note", {"kind": "k"})] * 2
    half = seal("cut", drafts, after=2, head=line_hash(events[-1].line), ts=events[-1].ts)[0]
    add_bytes(store, half.line + b"\n", "cut")
    age(store, "cut", 40)
    done = collect(store, planned(store, statuses=frozenset({"interrupted"})))
    assert (done.run_ids, done.skipped) == (("cut",), ())


def test_all_tags_must_match(store: EventStore) -> None:
    record(store, "both", days=40, tags={"env": "ci", "team": "a"})
    record(store, "one", days=40, tags={"env": "ci"})
    found = planned(store, tags={"env": "ci", "team": "a"})
    assert expired(found) == {"both"}
    assert found.kept == {"other tags": 1}


def test_keep_last_keeps_the_newest_of_those_that_match_however_old(store: EventStore) -> None:
    for days in (50, 60, 70, 80):
        record(store, f"ci-{days}", days=days, tags={"env": "ci"})
    record(store, "open", days=45, status="paused", tags={"env": "ci"})
    record(store, "other", days=90)
    found = planned(store, tags={"env": "ci"}, keep_last=2)
    assert expired(found) == {"ci-70", "ci-80"}
    assert found.kept == {"among the last": 2, "paused": 1, "other tags": 1}


@pytest.mark.parametrize("status", sorted(ENDS))
def test_a_run_that_somebody_executes_stays_whatever_is_asked(tmp_path: Path, status: str) -> None:
    store = JSONLStore(tmp_path)
    record(store, "a", days=40, status=status)
    with JSONLStore(tmp_path).lock("a"):
        found = planned(store, statuses=STATUSES)
        assert (found.expired, found.kept) == ((), {"running": 1})
    assert expired(planned(store, statuses=STATUSES)) == {"a"}


def test_a_run_locked_after_the_plan_is_skipped(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path)
    record(store, "a", days=40, status="failed")
    record(store, "b", days=40)
    found = planned(store)
    with JSONLStore(tmp_path).lock("a"):
        done = collect(store, found)
    assert done.run_ids == ("b",)
    assert [(run.run_id, run.why) for run in done.skipped] == [("a", "running")]
    assert left(store) == {"a"}


def test_a_run_resumed_after_the_plan_is_never_deleted(store: EventStore) -> None:
    record(store, "a", days=40, status="failed")
    found = planned(store)
    add(store, "a", [Draft("run_resumed", {"epoch": 2, "from_seq": 3, "reason": "retry"})], NOW)
    done = collect(store, found)
    assert (done.run_ids, done.size) == ((), 0)
    assert [(run.run_id, run.why) for run in done.skipped] == [("a", "changed")]
    assert len(list(store.read("a"))) == 4


def test_a_run_resumed_since_it_was_indexed_is_seen(tmp_path: Path) -> None:
    """An index trusts logs that ended, as long as their directory looks the same; a plan does not.

    A failed run can be resumed, which changes its file and not the directory.
    """
    store = JSONLStore(tmp_path)
    record(store, "a", days=40, status="failed")
    with RunIndex.of(store) as index:
        index.refresh()
    resumed = [Draft("run_resumed", {"epoch": 2, "from_seq": 3, "reason": "retry"})]
    add(store, "a", resumed, NOW)
    assert planned(store).kept == {"interrupted": 1}


def test_an_id_used_again_after_the_plan_is_another_run(store: EventStore) -> None:
    record(store, "nightly", days=40)
    found = planned(store)
    delete = store.delete  # type: ignore[attr-defined]
    delete("nightly", after=2)
    record(store, "nightly", days=0)
    done = collect(store, found)
    assert [run.why for run in done.skipped] == ["changed"]
    assert len(list(store.read("nightly"))) == 2


def test_a_run_deleted_after_the_plan_is_skipped_and_nothing_is_made(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "logs")
    record(store, "a", days=40)
    found = planned(store)
    store.delete("a", after=2)
    assert [run.why for run in collect(store, found).skipped] == ["changed"]
    assert not list(tmp_path.glob("logs/*.jsonl"))


@pytest.mark.parametrize("hours", [-1, -24 * 3650])
def test_runs_from_the_future_of_a_clock_that_was_set_back_stay(
    store: EventStore, hours: int
) -> None:
    """RELIABILITY C16: not even with an age of zero."""
    record(store, "a", days=0)
    now = NOW + timedelta(hours=hours)
    found = planned(store, now=now, days=0, statuses=STATUSES)
    assert (found.expired, found.kept) == ((), {"younger": 1})


def test_a_clock_set_forward_deletes_nothing_that_has_no_end(store: EventStore) -> None:
    """RELIABILITY C16: every run looks old then; those that wait or were cut short stay."""
    for status in ENDS:
        record(store, status, days=0, status=status)
    found = planned(store, now=NOW + timedelta(days=3650))
    assert expired(found) == {"completed", "failed"}


def test_a_clock_set_back_during_a_run_does_not_make_it_old() -> None:
    """Its end is stamped ten years before its start; the start counts, too."""
    store = MemoryStore()
    add(store, "a", [Draft("run_started", {"log_schema": 1})], NOW - timedelta(days=1))
    add(store, "a", ENDS["completed"], NOW - timedelta(days=3650))
    assert planned(store).kept == {"younger": 1}


def test_a_run_whose_age_nobody_knows_stays() -> None:
    store = MemoryStore()
    event = seal(
        "a",
        [Draft("run_started", {"log_schema": 1}), *ENDS["completed"]],
        after=0,
        head=first_prev("a"),
        ts="no time",
    )
    store.append("a", event, after=0)
    found = planned(store, days=0)
    assert (found.expired, found.kept) == ((), {"age unknown": 1})


def test_runs_of_older_releases_go_like_others(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path)
    events = [
        ("run_started", {"workflow_name": "w", "workflow_version": "1"}),
        ("run_completed", {"status": "completed"}),
    ]
    with store.path("old").open("w") as file:
        for seq, (kind, payload) in enumerate(events, 1):
            event = {"ts": "2025-01-01T00:00:00+00:00", "run_id": "old", "seq": seq}
            file.write(json.dumps({**event, "type": kind, "payload": payload}) + "\n")
    age(store, "old", 400)
    assert collect(store, planned(store)).run_ids == ("old",)
    assert left(store) == set()


def test_a_store_that_cannot_delete_says_so_before_anything_else() -> None:
    class Keeps:
        def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
            raise NotImplementedError

        def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
            return iter(())

        def run_ids(self) -> Iterator[str]:
            return iter(())

    with pytest.raises(StoreError, match="Keeps cannot delete"):
        planned(Keeps())
    with pytest.raises(StoreError, match="Keeps cannot delete"):
        collect(Keeps(), RetentionPlan(expired=(), kept={}))


class CannotDeleteB(JSONLStore):
    """A store in which one run cannot be deleted."""

    def delete(self, run_id: str, *, after: int) -> int:
        if run_id == "b":
            raise StoreWriteError("the disk reports an I/O error")
        return super().delete(run_id, after=after)


def test_one_run_that_cannot_be_deleted_does_not_keep_the_others(tmp_path: Path) -> None:
    store = CannotDeleteB(tmp_path)
    for run_id in ("a", "b", "c"):
        record(store, run_id, days=40)
    done = collect(store, planned(store))
    assert done.run_ids == ("a", "c")
    assert [(run.run_id, run.why, run.detail) for run in done.skipped] == [
        ("b", "failed", "the disk reports an I/O error")
    ]


def test_it_can_be_interrupted_at_any_run_and_done_again(store: EventStore) -> None:
    for number in range(5):
        record(store, f"r{number}", days=40 + number)

    def stop(done: int, total: int) -> None:
        assert total == 5
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(store, planned(store), stop)
    assert left(store) == {"r0", "r1", "r2"}  # the oldest went first
    heard: list[tuple[int, int]] = []
    collect(store, planned(store), lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert left(store) == set()


def test_the_copy_in_a_mirror_goes_first_and_an_interruption_between_is_made_up_for(
    tmp_path: Path,
) -> None:
    class StopsOnce(JSONLStore):
        stopped = False

        def delete(self, run_id: str, *, after: int) -> int:
            if not self.stopped:
                self.stopped = True
                raise KeyboardInterrupt
            return super().delete(run_id, after=after)

    with SQLiteStore(tmp_path / "runs.db") as copy:
        primary = StopsOnce(tmp_path / "logs")
        store = MirrorStore(primary, copy)
        record(store, "a", days=40)
        assert left(copy) == {"a"}
        with pytest.raises(KeyboardInterrupt):
            collect(store, planned(store))
        assert (left(copy), left(primary)) == (set(), {"a"})
        done: Collected = collect(store, planned(store))
        assert done.run_ids == ("a",)
        assert (left(copy), left(primary)) == (set(), set())


@pytest.mark.parametrize(
    "wrong",
    [
        {"statuses": frozenset({"running"})},
        {"statuses": frozenset({"done"})},
        {"statuses": frozenset()},
        {"keep_last": -1},
        {"older_than": timedelta(days=-1)},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        RetentionPolicy(**{"older_than": timedelta(days=1), **wrong})  # type: ignore[arg-type]
