"""Payloads of model calls and validated outputs."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict

from replayt_core.payloads.shared import ErrorInfo


class PartInfo(TypedDict):
    """A content part: the size and hash of its text, or of the bytes that it carries."""

    type: str
    """`text`, `image_url` and the like, as the message has it."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256, in hex."""
    media_type: NotRequired[str]
    """Of carried bytes: their media type."""


class MessageInfo(TypedDict):
    """A message as every log mode keeps it; `content` and `fields` only in `full`.

    `parts` where the content is a list. Bytes and hash are those of the content: of a text as it
    is, else of its JSON. Where a message has more than role and content, they cover that too, and
    `fields` is the rest.
    """

    role: str
    """`system`, `user`, `assistant` or what the handler wrote."""
    bytes: int
    """Size of the content in bytes."""
    sha256: str
    """SHA-256 of the content, in hex."""
    parts: NotRequired[list[PartInfo]]
    """Of a content that is a list: each of its parts."""
    content: NotRequired[JsonValue]
    """Only in log mode `full`: the content."""
    fields: NotRequired[dict[str, JsonValue]]
    """Only in log mode `full`: what the message has besides role and content."""


class RepairInfo(TypedDict):
    """A call that asks again since the reply to `of_call` did not fit; `added` was added."""

    of_call: int
    """The call whose reply did not fit."""
    number: int
    """Which repair of it this is, counted from 1."""
    added: MessageInfo
    """The message that says what did not fit."""


class LLMRequest(TypedDict):
    """A model call starts. `overrides` is what the handler asked, `effective` what was used.

    `redact_keys` are the fields that the wanted model marks: hidden from here on.
    """

    call: int
    """Its number among the calls of this attempt, counted from 1."""
    state: str
    """The state."""
    effective: dict[str, JsonValue]
    """What was used: provider, host, model, sampling, limits, structured mode, the schema's hash.

    In log mode `full` the schema itself too.
    """
    overrides: dict[str, JsonValue]
    """What the handler asked for with `with_settings`."""
    messages: list[MessageInfo]
    """The messages, as the log mode keeps them."""
    schema_name: str | None
    """The wanted model class; null for a text call."""
    repair: NotRequired[RepairInfo]
    """Of a call that asks again: what it mends."""
    redact_keys: NotRequired[list[str]]
    """Field names that the wanted model hides, from here on."""


class LLMUsage(TypedDict, total=False):
    """Tokens as the provider counted them."""

    prompt_tokens: int | None
    """Tokens sent."""
    completion_tokens: int | None
    """Tokens received."""
    total_tokens: int | None
    """Both."""


class LLMResponse(TypedDict):
    """The end of a model call: exactly one for every started call."""

    call: int
    """The call that ends."""
    state: str
    """The state."""
    ok: bool
    """Whether there is a reply."""
    latency_ms: float
    """Milliseconds from the first request on the wire to the end, retries included."""
    effective: dict[str, JsonValue]
    """As in `llm_request`."""
    model: NotRequired[str | None]
    """What the provider calls the model that answered."""
    usage: NotRequired[LLMUsage | None]
    """Tokens, where the provider counts them."""
    finish_reason: NotRequired[str | None]
    """Why the model stopped, in the provider's word."""
    request_id: NotRequired[str | None]
    """The provider's id of the request."""
    reply: NotRequired[dict[str, JsonValue]]
    """Size and hash of the reply, and as much of its text as the log mode keeps."""
    error: NotRequired[ErrorInfo]
    """Why there is no reply."""


class LLMRetry(TypedDict):
    """The transport tries a call again: no retry is silent."""

    call: int
    """The call that is tried again."""
    status: int | None
    """The HTTP status that was answered; null without an answer."""
    error: str | None
    """The kind of error; null where the status says it."""
    delay_seconds: float
    """How long it waits first."""
    max_retries: NotRequired[int]
    """How often a call is tried again at most; missing where the client does not say."""


class StructuredOutput(TypedDict):
    """A validated output, kept in every log mode since replay needs it."""

    call: int
    """The call that was answered."""
    state: str
    """The state."""
    schema_name: str
    """The model class."""
    data: JsonValue
    """The validated instance, as JSON."""


class StructuredOutputFailed(TypedDict):
    """A reply that is no valid output: the stage, and the paths of the fields at fault."""

    call: int
    """The call that was answered."""
    state: str
    """The state."""
    schema_name: str
    """The model class."""
    stage: Literal["not_json", "schema", "not_replayable"]
    """`not_json`: no JSON object; `schema`: it does not validate; `not_replayable`: it does not
    survive its own JSON.
    """
    fields: list[str]
    """The paths of the fields at fault."""
    message: str
    """In one line."""
