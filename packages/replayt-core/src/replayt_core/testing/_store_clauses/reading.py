"""Reading: what was appended comes back, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from pydantic import JsonValue

from replayt_core.chain import decode
from replayt_core.errors import DamagedLogError
from replayt_core.events import Draft
from replayt_core.testing._store_case import TS, StoreCase, clause, require


@clause()
def unknown_run_reads_as_nothing(case: StoreCase) -> None:
    """A run that was never written reads as nothing, and reading does not create it."""
    case.expect([], "an unknown run")
    require(list(case.store.read(case.run_id, after=3)) == [], "an unknown run has events behind 3")
    require(case.run_id not in set(case.store.run_ids()), "reading a run created it")


@clause()
def bytes_come_back(case: StoreCase) -> None:
    """What was appended is read back byte for byte, and decoded the same."""
    case.expect(case.written(1, 1), "two appended events")


@clause()
def any_text_comes_back(case: StoreCase) -> None:
    """Line separators, control characters, non-BMP text and 100 KB values keep their bytes."""
    values: list[JsonValue] = [
        "\u2028 \u2029 \u0085 \u000b \u000c \u001c \r \n \t \0 \x7f \x1b[2J",
        "Grüße, 東京, \N{GRINNING FACE}, e\u0301, \u202eabc",
        "ü" * 50_000,
        {"": [None, True, -0.5, 1e308, 2**63, "'; DROP TABLE events; --"]},
    ]
    drafts = [Draft("note", {"value": value}) for value in values]
    events = case.sealed(drafts[:1])
    case.store.append(case.run_id, events, after=0)
    more = case.sealed(drafts[1:], after=events)
    case.store.append(case.run_id, more, after=1)
    case.expect(events + more, "values that are hard to keep")


@clause()
def order_is_kept(case: StoreCase) -> None:
    """Events are read in the order of their seq, also beyond 9 and 99 of them."""
    case.expect(case.written(*[1] * 105), "105 batches")


@clause()
def batches_are_whole(case: StoreCase) -> None:
    """A batch of several events is there as a whole, marks included."""
    case.expect(case.written(3, 1, 5, 2), "batches of 3, 1, 5 and 2 events")


@clause()
def read_after(case: StoreCase) -> None:
    """`read(after=n)` yields the events behind n, also from inside a batch and behind the end."""
    events = case.written(1, 3, 1)
    for after in range(7):
        found = list(case.store.read(case.run_id, after=after))
        require(
            found == events[after:],
            f"read(after={after}) of 5 events gave seqs {[event.seq for event in found]}",
        )


@clause()
def runs_are_apart(case: StoreCase) -> None:
    """An append to one run changes no other, also where one id begins with the other."""
    longer = f"{case.run_id}-1"
    events = case.written(1, 2)
    case.written(3, run_id=longer)
    case.expect(events, "a run beside another")
    require(len(list(case.store.read(longer))) == 3, "the other run has not its own 3 events")


@clause()
def run_ids_lists_each_run_once(case: StoreCase) -> None:
    """`run_ids` yields every run once, and nothing else."""
    other = case.new_run_id()
    case.written(2, 1)
    case.written(1, run_id=other)
    listed = list(case.store.run_ids())
    found = [run_id for run_id in listed if run_id in (case.run_id, other)]
    require(sorted(found) == sorted([case.run_id, other]), f"run_ids gave {found}")
    for run_id in listed:
        with suppress(DamagedLogError):
            first = next(iter(case.store.read(run_id)), None)
            require(first is not None, f"run_ids gave {run_id}, which reads as nothing")


@clause()
def a_bridge_line_is_kept(case: StoreCase) -> None:
    """An `approval_resolved` line without `prev` is kept, and the next line covers its bytes."""
    events = case.written(1)
    line = (
        f'{{"seq": 2, "run_id": "{case.run_id}", "ts": "{TS}", "type": "approval_resolved", '
        '"payload": {"approval_id": "publish", "approved": true}}'
    )
    events.append(decode(line.encode()))
    case.store.append(case.run_id, events[1:], after=1)
    more = case.batch(["note"], after=events)
    case.store.append(case.run_id, more, after=2)
    case.expect(events + more, "a line without `prev`")


@clause()
def the_log_cannot_be_changed_from_outside(case: StoreCase) -> None:
    """Changing a payload that was appended or read changes nothing that is kept."""
    events = case.written(1)
    kept = [decode(event.line) for event in events]
    events[0].payload["n"] = "changed"
    for event in case.store.read(case.run_id):
        event.payload["n"] = "changed"
    case.expect(kept, "a run whose payloads were changed in memory")


CLAUSES = (
    unknown_run_reads_as_nothing,
    bytes_come_back,
    any_text_comes_back,
    order_is_kept,
    batches_are_whole,
    read_after,
    runs_are_apart,
    run_ids_lists_each_run_once,
    a_bridge_line_is_kept,
    the_log_cannot_be_changed_from_outside,
)
