"""Comparing what attempts of two runs did: model calls, tool calls, notes, approvals."""

from __future__ import annotations

from collections.abc import Iterator

from replayt_core._diff_findings import Findings
from replayt_core._diff_model_calls import compare_model_calls, model_call, model_call_of_one
from replayt_core._diff_reading import Item
from replayt_core._diff_values import Change, Side, error_field, only, part_of, value_changes
from replayt_core.events import Payload

_REQUEST = ("summary", "details", "on_approve", "on_reject")


def label(item: Item) -> str:
    """What an item is called."""
    return model_call(item) if item.kind == "llm" else f"{item.kind} {item.name}"


def compare_items(findings: Findings, a: Item, b: Item) -> None:
    """Two items of the same kind that belong together."""
    if a.kind == "llm":
        compare_model_calls(findings, a, b)
    elif a.kind == "tool":
        _compare_tools(findings, a, b)
    elif a.kind == "note":
        changes = _changes_in(("kind", "summary", "data"), a.payload, b.payload)
        findings.look("notes", label(a), a.seq, b.seq, changes)
    else:
        _compare_approvals(findings, a, b)


def item_of_one(findings: Findings, side: Side, item: Item) -> None:
    """An item that one run alone has."""
    what = label(item)
    if item.kind == "tool":
        asked = {"arguments": item.payload.get("arguments"), **_result(item.end)}
        changes = [only(side, value, name) for name, value in asked.items()]
        findings.alone(side, "tool_calls", what, item.seq, changes)
    elif item.kind == "note":
        noted = part_of(item.payload, ("summary", "data"))
        findings.alone(side, "notes", what, item.seq, [only(side, noted)])
    elif item.kind == "approval":
        shown = part_of(item.payload, _REQUEST)
        answer = [only(side, item.end, "answer")] if item.end is not None else []
        findings.alone(side, "approvals", what, item.seq, [only(side, shown), *answer])
    else:
        model_call_of_one(findings, side, item)


def _compare_tools(findings: Findings, a: Item, b: Item) -> None:
    what = label(a)
    asked = _changes_in(("name", "arguments"), a.payload, b.payload)
    findings.look("tool_calls", what, a.seq, b.seq, asked)
    if a.end is not None and b.end is not None:
        results = value_changes(_result(a.end), _result(b.end))
        findings.look("tool_calls", what, a.end_seq, b.end_seq, results)
        return
    for side, item in _sides(a, b):
        if item.end is not None:
            result = [only(side, value, name) for name, value in _result(item.end).items()]
            findings.look("tool_calls", what, a.end_seq, b.end_seq, result)


def _result(end: Payload | None) -> Payload:
    if end is None:
        return {}
    return error_field(end) or {"result": end.get("result")}


def _compare_approvals(findings: Findings, a: Item, b: Item) -> None:
    what = label(a)
    asked = _changes_in(("approval_id", *_REQUEST), a.payload, b.payload)
    findings.look("approvals", what, a.seq, b.seq, asked)
    if a.end is not None and b.end is not None:
        answers = value_changes(a.end, b.end, "answer")
        findings.look("approvals", what, a.end_seq, b.end_seq, answers)
        return
    for side, item in _sides(a, b):
        if item.end is not None:
            answer = [only(side, item.end, "answer")]
            findings.look("approvals", what, a.end_seq, b.end_seq, answer)


def _sides(a: Item, b: Item) -> tuple[tuple[Side, Item], tuple[Side, Item]]:
    return ("a", a), ("b", b)


def _changes_in(names: tuple[str, ...], a: Payload, b: Payload) -> Iterator[Change]:
    return value_changes(part_of(a, names), part_of(b, names))
