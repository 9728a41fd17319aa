"""Lines are numbered, chained and batched; anything else is damage (DESIGN section 3)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core.chain import ChainReader, decode, first_prev, line_hash, read_lines, seal
from replayt_core.errors import DamagedLogError
from replayt_core.events import Draft, Event
from tests.drawn import examples

TS = "2026-01-02T03:04:05.678901Z"
RUN = "r1"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abü\u2028"), inner),
    max_leaves=8,
)
payloads = st.dictionaries(st.text("ab\n\u2028\U0001f600"), json_values, max_size=3)
kinds = st.sampled_from(["run_started", "step_note", "state_entered", "a_type_of_tomorrow"])
batches = st.lists(
    st.lists(st.builds(Draft, kinds, payloads), min_size=1, max_size=4), min_size=1, max_size=5
)


def sealed(groups: list[list[Draft]]) -> list[list[Event]]:
    result: list[list[Event]] = []
    head, after = first_prev(RUN), 0
    for drafts in groups:
        batch = seal(RUN, drafts, after=after, head=head, ts=TS)
        head, after = line_hash(batch[-1].line), batch[-1].seq
        result.append(batch)
    return result


def lines_of(groups: list[list[Event]]) -> list[bytes]:
    return [event.line for batch in groups for event in batch]


def note(count: int = 1) -> list[Draft]:
    return [Draft("step_note", {"n": number}) for number in range(count)]


@examples(100)
@given(batches)
def test_sealed_events_read_back_equal(groups: list[list[Draft]]) -> None:
    written = sealed(groups)
    found = list(read_lines(RUN, lines_of(written)))
    assert found == [event for batch in written for event in batch]
    assert [event.seq for event in found] == list(range(1, len(found) + 1))


@examples(100)
@given(batches)
def test_a_line_is_one_line_of_readable_json(groups: list[list[Draft]]) -> None:
    """SC-94, SC-96."""
    for line in lines_of(sealed(groups)):
        assert b"\n" not in line
        record = json.loads(line)
        assert list(record)[:6] == ["ts", "run_id", "seq", "type", "payload", "prev"]
        assert b"\\u2028" not in line


@examples(100)
@given(batches, st.data())
def test_any_prefix_of_lines_reads_as_its_whole_batches(
    groups: list[list[Draft]], data: st.DataObject
) -> None:
    written = sealed(groups)
    lines = lines_of(written)
    cut = data.draw(st.integers(0, len(lines)))
    whole = [event for batch in written if batch[-1].seq <= cut for event in batch]
    assert list(read_lines(RUN, lines[:cut])) == whole


@examples(100)
@given(batches, st.data())
def test_a_line_left_out_doubled_or_swapped_is_damage(
    groups: list[list[Draft]], data: st.DataObject
) -> None:
    lines = lines_of(sealed([*groups, note()]))
    at = data.draw(st.integers(0, len(lines) - 2))
    for broken in (
        lines[:at] + lines[at + 1 :],
        lines[: at + 1] + lines[at:],
        [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
    ):
        with pytest.raises(DamagedLogError):
            list(read_lines(RUN, broken))


def fed(reader: ChainReader, pieces: list[list[bytes]], *, one_by_one: bool) -> list[object]:
    """What a reader makes of lines: the batches, the damage, and where it stands afterwards."""
    found: list[object] = []
    try:
        for lines in pieces:
            if one_by_one:
                found += filter(None, map(reader.feed, lines))
            else:
                found += reader.feed_all(lines)
    except DamagedLogError as damage:
        found += [str(damage), damage.where]
    found += [reader.seq, reader.next_seq, reader.head, reader.chained, reader.in_batch]
    return [*found, reader.drop_batch()]


MARRED = st.sampled_from(
    [
        *(b"", b"[]", b"{}", b"7", b"{", b" ", b"\xff"),
        *((b'"seq":1', b'"seq":true'), (b'"seq":2', b'"seq":2.0'), (b'"prev"', b'"qrev"')),
        *((b'"prev":"', b'"prev":"0'), (b'"more":true', b'"more":1'), (b'"ts":"', b'"ts":7,"s":"')),
        *((b'"type":"', b'"type":null,"t":"'), (b'"payload":{', b'"payload":[],"p":{')),
        *((b'"r1"', b'"r2"'), (b"step_note", b"approval_resolved"), (b"}", b"},{}")),
    ]
)


@examples(100)
@given(batches, st.booleans(), st.data())
def test_many_lines_at_once_are_taken_as_one_by_one(
    groups: list[list[Draft]], chained: bool, data: st.DataObject
) -> None:
    lines = lines_of(sealed(groups))
    if not chained:
        lines = [b""] * data.draw(st.booleans()) + [old(1), old(2), *lines[2:]]
    for marred in data.draw(st.lists(MARRED, max_size=1)):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = marred if isinstance(marred, bytes) else lines[at].replace(*marred, 1)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=3)))
    pieces = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    expected = fed(ChainReader(RUN), pieces, one_by_one=True)
    assert fed(ChainReader(RUN), pieces, one_by_one=False) == expected


def test_a_reader_stands_behind_the_batches_that_were_taken() -> None:
    lines = lines_of(sealed([note(), note(2), note()]))
    reader = ChainReader(RUN)
    taken = reader.feed_all(lines)
    for seq in (1, 3):
        assert next(taken)[-1].seq == reader.seq == reader.next_seq - 1 == seq
        assert reader.head == line_hash(lines[seq - 1])
    del taken
    assert (reader.next_seq, reader.in_batch) == (4, False)
    assert [batch[-1].seq for batch in reader.feed_all(lines[3:])] == [4]


def test_an_edited_line_is_found_by_the_line_behind_it() -> None:
    lines = lines_of(sealed([note(), note(), note()]))
    lines[1] = lines[1].replace(b'"n":0', b'"n":1')
    with pytest.raises(DamagedLogError, match="event 3 does not follow") as caught:
        list(read_lines(RUN, lines))
    assert (caught.value.run_id, caught.value.where) == (RUN, "event 3")


def test_every_line_of_a_batch_but_the_last_says_more() -> None:
    [batch] = sealed([note(3)])
    assert [event.more for event in batch] == [True, True, False]
    assert [json.loads(event.line).get("more") for event in batch] == [True, True, None]


def test_what_stands_before_damage_is_yielded_first() -> None:
    lines = lines_of(sealed([note(), note(2)]))
    events = read_lines(RUN, [*lines, b"rubbish"])
    assert [next(events).seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(DamagedLogError, match="event 4 is no event: not JSON"):
        next(events)


def test_a_line_of_another_run_is_damage() -> None:
    with pytest.raises(DamagedLogError, match="belongs to run 'r1'"):
        list(read_lines("r2", lines_of(sealed([note()]))))


def old(seq: int, kind: str = "step_note", **payload: object) -> bytes:
    record = {"ts": TS, "run_id": RUN, "seq": seq, "type": kind, "payload": payload}
    return json.dumps(record).encode()


def test_a_log_of_replayt_0_1_to_0_4_is_read_unchained() -> None:
    lines = [old(1, "run_started", workflow_name="w"), old(2), old(3)]
    assert [event.seq for event in read_lines(RUN, lines)] == [1, 2, 3]
    reader = ChainReader(RUN)
    for line in lines:
        reader.feed(line)
    assert reader.chained is False
    with pytest.raises(DamagedLogError, match="has seq 3"):
        list(read_lines(RUN, [lines[0], lines[2]]))


def test_an_empty_line_may_begin_an_old_log_and_no_other() -> None:
    """Replayt 0.4 began its logs with one."""
    lines = [old(1, "run_started", workflow_name="w"), old(2)]
    assert [event.seq for event in read_lines(RUN, [b"", *lines])] == [1, 2]
    for wrong in ([b"", b"", *lines], [lines[0], b"", lines[1]], [b" ", *lines]):
        with pytest.raises(DamagedLogError, match="is no event"):
            list(read_lines(RUN, wrong))
    with pytest.raises(DamagedLogError, match="event 1 stands behind an empty line"):
        list(read_lines(RUN, [b"", *lines_of(sealed([note()]))]))
    with pytest.raises(DamagedLogError, match="event 1 stands behind an empty line"):
        list(read_lines(RUN, [b"", old(1, "run_started", log_schema=1)]))


def test_a_reader_that_begins_anew_meets_the_empty_line_again() -> None:
    reader = ChainReader(RUN)
    for _ in range(2):
        assert reader.feed(b"") == []
        assert reader.in_batch
        assert reader.drop_batch() == 0
        assert not reader.in_batch
    reader.feed(b"")
    reader.feed(old(1, "run_started", workflow_name="w"))
    assert not reader.in_batch
    again = ChainReader(RUN, seq=reader.seq, head=reader.head, chained=reader.chained)
    with pytest.raises(DamagedLogError, match="event 2 is no event"):
        again.feed(b"")


def test_a_chain_that_lost_its_first_prev_is_damage_not_an_old_log() -> None:
    with pytest.raises(DamagedLogError, match="has no `prev`"):
        list(read_lines(RUN, [old(1, "run_started", log_schema=1)]))


def test_a_log_whose_first_line_lost_its_prev_does_not_pass_for_an_old_one() -> None:
    lines = lines_of(sealed([note(), note()]))
    lines[0] = lines[0].replace(b'"prev"', b'"qrev"')
    with pytest.raises(DamagedLogError, match="event 2 does not follow"):
        list(read_lines(RUN, lines))


def test_an_old_log_goes_on_chained_and_what_is_chained_is_checked() -> None:
    first = old(1, "run_started", workflow_name="w")
    more = seal(RUN, note(2), after=1, head=line_hash(first), ts=TS)
    lines = [first, *(event.line for event in more)]
    assert [event.seq for event in read_lines(RUN, lines)] == [1, 2, 3]
    lines[0] = lines[0].replace(b'"w"', b'"v"')
    with pytest.raises(DamagedLogError):
        list(read_lines(RUN, lines))


def test_only_a_resolution_may_lack_prev_and_the_next_line_covers_it() -> None:
    [batch] = sealed([note()])
    bridge = old(2, "approval_resolved", approval_id="a", approved=True)
    after = seal(RUN, note(), after=2, head=line_hash(bridge), ts=TS)[0].line
    assert [e.seq for e in read_lines(RUN, [batch[0].line, bridge, after])] == [1, 2, 3]
    with pytest.raises(DamagedLogError):
        list(read_lines(RUN, [batch[0].line, bridge.replace(b"true", b"1"), after]))
    with pytest.raises(DamagedLogError, match="has no `prev`"):
        list(read_lines(RUN, [batch[0].line, old(2)]))


def test_a_resolution_without_prev_cannot_close_a_batch() -> None:
    [batch] = sealed([note(2)])
    bridge = old(2, "approval_resolved", approval_id="a", approved=True)
    with pytest.raises(DamagedLogError, match="inside a batch"):
        list(read_lines(RUN, [batch[0].line, bridge]))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\0\0\0",
        b"[]",
        b"7",
        b'{"seq":1}',
        b"\xff\xfe",
        old(1).replace(b'"seq": 1', b'"seq": "1"'),
        old(1).replace(b'"seq": 1', b'"seq": true'),
        old(1).replace(b'"seq": 1', b'"seq": 0'),
        old(1).replace(b'"payload": {}', b'"payload": []'),
        old(1)[:-1] + b', "prev": 7}',
        old(1).replace(b'"step_note"', b"null"),
        b"[" * 100_000,
        b'{"seq":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_event_raises_value_error_and_nothing_else(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"no|not"):
        decode(line)


def test_a_reader_goes_on_where_another_stopped() -> None:
    first, second = sealed([note(2), note(2)])
    reader = ChainReader(RUN)
    for event in first:
        reader.feed(event.line)
    again = ChainReader(RUN, seq=reader.seq, head=reader.head, chained=reader.chained)
    assert again.feed(second[0].line) == []
    assert again.in_batch
    assert again.drop_batch() == 1
    assert again.feed(second[0].line) == []
    assert again.feed(second[1].line) == second
    assert (again.seq, again.head) == (4, line_hash(second[1].line))


def test_dropping_the_first_batch_leaves_the_kind_of_log_open() -> None:
    reader = ChainReader(RUN)
    reader.feed(sealed([note(2)])[0][0].line)
    reader.drop_batch()
    assert reader.chained is None
    assert reader.feed(old(1))[0].seq == 1
