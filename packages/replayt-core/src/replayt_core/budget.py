"""`Budget`: how much of a model a run may use, and the account it is measured by.

The account is part of the fold: what a run has used is read from its log, over all its resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replayt_core._summary import tokens
from replayt_core.errors import DefinitionError
from replayt_core.events import Payload
from replayt_core.payloads import BudgetAccount

__all__ = ["Budget"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all model calls of a run may use together; None is no limit.

    A call is refused before it is made when `llm_calls` have been made or `tokens` are used up,
    and a reply that takes the run above `tokens` ends it. Either fails the run with
    `BudgetExceededError`, whatever retries are left. The account is that of the whole run, over
    all its resumes; served calls are in it once, and a fork has its own. Tokens are those that the
    provider counts: a reply without a count adds none, and the error says how many there were.
    Calls that are under way at the same time are not known to each other.
    """

    tokens: int | None = None
    llm_calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "llm_calls"):
            limit = getattr(self, name)
            if limit is not None and (type(limit) is not int or limit < 0):
                raise DefinitionError(f"Budget: {name} is a count, 0 or more, not {limit!r:.60}")

    def forbids_call(self, account: Account, calls: int) -> str | None:
        """Why `calls` more calls may not be made, or None."""
        if self.llm_calls is not None and account.llm_calls + calls > self.llm_calls:
            return f"the budget of {_many(self.llm_calls, 'model call')} is used up"
        if self.tokens is not None and account.tokens >= self.tokens:
            return f"the budget of {self.tokens:,} tokens is used up"
        return None

    def excess(self, account: Account) -> str | None:
        """What of the budget is exceeded already, or None."""
        if self.tokens is not None and account.tokens > self.tokens:
            return f"the budget of {self.tokens:,} tokens is exceeded"
        return None


@dataclass(slots=True)
class Account:
    """What a run has used of models. `uncounted_replies` came without a count of tokens."""

    llm_calls: int = 0
    tokens: int = 0
    uncounted_replies: int = 0

    def add_response(self, payload: Payload) -> None:
        """Take an `llm_response` into the account."""
        used = _used(payload.get("usage"))
        if used is not None:
            self.tokens += used
        elif isinstance(payload.get("reply"), dict):
            self.uncounted_replies += 1

    def described(self) -> BudgetAccount:
        """The account as an error records it."""
        return {
            "llm_calls": self.llm_calls,
            "tokens": self.tokens,
            "uncounted_replies": self.uncounted_replies,
        }

    def __str__(self) -> str:
        text = f"{self.tokens:,} tokens in {_many(self.llm_calls, 'model call')} so far"
        if self.uncounted_replies:
            replies = _many(self.uncounted_replies, "reply", "replies")
            text += f"; the tokens of {replies} are unknown, the provider did not count them"
        return text


def _used(usage: Any) -> int | None:
    """The tokens of a reply as the provider counted them."""
    if not isinstance(usage, dict):
        return None
    total = tokens(usage.get("total_tokens"))
    if total is not None:
        return total
    parts = [tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _many(count: int, one: str, more: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"
