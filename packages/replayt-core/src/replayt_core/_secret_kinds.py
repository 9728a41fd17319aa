"""The kinds of secrets that a text may hold, each with the shape that it is known by.

A pattern alone takes slugs and code for keys, so most are judged a second time: a key was made by
chance, and does not fall into words. Every pattern reads a text in one pass, however long it is.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator


def kinds_in(text: str, name: str) -> Iterator[str]:
    """The kinds of secrets in a text; `name` is that of the field it stands in."""
    if len(text) < _SHORTEST:
        return
    seen: set[str] = set()
    taken: list[tuple[int, int]] = []  # sorted, and no two of them overlap
    for kind, finder in _FINDERS:
        for span in finder(text):
            at = bisect_left(taken, span)
            before, after = taken[at - 1 : at], taken[at : at + 1]
            if (before and before[0][1] > span[0]) or (after and after[0][0] < span[1]):
                continue  # a part of something that was told already
            taken.insert(at, span)
            if kind not in seen:
                seen.add(kind)
                yield kind
    if not taken and _PASSWORD_NAME.search(name) and _is_filled(text):
        yield "password"
    elif not taken and _SECRET_NAME.search(name) and _is_random(text):
        yield "secret by the name of its field"


Spans = Iterator[tuple[int, int]]
Finder = Callable[[str], Spans]

_SHORTEST = 6
_RANDOM_BITS = 3.0
"""Bits a character: words of any language have less over a secret's length, and mixed digits."""
_LETTER_BITS = 4.2


def _by(pattern: str, *, judge: Callable[[str], bool] | None = None) -> Finder:
    """Every match of a pattern whose group `v` (or the whole) passes."""
    compiled = re.compile(pattern)
    group: str | int = "v" if "v" in compiled.groupindex else 0

    def find(text: str) -> Spans:
        for found in compiled.finditer(text):
            if judge is None or judge(found[group]):
                yield found.span()

    return find


def _entropy(text: str) -> float:
    """Shannon's bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _is_random(text: str) -> bool:
    """Whether a text looks made by chance: one word, letters and digits, and no placeholder.

    Without any digit it takes many letters, of both cases, before it is none of a language.
    """
    if not _is_filled(text) or len(text) < 12 or re.search(r"\s", text):
        return False
    if all(map(_WORD.fullmatch, _SEAMS.split(text))):
        return False  # a slug, a path, a piece of code
    if re.search(r"[0-9]", text):
        return bool(re.search(r"[A-Za-z]", text)) and _entropy(text) >= _RANDOM_BITS
    mixed = re.search(r"[a-z]", text) and re.search(r"[A-Z]", text)
    return bool(mixed) and len(text) >= 20 and _entropy(text) >= _LETTER_BITS


_SEAMS = re.compile(r"[-_./:()\[\]{}'\"]+")
_WORD = re.compile(r"(?:[A-Za-z]?[a-z]{0,23}|[A-Z]{1,24})[0-9]{0,4}|[0-9]{1,8}[a-z]{0,2}")


def _is_filled(text: str) -> bool:
    """Whether a text is no placeholder, such as `[secret]`, `***`, `${KEY}` or `<your key>`."""
    if len(text) < _SHORTEST or re.fullmatch(r"(.)\1*", text):
        return False
    return not _PLACEHOLDER.match(text)


def _is_password(text: str) -> bool:
    """Whether what follows `password=` is one: no path, no call, no word about passwords."""
    return _is_filled(text) and not re.match(r"[/~.]|[A-Za-z_][\w.]*\(", text)


_PLACEHOLDER = re.compile(
    r"\[secret\]|\*{2}|\$|<|\{\{|\.\.\.|x{4}|(?i:your|example)|"
    r"(?i:none|null|true|false|string|required|optional|hidden|redacted|missing|invalid|expired|"
    r"incorrect|protected|changed|unknown)[.:!)]?\Z"
)


def _addresses(text: str) -> Spans:
    """E-mail addresses that may be somebody's: not of the domains that are reserved for examples.

    Looked for from each `@`, so that a long text without one costs nothing.
    """
    at = text.find("@")
    while at >= 0:
        before = _LOCAL_PART.search(text[max(at - 64, 0) : at])
        after = _DOMAIN.match(text, at + 1)
        if before and after and not _RESERVED.search(after[0]) and before[0] != "git":
            yield at - len(before[0]), after.end()
        at = text.find("@", at + 1)


_LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_])?\Z")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9(=])"
)
_RESERVED = re.compile(
    r"(?:\A|\.)(?:example(?:\.[a-z]+)?|test|invalid|localhost|local"
    r"|png|jpe?g|gif|svg|webp|pdf|css|js|ts|json|html?|txt|csv|ya?ml|shape|dtype|size)\Z",
    re.I,
)
"""Domains that are nobody's: reserved ones, and what is a file name or code."""

