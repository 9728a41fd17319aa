"""Which failures are tried again and when: decisions, made one after the other within a deadline.

Nothing here sends or waits; who performs the exchange does.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from replayt_core.errors import LLMError
from replayt_core.ports import RetryListener, RetryNotice
from replayt_llm._exchange import Exchange, HTTPCall, HTTPReply, NotSentError, Send, Wait
from replayt_llm._failures import failure

FIRST_DELAY = 0.5
LONGEST_DELAY = 8.0
_STATUSES = frozenset({408, 409, 429})


def retryable(error: LLMError, headers: Mapping[str, str]) -> bool:
    """Whether the same request may be sent again.

    Only where the server has not seen it, or has said that it did not do it: never after a reset
    or a timeout in mid-reply, and never when the account is out of credit.
    """
    if isinstance(error, NotSentError):
        return error.kind == "connection"
    if error.status is None or error.kind in ("quota", "content_filter"):
        return False
    if headers.get("x-should-retry", "").lower() == "false":
        return False
    return error.status in _STATUSES or error.status >= 500


def delay_before(
    attempt: int, headers: Mapping[str, str], *, now: datetime, jitter: float
) -> float:
    """Seconds to wait before attempt `attempt` + 1: what the server asks for, else doubling.

    `jitter` from 0 to 1 takes off up to a quarter of our own delay, nothing of the server's.
    """
    asked = _asked_delay(headers, now)
    if asked is not None:
        return asked
    own = min(FIRST_DELAY * 2.0 ** (attempt - 1), LONGEST_DELAY)
    return own * (1 - 0.25 * jitter)


def with_retries(
    call: HTTPCall,
    on_retry: RetryListener,
    *,
    timeout_seconds: float,
    max_retries: int,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Exchange[HTTPReply]:
    """The reply to `call`, all attempts and waits within `timeout_seconds`.

    `on_retry` is told before each wait. A wait that would outlast the deadline is not begun: the
    error that asked for it is raised at once. Raises `LLMError`.
    """
    deadline = monotonic() + timeout_seconds
    attempt = 1
    while True:
        headers: Mapping[str, str] = {}
        try:
            left = deadline - monotonic()
            if left <= 0:
                raise LLMError("timeout", _too_late(call, timeout_seconds))
            reply: HTTPReply = yield Send(call, left)
            headers = reply.headers
            error = failure(call, reply)
            if error is None:
                return reply
        except LLMError as exc:
            error = exc
            if error.kind == "timeout" and error.status is None:
                raise LLMError("timeout", _too_late(call, timeout_seconds)) from None
        if not retryable(error, headers):
            raise error
        if attempt > max_retries:
            raise _explained(error, f"Tried {attempt} times." if attempt > 1 else "")
        delay = delay_before(attempt, headers, now=now(), jitter=jitter())
        left = deadline - monotonic()
        if delay >= left:
            raise _explained(
                error,
                f"Not tried again: the wait of {delay:.4g} s would pass timeout_seconds "
                f"({timeout_seconds:g} s).",
            )
        on_retry(
            RetryNotice(
                delay_seconds=delay,
                status=error.status,
                error_kind=error.kind,
                max_retries=max_retries,
            )
        )
        yield Wait(delay)
        attempt += 1


def _too_late(call: HTTPCall, timeout_seconds: float) -> str:
    return (
        f"POST {call.where} gave no complete reply within timeout_seconds ({timeout_seconds:g} s)."
    )


def _explained(error: LLMError, more: str) -> LLMError:
    if not more:
        return error
    return LLMError(
        error.kind,
        f"{error.message} {more}",
        status=error.status,
        request_id=error.request_id,
    )


def _asked_delay(headers: Mapping[str, str], now: datetime) -> float | None:
    millis = _number(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        then = parsedate_to_datetime(text)
        if then.tzinfo is None:
            then = then.replace(tzinfo=timezone.utc)
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
