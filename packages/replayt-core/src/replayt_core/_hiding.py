"""Named fields that no log holds: their values live in this process, their hashes in the log.

Where an event is written, the value of a hidden field becomes `{"$redacted": <sha256>}`. Where a
handler gets something that was logged, the value takes its place again: from what this process
has hidden itself, or from what somebody handed in, which has to have that hash. So the state is
the fold of the log as ever, and only the two edges know of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from pydantic_core import from_json, to_json

from replayt_core.errors import DefinitionError, RedactedValueError
from replayt_core.events import Payload

MARK = "$redacted"
_DATA = ("inputs", "context", "arguments", "result", "data", "details", "value")
"""The fields of payloads that hold what users call by names of their own."""
_DELTA = frozenset({"set", "unset", MARK})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COVERED_CHARS = 6
"""Shorter texts stay in messages: they are found in words, too."""
COVERED = "[redacted]"


class Hiding:
    """The names that are hidden in a run, and the values that this process knows."""

    def __init__(
        self, names: Iterable[str] = (), supplied: Mapping[str, Any] | None = None
    ) -> None:
        self.names: frozenset[str] = frozenset()
        self._supplied = dict(supplied or {})
        self._vault: dict[str, bytes] = {}
        self._texts: dict[str, None] = {}
        self._foreign: set[str] = set()
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Hide these too; what was handed in under such a name is known from now on."""
        added = frozenset(names) - self.names
        if added:
            self.names |= added
            self._hidden(self._supplied)

    def trust(self, logged: Any) -> None:
        """Leave the marks that stand in another log's values as they are."""
        for value in _values_under(self.names, logged):
            if _is_mark(value):
                self._foreign.add(value[MARK])

    def learn(self, value: Any) -> None:
        """Know the hidden fields of a value that is on its way to the log."""
        self._hidden(value)

    def hide(self, payload: Payload) -> Payload:
        """The payload as the log may hold it."""
        if not self.names:
            return payload
        shown = {
            name: self._hidden(value) if name in _DATA else value for name, value in payload.items()
        }
        error = payload.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            shown["error"] = {**error, "message": self.cover(error["message"])}
        overrides = payload.get("overrides")
        answers = overrides.get("calls") if isinstance(overrides, dict) else None
        if isinstance(overrides, dict) and isinstance(answers, dict):
            hidden = {seq: self.hide(answer) for seq, answer in answers.items()}
            shown["overrides"] = {**overrides, "calls": hidden}
        return shown

    def reveal(self, value: Any) -> Any:
        """What was logged, with the values in their places.

        Raises `RedactedValueError` naming the fields whose values nobody has handed in.
        """
        if not self.names:
            return value
        missing: dict[str, None] = {}
        shown = self._shown(value, missing)
        if missing:
            raise RedactedValueError(tuple(missing), wrong=self._handed_in(missing))
        return shown

    def reveal_known(self, value: Any) -> Any:
        """The same, where what is not known stays as the log has it."""
        return self._shown(value, {}) if self.names else value

    def cover(self, text: str) -> str:
        """A text of an error without the hidden texts that this process knows."""
        for hidden in sorted(self._texts, key=len, reverse=True):  # one may hold another
            if hidden in text:
                text = text.replace(hidden, COVERED)
        return text

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: self._mark(item) if name in self.names else self._hidden(item)
                for name, item in value.items()
            }
        return [self._hidden(item) for item in value] if isinstance(value, list) else value

    def _mark(self, value: Any) -> dict[str, str]:
        if _is_mark(value) and (value[MARK] in self._vault or value[MARK] in self._foreign):
            return {MARK: value[MARK]}
        # What only looks like a mark is a value as any other.
        encoded = to_json(_sorted(value))
        digest = hashlib.sha256(encoded).hexdigest()
        self._vault.setdefault(digest, to_json(value))
        self._texts.update(dict.fromkeys(_texts_of(value)))
        return {MARK: digest}

    def _shown(self, value: Any, missing: dict[str, None]) -> Any:
        if isinstance(value, dict):
            return {
                name: self._unmarked(name, item, missing)
                if name in self.names and _is_mark(item)
                else self._shown(item, missing)
                for name, item in value.items()
            }
        return [self._shown(item, missing) for item in value] if isinstance(value, list) else value

    def _unmarked(self, name: str, mark: dict[str, str], missing: dict[str, None]) -> Any:
        known = self._vault.get(mark[MARK])
        if known is not None:
            return from_json(known)
        missing[name] = None
        return mark

    def _handed_in(self, names: Iterable[str]) -> tuple[str, ...]:
        """Which of these names somebody handed in a value for: the wrong one."""
        return tuple(
            name for name in names if any(True for _ in _values_under({name}, self._supplied))
        )


def check_redact_keys(keys: object) -> tuple[str, ...]:
    """The names as given. Raises `DefinitionError` for what cannot be hidden."""
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise DefinitionError("redact_keys: a list of names of fields")
    names = tuple(keys)
    for name in names:
        if not isinstance(name, str) or not name or name in _DELTA:
            raise DefinitionError(f"redact_keys: {name!r:.60} is no name that can be hidden")
    return names


def _is_mark(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    digest = value.get(MARK)
    return isinstance(digest, str) and _SHA256.fullmatch(digest) is not None


def _texts_of(value: Any) -> Iterator[str]:
    """The texts in a hidden value that may turn up in a message, long enough to be told apart."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value)
        if len(text) >= _COVERED_CHARS:
            yield text
            yield repr(text)[1:-1]  # as it stands in the message of a `KeyError`


def _values_under(names: Set[str], value: Any) -> Iterator[Any]:
    """What stands under one of these names, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in names:
                yield item
            yield from _values_under(names, item)
    elif isinstance(value, list):
        for item in value:
            yield from _values_under(names, item)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