_NAMES = (
    r"(?:api[_-]?key|access[_-]?key|secret(?:[_-]?key)?|client[_-]?secret|private[_-]?key|"
    r"(?:auth|access|refresh|bearer|session)[_-]?token|token|credentials?|authorization)"
)
_SECRET_NAME = re.compile(rf"(?i)(?:\A|[^a-z]|(?<=[a-z])(?=[A-Z])){_NAMES}\Z")
_PASSWORD_NAME = re.compile(
    r"(?:\A|[^A-Za-z])(?i:password|passwd|passphrase|pwd)\Z"
    r"|[a-z](?:Password|Passwd|Passphrase|Pwd)\Z"
)

_FINDERS: tuple[tuple[str, Finder], ...] = (
    ("private key", _by(r"-----BEGIN (?:[A-Z0-9]{2,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----")),
    (
        "password in a URL",
        _by(
            r"://[^\s/?#@:\"'<>]{0,256}:(?P<v>[^\s/?#@\"'<>]{1,256})@(?=[^\s/])",
            judge=lambda value: value != "[secret]",
        ),
    ),
    (
        "key in a URL",
        _by(
            r"[?&#](?i:[a-z_-]{0,16}(?:key|token|secret|password|passwd|pwd|signature|sig|auth))="
            r"(?P<v>[^&#\s\"'<>]{8,})",
            judge=_is_random,
        ),
    ),
    (
        "AWS access key",
        _by(r"\b(?:AKIA|ASIA|ABIA|ACCA)(?![A-Z2-7]{9}EXAMPLE)[A-Z2-7]{16}\b"),
    ),
    (
        "AWS secret key",
        _by(
            r"(?i:aws[^\n]{0,20}(?:secret|access)[^\n]{0,20}?)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
            r"(?P<v>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
            judge=_is_random,
        ),
    ),
    ("GitHub token", _by(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255})\b")),
    ("GitLab token", _by(r"\bgl(?:pat|ptt|rt|dt)-[A-Za-z0-9_-]{20,64}")),
    ("Slack token", _by(r"\b(?:xox[abeoprs]|xapp-[0-9])-[A-Za-z0-9-]{10,255}")),
    ("Slack webhook", _by(r"\bhooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/\w{16,}")),
    ("Google API key", _by(r"\bAIza[A-Za-z0-9_-]{30,}")),
    (
        "Google OAuth secret",
        _by(
            r"\b(?:GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{40,})",
        ),
    ),
    ("Stripe key", _by(r"\b(?:(?:sk|rk|pk)_(?:live|test)|whsec)_[A-Za-z0-9]{16,}")),
    ("Discord webhook", _by(r"\bdiscord(?:app)?\.com/api/webhooks/[0-9]{16,20}/[\w-]{40,}")),
    ("Discord token", _by(r"\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}", judge=_is_random)),
    ("Telegram token", _by(r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34}(?![A-Za-z0-9_-])")),
    ("Twilio key", _by(r"\bSK[0-9a-f]{32}\b")),
    ("age secret key", _by(r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}\b")),
    (
        "service token",  # of services that give theirs a prefix so that it is found
        _by(
            r"\b(?:dp\.[a-z]{2,5}\.|do[opr]_v1_|shp(?:at|ca|pa|ss)_|lin_api_|ntn_|secret_|dapi|"
            r"HRKU-|hv[bs]\.|lsv2_[a-z]{2}_|pcsk_|tvly-|fig[du]_|AT[AC]TT3|sq0[a-z]{3}-|"
            r"sntry[su]_|gl(?:sa|c)_|dckr_pat_|PMAK-)(?P<v>[A-Za-z0-9_-]{20,255})",
            judge=_is_random,
        ),
    ),
    (
        "model provider key",
        _by(
            r"\b(?:sk|gsk|xai|hf|nvapi|pplx|fw|csk|r8|key)[-_](?P<v>[A-Za-z0-9_-]{20,255})",
            judge=_is_random,
        ),
    ),
    ("SendGrid key", _by(r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}")),
    ("package index token", _by(r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-AgE[A-Za-z0-9_-]{30,})")),
    ("Azure account key", _by(r"(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{40,}={0,2}")),
    ("JSON web token", _by(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
    (
        "bearer token",
        _by(
            r"\b(?i:bearer|basic|token)\s{1,3}(?P<v>[A-Za-z0-9._~+/-]{16,}={0,2})", judge=_is_random
        ),
    ),
    (
        "secret by its name",
        _by(
            rf"(?i:(?<![a-z]){_NAMES})\\{{0,3}}[\"']?\s{{0,3}}[:=]\s{{0,3}}\\{{0,3}}[\"']?"
            r"(?P<v>[^\s\"',;&\\]{12,})",
            judge=_is_random,
        ),
    ),
    (
        "password",
        _by(
            r"(?i:password|passwd|passphrase|pwd)\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}\\{0,3}[\"']?"
            r"(?P<v>[^\s\"',;&\\]{6,})",
            judge=_is_password,
        ),
    ),
    ("e-mail address", _addresses),
)
"""The kinds, most specific first: a text that is told as one kind is not told as another."""
