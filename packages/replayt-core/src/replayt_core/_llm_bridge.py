"""`ctx.llm`: model calls that are validated, logged, and served on resume.

Whatever goes wrong is an `LLMError` with a kind, rebuilt from what was logged, so that a handler
which catches it takes the same branch when served. `''` is never a success.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from replayt_core._attempt import Attempt, hash_parts
from replayt_core._effects import (
    Call,
    CallInterrupted,
    Complete,
    PerformsCalls,
    Serve,
    Start,
    perform,
)
from replayt_core._error_info import error_message, validation_fields
from replayt_core._json_reply import NoSingleObjectError, find_object
from replayt_core._values import to_json_value
from replayt_core.errors import (
    DefinitionError,
    LLMError,
    LLMErrorKind,
    NotJSONError,
    NotReplayableError,
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
from replayt_core.redaction import LogMode, message_info, reply_info, scrub_tokens

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
    _raise_recorded(response, output)
    return _validate_again(output_type, output[1]["data"] if output else None)


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
    _raise_recorded(response, None)
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
        response = _without_surrogates(response) if response is not None else None
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
        ended.update(_reply(response, services.mode))
        error = check_reply(response, allow_truncated=allow_truncated)
    if error is not None:
        ended["ok"] = False
        ended["error"] = _error(error, services.mode, interrupted)
    elif schema is not None and response is not None:
        output = _read_output(schema, response.text, head, services.mode)
    logged = attempt.journal.append(Draft("llm_response", ended), *([output] if output else []))
    if interrupted is not None:
        raise interrupted
    final = dict(logged[0].payload)
    if response is not None and error is None and schema is None:
        final["text"] = services.writer.scrubber.text(response.text)
    if error is not None and error.__cause__ is not None:
        final["cause"] = error.__cause__
    return final, (logged[1].type, logged[1].payload) if output else None


def check_reply(response: ChatResponse, *, allow_truncated: bool) -> LLMError | None:
    """Why a reply is no success, or None."""
    kind: LLMErrorKind | None = None
    message = ""
    if response.refusal:
        kind, message = "refusal", "the model refused to answer"
    elif response.finish_reason == "content_filter":
        kind, message = "content_filter", "the provider's content filter cut the reply"
    elif response.finish_reason == "length" and not (allow_truncated and response.text.strip()):
        kind, message = "truncated", "the reply was cut at the token limit; raise max_tokens"
    elif not response.text.strip():
        if response.has_tool_calls:
            kind, message = "tool_calls_only", "the reply holds tool calls and no text"
        else:
            kind, message = "empty", "the reply is empty"
    return None if kind is None else LLMError(kind, message, request_id=response.request_id)


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


def _read_output(schema: type[BaseModel], text: str, head: Payload, mode: LogMode) -> Draft:
    """The validated output of a reply, or at which stage and fields it failed."""
    base: Payload = {**head, "schema_name": schema.__name__}
    try:
        value = schema.model_validate_json(find_object(text))
    except NoSingleObjectError as error:
        return _failed(base, "not_json", [], f"{schema.__name__}: {error}")
    except ValidationError as error:
        return _failed(base, "schema", validation_fields(error), error_message(error, mode))
    except Exception as error:
        problem = f"{schema.__name__}: a validator raised {type(error).__name__}"
        return _failed(base, "schema", [], problem)
    try:
        dumped = to_json_value(
            value.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False),
            schema.__name__,
        )
    except (NotJSONError, PydanticSerializationError) as error:
        return _failed(base, "not_replayable", [], f"{schema.__name__} has no JSON form: {error}")
    differing = _differing_fields(schema, value, dumped)
    if differing:
        text = (
            f"{schema.__name__}: these fields do not come back from the log as they are: "
            + ", ".join(differing)
            + "; avoid excluded or write-only fields and validators that are not idempotent"
        )
        return _failed(base, "not_replayable", differing, text)
    return Draft("structured_output", {**base, "data": dumped})


def _foreign(error: Exception) -> LLMError:
    """What a client raised that is no `LLMError`, as one."""
    wrapped = LLMError("other", f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _without_surrogates(response: ChatResponse) -> ChatResponse:
    """A provider's reply as text: lone surrogates become U+FFFD, since no log can hold them."""
    texts = {
        name: re.sub("[\ud800-\udfff]", "\ufffd", value)
        for name in ("text", "model", "finish_reason", "refusal", "request_id")
        if isinstance(value := getattr(response, name), str) and not value.isascii()
    }
    return replace(response, **cast("dict[str, Any]", texts)) if texts else response


def _failed(base: Payload, stage: str, fields: list[str], message: str) -> Draft:
    return Draft(
        "structured_output_failed", {**base, "stage": stage, "fields": fields, "message": message}
    )


def _differing_fields(schema: type[BaseModel], value: BaseModel, dumped: JsonValue) -> list[str]:
    try:
        again = schema.model_validate_json(to_json(dumped))
    except ValidationError as error:
        return validation_fields(error)
    if again == value:
        return []
    names = [
        name
        for name in schema.model_fields
        if getattr(again, name, None) != getattr(value, name, None)
    ]
    return names or ["(private or extra data)"]


def _validate_again(schema: type[ModelT], data: JsonValue) -> ModelT:
    """The instance that the log's data make: what the handler gets, live and served."""
    try:
        return schema.model_validate_json(to_json(data))
    except ValidationError as error:
        fields = validation_fields(error)
        raise LLMError(
            "schema",
            f"the recorded output does not fit {schema.__name__} any more: " + "; ".join(fields),
            fields=fields,
        ) from None


def _raise_recorded(response: Payload, output: tuple[str, Payload] | None) -> None:
    """Raise the error that the log holds for a call, if it holds one."""
    if not response.get("ok"):
        error = response.get("error") or {}
        raise LLMError(
            error.get("kind", "other"),
            str(error.get("message", "")),
            status=error.get("status"),
            request_id=response.get("request_id"),
        ) from response.get("cause")
    if output is None or output[0] != "structured_output_failed":
        return
    failed = output[1]
    if failed.get("stage") == "not_replayable":
        raise NotReplayableError(str(failed.get("message")))
    raise LLMError(
        failed.get("stage", "schema"),
        str(failed.get("message")),
        request_id=response.get("request_id"),
        fields=failed.get("fields") or (),
    )


def _checked_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    if isinstance(messages, str | Mapping) or not messages:
        raise DefinitionError('ctx.llm: messages is a list such as [{"role": ..., "content": ...}]')
    checked: list[Message] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DefinitionError(f"ctx.llm: messages[{index}] has no role")
        checked.append(cast(Message, to_json_value(dict(message), f"messages[{index}]")))
    return tuple(checked)


def _reply(response: ChatResponse, mode: LogMode) -> Payload:
    usage = response.usage
    return {
        "model": response.model,
        "finish_reason": response.finish_reason,
        "request_id": response.request_id,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }
        if usage
        else None,
        "reply": reply_info(response.text, mode),
    }


def _error(error: LLMError, mode: LogMode, interrupted: CallInterrupted | None) -> Payload:
    return {
        "type": interrupted.error_type if interrupted else "LLMError",
        "kind": error.kind,
        "status": error.status,
        "message": error_message(error, mode),
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
