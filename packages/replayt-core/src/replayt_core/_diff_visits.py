"""Comparing a visit of one run with the visit of the other that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from replayt_core._alignment import align
from replayt_core._diff_findings import Findings
from replayt_core._diff_items import compare_items, item_of_one
from replayt_core._diff_reading import Attempt, AttemptEnd, Item, Visit
from replayt_core._diff_result import CallLatency, Delta, Part
from replayt_core._diff_values import Change, Side, error_of, only, value_changes
from replayt_core._summary import millis
from replayt_core.events import Payload

Group = tuple[list[Item], list[Item]]
"""What two attempts did in the same place."""


def compare_visits(findings: Findings, a: Visit, b: Visit) -> list[CallLatency]:
    """Attempt by attempt; returns how long the model calls took that both made."""
    latencies: list[CallLatency] = []
    for number in range(max(len(a.attempts), len(b.attempts))):
        if number >= len(a.attempts):
            _attempt_of_one(findings, "b", b.attempts[number])
        elif number >= len(b.attempts):
            _attempt_of_one(findings, "a", a.attempts[number])
        else:
            left, right = a.attempts[number], b.attempts[number]
            groups = _groups(left, right)
            for item, other in _paired(groups):
                compare_items(findings, item, other)
                if item.key == other.key and item.kind == "llm":
                    latencies += _latency(a.state, item, other)
            for side, item in _unpaired(groups):
                item_of_one(findings, side, item)
            _compare_ends(findings, left.end, right.end)
    return latencies


def visit_of_one(findings: Findings, side: Side, visit: Visit) -> None:
    """A visit that one run alone made, with what it did."""
    made = [only(side, {"state": visit.state, "visit": visit.visit})]
    findings.alone(side, "states", visit.state, visit.seq, made)
    for attempt in visit.attempts:
        _attempt_of_one(findings, side, attempt)


def _attempt_of_one(findings: Findings, side: Side, attempt: Attempt) -> None:
    for item in attempt.items.values():
        item_of_one(findings, side, item)
    end = attempt.end
    if end is None:
        return
    changes = [only(side, value, name) for name, value in _delta(end).items() if value]
    if changes:
        findings.alone(side, "context", "context", end.seq, changes)
    if end.kind in ("retries", "cut"):
        findings.alone(side, "retries", "attempt", end.seq, [only(side, _outcome(end))])


def _paired(groups: Sequence[Group]) -> Iterator[tuple[Item, Item]]:
    """Items that belong together; where none of the same name is left, those of the same kind."""
    for left, right in groups:
        for kind in dict.fromkeys(item.kind for item in left):
            yield from zip(
                [item for item in left if item.kind == kind],
                [item for item in right if item.kind == kind],
                strict=False,
            )


def _unpaired(groups: Sequence[Group]) -> Iterator[tuple[Side, Item]]:
    for left, right in groups:
        sides: tuple[tuple[Side, Sequence[Item], Sequence[Item]], ...] = (
            ("a", left, right),
            ("b", right, left),
        )
        for side, own, others in sides:
            kinds = [item.kind for item in others]
            for item in own:
                if item.kind in kinds:
                    kinds.remove(item.kind)
                else:
                    yield side, item


def _groups(a: Attempt, b: Attempt) -> list[Group]:
    """What belongs together: pairs of one item each, and what stands between such pairs.

    Items of the same kind and name belong together in their order; but if that leaves more that
    differ, as where a loop made one call more, those do that asked the same, and the others of the
    same kind and name between them.
    """
    items_a, items_b = list(a.items.values()), list(b.items.values())
    by_key = _split(items_a, items_b, _key)
    if all(map(_asked_the_same, by_key)):
        return by_key
    by_content = [
        group
        for left, right in _split(items_a, items_b, _asked)
        for group in _split(left, right, _key)
    ]
    return min(by_key, by_content, key=_cost)


def _split(a: list[Item], b: list[Item], by: Callable[[Item], Hashable]) -> list[Group]:
    groups: list[Group] = []
    done_a = done_b = 0
    for left, right in [*align(list(map(by, a)), list(map(by, b))), (len(a), len(b))]:
        groups += [(a[done_a:left], b[done_b:right]), (a[left : left + 1], b[right : right + 1])]
        done_a, done_b = left + 1, right + 1
    return [(own, other) for own, other in groups if own or other]


def _key(item: Item) -> Hashable:
    return item.key


def _asked(item: Item) -> Hashable:
    return item.asked


def _asked_the_same(group: Group) -> bool:
    left, right = group
    return len(left) == len(right) == 1 and left[0].asked == right[0].asked


def _cost(groups: Sequence[Group]) -> int:
    """How many items differ, or have no counterpart."""
    return sum(max(map(len, group)) for group in groups if not _asked_the_same(group))


def _latency(state: str, a: Item, b: Item) -> Iterator[CallLatency]:
    took = Delta(a=_took(a), b=_took(b))
    if took.delta is not None:
        what = a.name or "text"
        yield CallLatency(what=what, state=state, seq_a=a.seq, seq_b=b.seq, latency_ms=took)


def _took(item: Item) -> float | None:
    return millis((item.end or {}).get("latency_ms"))


def _compare_ends(findings: Findings, a: AttemptEnd | None, b: AttemptEnd | None) -> None:
    """The context, then how it ended: the move, the error, the pause."""
    if a is None and b is None:
        return
    seqs = (a.seq if a else None, b.seq if b else None)
    if a is not None and b is not None and "cut" not in (a.kind, b.kind):
        findings.look("context", "context", *seqs, value_changes(_delta(a), _delta(b)))
    kinds = (a.kind if a else None, b.kind if b else None)
    if kinds[0] != kinds[1]:
        part: Part = "retries" if "retries" in kinds or "cut" in kinds else "status"
        ended = Change(path="", a=_outcome(a), b=_outcome(b))
        findings.look(part, "attempt", *seqs, [ended])
    elif a is not None and b is not None and a.kind == "exits":
        moves = (_move(a), _move(b))
        seqs = (a.move_seq or a.seq, b.move_seq or b.seq)
        findings.look("moves", "move", *seqs, value_changes(*moves))
    elif a is not None and b is not None:
        part = "retries" if a.kind in ("retries", "cut") else "status"
        findings.look(part, "attempt", *seqs, value_changes(_outcome(a), _outcome(b)))


def _outcome(end: AttemptEnd | None) -> Any:
    """How an attempt ended, for people and programs."""
    if end is None:
        return "the log ends here"
    if end.kind == "exits":
        return {"ends": end.kind, "next_state": end.payload.get("next_state")}
    if end.kind == "pauses":
        return {"ends": end.kind, "reason": end.payload.get("reason")}
    if end.kind == "cut":
        return {"ends": end.kind}
    return {"ends": end.kind, "error": error_of(end.payload)}


def _delta(end: AttemptEnd) -> Payload:
    """What the attempt changed in the context: the values by key, and the keys it removed."""
    delta = end.payload.get("context")
    if not isinstance(delta, dict):
        return {}
    unset = delta.get("unset")
    removed = dict.fromkeys(sorted(map(str, unset)), True) if isinstance(unset, list) else {}
    return {"set": delta.get("set") or {}, "unset": removed}


def _move(end: AttemptEnd) -> Payload:
    """Where it went and why; which event wrote what it looked at is of each run its own."""
    move = end.move or {}
    because = move.get("because")
    looked_at = [
        (item.get("read"), item.get("name"))
        for item in (because if isinstance(because, list) else ())
        if isinstance(item, dict)
    ]
    words = [str(name) if read == name else f"{read} {name}" for read, name in looked_at]
    reason = move.get("reason") or ""
    # The sentence that is made of all this says no more, and names a call twice that was made
    # again after a crash.
    is_own = reason != "after " + ", ".join(words)
    return {
        "next_state": end.payload.get("next_state"),
        "reason": reason if is_own else "",
        "looked_at": sorted(set(words)),
    }
