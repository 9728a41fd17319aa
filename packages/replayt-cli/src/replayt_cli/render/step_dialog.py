"""What `replay --step` shows, as lines: a point of the run, its context, an event as kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from replayt_cli.render.json import inline
from replayt_cli.render.text import count_of, cut, escape, one_line, paint, wrap
from replayt_cli.render.timeline import offset
from replayt_cli.show.walk import Change, Point

_DETAIL_LINES = 3

HELP = """\
n, Enter     the next event            p, b       the one before
f            the first event           l          the last event
12, g 12     the event with seq 12     g STATE    the next entry of that state
                                       g STATE:2  its second visit
c            the whole context here    w          what this event changed of it
d            all that is kept of the event: prompt, reply, arguments
?            this help                 q, Ctrl-D  quit"""


def point_lines(point: Point, columns: int | None, rows: int) -> list[str]:
    """The event in words with its details in short, on no more than `rows` lines."""
    entry = point.entry
    here = f"in {one_line(point.state)}" if point.state is not None else "in no state yet"
    counts = [
        f"{name} {number}"
        for name, number in (("visit", point.visit), ("attempt", point.attempt))
        if number > 1
    ]
    counted = f" ({', '.join(counts)})" if counts else ""
    place = f"{point.place + 1} of {point.total}"
    head = f"{place}  {offset(entry.offset_seconds).strip()}  {escape(entry.kind)}  {here}{counted}"
    lines = [paint(cut(head, columns), "dim"), *wrap(one_line(entry.title), columns, indent="")]
    for label, value in entry.details.items():
        shown = wrap(f"{escape(label)}: {one_line(inline(value))}", columns, indent="  ")
        lines += shown[:_DETAIL_LINES]
        if len(shown) > _DETAIL_LINES:
            lines[-1] = cut(lines[-1] + " …", columns)
    if len(lines) > rows - 1:
        lines = [*lines[: max(rows - 2, 2)], "  … d shows all of it"]
    return [*lines, *_context_line(point, columns)]


def _context_line(point: Point, columns: int | None) -> list[str]:
    keys = f"  context: {count_of(len(point.context), 'key')}"
    changed = ", ".join(_sign(change) + one_line(change.key) for change in point.changes)
    return [cut(f"{keys}; changed here: {changed}" if changed else keys, columns)]


def context_lines(point: Point, columns: int | None) -> list[str]:
    """The whole context, with the keys marked that this event wrote."""
    if not point.context and not point.changes:
        return ["the context is empty"]
    signs = {change.key: _sign(change) for change in point.changes}
    lines: list[str] = []
    for key, value in point.context.items():
        lines += _member(key, value, columns, signs.get(key, " ") + " ")
    for change in point.changes:
        if not change.is_there:
            lines += wrap(f"{one_line(change.key)} (taken away)", columns, indent="- ")
    return lines


def change_lines(point: Point, columns: int | None) -> list[str]:
    """What this event changed: what was, and what is."""
    if not point.changes:
        return ["this event changed nothing of the context"]
    lines: list[str] = []
    for change in point.changes:
        if change.was_there:
            lines += _member(change.key, change.was, columns, "- ")
        if change.is_there:
            lines += _member(change.key, change.now, columns, "+ ")
    return lines


def event_lines(point: Point, columns: int | None) -> list[str]:
    """All of the event as it is kept, its texts with their own lines."""
    event = point.event
    lines = [cut(f"seq {event.seq}, {escape(event.ts)}, {escape(event.type)}", columns)]
    for key, value in event.payload.items():
        lines += _member(key, value, columns, "  ")
    return lines


def _sign(change: Change) -> str:
    if not change.is_there:
        return "-"
    return "~" if change.was_there else "+"


def _member(key: str, value: Any, columns: int | None, indent: str) -> Iterator[str]:
    """A key with its value: behind it where that is one line, else below it."""
    name = one_line(key)
    whole = _in_short(value)
    if whole is not None:
        yield from wrap(f"{name}: {whole}", columns, indent=indent)
        return
    yield from wrap(f"{name}:", columns, indent=indent)
    deeper = " " * len(indent) + "  "
    yield from _below(value, columns, deeper)


def _below(value: Any, columns: int | None, indent: str) -> Iterator[str]:
    if columns is not None and len(indent) > columns // 2:
        # So deep that no room is left: as JSON.
        yield from wrap(escape(json.dumps(value, ensure_ascii=False)), columns, indent=indent)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _member(key, item, columns, indent)
    elif isinstance(value, list):
        for item in value:
            whole = _in_short(item)
            if whole is not None:
                yield from wrap(whole, columns, indent=f"{indent}- ")
            else:
                first, *others = _below(item, columns, f"{indent}  ")
                yield f"{indent}- {first[len(indent) + 2 :]}"
                yield from others
    else:
        for line in str(value).split("\n"):
            yield from wrap(escape(line.removesuffix("\r")), columns, indent=f"{indent}| ")


def _in_short(value: Any) -> str | None:
    """A value that needs one line only; None for what is shown below its key."""
    if isinstance(value, str):
        if "\n" in value:
            return None
        return escape(json.dumps(value, ensure_ascii=False) if _is_misread(value) else value)
    if isinstance(value, dict | list) and value:
        return None
    return json.dumps(value)


def _is_misread(text: str) -> bool:
    """Whether a text without quotes would look like something else: a number, null, nothing."""
    if text.strip() != text or not text:
        return True
    try:
        meant = json.loads(text)
    except ValueError:
        return False
    # The JSON of an object stands below its key, never behind it, unless it is empty.
    return not (isinstance(meant, dict | list) and meant)
