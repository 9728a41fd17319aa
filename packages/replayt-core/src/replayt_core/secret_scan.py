"""Finding keys, tokens and addresses in recorded events: where they are and what kind they are.

What live runs know as secret never reaches a log; this looks for everything else that somebody put
into inputs, prompts or results. It judges by shape, so it can miss a secret without one and can
take an innocent text for one; hashes, ids and numbers of replayt's own are none. Pure: it reads
events and tells places, never values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from replayt_core._secret_kinds import kinds_in
from replayt_core.events import Event

__all__ = ["SecretFinding", "find_secrets"]


@dataclass(frozen=True, kw_only=True)
class SecretFinding:
    """One place that looks like a secret. `path` is its JSONPath in the line of that seq."""

    seq: int
    path: str
    kind: str


def find_secrets(events: Iterable[Event]) -> Iterator[SecretFinding]:
    """What looks like a secret in the lines of events, in their order.

    Each kind is told once for each text. Where the name of a field looks like one, the path shows
    `[hidden]` in its place.
    """
    for event in events:
        for path, kind in _walk(from_json(event.line), "$", ""):
            yield SecretFinding(seq=event.seq, path=path, kind=kind)


def _walk(value: Any, path: str, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        for kind in kinds_in(value, name):
            yield path, kind
    elif isinstance(value, dict):
        for key, item in value.items():
            kinds = list(kinds_in(key, ""))
            inner = f"{path}[hidden]" if kinds else _step(path, key)
            for kind in kinds:
                yield inner, kind
            yield from _walk(item, inner, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]", name)


def _step(path: str, key: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        return f"{path}.{key}"
    quoted = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path}['{quoted}']"
