"""Comparing model calls of two runs: what was asked, with which settings, what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pydantic import JsonValue

from replayt_core._diff_findings import Findings
from replayt_core._diff_reading import Item
from replayt_core._diff_values import (
    Change,
    Side,
    error_field,
    mapping,
    only,
    part_of,
    value_changes,
)
from replayt_core.events import Payload

_TIMED = "timeout_seconds"
"""Of the effective settings: what was left of the step's time, so chance."""
_SIZES = ("role", "bytes", "sha256", "preview")


def model_call(item: Item) -> str:
    """What a model call is called: the schema that it asks for."""
    return item.name or "text"


def model_call_of_one(findings: Findings, side: Side, item: Item) -> None:
    """A model call that one run alone made."""
    what = model_call(item)
    if item.payload:
        messages: list[JsonValue] = [_shown(message) for message in _messages(item.payload) or ()]
        findings.alone(side, "prompts", what, item.seq, [only(side, messages, "messages")])
    if item.output is not None:
        data = [only(side, _output(item.output))]
        findings.alone(side, "outputs", what, item.output_seq, data)
    elif item.end is not None:
        reply = [only(side, _reply_of(item.end))]
        findings.alone(side, "replies", what, item.end_seq, reply)


def compare_model_calls(findings: Findings, a: Item, b: Item) -> None:
    """Two model calls that belong together."""
    what = model_call(a)
    if a.payload and b.payload:
        _compare_prompts(findings, what, a, b)
        settings_a = _settings(a.payload, b.payload)
        settings_b = _settings(b.payload, a.payload)
        findings.look("settings", what, a.seq, b.seq, value_changes(settings_a, settings_b))
    if a.end is not None and b.end is not None:
        _compare_replies(findings, what, a, b)
    if a.output is not None and b.output is not None:
        changes = list(value_changes(_output(a.output), _output(b.output)))
        if a.output.get("schema_name") != b.output.get("schema_name"):
            names = (a.output.get("schema_name"), b.output.get("schema_name"))
            changes.insert(0, Change(path="schema_name", a=names[0], b=names[1]))
        findings.look("outputs", what, a.output_seq, b.output_seq, changes)
        return
    sides: tuple[tuple[Side, Item, Item], ...] = (("a", a, b), ("b", b, a))
    for side, item, other in sides:
        if item.output is not None:
            data = [only(side, _output(item.output), "output")]
            findings.look("outputs", what, a.output_seq, b.output_seq, data)
        elif item.end is not None and other.end is None:
            reply = [only(side, _reply_of(item.end), "reply")]
            findings.look("replies", what, a.end_seq, b.end_seq, reply)


def _compare_prompts(findings: Findings, what: str, a: Item, b: Item) -> None:
    changes: list[Change] = []
    if a.name != b.name:
        changes.append(Change(path="schema_name", a=a.name, b=b.name))
    messages_a, messages_b = _messages(a.payload), _messages(b.payload)
    if messages_a is None or messages_b is None:
        counts = _message_count(a.payload), _message_count(b.payload)
        if None not in counts and counts[0] != counts[1]:
            changes.append(Change(path="message_count", a=counts[0], b=counts[1]))
        else:
            why = _says_nothing(messages_a, messages_b, "prompts")
            findings.leave("prompts", what, why, a.seq, b.seq)
            if not changes:
                return
    else:
        for index, (left, right) in enumerate(zip_longest(messages_a, messages_b)):
            changes += _message_changes(left, right, f"messages[{index}]")
    repair_a, repair_b = mapping(a.payload.get("repair")), mapping(b.payload.get("repair"))
    changes += value_changes(repair_a.get("number"), repair_b.get("number"), "repair.number")
    added_a, added_b = mapping(repair_a.get("added")), mapping(repair_b.get("added"))
    if added_a and added_b:
        changes += _message_changes(added_a, added_b, "repair.added")
    findings.look("prompts", what, a.seq, b.seq, changes)


