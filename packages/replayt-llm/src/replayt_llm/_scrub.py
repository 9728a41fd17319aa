"""Makes text from outside fit for an error message: no secrets, no controls, not long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s\"'<>]*)")
# Providers echo keys they refuse, some of them partly masked.
_KEY_LIKE = re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|hf|key|tok|ghp|AIza)[-_]?[A-Za-z0-9*._-]{12,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=*-]{6,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")

_PLACEHOLDERS = frozenset(
    {"ollama", "dummy", "empty", "none", "not-needed", "no-key", "no-key-needed", "lm-studio"}
)
"""Keys that local servers are given for form's sake. Hiding them would hide plain words."""


def worth_hiding(values: Iterable[str | None]) -> list[str]:
    """The values that are secrets: shorter ones and placeholders would blacken plain words."""
    unique = dict.fromkeys(value for value in values if value)
    return [value for value in unique if len(value) >= 6 and value.lower() not in _PLACEHOLDERS]


def clean_url(match: re.Match[str]) -> str:
    """A URL found in text, without userinfo, query and fragment."""
    scheme, rest = match.groups()
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}{authority.rpartition('@')[2]}{slash}{path}"


def scrub(text: str, secrets: Iterable[str], *, limit: int = 200) -> str:
    """`text` on one line, without the secrets and without what URLs hide, cut at `limit`."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret, safe="")}:
            text = text.replace(form, "[hidden]")
    # Long texts are cut before the patterns run: their cost is that of what is shown.
    text = text[: limit * 8]
    text = _URL.sub(clean_url, text)
    text = _BEARER.sub(r"\1 [hidden]", text)
    text = _KEY_LIKE.sub("[hidden]", text)
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
