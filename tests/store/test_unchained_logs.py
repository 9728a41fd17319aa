"""JSONL logs of replayt 0.1 to 0.4: read to their end, kept byte for byte, never cut (DESIGN 3).

0.4 began each file with an empty line. It is no event and no damage in such a log, and damage in
any other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core import DamagedLogError, Event, fold, summarize, verify
from replayt_core.chain import decode, line_hash, seal
from replayt_core.events import Draft
from replayt_core.ports.store import TornTail
from replayt_core.records import digest, records
from replayt_store import JSONLStore, SQLiteStore
from replayt_store._index_sources import FileSource, lines_of
from replayt_store.transfer import copy_runs
from tests.drawn import examples
from tests.store.helpers import add_bytes, batch

UNCHAINED = Path(__file__).parents[1] / "fixtures" / "unchained"
PATHS = sorted(UNCHAINED.glob("*.jsonl"))
EMPTY_FIRST = [path.stem for path in PATHS if path.read_bytes().startswith(b"\n")]


@pytest.fixture
def store(tmp_path: Path) -> JSONLStore:
    shutil.copytree(UNCHAINED, tmp_path / "runs")
    return JSONLStore(tmp_path / "runs")


def whole_lines(data: bytes) -> list[bytes]:
    """The lines with an event, as any text tool finds them."""
    return [line for line in data.split(b"\n")[:-1] if line]


def test_there_are_logs_with_and_without_an_empty_first_line() -> None:
    assert len(EMPTY_FIRST) >= 2
    assert len(PATHS) - len(EMPTY_FIRST) >= 2


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_each_is_read_to_its_end_and_nothing_of_it_is_cut(store: JSONLStore, path: Path) -> None:
    """SC-95: the bytes stay as they are."""
    before = path.read_bytes()
    events = list(store.read(path.stem))
    assert [event.line for event in events] == whole_lines(before)
    entry = next(entry for entry in store.runs() if entry.run_id == path.stem)
    assert (entry.last_seq, entry.last_ts) == (len(events), events[-1].ts)
    assert store.repair(path.stem) is None
    with store.lock(path.stem):
        assert store.repair(path.stem) is None
    assert store.path(path.stem).read_bytes() == before
    found = verify(None, store.read(path.stem))
    assert found.ok, found
    assert (found.chained, len(found.unchained)) == (False, len(events))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_an_index_reads_the_same_without_the_store(store: JSONLStore, path: Path) -> None:
    reading = FileSource(store).read(path.stem)
    assert reading is not None
    assert reading.problem is None
    assert reading.digest == digest(path.stem, store.read(path.stem))
    lines = whole_lines(path.read_bytes())
    for count in (1, len(lines) - 1, len(lines), len(lines) + 1):
        found = b"".join(lines_of(store, path.stem, count))
        assert found == b"".join(line + b"\n" for line in lines[:count])


@pytest.mark.parametrize("run_id", EMPTY_FIRST)
def test_its_events_are_copied_to_another_store_and_back(
    store: JSONLStore, tmp_path: Path, run_id: str
) -> None:
    with SQLiteStore(tmp_path / "all.db") as database:
        assert copy_runs(store, database).problems == ()
        back = JSONLStore(tmp_path / "back")
        assert copy_runs(database, back).problems == ()
    lines = whole_lines(store.path(run_id).read_bytes())
    assert back.path(run_id).read_bytes() == b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("run_id", EMPTY_FIRST)
def test_only_what_stands_behind_the_last_event_is_a_torn_tail(
    store: JSONLStore, run_id: str
) -> None:
    before = store.path(run_id).read_bytes()
    add_bytes(store, b'{"ts": "2025', run_id)
    assert store.repair(run_id) == store_tail(store, run_id, 12)
    assert store.path(run_id).read_bytes() == before


def store_tail(store: JSONLStore, run_id: str, size: int) -> TornTail:
    """What a repair says of a tail that it put aside."""
    saved = Path(f"{store.path(run_id)}.torn-1")
    data = saved.read_bytes()
    assert len(data) == size
    return TornTail(bytes=size, sha256=hashlib.sha256(data).hexdigest(), saved_as=str(saved))


def test_what_is_appended_follows_the_old_bytes(store: JSONLStore) -> None:
    """A bridge of that time appends an answer; it may not be the last line that is ever read."""
    run_id = "old-empty-first-line"
    before, last = store.path(run_id).read_bytes(), list(store.read(run_id))[-1]
    record = {"ts": last.ts, "run_id": run_id, "type": "step_note", "payload": {}}
    more = decode(json.dumps({**record, "seq": last.seq + 1}).encode())
    store.append(run_id, [more], after=last.seq)
    assert store.path(run_id).read_bytes() == before + more.line + b"\n"
    assert list(store.read(run_id))[-1] == more


def test_a_reader_that_follows_gets_the_events_as_they_are_written(tmp_path: Path) -> None:
    store, run_id = JSONLStore(tmp_path), "old-empty-first-line"
    follower, seen = None, []
    for line in (UNCHAINED / f"{run_id}.jsonl").read_bytes().splitlines(keepends=True):
        add_bytes(store, line[:9], run_id)
        follower = follower or store.follow(run_id)
        assert list(follower.new_events()) == []
        add_bytes(store, line[9:], run_id)
        seen += follower.new_events()
    assert seen == list(store.read(run_id))
    assert len(seen) == 21


def test_damage_behind_an_empty_first_line_is_named_by_its_line(store: JSONLStore) -> None:
    """SC-98."""
    path = store.path("old-cut-short")
    lines = path.read_bytes().split(b"\n")
    lines[3] = b"no event"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DamagedLogError, match=r"old-cut-short\.jsonl, line 4, byte \d+\)"):
        list(store.read("old-cut-short"))


def test_an_empty_first_line_and_nothing_else_is_a_run_that_never_began(tmp_path: Path) -> None:
    """What a crash of 0.4 leaves behind. A new run under that id puts it aside."""
    store = JSONLStore(tmp_path)
    add_bytes(store, b"\n")
    assert list(store.read("r1")) == []
    with pytest.raises(DamagedLogError, match="repair it first"):
        store.append("r1", batch("run_started"), after=0)
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 1
    store.append("r1", batch("run_started"), after=0)
    assert [event.seq for event in store.read("r1")] == [1]


@pytest.mark.parametrize("place", ["first", "second", "last"])
def test_in_a_chained_log_an_empty_line_is_damage_everywhere(tmp_path: Path, place: str) -> None:
    store = JSONLStore(tmp_path)
    events = batch("run_started")
    events += batch("note", after=events)
    lines = [event.line for event in events]
    lines.insert({"first": 0, "second": 1, "last": 2}[place], b"")
    add_bytes(store, b"".join(line + b"\n" for line in lines))
    with pytest.raises(DamagedLogError):
        list(store.read("r1"))
    reading = FileSource(store).read("r1")
    assert reading is not None
    assert reading.problem is not None


@pytest.mark.parametrize("where", [1, 2, 5])
def test_in_an_old_log_only_the_first_line_may_be_empty(tmp_path: Path, where: int) -> None:
    store, run_id = JSONLStore(tmp_path), "old-cut-short"
    lines = (UNCHAINED / f"{run_id}.jsonl").read_bytes().split(b"\n")
    lines.insert(where, b"")
    add_bytes(store, b"\n".join(lines), run_id)
    with pytest.raises(DamagedLogError, match=f"event {where}"):
        list(store.read(run_id))
    reading = FileSource(store).read(run_id)
    assert reading is not None
    assert reading.problem is not None


def test_an_old_log_that_goes_on_chained_is_checked_from_there(store: JSONLStore) -> None:
    run_id = "old-cut-short"
    last = list(store.read(run_id))[-1]
    note = [Draft("step_note", {"kind": "a"})]
    more = seal(run_id, note, after=last.seq, head=line_hash(last.line), ts="2026-01-01T00:00:00Z")
    store.append(run_id, more, after=last.seq)
    assert [event.seq for event in store.read(run_id)] == list(range(1, last.seq + 2))
    path = store.path(run_id)
    path.write_bytes(path.read_bytes().replace(b'"tell"}}\n{"ts":"2026', b'"toll"}}\n{"ts":"2026'))
    with pytest.raises(DamagedLogError, match="does not follow"):
        list(store.read(run_id))


@examples(150)
@given(data=st.data())
def test_a_log_that_was_cut_anywhere_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A crash leaves any beginning of a file; none of them is damage, and nothing raises."""
    path = data.draw(st.sampled_from(PATHS))
    whole = path.read_bytes()
    kept = whole[: data.draw(st.integers(1, len(whole)))]
    store, run_id = JSONLStore(tmp_path_factory.mktemp("cut")), path.stem
    add_bytes(store, kept, run_id)
    expected = [decode(line) for line in whole_lines(kept)]
    events: list[Event] = list(store.read(run_id))
    assert events == expected
    assert list(store.follow(run_id).new_events()) == expected
    assert [entry.last_seq for entry in store.runs()] == [len(expected)]
    state = fold(run_id, events)
    assert state.problems == []
    assert state.summary == summarize(run_id, events)
    assert records(run_id, events).llm_calls == digest(run_id, events).llm_calls
    if expected:
        assert verify(None, events).ok
    tail = store.repair(run_id)
    left = store.path(run_id).read_bytes() if store.path(run_id).exists() else b""
    assert len(left) + (tail.bytes if tail else 0) == len(kept)
    assert kept.startswith(left)
    assert list(store.read(run_id)) == expected
