"""Values on the command line: inputs as strict JSON, tags as KEY=VALUE."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from replayt_cli.arguments.options import LOG_MODES, LONGEST_TIMEOUT
from replayt_cli.errors import UsageError
from replayt_cli.render.text import hint, is_terminal


def read_inputs(inputs_json: str | None, pairs: Sequence[str] | None) -> dict[str, Any]:
    """The inputs of a run: `--inputs-json` (JSON, `@file` or `-`), then each `--input KEY=VALUE`.

    A VALUE that is JSON counts as that, anything else as text. A KEY with dots names a place in
    nested objects; a key that holds a dot itself is given in `--inputs-json`. Raises `UsageError`.
    """
    inputs = {} if inputs_json is None else _read_object(inputs_json, "--inputs-json")
    given = _pairs(pairs, "--input")
    for key in given:
        _check_key(key, given)
    for key, text in given.items():
        _put(inputs, key, _value(key, text))
    return inputs


def read_tags(pairs: Sequence[str] | None) -> dict[str, str]:
    """The tags given as `--tag KEY=VALUE`; a value may hold `=` itself."""
    return _pairs(pairs, "--tag")


def read_changes(pairs: Sequence[str] | None) -> dict[str, Any]:
    """The context keys given as `--set KEY=JSON`; a text needs its quotes."""
    changes: dict[str, Any] = {}
    for key, text in _pairs(pairs, "--set").items():
        try:
            changes[key] = parse_json(text, f"--set {key!r:.80}")
        except UsageError as error:
            raise UsageError(f"{error}; a text needs its quotes: --set '{key}=\"text\"'") from None
    return changes


def read_log_mode(text: str | None) -> str | None:
    """The log mode of that name, None for none."""
    from replayt_core import DefinitionError, LogMode

    if text is None:
        return None
    try:
        return LogMode.parse(text).value
    except DefinitionError:
        raise UsageError(f"--log-mode {text!r:.60} is none of {LOG_MODES}") from None


def check_timeout(seconds: float | None) -> None:
    """Raise `UsageError` unless it is a number of seconds, or none was given."""
    if seconds is not None and not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError(
            f"--timeout is {seconds:g}; use seconds above 0, up to {LONGEST_TIMEOUT:,}"
        )


def read_text(value: str, name: str) -> str:
    """The text itself, that of a file for `@file`, or standard input for `-`."""
    if value == "-":
        where = "standard input"
        if sys.stdin is None:
            raise UsageError(f"{name} -: {where} is closed")
        if is_terminal(sys.stdin):
            end = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D on a line of its own"
            hint(f"{name} is read from the terminal; {end} ends it")
        try:
            data = sys.stdin.buffer.read()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{name}: cannot read {where}: {reason}") from None
    elif value.startswith("@"):
        where = value[1:]
        if not where:
            raise UsageError(f"{name} @ names no file: write @FILE, such as @inputs.json")
        try:
            data = Path(where).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{name}: cannot read {where}: {reason}") from None
    else:
        return check_text(value, name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {where} is not UTF-8 text") from None


def check_text(value: str, name: str) -> str:
    """The value itself. Raises `UsageError` where the bytes it was typed as are no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: {value!r:.60} is not UTF-8 text") from None
    return value


def parse_json(text: str, where: str) -> Any:
    """One JSON value. Raises `UsageError` for what is none, for a key given twice and for NaN."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        _check_finite(value)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}"
        raise _NotJSONError(f"{where} is not valid JSON: {error.msg} ({at})") from None
    except _ConstantError as error:
        raise _NotJSONError(f"{where} is not valid JSON: {error}") from None
    except ValueError as error:
        raise UsageError(f"{where} is not valid JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{where} is nested too deeply") from None
    return value


class _NotJSONError(UsageError):
    """It does not read as JSON; what does and is refused all the same is no text either."""


class _ConstantError(ValueError):
    """NaN and the like, which Python reads and JSON does not know."""


def _read_object(given: str, option: str) -> dict[str, Any]:
    text = read_text(given, option)
    where = f"{option} {given}" if given == "-" or given.startswith("@") else option
    if not text.strip():
        raise UsageError(f"{where} is empty: give a JSON object, {{}} for no inputs")
    value = parse_json(text, where)
    if not isinstance(value, dict):
        raise UsageError(
            f"{where} must be a JSON object such as '{{\"key\": 1}}', not {_kind(value)}"
        )
    return value


def _value(key: str, text: str) -> Any:
    """The JSON that the text is, or else the text."""
    try:
        return parse_json(text, f"--input {key!r:.80}")
    except _NotJSONError:
        return text


def _check_key(key: str, given: Container[str]) -> None:
    """Raise unless all its parts are there, and no other key means something around it."""
    parts = key.split(".")
    if not all(parts):
        raise UsageError(
            f"--input {key!r:.80} has an empty part: dots separate the keys of nested objects; a "
            "key that holds a dot goes into --inputs-json"
        )
    for size in range(1, len(parts)):
        outer = ".".join(parts[:size])
        if outer in given:
            raise UsageError(
                f"--input gives both {outer!r:.80} and {key!r:.80}, which is a part of it: give "
                f"{outer!r:.80} whole as JSON, or each part with its dots"
            )


def _put(inputs: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key, in objects that are made where there are none."""
    *outer, last = key.split(".")
    place = inputs
    for depth, name in enumerate(outer, 1):
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            path = ".".join(outer[:depth])
            raise UsageError(
                f"--input {key!r:.80} needs an object at {path!r:.80}, where --inputs-json has "
                f"{_kind(inner)}: change one of them"
            )
        place = inner
    place[last] = value


def _pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs or ():
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"{option} {pair!r:.80} is not KEY=VALUE")
        if key in found:
            raise UsageError(f"{option} {key!r:.80} is given twice")
        found[key] = value
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.80} is given twice")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise _ConstantError(f"{name} is no JSON value")


def _check_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    if isinstance(value, dict):
        for item in value.values():
            _check_finite(item)
    elif isinstance(value, list):
        for item in value:
            _check_finite(item)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
