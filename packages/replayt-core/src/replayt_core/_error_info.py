"""An exception as the log keeps it: type, message without input values or secrets, and place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import cast

from pydantic import ValidationError

from replayt_core.errors import BudgetExceededError, LLMError, ToolError
from replayt_core.payloads import BudgetAccount, ErrorInfo
from replayt_core.redaction import LogMode, Scrubber, scrub_tokens

MAX_MESSAGE_CHARS = 2_000
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def error_info(error: BaseException, mode: LogMode, scrubber: Scrubber) -> ErrorInfo:
    """What is recorded of `error`. Pydantic's input values appear in mode `full` only."""
    message = error_message(error, mode, scrubber)
    info: ErrorInfo = {"type": type(error).__name__, "message": message}
    if isinstance(error, LLMError):
        info["kind"] = error.kind
        info["status"] = error.status
    elif isinstance(error, ToolError):
        info["kind"] = error.error_type
    elif isinstance(error, BudgetExceededError) and error.account:
        info["account"] = cast(BudgetAccount, error.account)
    place = error_location(error)
    if place:
        info["location"] = place
    return info


def error_message(error: BaseException, mode: LogMode, scrubber: Scrubber) -> str:
    """The message alone, scrubbed and then bounded: half a key at the cut matches nothing."""
    if isinstance(error, ValidationError) and mode is not LogMode.full:
        text = f"{error.title}: " + "; ".join(validation_fields(error))
    else:
        try:
            text = str(error)
        except Exception as broken:
            text = f"(its message cannot be shown: {type(broken).__name__})"
    text = text.encode("utf-8", "backslashreplace").decode()
    text = scrub_tokens(scrubber.hiding.cover(scrubber.text(text)))
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + " … (cut)"


def validation_fields(error: ValidationError) -> list[str]:
    """The fields at fault with the kind of fault, and never what stood in them."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        f"{'.'.join(str(part) for part in item['loc']) or '(root)'}: {item['type']}"
        for item in details
    ]


def error_location(error: BaseException) -> str | None:
    """`file:line` of the innermost frame outside replayt's core, or None."""
    place = None
    for filename, line in _frames(error.__traceback__):
        if not os.path.abspath(filename).startswith(_OWN) and not _is_library(filename):
            place = f"{shown_path(filename)}:{line}"
    return place


def shown_path(filename: str) -> str:
    """The path relative to the working directory, or the bare name where it lies elsewhere."""
    try:
        relative = os.path.relpath(filename)
    except (ValueError, OSError):
        return os.path.basename(filename)
    return os.path.basename(filename) if relative.startswith("..") else relative


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, int]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next


def _is_library(filename: str) -> bool:
    return f"{os.sep}site-packages{os.sep}" in filename or f"{os.sep}lib{os.sep}python" in filename
