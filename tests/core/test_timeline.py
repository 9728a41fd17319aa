from __future__ import annotations

from typing import Any

import pytest

from replayt_core import MemoryStore, Runner, Workflow, resolve
from replayt_core.chain import decode, first_prev, seal
from replayt_core.events import Draft, Event
from replayt_core.payloads import PAYLOADS
from replayt_core.timeline import timeline


def events(*drafts: tuple[str, dict[str, Any]], ts: str = "2026-01-01T00:00:00Z") -> list[Event]:
    sealed = seal(
        "r",
        [Draft(kind, payload) for kind, payload in drafts],
        after=0,
        head=first_prev("r"),
        ts=ts,
    )
    return [decode(event.line) for event in sealed]


def run() -> tuple[MemoryStore, list[Event]]:
    workflow = Workflow("gate", version="3")
    workflow.set_initial("ask")

    @workflow.step("ask", to=["done"])
    def ask(ctx: Any) -> str:
        ctx.set("n", 1)
        if not ctx.is_approved("go"):
            ctx.request_approval("go", summary="Go on?", details={"n": 1})
        ctx.because("it was approved")
        return "done"

    @workflow.step("done")
    def done(ctx: Any) -> None:
        ctx.note("end", summary="all done")

    store = MemoryStore()
    Runner(workflow, store).run(run_id="r")
    resolve(store, "r", "go", approved=True, by="Ada", reason="why not")
    Runner(workflow, store).resume("r")
    return store, list(store.read("r"))


def test_there_is_one_entry_for_each_event_in_order() -> None:
    _, recorded = run()
    entries = list(timeline("r", recorded))
    assert [(entry.seq, entry.kind) for entry in entries] == [
        (event.seq, event.type) for event in recorded
    ]
    offsets = [entry.offset_seconds for entry in entries]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)


def test_entries_say_what_happened_in_words() -> None:
    _, recorded = run()
    told = {entry.kind: entry for entry in timeline("r", recorded)}
    assert told["run_started"].title == "run of gate@3 starts"
    assert told["approval_requested"].details["summary"] == "Go on?"
    assert told["approval_requested"].state == "ask"
    assert told["approval_resolved"].title == "go is approved by Ada"
    assert told["approval_resolved"].details == {"reason": "why not"}
    assert told["run_paused"].title == "run waits for approval go"
    assert told["transition"].title == "ask -> done"
    assert told["transition"].details["reason"] == "it was approved"
    assert told["step_note"].title == "note end: all done"
    assert told["run_completed"].title == "run ends: completed, in done"


def test_the_attempt_that_a_move_looked_at_is_named_once() -> None:
    because = [{"read": "attempt", "name": "attempt", "seq": 19}]
    moved = {"from_state": "a", "to_state": "b", "reason": "", "because": because}
    (entry,) = timeline("r", events(("transition", moved)))
    assert entry.details["looked at"] == "attempt (seq 19)"


def test_an_answer_that_fits_no_request_is_shown_as_ignored() -> None:
    entries = list(
        timeline(
            "r",
            events(
                ("run_started", {"workflow_name": "w", "workflow_version": "1"}),
                ("approval_resolved", {"approval_id": "ghost", "approved": True}),
            ),
        )
    )
    assert entries[1].title == "answer to ghost is ignored"
    assert "no open request" in str(entries[1].details["because"])


@pytest.mark.parametrize("kind", [*PAYLOADS, "from_the_future"])
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"state": 3, "error": "text", "context": [1], "because": 4, "messages": 5, "usage": []},
        {"error": {}, "reply": "x", "effective": "y", "request_seq": [1], "elapsed_ms": "slow"},
    ],
)
def test_any_payload_is_shown(kind: str, payload: dict[str, Any]) -> None:
    (entry,) = timeline("r", events((kind, payload)))
    assert entry.title
    assert entry.kind == kind


def test_an_unknown_type_is_shown_as_it_stands() -> None:
    (entry,) = timeline("r", events(("from_the_future", {"x": [1]})))
    assert (entry.title, entry.details) == ("from_the_future", {"x": [1]})


def test_offsets_are_never_negative_whatever_the_clock_did() -> None:
    first = events(("run_started", {}))
    for ts in ("2025-01-01T00:00:00Z", "no time", "2026-01-01T00:00:00"):
        later = first[0]._replace(seq=2, ts=ts)
        assert [entry.offset_seconds for entry in timeline("r", [*first, later])] == [0, 0]
