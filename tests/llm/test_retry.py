"""Which failures are tried again, when, and who is told: on a clock of our own."""

from __future__ import annotations

import pytest

from replayt_core.errors import LLMError
from replayt_core.ports import RetryNotice
from replayt_llm import LLMSettings, OpenAICompatClient
from replayt_llm._exchange import NotSentError
from tests.llm.helpers import FakeClock, FakeTransport, ask, error_body, reply


def call(*replies, timeout: float = 60, max_retries: int = 2, jitter: float = 0.0):
    """The outcome of a call (response or error), the notices, the waits and the transport."""
    clock, notices = FakeClock(), []
    transport = FakeTransport(*replies)
    client = OpenAICompatClient(
        LLMSettings("sk-test-key", timeout_seconds=timeout, max_retries=max_retries),
        transport=transport,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        jitter=lambda: jitter,
    )

    def on_retry(notice: RetryNotice) -> None:
        assert len(clock.slept) == len(notices), "told after the wait, not before"
        notices.append(notice)

    try:
        outcome = client.complete(ask(), on_retry=on_retry)
    except LLMError as exc:
        outcome = exc
    return outcome, notices, clock, transport


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_the_server_did_not_do_is_tried_again(status):
    outcome, notices, clock, _ = call(reply(b"{}", status), reply())
    assert outcome.text == "hi"
    assert [(n.status, n.delay_seconds) for n in notices] == [(status, 0.5)]
    assert clock.slept == [0.5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301, 302, 307])
def test_what_would_fail_again_is_not_repeated(status):
    outcome, notices, _, transport = call(reply(b"{}", status))
    assert outcome.status == status
    assert notices == []
    assert len(transport.calls) == 1


def test_at_most_two_retries_and_the_error_says_how_many_attempts():
    outcome, notices, clock, transport = call(*[reply(b"{}", 503)] * 3)
    assert (outcome.kind, outcome.status) == ("server", 503)
    assert "Tried 3 times" in outcome.message
    assert len(transport.calls) == 3
    assert clock.slept == [0.5, 1.0]
    assert [(n.error_kind, n.max_retries) for n in notices] == [("server", 2)] * 2


def test_max_retries_zero_means_one_attempt():
    outcome, notices, _, _ = call(reply(b"{}", 503), max_retries=0)
    assert (outcome.status, notices) == (503, [])


def test_a_connection_that_did_not_come_about_is_tried_again():
    outcome, notices, _, _ = call(NotSentError("refused"), reply())
    assert outcome.text == "hi"
    assert [(n.status, n.error_kind) for n in notices] == [(None, "connection")]


@pytest.mark.parametrize("kind", ["connection", "protocol", "too_large", "timeout", "other"])
def test_a_failure_after_the_request_was_sent_is_not_repeated(kind):
    outcome, notices, _, _ = call(LLMError(kind, "x"))
    assert (outcome.kind, notices) == (kind, [])


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_account_without_credit_is_not_asked_again(code):
    outcome, notices, _, _ = call(reply(error_body("out of credit", code=code), 429))
    assert (outcome.kind, notices) == ("quota", [])


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "nonsense"}, 0.5),
        ({"retry_after": "-3"}, 0.5),
        ({"retry_after": "nan"}, 0.5),
        ({"retry_after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_honoured(headers, delay):
    _, notices, clock, _ = call(reply(b"{}", 429, **headers), reply())
    assert clock.slept == [delay]
    assert notices[0].delay_seconds == delay


@pytest.mark.parametrize("after", ["100000", "60", "Fri, 01 Jan 2100 00:00:00 GMT", "1e300"])
def test_a_wait_past_the_deadline_is_not_begun(after):
    outcome, notices, clock, _ = call(reply(b"{}", 429, retry_after=after))
    assert outcome.kind == "rate_limit"
    assert "timeout_seconds" in outcome.message
    assert (notices, clock.slept) == ([], [])


def test_waits_count_against_the_deadline():
    outcome, _, clock, transport = call(*[reply(b"{}", 429, retry_after="4")] * 3, timeout=10)
    assert outcome.kind == "rate_limit"
    assert clock.slept == [4, 4]
    assert transport.seconds == [10, 6, 2]


def test_jitter_shortens_our_own_delay_by_at_most_a_quarter():
    assert call(reply(b"{}", 500), reply(), jitter=1.0)[2].slept == [0.375]
    assert call(reply(b"{}", 429, retry_after="2"), reply(), jitter=1.0)[2].slept == [2]


def test_a_server_that_forbids_a_retry_gets_none():
    outcome, notices, _, _ = call(reply(b"{}", 500, x_should_retry="false"))
    assert (outcome.kind, notices) == ("server", [])


def test_what_the_listener_raises_ends_the_call():
    client = OpenAICompatClient(
        LLMSettings("sk-test-key"), transport=FakeTransport(reply(b"{}", 500))
    )

    def on_retry(notice):
        raise KeyError("the step is over")

    with pytest.raises(KeyError):
        client.complete(ask(), on_retry=on_retry)


def test_the_timeout_of_a_call_replaces_that_of_the_settings():
    transport = FakeTransport(reply())
    client = OpenAICompatClient(LLMSettings("sk-test-key"), transport=transport)
    client.complete(ask(timeout_seconds=3), on_retry=lambda notice: None)
    assert transport.seconds[0] == pytest.approx(3, abs=0.5)
