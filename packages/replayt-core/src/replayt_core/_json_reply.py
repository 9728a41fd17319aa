"""Finding the one JSON object in a model's reply."""

from __future__ import annotations

from json import JSONDecoder


class NoSingleObjectError(ValueError):
    """The reply holds no JSON object, a broken one, or more than one."""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = JSONDecoder(parse_constant=_refuse_constant)


def find_object(text: str) -> str:
    """The JSON text of the one object in `text`; prose or a code fence around it is fine.

    Raises `NoSingleObjectError`. A reply with two objects does not say which of them counts, and
    an object that breaks off must not be replaced by one inside it.
    """
    found: str | None = None
    at = text.find("{")
    while at >= 0:
        if not _opens_object(text, at):
            at = text.find("{", at + 1)
            continue
        end = _object_end(text, at)
        if found is not None:
            raise NoSingleObjectError("the reply holds more than one JSON object")
        found = text[at:end]
        at = text.find("{", end)
    if found is None:
        raise NoSingleObjectError("the reply holds no JSON object")
    return found


def _opens_object(text: str, brace: int) -> bool:
    """Whether a brace starts an object and not, say, a word in braces in the prose."""
    at = brace + 1
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at >= len(text) or text[at] in '"}'


def _object_end(text: str, start: int) -> int:
    try:
        _, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise NoSingleObjectError("the JSON object in the reply is nested too deeply") from None
    except ValueError:
        raise NoSingleObjectError("the JSON object in the reply is broken or cut off") from None
    return end
