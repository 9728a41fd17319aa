"""What environment and libraries fill in for a model call: a change there is a note.

Provider, host, model, limits and the text of a schema are recorded in `effective`. They are not
what the handler asked for, so a change is no difference; who upgrades a model wants to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from replayt_core._journal import RecordedCall
from replayt_core.errors import ReplaytError
from replayt_core.ports.llm import DescribesRequests

_MOST = 20
_SCHEMA = "schema_sha256"
_TEXT_OF_SCHEMA = "schema"
_TIMEOUT = "timeout_seconds"
_PROVIDER = "provider"

Describe = Callable[[DescribesRequests | None], Mapping[str, JsonValue]]


class RequestNotes:
    """Compares `effective` of served calls with what would be sent now, and counts changes.

    `client` says what would be sent; without one only schemas can be compared.
    """

    def __init__(self, client: DescribesRequests | None = None) -> None:
        self._client = client
        self._found: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._problem: str | None = None

    def look(self, recorded: RecordedCall, describe: Describe) -> None:
        """Compare one call. `describe` says what would be sent by a client, or by none."""
        then = recorded.request.get("effective")
        if not isinstance(then, dict):
            return
        now = self._described(describe)
        for name in self._compared(then, now):
            old, new = _shown(then, name), _shown(now, name)
            if old == new or (name == _TIMEOUT and _was_shortened(then, now)):
                continue
            count, first = self._found.get((name, old, new), (0, recorded.seq))
            if count or len(self._found) < _MOST:
                self._found[name, old, new] = count + 1, first

    def __iter__(self) -> Iterator[str]:
        """The changes in words, each with how many calls it concerns."""
        if self._problem is not None:
            yield f"what a model call would use now cannot be said: {self._problem}"
        for (name, old, new), (count, first) in self._found.items():
            calls = f"{count} calls, the first at" if count > 1 else "the call at"
            if name == _SCHEMA:
                yield f"the JSON schema of a reply has changed since the run ({calls} seq {first})"
            else:
                yield f"{name} of a model call: recorded {old}, now {new} ({calls} seq {first})"

    def _described(self, describe: Describe) -> Mapping[str, JsonValue]:
        try:
            return describe(self._client)
        except ReplaytError as error:
            self._problem, self._client = str(error), None
            return describe(None)

    def _compared(self, then: Mapping[str, Any], now: Mapping[str, JsonValue]) -> Iterable[str]:
        """What both sides can speak of."""
        if self._client is None:
            return [_SCHEMA] if _SCHEMA in then else []
        if _PROVIDER in then:
            return [name for name in {**then, **now} if name != _TEXT_OF_SCHEMA]
        # The client of that time described nothing; its handler may have asked for something.
        return [name for name in now if name in then]


def _was_shortened(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """A call that had less time left than its client allows says nothing of the client."""
    old, new = then.get(_TIMEOUT), now.get(_TIMEOUT)
    return isinstance(old, int | float) and (not isinstance(new, int | float) or old < new)


def _shown(settings: Mapping[str, Any], name: str) -> str:
    if name not in settings:
        return "nothing"
    text = to_json(settings[name]).decode()
    return text if len(text) <= 200 else text[:200] + "…"
