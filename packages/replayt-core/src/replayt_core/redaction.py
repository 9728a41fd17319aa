"""What each log mode keeps of the model traffic, and the scrubber that every event passes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, cast

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from replayt_core._hiding import Hiding
from replayt_core.errors import DefinitionError
from replayt_core.events import Payload

PREVIEW_CHARS = 200
SCRUBBED = "[secret]"
_MIN_SECRET_CHARS = 8

_TOKENS = re.compile(
    r"""(?x)
      \b(?:sk|pk|rk|gsk|xai|hf)[-_][A-Za-z0-9_\-]{12,}    # provider keys by their usual prefix
    | \bAIza[A-Za-z0-9_\-]{20,}
    | \bgh[pousr]_[A-Za-z0-9]{20,}
    | \bxox[abprs]-[A-Za-z0-9\-]{10,}
    | \bAKIA[A-Z0-9]{12,}
    | (?<=[Bb]earer\s)[A-Za-z0-9._~+/\-]{8,}=*
    """
)
_URL_SECRETS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]{1,20}://)(?P<rest>[^\s'\"<>]+)", re.I)


class LogMode(str, Enum):
    """What a log keeps of model traffic; validated outputs and tool results are always kept."""

    redacted = "redacted"
    """No message bodies: roles, sizes, hashes, and a scrubbed preview of the reply."""
    full = "full"
    """Everything."""
    structured_only = "structured_only"
    """No reply text at all."""

    @classmethod
    def parse(cls, text: str | LogMode) -> LogMode:
        """The mode of that name; `structured-only` is taken too."""
        try:
            return cls(str(text.value if isinstance(text, LogMode) else text).replace("-", "_"))
        except ValueError:
            names = ", ".join(mode.value for mode in cls)
            raise DefinitionError(f"unknown log mode {text!r:.60}: use one of {names}") from None


def reply_info(text: str, mode: LogMode, scrubber: Scrubber) -> dict[str, JsonValue]:
    """What the log keeps of a reply."""
    data = text.encode()
    info: dict[str, JsonValue] = {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if mode is LogMode.full:
        info["content"] = text
    elif mode is LogMode.redacted and not scrubber.hiding.names:
        # Scrubbed before it is cut: half a key at the edge would match no pattern.
        info["preview"] = scrub_tokens(scrubber.text(text))[:PREVIEW_CHARS]
    return info


def scrub_tokens(text: str) -> str:
    """`text` without what looks like a key, and its URLs without user, password and query."""
    return _TOKENS.sub(SCRUBBED, _URL_SECRETS.sub(_bare_url, text))


def _bare_url(found: re.Match[str]) -> str:
    rest = found["rest"]
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    bare = authority + slash + path
    cut = min((at for at in (bare.find("?"), bare.find("#")) if at >= 0), default=-1)
    return found["scheme"] + (bare if cut < 0 else bare[:cut] + "?" + SCRUBBED)


class Scrubber:
    """Keeps live secrets and hidden fields out of events: the one way to every append."""

    def __init__(self, hiding: Hiding | None = None) -> None:
        self.hiding = Hiding() if hiding is None else hiding
        self._secrets: tuple[str, ...] = ()
        self._needles: tuple[bytes, ...] = ()

    def add(self, secrets: Iterable[str]) -> None:
        """Learn live secrets; anything under 8 characters is no secret worth the name."""
        new = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS}
        # Longest first, so that a secret inside another leaves no remainder.
        self._secrets = tuple(sorted(new | set(self._secrets), key=len, reverse=True))
        self._needles = tuple(to_json(secret)[1:-1] for secret in self._secrets)

    def holds_secret(self, encoded: bytes) -> bool:
        """Whether the texts in JSON bytes hold a live secret."""
        if not self._is_hit(encoded):
            return False
        value = from_json(encoded)
        return bool(self._clean(value) != value)

    def _is_hit(self, encoded: bytes) -> bool:
        """The cheap look at the bytes; it also hits numbers, and text across an escape."""
        return any(needle in encoded for needle in self._needles)

    def text(self, text: str) -> str:
        """`text` without live secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, SCRUBBED)
        return text

    def encode(self, payload: Payload) -> tuple[bytes, Payload]:
        """The payload's bytes without live secrets and hidden fields, and the payload they hold."""
        payload = self.hiding.hide(payload)
        body = to_json(payload, inf_nan_mode="null")
        if not self._needles or not self._is_hit(body):
            return body, payload
        clean = cast("dict[str, Any]", self._clean(from_json(body)))
        return to_json(clean), clean

    def _clean(self, value: object) -> object:
        """The value with its texts scrubbed: replaced after decoding, so that it stays JSON."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._clean(item) for key, item in value.items()}
        return [self._clean(item) for item in value] if isinstance(value, list) else value