def _message_changes(a: Payload | None, b: Payload | None, path: str) -> Iterator[Change]:
    """The texts field by field where both logs hold them, else sizes and hashes."""
    if a is None or b is None:
        yield only("b", _shown(b), path) if a is None else only("a", _shown(a), path)
        return
    if a.get("role") != b.get("role"):
        yield Change(path=f"{path}.role", a=a.get("role"), b=b.get("role"))
    if a.get("sha256") == b.get("sha256"):
        return
    found: list[Change] = []
    for name in ("content", "fields"):
        if name in a and name in b:
            found += value_changes(a[name], b[name], f"{path}.{name}")
    if not found and isinstance(a.get("parts"), list) and isinstance(b.get("parts"), list):
        found += value_changes(a["parts"], b["parts"], f"{path}.parts")
    yield from found or [Change(path=path, a=part_of(a, _SIZES), b=part_of(b, _SIZES))]


def _settings(payload: Payload, other: Payload) -> Payload:
    """What the handler asked for and what was used; schemas by their hash unless both have them."""
    effective = dict(mapping(payload.get("effective")))
    effective.pop(_TIMED, None)
    theirs = mapping(other.get("effective"))
    same = effective.get("schema_sha256") == theirs.get("schema_sha256")
    if same or "schema" not in theirs:
        effective.pop("schema", None)
    elif "schema" in effective:
        effective.pop("schema_sha256", None)
    return {**effective, **mapping(payload.get("overrides"))}


def _compare_replies(findings: Findings, what: str, a: Item, b: Item) -> None:
    end_a, end_b, seqs = a.end or {}, b.end or {}, (a.end_seq, b.end_seq)
    model_a, model_b = end_a.get("model"), end_b.get("model")
    if model_a is not None and model_b is not None:
        changes = value_changes(model_a, model_b, "reply_model")
        findings.look("settings", what, *seqs, changes)
    error_a, error_b = error_field(end_a), error_field(end_b)
    if error_a or error_b:
        findings.look("replies", what, *seqs, value_changes(error_a, error_b))
        return
    reason_a, reason_b = end_a.get("finish_reason"), end_b.get("finish_reason")
    found = list(value_changes(reason_a, reason_b, "finish_reason"))
    is_compared = bool(found)
    if a.name is None and b.name is None:
        reply_a, reply_b = mapping(end_a.get("reply")), mapping(end_b.get("reply"))
        if _is_kept(reply_a) and _is_kept(reply_b):
            found += _text_changes(reply_a, reply_b)
            is_compared = True
        else:
            why = _says_nothing(reply_a or None, reply_b or None, "text replies")
            findings.leave("replies", what, why, *seqs)
    if is_compared:
        findings.look("replies", what, *seqs, found)


def _text_changes(a: Payload, b: Payload) -> Iterator[Change]:
    if "content" in a and "content" in b:
        yield from value_changes(a["content"], b["content"], "text")
    elif a["sha256"] != b["sha256"]:
        yield Change(path="text", a=part_of(a, _SIZES), b=part_of(b, _SIZES))


def _is_kept(reply: Payload) -> bool:
    return "sha256" in reply


def _output(payload: Payload) -> Any:
    if "data" in payload:
        return payload["data"]
    return {"failed": part_of(payload, ("stage", "fields", "message"))}


def _reply_of(end: Payload) -> Payload:
    return error_field(end) or {"text": _shown(mapping(end.get("reply")))}


def _messages(payload: Payload) -> list[Payload] | None:
    """What the log keeps of the messages; None where that tells none from another."""
    messages = payload.get("messages")
    if not isinstance(messages, list):
        return None
    return messages if all("sha256" in mapping(message) for message in messages) else None


def _message_count(payload: Payload) -> Any:
    messages = payload.get("messages")
    return len(messages) if isinstance(messages, list) else payload.get("message_count")


def _shown(kept: Payload | None) -> Payload:
    """What a log keeps of a message or a reply: its text, or else what tells it from another."""
    if kept is None:
        return {}
    return part_of(kept, ("role", "content", "fields") if "content" in kept else _SIZES)


def _says_nothing(a: object, b: object, of: str) -> str:
    if a is None and b is None:
        return f"neither log keeps hashes of {of}"
    return f"the log of {'A' if a is None else 'B'} keeps no hashes of {of}"
