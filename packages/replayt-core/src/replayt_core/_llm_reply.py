"""What a model's reply is worth: success or failure, validated, and as the log keeps it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from replayt_core._attempt import Services
from replayt_core._error_info import error_message, validation_fields
from replayt_core._json_reply import NoSingleObjectError, find_object
from replayt_core._values import to_json_value
from replayt_core.errors import LLMError, LLMErrorKind, NotJSONError, NotReplayableError
from replayt_core.events import Draft, Payload
from replayt_core.ports.llm import ChatResponse
from replayt_core.redaction import reply_info

ModelT = TypeVar("ModelT", bound=BaseModel)


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


def read_output(schema: type[BaseModel], text: str, head: Payload, services: Services) -> Draft:
    """The validated output of a reply, or at which stage and fields it failed."""
    base: Payload = {**head, "schema_name": schema.__name__}
    try:
        value = schema.model_validate_json(find_object(text))
    except NoSingleObjectError as error:
        return _failed(base, "not_json", [], f"{schema.__name__}: {error}")
    except ValidationError as error:
        message = error_message(error, services.mode, services.writer.scrubber)
        return _failed(base, "schema", validation_fields(error), message)
    except Exception as error:
        problem = f"{schema.__name__}: a validator raised {type(error).__name__}"
        return _failed(base, "schema", [], problem)
    try:
        dumped = to_json_value(
            value.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False),
            schema.__name__,
        )
    except Exception as error:
        problem = f"{schema.__name__} has no JSON form: {_why_unwritable(error)}"
        return _failed(base, "not_replayable", [], problem)
    differing = _differing_fields(schema, value, dumped)
    if differing:
        text = (
            f"{schema.__name__}: these fields do not come back from the log as they are: "
            + ", ".join(differing)
            + "; avoid excluded or write-only fields and validators that are not idempotent"
        )
        return _failed(base, "not_replayable", differing, text)
    return Draft("structured_output", {**base, "data": dumped})


def without_surrogates(response: ChatResponse) -> ChatResponse:
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


def _why_unwritable(error: Exception) -> str:
    """What is known without the value: the message of a user's serializer may quote the reply."""
    if isinstance(error, NotJSONError):
        return str(error)
    if isinstance(error, PydanticSerializationError) and error.__cause__ is None:
        return str(error)  # of a type that nothing serializes
    return f"a serializer raised {type(error.__cause__ or error).__name__}"


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


def validate_again(schema: type[ModelT], data: JsonValue) -> ModelT:
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


def raise_recorded(response: Payload, output: tuple[str, Payload] | None) -> None:
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


def describe_reply(response: ChatResponse, services: Services) -> Payload:
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
        "reply": reply_info(response.text, services.mode, services.writer.scrubber),
    }
