"""`ctx.llm`: model calls that are validated, logged, and served on resume.

Whatever goes wrong is an `LLMError` with a kind, rebuilt from what was logged, so that a handler
which catches it takes the same branch when served. `''` is never a success.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue

from replayt_core._attempt import Attempt, Services, hash_parts
from replayt_core._effects import (
    Call,
    CallInterrupted,
    Complete,
    PerformsCalls,
    Serve,
    Start,
    perform,
)
from replayt_core._error_info import error_message
from replayt_core._llm_reply import (
    check_reply,
    describe_reply,
    raise_recorded,
    read_output,
    validate_again,
    without_surrogates,
)
from replayt_core._values import to_json_value
from replayt_core.errors import (
    DefinitionError,
    LLMError,
    NotServableError,
)
from replayt_core.events import Draft, Payload
from replayt_core.ports.llm import (
    CallSettings,
    ChatRequest,
    ChatResponse,
    DescribesRequests,
    LLMClient,
    Message,
    ResponseSchema,
    RetryNotice,
)
from replayt_core.redaction import LogMode, message_info, scrub_tokens

ModelT = TypeVar("ModelT", bound=BaseModel)
BridgeT = TypeVar("BridgeT", bound="_Bridge")


class _Bridge:
    """Model calls of one attempt, with the settings asked for so far."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._settings = CallSettings()

    def with_settings(
        self: BridgeT,
        *,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout_seconds: float | None = None,
        seed: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> BridgeT:
        """A bridge that asks for these settings too; this one stays as it is.

        What is not given stays as the client has it. Headers are merged by name. The log records
        the settings, and of headers their names only.
        """
        asked = {
            "model": model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "timeout_seconds": timeout_seconds,
            "seed": seed,
        }
        changes: dict[str, Any] = {
            name: value for name, value in asked.items() if value is not None
        }
        if extra_headers is not None:
            changes["extra_headers"] = {**(self._settings.extra_headers or {}), **extra_headers}
        changed = copy.copy(self)
        changed._settings = replace(self._settings, **changes)
        return changed


class LLMBridge(_Bridge):
    """`ctx.llm` of a plain handler."""

    def parse(self, output_type: type[ModelT], *, messages: Sequence[Message]) -> ModelT:
        """A validated instance of `output_type`. Raises `LLMError`; see its kinds."""
        call = parse_call(self._attempt, self._settings, output_type, messages)
        return perform(call)

    def complete_text(self, *, messages: Sequence[Message], allow_truncated: bool = False) -> str:
        """The reply as text. A reply cut at the token limit is an error unless allowed."""
        call = text_call(self._attempt, self._settings, messages, allow_truncated)
        return perform(call)


class AsyncLLMBridge(_Bridge):
    """`ctx.llm` of an `async def` handler."""

    def __init__(self, attempt: Attempt, calls: PerformsCalls) -> None:
        super().__init__(attempt)
        self._calls = calls

    async def parse(self, output_type: type[ModelT], *, messages: Sequence[Message]) -> ModelT:
        """A validated instance of `output_type`. Raises `LLMError`; see its kinds."""
        call = parse_call(self._attempt, self._settings, output_type, messages)
        return await self._calls.perform(call)

    async def complete_text(
        self, *, messages: Sequence[Message], allow_truncated: bool = False
    ) -> str:
        """The reply as text. A reply cut at the token limit is an error unless allowed."""
        call = text_call(self._attempt, self._settings, messages, allow_truncated)
        return await self._calls.perform(call)


def parse_call(
    attempt: Attempt,
    settings: CallSettings,
    output_type: type[ModelT],
    messages: Sequence[Message],
) -> Call[ModelT]:
    """A structured call as a generator of effects."""
    if not (isinstance(output_type, type) and issubclass(output_type, BaseModel)):
        raise DefinitionError(
            f"ctx.llm.parse takes a Pydantic model class, not {output_type!r:.80}"
        )
    response, output = yield from _call(
        attempt, settings, messages, schema=output_type, allow_truncated=False
    )
    raise_recorded(response, output)
    return validate_again(output_type, output[1]["data"] if output else None)


def text_call(
    attempt: Attempt,
    settings: CallSettings,
    messages: Sequence[Message],
    allow_truncated: bool,
) -> Call[str]:
    """A text call as a generator of effects."""
    response, _ = yield from _call(
        attempt, settings, messages, schema=None, allow_truncated=allow_truncated
    )
    raise_recorded(response, None)
    text = response["text"] if "text" in response else response["reply"].get("content")
    if not isinstance(text, str):
        raise NotServableError(
            f"run {attempt.state.run_id}: call {response['call']} of state "
            f"{attempt.state.state!r} returned text that log mode {attempt.services.mode.value} "
            "did not keep"
        )
    return text


Ended = tuple[Payload, tuple[str, Payload] | None]


def _call(
    attempt: Attempt,
    settings: CallSettings,
    messages: Sequence[Message],
    *,
    schema: type[BaseModel] | None,
    allow_truncated: bool,
) -> Call[Ended]:
    """The response and the output of a call, as logged; made live unless the log has them."""
    attempt.require_open("ctx.llm")
    services, state = attempt.services, attempt.state
    sent = _checked_messages(messages)
    overrides = cast(
        "dict[str, JsonValue]", to_json_value(settings.overrides(), "ctx.llm settings")
    )
    if allow_truncated:
        overrides["allow_truncated"] = True
    asked: Payload = {
        "overrides": overrides,
        "messages": [message_info(message, services.mode) for message in sent],
        "schema_name": schema.__name__ if schema else None,
    }
    call, recorded = attempt.journal.next_call("llm", asked)
    name = asked["schema_name"] or "text"
    if recorded is not None and attempt.journal.serves(recorded):
        attempt.look("call", name, recorded.seq)
        yield Serve(recorded, inline=False)
        return cast(Payload, recorded.response), recorded.output
    yield Start(call)
    request = ChatRequest(
        messages=sent,
        settings=settings,
        schema=ResponseSchema(name=schema.__name__, json_schema=_json_schema(schema))
        if schema
        else None,
    )
    client, effective, error = _prepare(attempt, request)
    request, effective = _within_time(attempt, request, effective)
    if schema is not None:
        effective["schema_sha256"] = hash_parts(_json_schema(schema))
        if services.mode is LogMode.full:
            effective["schema"] = _json_schema(schema)
    head: Payload = {"call": call, "state": state.state}
    opened = attempt.journal.append(Draft("llm_request", {**head, "effective": effective, **asked}))
    attempt.look("call", name, opened[0].seq)
    started = services.clock.monotonic()
    response: ChatResponse | None = None
    interrupted: CallInterrupted | None = None

    def on_retry(notice: RetryNotice) -> None:
        attempt.journal.append(Draft("llm_retry", _retry(call, notice)))

    try:
        response = yield Complete(client, request, on_retry)
        response = without_surrogates(response) if response is not None else None
    except LLMError as failure:
        error = failure
    except Exception as failure:
        error = _foreign(failure)
    except CallInterrupted as signal:
        interrupted, error = signal, LLMError("interrupted", str(signal))
    if services.writer.failure is not None:
        raise services.writer.failure
    latency = round(max(services.clock.monotonic() - started, 0.0) * 1000, 3)
    ended: Payload = {**head, "ok": True, "latency_ms": latency, "effective": effective}
    output: Draft | None = None
    if response is not None:
        ended.update(describe_reply(response, services))
        error = check_reply(response, allow_truncated=allow_truncated)
    if error is not None:
        ended["ok"] = False
        ended["error"] = _error(error, services, interrupted)
    elif schema is not None and response is not None:
        output = read_output(schema, response.text, head, services)
    logged = attempt.journal.append(Draft("llm_response", ended), *([output] if output else []))
    if interrupted is not None:
        raise interrupted
    final = dict(logged[0].payload)
    if response is not None and error is None and schema is None:
        final["text"] = services.writer.scrubber.text(response.text)
    if error is not None and error.__cause__ is not None:
        final["cause"] = error.__cause__
    return final, (logged[1].type, logged[1].payload) if output else None


def _within_time(
    attempt: Attempt, request: ChatRequest, effective: dict[str, JsonValue]
) -> tuple[ChatRequest, dict[str, JsonValue]]:
    """The request with a timeout that ends with the step's own time, where that is sooner."""
    left = attempt.seconds_left()
    limit = effective.get("timeout_seconds")
    if left is None or (isinstance(limit, int | float) and limit <= left):
        return request, effective
    left = round(max(left, 0.001), 3)
    settings = replace(request.settings, timeout_seconds=left)
    return replace(request, settings=settings), {**effective, "timeout_seconds": left}


def _prepare(
    attempt: Attempt, request: ChatRequest
) -> tuple[LLMClient | None, dict[str, JsonValue], LLMError | None]:
    """The client and what it will use, or why the call cannot be made."""
    effective: dict[str, JsonValue] = dict(request.settings.overrides())
    try:
        client = attempt.services.llm.client()
        if isinstance(client, DescribesRequests):
            described = to_json_value(dict(client.effective(request)), "effective settings")
            effective.update(cast("dict[str, JsonValue]", described))
    except LLMError as error:
        return None, effective, error
    except Exception as error:
        return None, effective, _foreign(error)
    return client, effective, None


def _foreign(error: Exception) -> LLMError:
    """What a client raised that is no `LLMError`, as one."""
    wrapped = LLMError("other", f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _checked_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    if isinstance(messages, str | Mapping) or not messages:
        raise DefinitionError('ctx.llm: messages is a list such as [{"role": ..., "content": ...}]')
    checked: list[Message] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DefinitionError(f"ctx.llm: messages[{index}] has no role")
        checked.append(cast(Message, to_json_value(dict(message), f"messages[{index}]")))
    return tuple(checked)


def _error(error: LLMError, services: Services, interrupted: CallInterrupted | None) -> Payload:
    return {
        "type": interrupted.error_type if interrupted else "LLMError",
        "kind": error.kind,
        "status": error.status,
        "message": error_message(error, services.mode, services.writer.scrubber),
    }


def _retry(call: int, notice: RetryNotice) -> Payload:
    return {
        "call": call,
        "status": notice.status,
        "error": scrub_tokens(notice.error_kind) if notice.error_kind else None,
        "delay_seconds": round(notice.delay_seconds, 3),
    }


@lru_cache(maxsize=256)
def _json_schema(schema: type[BaseModel]) -> dict[str, JsonValue]:
    """The JSON Schema of a model, made once: it costs more than the rest of the call."""
    return schema.model_json_schema()
