"""Who is asking: tokens, signed sessions, and tokens against forged forms.

Why it exists: whoever answers an approval is written into the log, so the name has to come from a
credential and never from a form. There is no user database: each person has a token, and the file
that the page is started with holds names and SHA-256 of tokens. A session is a signed cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

LIFETIME_SECONDS = 8 * 3600


def new_token() -> tuple[str, str]:
    """A token for a person, and the SHA-256 to keep of it."""
    token = secrets.token_urlsafe(24)
    return token, hashlib.sha256(token.encode()).hexdigest()


def load_people(path: Path) -> dict[str, str]:
    """Names and SHA-256 of tokens, from a JSON object in a file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f'{path}: expected {{"name": "sha256 of the token", ...}}')
    return found


class Sessions:
    """Signs people in and recognises them. Its key lives as long as the process."""

    def __init__(self, people: Mapping[str, str], *, now: Callable[[], float] = time.time) -> None:
        self._people = dict(people)
        self._now = now
        self._key = secrets.token_bytes(32)

    def sign_in(self, token: str) -> str | None:
        """The session of whoever has this token; None when nobody has."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        # All of them are compared, so that the time taken does not tell which one was close.
        names = [
            name
            for name, kept in self._people.items()
            if hmac.compare_digest(kept.lower().encode(), digest.encode())
        ]
        if not names:
            return None
        expires = int(self._now()) + LIFETIME_SECONDS
        body = f"{names[0].encode().hex()}.{expires}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign('session', body)}"

    def name_of(self, session: str) -> str | None:
        """Who the session belongs to; None when it is forged, expired, or of someone removed."""
        body, _, signature = session.rpartition(".")
        if not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign("session", body).encode()
        ):
            return None
        name, expires, _ = body.split(".")
        person = bytes.fromhex(name).decode()
        return person if person in self._people and self._now() < int(expires) else None

    def form_token(self, session: str) -> str:
        """What a form of this session carries, so that no other site can send one in its name."""
        return self._sign("form", session)

    def is_form_token(self, session: str, token: str) -> bool:
        """Whether a form came from a page that this session was shown."""
        wanted = self.form_token(session)
        return hmac.compare_digest(token.encode("utf-8", "replace"), wanted.encode())

    def _sign(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
