"""Model and tool calls as rows: what was asked, what came back, what the log did not keep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from replayt_cli.render.report.rows import Block, Fact, Row, Source, took
from replayt_cli.render.report.scale import Interval
from replayt_cli.render.report.values import compact, items, json_text, mapping
from replayt_cli.render.text import bytes_of
from replayt_core import Event
from replayt_core.records import LLMCallRow, ToolCallRow

_FAMILY = {
    "llm_request": "model",
    "llm_retry": "model",
    "llm_response": "model",
    "structured_output": "model",
    "structured_output_failed": "model",
    "tool_call": "tool",
    "tool_result": "tool",
}
CALL_EVENTS = frozenset(_FAMILY)
_STARTS = {"llm_request", "tool_call"}
_NOTHING: tuple[Any, ...] = (None, "", [], {})
_SHOWN_SETTINGS = {"provider", "model", "host", "schema"}


def calls_of(attempt: Sequence[Event]) -> dict[int, list[Event]]:
    """The events of each call of an attempt, by the seq of its first.

    They carry the number of their call; in older logs, which give none, they follow each other.
    """
    calls: dict[int, list[Event]] = {}
    opened: dict[tuple[str, int | None], list[Event]] = {}
    for event in attempt:
        family = _FAMILY.get(event.type)
        if family is None:
            continue
        number = event.payload.get("call")
        key = (family, number if type(number) is int else None)
        if event.type in _STARTS or key not in opened:
            opened[key] = calls[event.seq] = []
        opened[key].append(event)
    return calls


def model_row(source: Source, row: LLMCallRow, parts: Sequence[Event]) -> Row:
    """A model call: settings, prompt, schema, reply, validated output, retries."""
    request = _payload(parts, "llm_request")
    response = _payload(parts, "llm_response")
    effective = {**mapping(response.get("effective")), **mapping(request.get("effective"))}
    start, end = source.moment(row.seq), source.moment(parts[-1].seq if parts else row.seq)
    wanted = row.schema_name
    verdict, tone = _verdict(row, parts)
    facts = [
        Fact("model", row.model or "not recorded"),
        *_fact("answered as", row.reply_model if row.reply_model != row.model else None),
        *_fact("provider", row.provider),
        *_fact("host", row.host),
        *_fact("latency", took(row.latency_ms / 1_000) if row.latency_ms is not None else None),
        *_fact("tokens", _tokens(row)),
        *_fact("finish reason", row.finish_reason),
        *_fact("request id", response.get("request_id")),
        *_settings(effective),
        *_fact("asked for by the step", request.get("overrides") or None),
        *_repair(request),
    ]
    return Row(
        seq=row.seq,
        kind="model",
        title=wanted or "text",
        hint=", ".join(filter(None, (row.model, _tokens(row)))),
        tone=tone,
        verdict=verdict,
        duration=took(row.latency_ms / 1_000 if row.latency_ms is not None else end - start),
        bars=source.bars("model", start, end, _waits(source, parts)),
        facts=tuple(facts),
        blocks=(
            *_retries(source, parts),
            *_messages(source, request),
            *_reply(source, response),
            *_outputs(source, parts),
            *_schema(source, row.seq, request, effective, wanted),
        ),
    )


def tool_row(source: Source, row: ToolCallRow, parts: Sequence[Event]) -> Row:
    """A tool call: its arguments, and its result or error."""
    result = _payload(parts, "tool_result")
    start, end = source.moment(row.seq), source.moment(parts[-1].seq if parts else row.seq)
    if row.ok is None:
        outcome = Block("result", absent="The log holds no result: what the call did is not known.")
        verdict, bad = "no result", True
    elif row.ok:
        outcome, verdict, bad = source.block("result", row.result), "", False
    else:
        outcome = source.block("error", error_text(result.get("error")))
        verdict, bad = "failed", True
    return Row(
        seq=row.seq,
        kind="tool",
        title=row.name or "a tool without a name",
        tone="bad" if bad else "",
        verdict=verdict,
        duration=took(row.elapsed_ms / 1_000 if row.elapsed_ms is not None else end - start),
        bars=(source.bar("tool", start, end),),
        blocks=(source.block("arguments", row.arguments), outcome),
    )


def _payload(parts: Sequence[Event], kind: str) -> dict[str, Any]:
    return next((mapping(event.payload) for event in parts if event.type == kind), {})


def _verdict(row: LLMCallRow, parts: Sequence[Event]) -> tuple[str, Any]:
    if row.ok is None:
        return "no answer", "bad"
    if not row.ok:
        return f"failed: {row.error_kind}" if row.error_kind else "failed", "bad"
    if any(event.type == "structured_output_failed" for event in parts):
        return "output does not fit", "bad"
    if row.retries:
        return f"{row.retries + 1} tries", "wait"
    return "", ""


def _tokens(row: LLMCallRow) -> str | None:
    if row.total_tokens is None and row.prompt_tokens is None and row.completion_tokens is None:
        return None
    total = row.total_tokens
    if total is None:
        total = (row.prompt_tokens or 0) + (row.completion_tokens or 0)
    if row.prompt_tokens is None and row.completion_tokens is None:
        return f"{total:,} tokens"
    return f"{row.prompt_tokens or 0:,} in, {row.completion_tokens or 0:,} out"


def _fact(label: str, value: Any) -> list[Fact]:
    if value in _NOTHING:
        return []
    return [Fact(label, value if isinstance(value, str) else compact(value))]


def _settings(effective: dict[str, Any]) -> list[Fact]:
    return [
        Fact(name.replace("_", " "), value if isinstance(value, str) else compact(value))
        for name, value in effective.items()
        if name not in _SHOWN_SETTINGS and value not in _NOTHING
    ]


def _repair(request: dict[str, Any]) -> list[Fact]:
    repair = mapping(request.get("repair"))
    if not repair:
        return []
    return [Fact("asks again", f"the reply to call {repair.get('of_call')} did not fit")]


def _waits(source: Source, parts: Sequence[Event]) -> list[Interval]:
    """When the call waited before it was tried again, at most until the next event."""
    waits = []
    for event, following in pairwise(parts):
        if event.type == "llm_retry":
            start = source.moment(event.seq)
            delay = seconds_of(event.payload.get("delay_seconds"))
            waits.append((start, min(start + delay, source.moment(following.seq))))
    return waits


def seconds_of(value: Any) -> float:
    """A delay as a log gives it; 0 where that is none."""
    return float(value) if isinstance(value, int | float) and 0 < value < 1e9 else 0.0


def _retries(source: Source, parts: Sequence[Event]) -> list[Block]:
    lines = []
    for event in parts:
        if event.type == "llm_retry":
            cause = event.payload.get("status") or event.payload.get("error") or "no answer"
            cause = cause if isinstance(cause, str) else compact(cause)
            wait = took(seconds_of(event.payload.get("delay_seconds")))
            lines.append(f"{cause}: tried again after {wait} (seq {event.seq})")
    return [source.block("retries", "\n".join(lines))] if lines else []


def _messages(source: Source, request: dict[str, Any]) -> list[Block]:
    if not request:
        return [Block("prompt", absent="The log holds no request of this call.")]
    messages = items(request.get("messages"))
    if not messages:
        count = request.get("message_count")
        said = f" It counts {compact(count)}." if count is not None else ""
        return [Block("prompt", absent=f"The log holds no messages of this call.{said}")]
    return [_message(source, mapping(message)) for message in messages]


def _message(source: Source, message: dict[str, Any]) -> Block:
    label = f"prompt: {_plain(message.get('role')) or 'no role'}"
    if "content" not in message:
        return Block(label, absent=_not_kept(source, message))
    block = source.block(label, message["content"], note=_size(message))
    if message.get("fields"):
        more = source.block("", {"content": message["content"], **mapping(message["fields"])})
        return Block(label, more.shown, block.note)
    return block


def _schema(
    source: Source,
    seq: int,
    request: dict[str, Any],
    effective: dict[str, Any],
    wanted: str | None,
) -> list[Block]:
    """The schema: whole where it is asked for first, a link to there later."""
    schema = request.get("schema") or effective.get("schema")
    if schema is not None:
        label = f"schema {wanted or ''}".strip()
        first = source.schemas.setdefault(json_text(schema), seq)
        if first != seq:
            return [Block(label, absent="The same as in", seq=first)]
        return [source.block(label, schema)]
    if wanted is None:
        return []
    return [Block(f"schema {wanted}", absent="The log keeps its name only.")]


def _reply(source: Source, response: dict[str, Any]) -> list[Block]:
    if response.get("error") is not None:
        return [source.block("error", error_text(response["error"]))]
    if not response:
        return [Block("reply", absent="The log holds no reply of this call.")]
    reply = mapping(response.get("reply"))
    if "content" in reply:
        return [source.block("reply", reply["content"], note=_size(reply))]
    if "preview" in reply:
        note = f"its beginning; log mode {source.log_mode or 'not recorded'} keeps no more"
        size = _size(reply)
        return [source.block("reply", reply["preview"], note=f"{note}; {size}" if size else note)]
    for key in ("content", "content_preview"):  # where replayt 0.1 to 0.4 wrote it
        if isinstance(response.get(key), str):
            return [source.block("reply", response[key])]
    return [Block("reply", absent=_not_kept(source, reply))]


def _outputs(source: Source, parts: Sequence[Event]) -> list[Block]:
    blocks = []
    for event in parts:
        payload = event.payload
        name = _plain(payload.get("schema_name"))
        if event.type == "structured_output":
            blocks.append(source.block(f"validated output {name}".strip(), payload.get("data")))
        elif event.type == "structured_output_failed":
            fields = ", ".join(_plain(field) for field in items(payload.get("fields")))
            text = _plain(payload.get("message"))
            told = f"{_plain(payload.get('stage'))}: {text}" if text else _plain(payload["stage"])
            blocks.append(
                source.block(
                    f"no valid {name or 'output'}", f"{told}\nfields: {fields}" if fields else told
                )
            )
    return blocks


def _not_kept(source: Source, info: dict[str, Any]) -> str:
    mode = f"log mode {source.log_mode}" if source.log_mode else "this log"
    size, sha256 = _size(info), info.get("sha256")
    said = [size] if size else []
    said += [f"SHA-256 {sha256}"] if isinstance(sha256, str) else []
    return f"Not kept ({mode})." + (f" {', '.join(said)}." if said else "")


def _size(info: dict[str, Any]) -> str:
    size = info.get("bytes")
    return bytes_of(size) if type(size) is int else ""


def error_text(error: Any) -> str:
    """An error as the log keeps it, in lines."""
    if not isinstance(error, dict):
        return _plain(error)
    lines = [f"{_plain(error.get('type'))}: {_plain(error.get('message'))}"]
    lines += [
        f"{name}: {_plain(value)}"
        for name, value in error.items()
        if name not in ("type", "message") and value is not None
    ]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)
