"""The conformance kit for LLM clients: every rule of `replayt_core.ports.llm`, one clause each.

With pytest, in a test module of your package::

    from replayt_core.testing import LLMClientContract

    class TestMyClient(LLMClientContract):
        def make_client(self, provider):
            return MyClient(base_url=provider.base_url, api_key=provider.key)

Without pytest: `print(check_llm_client(lambda provider: MyClient(provider.base_url, ...)))`.

The kit plays the provider on loopback, in the OpenAI-compatible protocol; for another protocol give
`encode`, which says how a turn of the provider looks on that wire. A client that is no HTTP client
says so with `replies`, and is asked the clauses that make sense for it; the report tells those that
were not asked. Nothing is asked about how a client is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from replayt_core.ports.llm import AsyncLLMClient, DescribesRequests, HoldsSecrets, LLMClient
from replayt_core.testing._llm_case import (
    PATIENCE_SECONDS,
    ClientFactory,
    LLMCase,
    LLMClause,
    Replies,
)
from replayt_core.testing._llm_clauses import ANY_CLIENT
from replayt_core.testing._llm_http_clauses import CALLING
from replayt_core.testing._llm_provider import (
    Answer,
    Breaks,
    Encoder,
    Provider,
    Refuses,
    Says,
    Silence,
    Turn,
    chat_completion,
)
from replayt_core.testing._store_case import ContractViolation

__all__ = [
    "CLAUSES",
    "Answer",
    "Breaks",
    "ClientFactory",
    "ContractViolation",
    "Encoder",
    "LLMClause",
    "LLMClauseResult",
    "LLMClientContract",
    "LLMClientReport",
    "Provider",
    "Refuses",
    "Replies",
    "Says",
    "Silence",
    "Turn",
    "chat_completion",
    "check_llm_clause",
    "check_llm_client",
]

CLAUSES: tuple[LLMClause, ...] = (*ANY_CLIENT, *CALLING)
"""Every clause, in the order in which they are best read."""
_OFFERED_BY: dict[str, type] = {
    "describing": DescribesRequests,
    "secrets": HoldsSecrets,
    "async": AsyncLLMClient,
}


@dataclass(frozen=True, kw_only=True)
class LLMClauseResult:
    """How a client stands to one clause; `reason` says why, unless it passed."""

    clause: LLMClause
    outcome: Literal["passed", "failed", "not offered"]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LLMClientReport:
    """How a client stands to every clause. `str()` of it is for people."""

    results: tuple[LLMClauseResult, ...]

    @property
    def failed(self) -> tuple[LLMClauseResult, ...]:
        """The clauses that the client breaks."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def ok(self) -> bool:
        """Whether it keeps every clause that it was asked."""
        return not self.failed

    def __str__(self) -> str:
        lines: list[str] = []
        for ability in dict.fromkeys(result.clause.ability for result in self.results):
            lines.append(ability)
            for result in self.results:
                if result.clause.ability == ability:
                    lines.append(f"  {result.outcome:<11}  {result.clause.rule}")
                    if result.outcome == "failed":
                        lines.append(f"               {result.clause.name}: {result.reason}")
                    elif result.reason:
                        lines.append(f"               {result.reason}")
        counts = [
            f"{sum(result.outcome == outcome for result in self.results)} {outcome}"
            for outcome in ("passed", "failed", "not offered")
        ]
        return "\n".join([*lines, ", ".join(counts)])


def check_llm_clause(
    clause: LLMClause,
    factory: ClientFactory,
    *,
    replies: Replies = "http",
    encode: Encoder = chat_completion,
    patience_seconds: float = PATIENCE_SECONDS,
) -> LLMClauseResult:
    """Ask one clause of a client.

    A call with a timeout of half a second that is not over after `patience_seconds` is a failure.
    """
    case = LLMCase(factory, replies=replies, encode=encode, patience_seconds=patience_seconds)
    try:
        if missing := _not_offered(clause, case):
            return LLMClauseResult(clause=clause, outcome="not offered", reason=missing)
        clause.check(case)
    except ContractViolation as violation:
        return LLMClauseResult(clause=clause, outcome="failed", reason=str(violation))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return LLMClauseResult(clause=clause, outcome="failed", reason=reason)
    return LLMClauseResult(clause=clause, outcome="passed")


def check_llm_client(
    factory: ClientFactory, *, replies: Replies = "http", encode: Encoder = chat_completion
) -> LLMClientReport:
    """Ask every clause of the clients that `factory` makes; never raises for a broken client.

    `factory` is called once a clause or more, each time with the provider to call.
    """
    results = [
        check_llm_clause(clause, factory, replies=replies, encode=encode) for clause in CLAUSES
    ]
    return LLMClientReport(results=tuple(results))


class LLMClientContract:
    """Inherit in a class `Test…`, define `make_client`, and pytest runs one test a clause.

    A client that does not call `provider.base_url` sets `replies`: "by hand" if `make_client` feeds
    it `provider.turns`, "its own" if it makes its replies up. Another protocol than the
    OpenAI-compatible one defines `encode`.
    """

    replies: ClassVar[Replies] = "http"

    def make_client(self, provider: Provider) -> LLMClient:
        """Make the client to check, which calls this provider."""
        raise NotImplementedError(f"define {type(self).__name__}.make_client(provider)")

    def encode(self, turn: Says | Refuses) -> Answer:
        """A turn of the provider as its protocol writes it."""
        return chat_completion(turn)


def _not_offered(clause: LLMClause, case: LLMCase) -> str:
    if clause.ability in ("provider", "http"):
        if case.replies == "its own":
            return "the client makes its replies up"
        if clause.ability == "http" and case.replies != "http":
            return "the client does not speak HTTP"
        return ""
    wanted = _OFFERED_BY.get(clause.ability)
    if wanted is None:
        return ""
    with case.client(Says()) as (client, _):
        return (
            "" if isinstance(client, wanted) else f"{type(client).__name__} is no {wanted.__name__}"
        )


def _as_test(clause: LLMClause) -> Callable[[LLMClientContract], None]:
    def test(self: LLMClientContract) -> None:
        case = LLMCase(self.make_client, replies=self.replies, encode=self.encode)
        if missing := _not_offered(clause, case):
            import pytest  # only under pytest; the kit works without

            pytest.skip(missing)
        clause.check(case)

    test.__name__ = f"test_{clause.name}"
    test.__doc__ = clause.rule
    return test


for _each in CLAUSES:
    setattr(LLMClientContract, f"test_{_each.name}", _as_test(_each))
