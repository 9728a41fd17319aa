"""One difference of two runs, as text: what and where, then its fields, A above B."""

from __future__ import annotations

import json
from collections import Counter

from pydantic import JsonValue

from replayt_cli.render.outcome import error_text
from replayt_cli.render.text import count_of, cut, echo, escape, hang, one_line, width, wrap
from replayt_core.diff import Change, Part, RunDiff, RunDifference

STYLES = {"a": "error", "b": "ok"}
_NAME_CHARS = 120

_TITLES: dict[Part, str] = {
    "prompts": "prompt of {}",
    "settings": "settings of {}",
    "replies": "reply to {}",
    "outputs": "output {}",
}
"""How a difference is called where what it names does not say it."""

_WHOLE = {"run": "end of the run", "attempt": "end of the attempt"}
_COUNTED: dict[Part, str] = {
    "prompts": "model call",
    "outputs": "output",
    "tool_calls": "tool call",
    "approvals": "approval",
    "notes": "note",
}
"""What is counted of a visit that one run alone made."""


def print_difference(found: RunDiff, item: RunDifference, fields: int, characters: int) -> None:
    """What differs and where, then so many of its fields, each value on so many characters."""
    columns = width()
    for line in wrap(_title(found, item), columns, indent="  "):
        echo(line)
    if item.part == "states":
        return
    for change in item.changes[:fields]:
        if change.path:
            echo(cut(f"    {one_line(change.path)}", columns))
        _print_change(change, item, characters)
    if len(item.changes) > fields:
        echo(f"    … and {count_of(len(item.changes) - fields, 'more field')}")


def _title(found: RunDiff, item: RunDifference) -> str:
    if item.part == "states" and item.visit is not None and item.only is not None:
        return _visit_title(found, item, item.visit)
    title = _WHOLE.get(item.what) if item.part in ("status", "retries") else None
    name = _name(title or _TITLES.get(item.part, "{}").format(item.what))
    text = name if item.state is None else f"{_name(item.state)}: {name}"
    if item.only is not None:
        text += f", only in {item.only.upper()}"
    seqs = [
        f"{side} seq {seq}"
        for side, seq in (("A", item.seq_a), ("B", item.seq_b))
        if seq is not None
    ]
    return f"{text}  ({', '.join(seqs)})" if seqs else text


def _visit_title(found: RunDiff, item: RunDifference, visit: int) -> str:
    pair = found.visits[visit]
    side = "A" if item.only == "a" else "B"
    ref = pair.a or pair.b
    did = Counter(
        _COUNTED[other.part]
        for other in found.differences
        if other.visit == visit and other.part in _COUNTED
    )
    text = f"only {side} enters {_name(pair.state)}"
    if ref is not None:
        text += f"  (visit {ref.visit}, {side} seq {ref.seq} to {ref.last_seq})"
    counts = ", ".join(count_of(number, noun) for noun, number in did.items())
    return f"{text}: {counts}" if counts else text


def _name(text: str) -> str:
    return cut(one_line(text), _NAME_CHARS)


def _print_change(change: Change, item: RunDifference, characters: int) -> None:
    """A above B; of long texts the part around the first place where they differ."""
    text_a, text_b = _text(change.a, item.part), _text(change.b, item.part)
    if change.only is None:
        text_a, text_b = _excerpts(text_a, text_b, characters)
    for side, text in (("a", text_a), ("b", text_b)):
        label = f"      {side.upper()}  "
        if change.only in (None, side):
            hang(label, cut(escape(text), characters), style=STYLES[side])
        elif item.only is None:
            hang(label, "(none)", style=STYLES[side])


def _text(value: JsonValue, part: Part) -> str:
    """As JSON, so that 1 and "1", and every kind of space, can be told apart."""
    if isinstance(value, dict):
        if part in ("prompts", "replies") and "sha256" in value:
            return _measured(value)
        if part in ("status", "retries") and "ends" in value:
            return _ended(value)
    return json.dumps(value, ensure_ascii=False)


def _measured(kept: dict[str, JsonValue]) -> str:
    """A text that the log mode did not keep."""
    role = f"{kept['role']}, " if "role" in kept else ""
    text = f"{role}{kept.get('bytes')} bytes, sha256 {str(kept['sha256'])[:12]}"
    return (
        f"{text}: {json.dumps(kept['preview'], ensure_ascii=False)}" if "preview" in kept else text
    )


def _ended(end: dict[str, JsonValue]) -> str:
    """How an attempt ended."""
    kind, error = end["ends"], end.get("error")
    if kind == "exits":
        target = end.get("next_state")
        return "ends the run" if target is None else f"goes to {target}"
    if kind == "pauses":
        return f"pauses: {end.get('reason')}"
    if kind == "cut":
        return "is cut short, to be begun again"
    raised = error_text(error) if isinstance(error, dict) else "no error is recorded"
    return f"fails, to be tried again: {raised}" if kind == "retries" else f"fails: {raised}"


def _excerpts(a: str, b: str, characters: int) -> tuple[str, str]:
    """Both texts from a little before the first place where they differ, if they are long."""
    if max(len(a), len(b)) <= characters:
        return a, b
    shared = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max((shared or min(len(a), len(b))) - characters // 4, 0)
    return (f"…{a[start:]}", f"…{b[start:]}") if start else (a, b)
