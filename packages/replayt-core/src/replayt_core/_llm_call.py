"""One model call: asked for, made live or served, checked, and logged.

Whatever goes wrong is an `LLMError` with a kind, rebuilt from what was logged, so that a handler
which catches it takes the same branch when served. `''` is never a success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue, PydanticUserError

from replayt_core._attempt import Attempt, Services, hash_parts
from replayt_core._content import message_infos
from replayt_core._effects import Call, CallInterrupted, Complete, Serve, Start
from replayt_core._error_info import error_message
from replayt_core._llm_reply import (
    check_reply,
    describe_reply,
    raise_recorded,
    read_output,
    validate_again,
    without_surrogates,
)
from replayt_core._marked_fields import marked_names
from replayt_core._repair import (
    REPAIRABLE,
    Repair,
    after_repairs,
    check_repairs,
    next_repair,
)
from replayt_core._values import to_json_value
from replayt_core.errors import DefinitionError, LLMError, NotServableError
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
from replayt_core.redaction import LogMode, scrub_tokens

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_call(
    attempt: Attempt,
    settings: CallSettings,
    output_type: type[ModelT],
    messages: Sequence[Message],
    repair: int,
) -> Call[ModelT]:
    """A structured call as a generator of effects, and the calls that repair it."""
    if not (isinstance(output_type, type) and issubclass(output_type, BaseModel)):
        raise DefinitionError(
            f"ctx.llm.parse takes a Pydantic model class, not {output_type!r:.80}"
        )
    _hide_marked(attempt, output_type)
    left, again = check_repairs(repair), None
    while True:
        response, output = yield from _call(
            attempt, settings, messages, schema=output_type, allow_truncated=False, again=again
        )
        try:
            raise_recorded(response, output)
        except LLMError as error:
            if output is None or error.kind not in REPAIRABLE or not left:
                raise after_repairs(error, again) from error.__cause__
            left, again = left - 1, next_repair(output[1], again)
        else:
            data = attempt.hiding.reveal(output[1]["data"]) if output else None
            return validate_again(output_type, data)


def _hide_marked(attempt: Attempt, output_type: type[BaseModel]) -> None:
    """Hide the fields that the model marks, from here on."""
    marked = marked_names(output_type)
    if marked and attempt.services.mode is LogMode.full:
        raise DefinitionError(
            f"ctx.llm.parse: {output_type.__name__} marks fields as Redacted, and log mode full "
            "keeps replies as they are: use log mode redacted or structured_only"
        )
    attempt.hiding.add(marked)


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
        attempt.journal.withheld = True
        raise NotServableError(
            f"run {attempt.state.run_id}: call {response['call']} of state "
            f"{attempt.state.state!r} returned text that log mode {attempt.services.mode.value} "
            "did not keep"
        )
    return text


Ended = tuple[Payload, tuple[str, Payload] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a handler asks for, as it is logged and as it is sent."""

    logged: Payload
    request: ChatRequest
    schema: type[BaseModel] | None
    allow_truncated: bool

    @property
    def name(self) -> str:
        return str(self.logged["schema_name"] or "text")

    def effective(self, client: object) -> dict[str, JsonValue]:
        """What a call will use: the settings asked for, and what client and schema add to them."""
        effective: dict[str, JsonValue] = dict(self.request.settings.overrides())
        if isinstance(client, DescribesRequests):
            described = to_json_value(dict(client.effective(self.request)), "effective settings")
            effective.update(cast("dict[str, JsonValue]", described))
        if self.schema is not None:
            effective["schema_sha256"] = hash_parts(_json_schema(self.schema))
        return effective


