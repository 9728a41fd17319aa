"""A string that a regular expression matches, for the common expressions.

Reads the standard library's own parse of the expression. Look-around and back-references are not
followed; the caller checks the string, so that a miss is an error and never a wrong answer.
"""

from __future__ import annotations

import importlib
import random
import re
import string
import sys
import warnings
from collections.abc import Callable
from typing import Any

# The parser moved in 3.11; the old name warns there.
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

_PRINTABLE = string.ascii_letters + string.digits + " _-.,:;!?/+*#@()[]{}<>=%&$'\"~^|\\`"
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_SPACE": " ",
}


_CLASSES = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z",
    "space": " \\t\\r\\n", "xdigit": "0-9A-Fa-f", "word": "A-Za-z0-9_",
    "L": "A-Za-z", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9", "Letter": "A-Za-z",
    "Alphabetic": "A-Za-z", "Uppercase": "A-Z", "Lowercase": "a-z",
}  # fmt: skip
"""Classes that Pydantic's dialect knows and Python's does not, as the ASCII part of them."""


def in_python(pattern: str) -> re.Pattern[str] | None:
    """A pattern of Pydantic's dialect (that of Rust's `regex`), or None where Python has no word.

    What the result matches, the pattern matches; not always the other way round.
    """
    text = pattern.replace(r"\z", r"\Z")
    text = re.sub(r"\[:(\w+):\]", lambda m: _CLASSES.get(m[1], m[0]), text)
    text = re.sub(r"\\p\{(\w+)\}|\\p(\w)", _property(text), text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # set operations, which Python would read as letters
            return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning):
        return None


def _property(text: str) -> Callable[[re.Match[str]], str]:
    def said(found: re.Match[str]) -> str:
        known = _CLASSES.get(found[1] or found[2])
        if known is None:
            return found[0]
        before = text[: found.start()]
        inside = before.count("[") - before.count("\\[") > before.count("]") - before.count("\\]")
        return known if inside else f"[{known}]"

    return said


def string_for(pattern: str, rng: random.Random, *, low: int, high: int | None) -> str | None:
    """A string that `pattern` matches, of `low` to `high` characters; None when none is found."""
    compiled = in_python(pattern)
    if compiled is None:
        return None
    parsed = _parser.parse(compiled.pattern)
    for attempt in range(60):
        made = _generate(parsed, rng, stretch=attempt % 12, groups={})
        if made is None:
            continue
        if len(made) < low and compiled.search(made + "a" * (low - len(made))):
            made += "a" * (low - len(made))
        if len(made) >= low and (high is None or len(made) <= high) and compiled.search(made):
            return made
    return None


def _generate(
    parsed: Any, rng: random.Random, *, stretch: int, groups: dict[int, str]
) -> str | None:
    parts: list[str] = []
    for operation, argument in parsed:
        made = _one(str(operation), argument, rng, stretch=stretch, groups=groups)
        if made is None:
            return None
        parts.append(made)
    return "".join(parts)


def _one(  # noqa: PLR0911 - one return for each kind of node
    operation: str, argument: Any, rng: random.Random, *, stretch: int, groups: dict[int, str]
) -> str | None:
    def inner(parsed: Any) -> str | None:
        return _generate(parsed, rng, stretch=stretch, groups=groups)

    if operation == "LITERAL":
        return chr(argument)
    if operation == "NOT_LITERAL":
        return rng.choice([ch for ch in string.ascii_letters if ch != chr(argument)])
    if operation == "ANY":
        return rng.choice(string.ascii_lowercase)
    if operation == "IN":
        return _from_class(argument, rng)
    if operation == "BRANCH":
        return inner(rng.choice(argument[1]))
    if operation == "SUBPATTERN":
        made = inner(argument[-1])
        if argument[0] is not None and made is not None:
            groups[argument[0]] = made
        return made
    if operation == "GROUPREF":
        return groups.get(argument)
    if operation == "ATOMIC_GROUP":
        return inner(argument)
    if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        fewest, most, body = argument
        count = min(int(most), int(fewest) + (rng.randint(0, stretch) if stretch else 0))
        pieces = [inner(body) for _ in range(min(count, 5_000))]
        return None if None in pieces else "".join(piece for piece in pieces if piece)
    if operation in ("AT", "ASSERT", "ASSERT_NOT"):
        return ""
    return None


def _from_class(items: Any, rng: random.Random) -> str | None:
    negated = False
    allowed: set[str] = set()
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            allowed.add(chr(argument))
        elif name == "RANGE":
            first, last = argument
            allowed.update(chr(code) for code in range(first, min(last, first + 500) + 1))
        elif name == "CATEGORY":
            category = str(argument)
            base = _CATEGORIES.get(category.replace("_NOT_", "_"), "")
            inverse = "_NOT_" in category
            allowed.update(set(_PRINTABLE) - set(base) if inverse else base)
    choices = sorted(set(_PRINTABLE) - allowed) if negated else sorted(allowed)
    plain = [ch for ch in choices if ch.isascii() and ch.isalnum()]
    return rng.choice(plain or choices) if choices else None
