"""Request and reply JSON of the chat protocol, to and from the types of core. Pure.

`plan` settles once what a call will use; `effective` and `body` both read the plan, so that the log
says what was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest, ChatResponse, Usage
from replayt_llm._exchange import HTTPCall, HTTPReply
from replayt_llm._failures import error_in_reply, request_id_of
from replayt_llm._scrub import worth_hiding
from replayt_llm._strict import FittedSchema, fit
from replayt_llm._urls import BaseURL
from replayt_llm.settings import (
    AUTH_HEADERS,
    LLMSettings,
    check_headers,
    check_timeout,
    header_secrets,
)

_MAX_COUNT = 2**53  # beyond it JSON readers disagree about an integer
_MAX_VALUES = 250_000
"""How many JSON values a reply may seem to hold: three bytes of `[],` become 64 of memory."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one call will use: the request's overrides over the client's settings."""

    settings: LLMSettings
    url: BaseURL
    model: str
    timeout_seconds: float
    headers: Mapping[str, str] = field(repr=False)
    temperature: float | None
    max_tokens: int | None
    seed: int | None
    fitted: FittedSchema | None
    not_sent: tuple[str, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show: those of the settings and of this call's own headers."""
        return (*self.settings.secrets(), *worth_hiding(header_secrets(self.headers)))


def plan(settings: LLMSettings, request: ChatRequest) -> Plan:
    """What a call with `request` will use. Raises `LLMError` when it cannot be made."""
    url = settings.check()
    if url is None:  # the offline provider, whose client is another
        raise LLMError("not_configured", "the provider offline has no server to call.")
    asked, preset = request.settings, settings.preset
    headers = _merge_headers(settings.extra_headers, asked.extra_headers or {})
    check_headers(headers)
    timeout = settings.timeout_seconds if asked.timeout_seconds is None else asked.timeout_seconds
    check_timeout(timeout)
    temperature = settings.temperature if asked.temperature is None else asked.temperature
    seed = settings.seed if asked.seed is None else asked.seed
    not_sent: list[str] = []
    if temperature is not None and not preset.accepts_sampling:
        temperature = None
        not_sent.append("temperature")
    if seed is not None and preset.seed_field is None:
        seed = None
        not_sent.append("seed")
    fitted = None
    if request.schema is not None:
        schema = dict(request.schema.json_schema)
        by_server = settings.structured_mode == "json_schema"
        cut = by_server and settings.strict_subset
        fitted = fit(schema) if cut else FittedSchema(schema=schema, strict=by_server)
    return Plan(
        settings=settings,
        url=url,
        model=asked.model or settings.model or "",
        timeout_seconds=timeout,
        headers=headers,
        temperature=temperature,
        max_tokens=settings.max_tokens if asked.max_tokens is None else asked.max_tokens,
        seed=seed,
        fitted=fitted,
        not_sent=tuple(not_sent),
    )


def effective(made: Plan) -> dict[str, JsonValue]:
    """The plan for the log: header names, never values; `not_sent` names what was held back."""
    shown: dict[str, JsonValue] = {
        "provider": made.settings.provider,
        "host": made.settings.host,
        "model": made.model,
        "temperature": made.temperature,
        "max_tokens": made.max_tokens,
        "timeout_seconds": made.timeout_seconds,
        "seed": made.seed,
        "structured_mode": made.settings.structured_mode if made.fitted else None,
        "extra_headers": [*sorted(made.headers)],
    }
    if made.fitted and made.settings.structured_mode == "json_schema":
        shown["strict"] = made.fitted.strict
    if made.not_sent:
        shown["not_sent"] = list(made.not_sent)
    return shown


def http_call(made: Plan, request: ChatRequest) -> HTTPCall:
    """The POST that makes the call."""
    url = made.url
    try:
        encoded = json.dumps(body(made, request), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise LLMError(
            "bad_request", f"the messages cannot be sent as JSON ({type(exc).__name__})."
        ) from None
    return HTTPCall(
        url=url.endpoint("chat/completions"),
        where=f"{url.public}/chat/completions",
        headers=_headers(made.settings, url, made.headers, {"Content-Type": "application/json"}),
        body=encoded,
        loopback=url.loopback,
        secrets=made.secrets,
    )


def models_call(settings: LLMSettings, url: BaseURL) -> HTTPCall:
    """The GET that asks for the list of models: free, and it shows whether the key fits."""
    return HTTPCall(
        method="GET",
        url=url.endpoint("models"),
        where=f"{url.public}/models",
        headers=_headers(settings, url, settings.extra_headers, {}),
        body=b"",
        loopback=url.loopback,
        secrets=tuple(settings.secrets()),
    )


def _headers(
    settings: LLMSettings, url: BaseURL, own: Mapping[str, str], kind: Mapping[str, str]
) -> dict[str, str]:
    """Who asks and with which key, then the caller's own headers, then the transport's."""
    headers = {"Accept": "application/json", "User-Agent": "replayt-llm"}
    authorization = f"Bearer {settings.api_key}" if settings.api_key else url.basic_auth()
    if authorization and not AUTH_HEADERS & {name.lower() for name in own}:
        headers["Authorization"] = authorization
    headers = _merge_headers(headers, own)
    # These are the transport's own: a compressed reply could not be capped as it arrives.
    fixed = {"Accept-Encoding": "identity", **kind}
    theirs = {"Accept-Encoding", "Content-Type", "Host"}
    headers = {name: value for name, value in headers.items() if name.title() not in theirs}
    return headers | fixed


def body(made: Plan, request: ChatRequest) -> dict[str, Any]:
    """The JSON of the request. Sampling and limits stand in it only when someone set them."""
    settings, preset = made.settings, made.settings.preset
    sent: dict[str, Any] = {**preset.extra_body, "model": made.model}
    sent["messages"] = [dict(message) for message in request.messages]
    if made.temperature is not None:
        sent["temperature"] = made.temperature
    if made.max_tokens is not None:
        sent[settings.token_limit_field or "max_tokens"] = made.max_tokens
    if made.seed is not None and preset.seed_field is not None:
        sent[preset.seed_field] = made.seed
    if request.schema is None or made.fitted is None:
        return sent
    if settings.structured_mode == "json_schema":
        sent["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": _schema_name(request.schema.name),
                "strict": made.fitted.strict,
                "schema": made.fitted.schema,
            },
        }
        return sent
    if settings.structured_mode == "json_object":
        sent["response_format"] = {"type": "json_object"}
    sent["messages"] = _with_schema(sent["messages"], made.fitted.schema)
    return sent


def chat_response(reply: HTTPReply, secrets: tuple[str, ...] = ()) -> ChatResponse:
    """The reply of a call that the server says went well.

    Raises `LLMError`: `protocol` for what is no chat completion, `error_in_200` for an error that
    came as a success, `empty` for a reply without choices.
    """
    request_id = request_id_of(reply)

    def broken(what: str) -> LLMError:
        return LLMError(
            "protocol",
            f"the reply is no chat completion: {what}. Is base_url an OpenAI-compatible API?",
            status=reply.status,
            request_id=request_id,
        )

    # Those inside strings are counted too: a text with that many is beyond any model's limit.
    if sum(map(reply.body.count, (b",", b":", b"[", b"{"))) > _MAX_VALUES:
        raise LLMError(
            "too_large",
            f"the reply holds more than {_MAX_VALUES:,} JSON values and was not parsed.",
            status=reply.status,
            request_id=request_id,
        )
    try:
        data = json.loads(reply.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise broken("it is not JSON") from None
    if not isinstance(data, dict):
        raise broken("it is not a JSON object")
    if data.get("error"):
        raise error_in_reply(data["error"], reply, secrets)
    choices = data.get("choices")
    if not isinstance(choices, list):
        raise broken("it has no list of choices")
    if not choices:
        raise LLMError(
            "empty", "the reply has no choices.", status=reply.status, request_id=request_id
        )
    choice = choices[0]
    if isinstance(choice, dict) and choice.get("error"):
        raise error_in_reply(choice["error"], reply, secrets)
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise broken("its first choice has no message")
    text, refused = _text_of(message.get("content"))
    if text is None:
        raise broken("the content of its message is neither text nor a list of parts")
    refusal = message.get("refusal") or refused
    return ChatResponse(
        text=text,
        model=_short(data.get("model")),
        finish_reason=_short(choice.get("finish_reason")),
        refusal=_whole(refusal) if isinstance(refusal, str) and refusal else None,
        has_tool_calls=bool(message.get("tool_calls") or message.get("function_call")),
        usage=_usage(data.get("usage")),
        request_id=request_id or _short(data.get("id")),
    )


def _text_of(content: Any) -> tuple[str | None, str | None]:
    """Text and refusal of a message's content; text None when the content makes no sense."""
    if content is None:
        return "", None
    if isinstance(content, str):
        return _whole(content), None
    if not isinstance(content, list):
        return None, None
    texts: list[str] = []
    refusals: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            if part.get("type") in (None, "text", "output_text"):  # and not the reasoning
                texts.append(part["text"])
        elif isinstance(part, dict) and isinstance(part.get("refusal"), str):
            refusals.append(part["refusal"])
    return _whole("".join(texts)), "".join(refusals) or None


def _whole(text: str) -> str:
    """`text` without lone surrogates, which no log line can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _short(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return "".join(ch for ch in value[:200] if ch.isprintable()) or None


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None

    def count(name: str) -> int | None:
        number = value.get(name)
        return number if type(number) is int and 0 <= number <= _MAX_COUNT else None

    return Usage(
        prompt_tokens=count("prompt_tokens"),
        completion_tokens=count("completion_tokens"),
        total_tokens=count("total_tokens"),
    )


def _with_schema(messages: list[dict[str, Any]], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages with the schema asked for in the first system message, made if need be.

    One system message, since some chat templates refuse a second one.
    """
    asked = (
        "Reply with one JSON object and nothing else: no prose, no code fences. "
        "It must fit this JSON Schema:\n" + json.dumps(schema, ensure_ascii=False)
    )
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{asked}"}, *messages[1:]]
    return [{"role": "system", "content": asked}, *messages]


def _schema_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "reply"


def _merge_headers(base: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    replaced = {name.lower() for name in over}
    kept = {name: value for name, value in base.items() if name.lower() not in replaced}
    return {**kept, **over}
