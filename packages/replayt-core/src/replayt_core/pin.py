"""Redacted copies of runs: what a test suite may keep where the original may not leave.

A copy keeps seqs, batches and times, holds of the model traffic what log mode `structured_only`
keeps, and has a hash chain of its own. Its first event names the original by its head hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from replayt_core.chain import ChainReader, decode, first_prev, line_hash, seal, starts_chain
from replayt_core.errors import RefusedError, RunNotFoundError
from replayt_core.events import Draft, Event, Payload
from replayt_core.redaction import LogMode

__all__ = ["redacted_copy"]

_MESSAGE = ("role", "bytes", "sha256", "parts")
_REPLY = ("bytes", "sha256")
_PYDANTIC = re.compile(r"\d+ validation errors? for [^\n]*(?=\n)")


def redacted_copy(events: Iterable[Event]) -> list[Event]:
    """The events of one run, reduced to what log mode `structured_only` keeps and sealed anew.

    No prompts, no replies, no input values in Pydantic's errors. Validated outputs, tool calls,
    notes and the context stay, since a replay needs them. A last batch that is cut short is left
    out. Raises `RunNotFoundError` when there are no events, `DamagedLogError` when they do not
    follow each other, and `RefusedError` for a log of replayt 0.1 to 0.4, which has no chain.
    """
    batches = _whole_batches(events)
    if not batches:
        raise RunNotFoundError("there are no events to copy")
    first, last = batches[0][0], batches[-1][-1]
    if first.type != "run_started" or not starts_chain(first):
        raise RefusedError(
            f"run {first.run_id} was written by replayt 0.1 to 0.4, without a chain: it cannot be "
            "executed again, so a redacted copy would show nothing"
        )
    reducer = _Reducer(line_hash(last.line))
    copy: list[Event] = []
    head = first_prev(first.run_id)
    for batch in batches:
        sealed = seal(
            first.run_id,
            [Draft(_escaped(event.type), reducer.reduced(event)) for event in batch],
            after=batch[0].seq - 1,
            head=head,
            ts=_escaped(batch[0].ts),
        )
        head = line_hash(sealed[-1].line)
        copy += [decode(event.line) for event in sealed]
    return copy


class _Reducer:
    """Reduces payloads in the order of the log.

    In mode `full` the texts of Pydantic's errors quote the reply. They are reduced where they
    stand, and wherever a handler took them further: what it is served is what the copy says.
    """

    def __init__(self, original_head: str) -> None:
        self._original_head = original_head
        self._swaps: dict[str, str] = {}

    def reduced(self, event: Event) -> Payload:
        """The payload as the copy holds it."""
        payload = dict(event.payload)
        if event.type == "run_started":
            payload["log_mode"] = LogMode.structured_only.value
            # A copy of a copy still names the original.
            payload.setdefault("pinned_from", {"head": self._original_head})
        elif event.type in ("llm_request", "llm_response"):
            _reduce_traffic(payload)
        elif event.type == "structured_output_failed":
            self._learn_failure(payload)
        self._learn_error(payload.get("error"))
        return {key: self._swapped(value) for key, value in payload.items()}

    def _learn_failure(self, payload: Payload) -> None:
        message, fields = payload.get("message"), payload.get("fields")
        if isinstance(message, str) and isinstance(fields, list) and _PYDANTIC.match(message):
            named = "; ".join(str(field) for field in fields)
            self._swaps[message] = f"{payload.get('schema_name')}: {named}"

    def _learn_error(self, error: Any) -> None:
        message = error.get("message") if isinstance(error, dict) else None
        if not isinstance(message, str) or message in self._swaps:
            return
        found = _PYDANTIC.match(message)
        if found:
            self._swaps[message] = f"{found[0]} (its input values are not kept in this copy)"

    def _swapped(self, value: Any) -> Any:
        if not self._swaps:
            return value
        if isinstance(value, str):
            for text, instead in self._swaps.items():
                value = value.replace(text, instead)
            return value
        if isinstance(value, dict):
            return {key: self._swapped(item) for key, item in value.items()}
        return [self._swapped(item) for item in value] if isinstance(value, list) else value


def _reduce_traffic(payload: Payload) -> None:
    """Leave of a request or a response what every log mode keeps."""
    payload.pop("schema", None)
    effective = payload.get("effective")
    if isinstance(effective, dict):
        payload["effective"] = {key: effective[key] for key in effective if key != "schema"}
    if "messages" in payload:
        messages = payload["messages"]
        listed = messages if isinstance(messages, list) else []
        payload["messages"] = [_only(message, _MESSAGE) for message in listed]
    repair = payload.get("repair")
    if isinstance(repair, dict):
        payload["repair"] = {**repair, "added": _only(repair.get("added"), _MESSAGE)}
    if "reply" in payload:
        payload["reply"] = _only(payload["reply"], _REPLY)


def _only(value: Any, names: Sequence[str]) -> Payload:
    return {name: value[name] for name in names if name in value} if isinstance(value, dict) else {}


def _whole_batches(events: Iterable[Event]) -> list[list[Event]]:
    batches: list[list[Event]] = []
    reader: ChainReader | None = None
    for event in events:
        reader = reader or ChainReader(event.run_id)
        batch = reader.feed(event.line)
        if batch:
            batches.append(batch)
    return batches


def _escaped(text: str) -> str:
    """The text as it stands between the quotes of JSON: a bridge may have written anything."""
    return to_json(text)[1:-1].decode()
