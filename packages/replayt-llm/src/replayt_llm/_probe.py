"""A look at whether a provider can be reached at all: one request, one bounded wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from replayt_core.errors import LLMError
from replayt_llm import _wire
from replayt_llm._exchange import Transport
from replayt_llm._urls import BaseURL
from replayt_llm.settings import LLMSettings

_KEY_REFUSED = (401, 403)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What came of it, in one word and in a sentence; the sentence shows no secret.

    `reachable`: a server answered, whatever it said (`status`). `unauthorized`: it refused the key.
    `unreachable`: no answer in time. `skipped`: nothing was sent, since no call could be made.
    """

    outcome: Literal["reachable", "unauthorized", "unreachable", "skipped"]
    detail: str = ""
    status: int | None = None


def probe(
    settings: LLMSettings, *, timeout_seconds: float = 5.0, transport: Transport | None = None
) -> Probe:
    """Ask the provider of `settings` for its list of models, in `timeout_seconds` at most.

    One GET of `<base>/models`, without retries. Nothing is sent where a call would be refused, for
    example without a key that the provider needs. Never raises an `LLMError`.
    """
    try:
        url = settings.check()
    except LLMError as error:
        return Probe(outcome="skipped", detail=error.message)
    if url is None:
        return Probe(outcome="skipped", detail=f"the provider {settings.provider} has no server")
    if transport is not None:
        return _ask(settings, url, timeout_seconds, transport)
    from replayt_llm._transport import HTTPTransport  # httpx takes long to import

    own = HTTPTransport()
    try:
        return _ask(settings, url, timeout_seconds, own)
    finally:
        own.close()


def _ask(settings: LLMSettings, url: BaseURL, seconds: float, transport: Transport) -> Probe:
    call = _wire.models_call(settings, url)
    try:
        reply = transport.send(call, seconds=seconds)
    except LLMError as error:
        if error.kind == "too_large":  # who says so much can be reached
            return Probe(outcome="reachable", status=error.status)
        return Probe(outcome="unreachable", detail=error.message)
    answered = f"GET {call.where} answered {reply.status}"
    if reply.status in _KEY_REFUSED:
        return Probe(outcome="unauthorized", detail=answered, status=reply.status)
    fine = 200 <= reply.status < 300
    return Probe(outcome="reachable", detail="" if fine else answered, status=reply.status)
