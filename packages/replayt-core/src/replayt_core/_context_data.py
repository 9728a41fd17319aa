"""The context of one attempt: values that are JSON, and what the attempt did to them.

`get` gives the run's own object, and changing it in place is a write. So every key that was
touched is encoded again at the boundary and compared with its committed bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replayt_core._values import decode_value, encode_value, to_json_value
from replayt_core.errors import NotJSONError
from replayt_core.events import Payload

_FIXED = (str, int, float, bool, type(None))
_ABSENT = object()


class ContextData:
    """A lazy working copy of the committed context."""

    def __init__(self, committed: Mapping[str, Any]) -> None:
        self._committed = committed
        self._live: dict[str, Any] = {}
        self._touched: set[str] = set()
        self._whole = False

    @property
    def committed(self) -> Mapping[str, Any]:
        """The context that the attempt was entered with."""
        return self._committed

    def get(self, key: str, default: Any = None) -> Any:
        """The run's own object under `key`."""
        if key not in self._touched and not self._whole:
            self._load(key)
        return self._live.get(key, default)

    def set(self, key: str, value: Any) -> bytes:
        """Keep a JSON copy of `value`; its bytes. Raises `NotJSONError`."""
        if not isinstance(key, str):
            raise NotJSONError("context", f"the key {key!r:.80} is not text")
        to_json_value(key, "context key")
        encoded = encode_value(value, key)
        self._touched.add(key)
        self._live[key] = decode_value(encoded)
        return encoded

    def is_own(self, key: str) -> bool:
        """Whether the attempt itself brought `key` into its copy, or changed all of it."""
        return key in self._touched

    def whole(self) -> dict[str, Any]:
        """The whole context as the plain dict that `get` and `set` work on."""
        for key in self._committed:
            if key not in self._touched:
                self._load(key)
        self._whole = True
        return self._live

    def delta(self) -> tuple[Payload, NotJSONError | None]:
        """What the attempt changed, and the first value found that is no JSON (left out)."""
        changed: dict[str, Any] = {}
        unset: list[str] = []
        bad: NotJSONError | None = None
        committed = self._committed
        for key in list(self._live):
            value = self._live[key]
            before = committed.get(key, _ABSENT)
            if type(value) in _FIXED and value is before:
                continue
            try:
                if not isinstance(key, str):
                    raise NotJSONError("context", f"the key {key!r:.80} is not text")
                encoded = encode_value(value, key)
            except NotJSONError as error:
                bad = bad or error
                continue
            if before is _ABSENT or encoded != encode_value(before):
                changed[key] = decode_value(encoded)
        for key in self._touched:
            if key in committed and key not in self._live:
                unset.append(key)
        return {"set": changed, "unset": sorted(unset)}, bad

    def _load(self, key: str) -> None:
        self._touched.add(key)
        if key in self._committed:
            value = self._committed[key]
            self._live[key] = (
                value if type(value) in _FIXED else decode_value(encode_value(value, key))
            )