def _call(
    attempt: Attempt,
    settings: CallSettings,
    messages: Sequence[Message],
    *,
    schema: type[BaseModel] | None,
    allow_truncated: bool,
    again: Repair | None = None,
) -> Call[Ended]:
    """The response and the output of a call, as logged; made live unless the log has them."""
    attempt.require_open("ctx.llm")
    services = attempt.services
    sent = _checked_messages(messages)
    overrides = cast(
        "dict[str, JsonValue]", to_json_value(settings.overrides(), "ctx.llm settings")
    )
    if allow_truncated:
        overrides["allow_truncated"] = True
    logged: Payload = {
        "overrides": overrides,
        "messages": message_infos(sent, services.mode),
        "schema_name": schema.__name__ if schema else None,
    }
    marked = marked_names(schema) if schema else frozenset()
    if marked:
        logged["redact_keys"] = sorted(marked)
    if again is not None:
        logged["repair"] = again.described(services.mode)
        sent = again.added_to(sent)
    asked = _Asked(
        logged=logged,
        request=_request(sent, settings, schema),
        schema=schema,
        allow_truncated=allow_truncated,
    )
    call, recorded = attempt.journal.next_call("llm", logged)
    if recorded is not None and attempt.journal.serves(recorded):
        attempt.look("call", asked.name, recorded.seq)
        if services.requests is not None:
            services.requests.look(recorded, asked.effective)
        yield Serve(recorded, inline=False)
        ended: Ended = cast(Payload, recorded.response), recorded.output
    else:
        yield Start(call)
        attempt.check_budget_for_call(recorded)
        ended = yield from _live(attempt, call, asked)
    attempt.check_budget()
    return ended


def _live(attempt: Attempt, call: int, asked: _Asked) -> Call[Ended]:
    """Make a call, and log how it began and how it ended."""
    services, journal, schema = attempt.services, attempt.journal, asked.schema
    client, effective, error = _prepare(services, asked)
    request, effective = _within_time(attempt, asked.request, effective)
    if schema is not None and services.mode is LogMode.full:
        effective["schema"] = _json_schema(schema)
    head: Payload = {"call": call, "state": attempt.state.state}
    opened = journal.append(Draft("llm_request", {**head, "effective": effective, **asked.logged}))
    attempt.look("call", asked.name, opened[0].seq)
    started = services.clock.monotonic()
    response: ChatResponse | None = None
    interrupted: CallInterrupted | None = None

    def on_retry(notice: RetryNotice) -> None:
        journal.append(Draft("llm_retry", _retry(call, notice)))

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
        error = check_reply(response, allow_truncated=asked.allow_truncated)
    if error is not None:
        attempt.learn_hidden()
        ended["ok"] = False
        ended["error"] = _error(error, services, interrupted)
    elif schema is not None and response is not None:
        output = read_output(schema, response.text, head, services)
    logged = journal.append(Draft("llm_response", ended), *([output] if output else []))
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


def _request(
    messages: tuple[Message, ...], settings: CallSettings, schema: type[BaseModel] | None
) -> ChatRequest:
    wanted = None
    if schema is not None:
        wanted = ResponseSchema(
            name=schema.__name__, json_schema=_json_schema(schema), model=schema
        )
    return ChatRequest(messages=messages, settings=settings, schema=wanted)


def _prepare(
    services: Services, asked: _Asked
) -> tuple[LLMClient | None, dict[str, JsonValue], LLMError | None]:
    """The client and what it will use, or why the call cannot be made."""
    try:
        client = services.llm.client()
        return client, asked.effective(client), None
    except LLMError as error:
        return None, asked.effective(None), error
    except Exception as error:
        return None, asked.effective(None), _foreign(error)


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
    told: Payload = {
        "call": call,
        "status": notice.status,
        "error": scrub_tokens(notice.error_kind) if notice.error_kind else None,
        "delay_seconds": round(notice.delay_seconds, 3),
    }
    if notice.max_retries is not None:
        told["max_retries"] = notice.max_retries
    return told


@lru_cache(maxsize=256)
def _json_schema(schema: type[BaseModel]) -> dict[str, JsonValue]:
    """The JSON Schema of a model, made once: it costs more than the rest of the call."""
    try:
        return schema.model_json_schema()
    except PydanticUserError as error:
        raise DefinitionError(
            f"ctx.llm.parse: {schema.__name__} has no JSON schema, so no model can be asked for "
            f"it: {str(error).splitlines()[0]}"
        ) from None
