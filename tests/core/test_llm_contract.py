"""The kit for clients finds broken ones, by the clause that names the broken rule."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from replayt_core.errors import LLMError
from replayt_core.ports.llm import (
    ChatRequest,
    ChatResponse,
    LLMClient,
    RetryListener,
    RetryNotice,
    Usage,
)
from replayt_core.testing import LLMClientContract, check_llm_client
from replayt_core.testing.llm_contract import CLAUSES, Provider, check_llm_clause
from tests.core.plain_client import PlainClient


class TestPlainClient(LLMClientContract):
    def make_client(self, provider: Provider) -> LLMClient:
        return PlainClient(provider)


class StripsTexts(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        made = super().response(data)
        return replace(made, text=made.text.strip())


class ReturnsTheText(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        return super().response(data).text  # type: ignore[return-value]


class KeepsTheFence(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        made = super().response(data)
        fenced = f"```json\n{made.text}\n```" if made.text.startswith("{") else made.text
        return replace(made, text=fenced)


class AddsToTheMessages(PlainClient):
    def body(self, request: ChatRequest) -> dict[str, Any]:
        request.messages[0]["content"] += "!"  # type: ignore[index, operator]
        return super().body(request)


class WorksOnce(PlainClient):
    used = False

    def body(self, request: ChatRequest) -> dict[str, Any]:
        if self.used:
            raise LLMError("other", "used up")
        self.used = True
        return super().body(request)


class HidesHowItEnded(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        return replace(super().response(data), finish_reason="stop")


class TakesARefusalForText(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        made = super().response(data)
        return replace(made, text=made.text or made.refusal or "", refusal=None)


class FillsEmptyReplies(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        made = super().response(data)
        return made if made.refusal or made.has_tool_calls else replace(made, text=made.text or "-")


class HidesToolCalls(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        return replace(super().response(data), has_tool_calls=False)


class CountsNothingAsZero(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        made = super().response(data)
        zero = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
        return replace(made, usage=made.usage or zero)


class RaisesItsOwnErrors(PlainClient):
    def error(self, status: int, data: bytes) -> LLMError:
        raise ConnectionError(f"HTTP {status}")


class CallsEveryErrorOther(PlainClient):
    def error(self, status: int, data: bytes) -> LLMError:
        return LLMError("other", f"answered {status}", status=status)


class ForgetsTheStatus(PlainClient):
    def error(self, status: int, data: bytes) -> LLMError:
        return LLMError(super().error(status, data).kind, "failed")


class AsksForCreditAgain(PlainClient):
    def is_retried(self, status: int, error: LLMError) -> bool:
        return status == 429 or super().is_retried(status, error)


class SendsTheLastMessage(PlainClient):
    def body(self, request: ChatRequest) -> dict[str, Any]:
        return {**super().body(request), "messages": [dict(request.messages[-1])]}


class SendsTheKeyInTheBody(PlainClient):
    def body(self, request: ChatRequest) -> dict[str, Any]:
        return {**super().body(request), "key": self._key}


class IgnoresSettings(PlainClient):
    def body(self, request: ChatRequest) -> dict[str, Any]:
        body = super().body(request)
        return {name: value for name, value in body.items() if name != "temperature"}


class KeepsHeaders(PlainClient):
    kept: Mapping[str, str] = {}

    def headers(self, request: ChatRequest) -> dict[str, str]:
        self.kept = {**self.kept, **(request.settings.extra_headers or {})}
        return {**super().headers(request), **self.kept}


class DropsTheSchema(PlainClient):
    def body(self, request: ChatRequest) -> dict[str, Any]:
        return super().body(replace(request, schema=None))


class WaitsForEver(PlainClient):
    ends = False

    def timeout_of(self, request: ChatRequest) -> float:
        return 60


class WaitsAsLongAsItIsTold(PlainClient):
    ends = False

    def timeout_of(self, request: ChatRequest) -> float:
        return 86_400


class CallsATimeoutAConnection(PlainClient):
    def post(self, request: ChatRequest, deadline: float) -> tuple[int, Mapping[str, str], bytes]:
        try:
            return super().post(request, deadline)
        except LLMError as error:
            raise LLMError("connection", str(error)) from None


class TakesAnyJSON(PlainClient):
    def response(self, data: bytes) -> ChatResponse:
        try:
            return super().response(data)
        except LLMError:
            return ChatResponse(text=data.decode())


class RetriesInSilence(PlainClient):
    def tell(self, on_retry: RetryListener, notice: RetryNotice) -> None:
        """Say nothing."""


class TellsAfterwards(PlainClient):
    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        told: list[RetryNotice] = []
        response = super().complete(request, on_retry=told.append)
        for notice in told:
            on_retry(notice)
        return response


class SwallowsWhatOnRetryRaises(PlainClient):
    def tell(self, on_retry: RetryListener, notice: RetryNotice) -> None:
        try:
            on_retry(notice)
        except Exception as error:
            del error


class RetriesEverything(PlainClient):
    def is_retried(self, status: int, error: LLMError) -> bool:
        return error.kind != "quota"


class DescribesObjects(PlainClient):
    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        return {**super().effective(request), "client": object()}  # type: ignore[dict-item]


class DescribesItsDefaults(PlainClient):
    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        return {**super().effective(request), "timeout_seconds": 60}


class DescribesHeaders(PlainClient):
    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        return {**super().effective(request), "headers": dict(self.headers(request))}


class QuotesTheProvider(PlainClient):
    def error(self, status: int, data: bytes) -> LLMError:
        said = json.loads(data)["error"]["message"]
        return LLMError(super().error(status, data).kind, said, status=status)


class ShowsItsKey(PlainClient):
    def __repr__(self) -> str:
        return f"ShowsItsKey({self._key!r})"


class NamesNoSecrets(PlainClient):
    def secrets(self) -> Sequence[str]:
        return []


class AnswersOtherwiseWhenAwaited(PlainClient):
    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        made = await super().complete_async(request, on_retry=on_retry)
        return replace(made, usage=None)


class RaisesOtherwiseWhenAwaited(PlainClient):
    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        try:
            return await super().complete_async(request, on_retry=on_retry)
        except LLMError as error:
            raise LLMError("other", str(error)) from None


class HoldsUpTheLoop(PlainClient):
    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        return self.complete(request, on_retry=on_retry)

    def timeout_of(self, request: ChatRequest) -> float:
        return 0.2


class TellsInAThread(PlainClient):
    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        return await asyncio.to_thread(self.complete, request, on_retry=on_retry)


class CannotBeCancelled(PlainClient):
    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        call = asyncio.ensure_future(super().complete_async(request, on_retry=on_retry))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            call.cancel()
            await asyncio.wait({call})
            raise LLMError("interrupted", "cancelled") from None


BROKEN: list[tuple[type[PlainClient], str]] = [
    (ReturnsTheText, "a_call_returns_a_response"),
    (KeepsTheFence, "a_structured_reply_is_one_object"),
    (AddsToTheMessages, "the_request_stays_as_it_is"),
    (WorksOnce, "a_client_makes_many_calls"),
    (StripsTexts, "a_text_arrives_whole"),
    (HidesHowItEnded, "the_finish_reason_is_told"),
    (TakesARefusalForText, "a_refusal_is_told"),
    (FillsEmptyReplies, "nothing_is_made_of_an_empty_reply"),
    (HidesToolCalls, "tool_calls_are_told"),
    (CountsNothingAsZero, "usage_is_what_was_counted"),
    (RaisesItsOwnErrors, "errors_are_llm_errors_by_kind"),
    (CallsEveryErrorOther, "errors_are_llm_errors_by_kind"),
    (ForgetsTheStatus, "errors_are_llm_errors_by_kind"),
    (CallsEveryErrorOther, "an_account_without_credit_is_quota"),
    (AsksForCreditAgain, "an_account_without_credit_is_quota"),
    (SendsTheLastMessage, "messages_are_sent"),
    (SendsTheKeyInTheBody, "the_key_is_sent_in_a_header"),
    (IgnoresSettings, "settings_of_a_call_are_sent"),
    (KeepsHeaders, "headers_of_a_call_are_sent"),
    (DropsTheSchema, "a_schema_is_sent"),
    (WaitsForEver, "the_timeout_ends_a_call"),
    (CallsATimeoutAConnection, "the_timeout_ends_a_call"),
    (WaitsAsLongAsItIsTold, "retries_stay_within_the_timeout"),
    (TakesAnyJSON, "a_reply_that_is_none_is_an_error"),
    (RetriesInSilence, "a_retry_is_told_before_it_is_made"),
    (TellsAfterwards, "a_retry_is_told_before_it_is_made"),
    (SwallowsWhatOnRetryRaises, "what_on_retry_raises_ends_the_call"),
    (RetriesEverything, "what_cannot_help_is_not_repeated"),
    (DescribesObjects, "what_is_used_is_described"),
    (DescribesItsDefaults, "what_is_used_is_described"),
    (DescribesHeaders, "values_of_headers_are_not_described"),
    (QuotesTheProvider, "no_error_shows_the_key"),
    (ShowsItsKey, "no_error_shows_the_key"),
    (NamesNoSecrets, "secrets_are_named"),
    (AnswersOtherwiseWhenAwaited, "an_awaited_call_gives_the_same"),
    (RaisesOtherwiseWhenAwaited, "an_awaited_error_is_the_same"),
    (HoldsUpTheLoop, "awaited_calls_are_in_flight_together"),
    (TellsInAThread, "on_retry_is_called_in_the_loop"),
    (CannotBeCancelled, "cancelling_ends_a_call"),
]
NAMED = {clause.name: clause for clause in CLAUSES}


@pytest.mark.parametrize(("client", "name"), BROKEN)
def test_a_broken_client_fails_the_clause_that_names_its_fault(
    client: type[PlainClient], name: str
) -> None:
    # One that never ends is no better after a longer wait; another may run on a busy machine.
    patience = 20 if client.ends else 0.1
    result = check_llm_clause(NAMED[name], client, patience_seconds=patience)
    assert result.outcome == "failed"
    assert result.reason


def test_the_report_says_what_is_wrong_and_what_was_not_asked() -> None:
    class OnlyComplete:
        """No optional ability."""

        def __init__(self, provider: Provider) -> None:
            self.complete = HidesHowItEnded(provider).complete

    report = check_llm_client(OnlyComplete)
    assert not report.ok
    assert [result.clause.name for result in report.failed] == ["the_finish_reason_is_told"]
    lacking = {r.clause.ability for r in report.results if r.outcome == "not offered"}
    assert lacking == {"describing", "secrets", "async"}
    shown = str(report)
    assert "the_finish_reason_is_told: finish_reason 'length' arrived as 'stop'" in shown
    assert "OnlyComplete is no AsyncLLMClient" in shown
    assert shown.endswith("not offered")


def test_a_factory_that_raises_is_reported_and_not_raised() -> None:
    def factory(provider: Provider) -> LLMClient:
        raise OSError("no network")

    report = check_llm_client(factory)
    assert {result.reason for result in report.failed} == {"OSError: no network"}


def test_every_clause_states_its_rule_is_a_test_of_the_class_and_finds_something() -> None:
    names = [clause.name for clause in CLAUSES]
    assert len(set(names)) == len(names)
    for clause in CLAUSES:
        assert len(clause.rule) > 20
        assert getattr(LLMClientContract, f"test_{clause.name}").__doc__ == clause.rule
    assert set(names) == {name for _, name in BROKEN}


def test_the_kit_works_where_pytest_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from replayt_core.testing.llm_contract import check_llm_client\n"
        "from replayt_core.ports.llm import ChatResponse\n"
        "class Fixed:\n"
        "    def complete(self, request, *, on_retry):\n"
        '        return ChatResponse(text=\'{"verdict_contract": "good"}\')\n'
        "print(check_llm_client(lambda provider: Fixed(), replies='its own').ok)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")
