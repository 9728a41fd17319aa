"""Torn tails are put aside and cut, damage is not; both are found everywhere (R6, R7)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core.chain import line_hash, seal
from replayt_core.errors import DamagedLogError, ReplaytError, StoreError, StoreWriteError
from replayt_core.events import Draft, Event
from replayt_store import JSONLStore
from tests.drawn import examples
from tests.store.helpers import TS, FakeClock, FaultySystem, add_bytes, batch, seqs, write


@pytest.fixture
def store(tmp_path: Path) -> JSONLStore:
    return JSONLStore(tmp_path / "runs", sync="os", clock=FakeClock())


def three_kilobytes(store: JSONLStore) -> tuple[list[Event], bytes, list[int]]:
    """Events, bytes, and the offset at which each whole batch ends."""
    ends = [0]
    events: list[Event] = []
    for size in (2, 1, 3, 1, 3, 2, 1, 3, 2):
        events = write(store, size, text="Grüße 東京 \u2028" + "x" * 20)
        ends.append(store.path("r1").stat().st_size)
    data = store.path("r1").read_bytes()
    assert 2_500 < len(data) < 5_000
    return events, data, ends


def test_a_log_cut_at_any_byte_reads_as_its_whole_batches_and_goes_on(store: JSONLStore) -> None:
    """C5, R6."""
    events, data, ends = three_kilobytes(store)
    path = store.path("r1")
    aside = path.with_name("r1.jsonl.torn-1")
    line_ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        whole = max(end for end in ends if end <= cut)
        count = sum(end <= whole for end in line_ends)
        assert seqs(store) == list(range(1, count + 1))
        torn = data[whole:cut]
        more = batch("note", after=events[:count])
        if torn:
            with pytest.raises(DamagedLogError, match="cut short"):
                store.append("r1", more, after=count)
            assert path.read_bytes() == data[:cut]
        with store.lock("r1"):
            tail = store.repair("r1")
            if torn:
                assert tail is not None
                assert (tail.bytes, tail.saved_as) == (len(torn), str(aside))
                assert tail.sha256 == hashlib.sha256(torn).hexdigest()
                assert aside.read_bytes() == torn
                aside.unlink()
            else:
                assert tail is None
            assert list(store.read("r1")) == events[:count]
            store.append("r1", more, after=count)
        assert list(store.read("r1")) == events[:count] + more


def test_a_flip_of_any_byte_is_found(store: JSONLStore) -> None:
    """C5: all but those inside the last line, which only a head hash kept elsewhere can show."""
    events, data, _ = three_kilobytes(store)
    path = store.path("r1")
    last_line = len(data) - len(events[-1].line) - 1
    unseen = 0
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        try:
            found = list(store.read("r1"))
        except DamagedLogError as error:
            named = (error.run_id, "r1.jsonl, line " in error.where)
            assert named == ("r1", True)
            with pytest.raises(DamagedLogError):
                store.append("r1", batch("note", after=events), after=len(events))
            with pytest.raises(DamagedLogError):
                store.repair("r1")
            assert path.read_bytes() == flipped
        else:
            assert at >= last_line, f"the flip of byte {at} went unseen"
            # Either the last newline is gone, which is a torn tail, or a value was changed.
            unseen += found[-1].seq == len(events)
        assert not list(path.parent.glob("*.torn-*"))
    assert unseen < len(events[-1].line)


@examples(150)
@given(st.data())
def test_any_bytes_at_any_place_raise_nothing_but_our_errors(
    store: JSONLStore, data: st.DataObject
) -> None:
    path = store.path("r1")
    path.unlink(missing_ok=True)
    written = write(store, 2, 1, 3)
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    path.write_bytes(whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:])
    found: list[int] = []
    try:
        found.extend(event.seq for event in store.read("r1"))
        with store.lock("r1"):
            store.repair("r1")
            write(store, 1)
    except ReplaytError:
        pass
    assert found == list(range(1, len(found) + 1))
    assert len(found) <= len(written) + 1
    list(store.runs())


def test_damage_names_file_line_and_byte_and_is_never_cut(store: JSONLStore) -> None:
    """SC-98, R7: what stands before it stays readable, nothing is appended."""
    write(store, 1, 2)
    size = store.path("r1").stat().st_size
    add_bytes(store, b"rubbish\n" + b"more rubbish")
    before = store.path("r1").read_bytes()
    reading = store.read("r1")
    assert [next(reading).seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(DamagedLogError, match="run r1 is damaged") as caught:
        next(reading)
    assert caught.value.where == f"{store.path('r1')}, line 4, byte {size}"
    for call in (lambda: write(store, 1), lambda: store.repair("r1")):
        with pytest.raises(DamagedLogError):
            call()
    assert store.path("r1").read_bytes() == before
    write(store, 1, run_id="r2")
    assert sorted(store.run_ids()) == ["r1", "r2"], "other runs go on"


def test_a_zero_filled_tail_is_a_torn_tail(store: JSONLStore) -> None:
    write(store, 2)
    add_bytes(store, bytes(4096))
    assert seqs(store) == [1, 2]
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 4096
    write(store, 1)


def test_each_tail_is_put_into_a_file_of_its_own(store: JSONLStore) -> None:
    write(store, 1)
    for number, text in enumerate((b"first", b"second", b"third"), 1):
        add_bytes(store, text)
        tail = store.repair("r1")
        assert tail is not None
        assert tail.saved_as == f"{store.path('r1')}.torn-{number}"
        assert Path(tail.saved_as).read_bytes() == text
    assert list(store.run_ids()) == ["r1"]


def test_a_run_whose_only_batch_is_torn_does_not_exist_after_its_repair(store: JSONLStore) -> None:
    store.directory.mkdir()
    store.path("r1").write_bytes(batch("run_started", "state_entered")[0].line + b"\n")
    assert seqs(store) == []
    tail = store.repair("r1")
    assert tail is not None
    assert list(store.run_ids()) == []
    assert [path.name for path in store.directory.iterdir()] == ["r1.jsonl.torn-1"]
    write(store, 2)


def test_the_tail_is_written_and_synced_before_the_cut(tmp_path: Path) -> None:
    system = FaultySystem()
    store = JSONLStore(tmp_path, system=system)
    write(store, 1)
    add_bytes(store, b"torn")
    system.calls.clear()
    store.repair("r1")
    steps = [call for call in system.calls if call != "fstat"]
    assert steps == ["open_new", "write", "sync_data", "sync_directory", "truncate", "sync_data"]


@pytest.mark.parametrize("call", ["open_new", "write", "sync_data", "sync_directory"])
def test_a_repair_that_fails_has_cut_nothing(tmp_path: Path, call: str) -> None:
    system = FaultySystem()
    store = JSONLStore(tmp_path, system=system)
    write(store, 1)
    add_bytes(store, b"torn")
    before = store.path("r1").read_bytes()
    system.fail_with(call, 28)
    with pytest.raises(StoreWriteError, match="disk is full"):
        store.repair("r1")
    assert store.path("r1").read_bytes() == before
    system.fail.clear()
    tail = store.repair("r1")
    assert tail is not None
    assert tail.bytes == 4


def test_a_reader_beside_a_writer_sees_whole_batches_only(store: JSONLStore) -> None:
    events = write(store, 2)
    half = batch("note", "note", after=events)
    with store.lock("r1"):
        reading = store.read("r1")
        assert [next(reading).seq, next(reading).seq] == [1, 2]
        add_bytes(store, half[0].line + b"\n" + half[1].line[:20])
        assert list(reading) == []
        add_bytes(store, half[1].line[20:] + b"\n")
    assert seqs(store) == [1, 2, 3, 4]


def test_an_append_taken_back_under_a_reader_is_no_damage(store: JSONLStore) -> None:
    """A reader has buffered what a failed append wrote; the file says otherwise by now."""
    events = write(store, *[1] * 100, text="y" * 2_000)
    path = store.path("r1")
    size = path.stat().st_size
    failed = batch(*["note"] * 40, after=events, text="taken back " * 200)
    add_bytes(store, b"".join(event.line + b"\n" for event in failed[:-1]))
    reading = store.read("r1")
    seen = [next(reading) for _ in range(100)]
    os.truncate(path, size)
    head = line_hash(events[-1].line)
    drafts = [Draft("note", {"text": "kept " * 30}) for _ in range(1_000)]
    kept = seal("r1", drafts, after=100, head=head, ts=TS)
    store.append("r1", kept, after=100)
    assert seen == events
    # What it had read it may leave out as torn, or see anew; it must not cry damage.
    assert list(reading) in ([], kept)


def test_an_unreadable_log_is_one_clear_error(store: JSONLStore) -> None:
    class CannotRead(FaultySystem):
        def open_read(self, path: str) -> int:
            raise PermissionError(13, "Permission denied")

    write(store, 1)
    with pytest.raises(StoreError, match=r"cannot read the log of run r1 .*permission denied"):
        list(JSONLStore(store.directory, system=CannotRead()).read("r1"))
