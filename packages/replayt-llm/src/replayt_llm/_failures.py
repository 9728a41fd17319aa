"""What a server's refusal means: status and body to an `LLMError`. Pure.

Of the body only the provider's own short message is shown, scrubbed and cut; error bodies come in
many shapes, and some are not JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from replayt_core.errors import LLMError, LLMErrorKind
from replayt_llm._exchange import HTTPCall, HTTPReply
from replayt_llm._scrub import scrub

_SETTING_NAMES = {
    "temperature": "temperature",
    "max_tokens": "max_tokens (token_limit_field='max_completion_tokens' sends the newer name)",
    "max_completion_tokens": "max_tokens (token_limit_field='max_tokens' sends the older name)",
    "response_format": "structured_mode (json_object or prompt)",
    "seed": "seed",
    "random_seed": "seed",
    "model": "model",
}
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "quota_exceeded"})
_CONTEXT = re.compile(r"context[_ ](size|length|window)|exceed_context|maximum context", re.I)


@dataclass(frozen=True, kw_only=True)
class ProviderError:
    """What the body of an error says, as far as it says anything."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""

    def says(self, *words: str) -> bool:
        """Whether code or type is one of `words`."""
        return bool({self.code, self.type} & set(words))


def failure(call: HTTPCall, reply: HTTPReply) -> LLMError | None:
    """The error that a reply stands for, or None when its status says that all went well."""
    if 200 <= reply.status < 300:
        return None
    said = provider_error(_json(reply.body))
    kind = _kind(reply.status, said)
    hint = _hint(kind, reply.status, said)
    # A 401 echoes the key often enough to say nothing of its text.
    quoted = "" if reply.status == 401 else scrub(said.message, call.secrets)
    if quoted and quoted[-1] not in ".!?…":
        quoted += "."
    parts = (f"POST {call.where} answered {reply.status} ({kind}).", quoted, hint)
    return LLMError(
        kind,
        " ".join(part for part in parts if part),
        status=reply.status,
        request_id=request_id_of(reply),
    )


def error_in_reply(error: Any, reply: HTTPReply, secrets: tuple[str, ...]) -> LLMError:
    """The error that came with a status of success."""
    said = provider_error({"error": error})
    quoted = scrub(said.message, secrets)
    return LLMError(
        "error_in_200",
        f"the server answered {reply.status} with an error inside: {quoted or 'no message'}",
        status=reply.status,
        request_id=request_id_of(reply),
    )


def request_id_of(reply: HTTPReply) -> str | None:
    """The id under which the provider knows the call."""
    for name in ("x-request-id", "request-id"):
        if value := reply.headers.get(name):
            return "".join(ch for ch in value[:128] if ch.isprintable())
    return None


def provider_error(data: Any) -> ProviderError:
    """What an error body says, in any of the shapes seen: nested, flat, a list, a bare string."""
    if isinstance(data, list):
        data = data[0] if data else None
    if isinstance(data, dict) and "error" in data:
        data = data["error"]
    if isinstance(data, str):
        return ProviderError(message=data)
    if not isinstance(data, dict):
        return ProviderError()
    return ProviderError(
        message=next((v for k in ("message", "detail") if (v := _string(data.get(k)))), ""),
        code=_string(data.get("code")),
        type=_string(data.get("type")),
        param=_string(data.get("param")),
    )


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _kind(status: int, said: ProviderError) -> LLMErrorKind:
    if status == 402 or said.says(*_QUOTA_CODES):
        return "quota"
    if said.says("content_filter", "content_policy_violation"):
        return "content_filter"
    if status in (401, 403):
        return "auth"
    named: dict[int, LLMErrorKind] = {
        404: "not_found",
        408: "timeout",
        409: "other",
        429: "rate_limit",
    }
    if status in named:
        return named[status]
    if status >= 500:
        return "server"
    if 400 <= status < 500:
        return "bad_request"
    return "protocol"


def _hint(kind: LLMErrorKind, status: int, said: ProviderError) -> str:
    if kind == "bad_request":
        setting = _SETTING_NAMES.get(said.param)
        if setting and said.says("unsupported_parameter", "unsupported_value"):
            return f"The model does not take it: change or leave out the setting {setting}."
        if _CONTEXT.search(f"{said.code} {said.type} {said.message[:500]}"):
            return "The prompt is longer than the model's context: shorten the messages."
        if setting:
            return f"Look at the setting {setting}."
        return ""
    if kind == "protocol" and 300 <= status < 400:
        return "Redirects are not followed: give the final address as base_url."
    return {
        "auth": "Check the API key and what it may be used for.",
        "not_found": "Check base_url (most end in /v1) and the model's name.",
        "quota": "The account has no credit left; a repeat would not help.",
        "rate_limit": "Slow down, or raise timeout_seconds so that a retry can wait.",
    }.get(kind, "")
