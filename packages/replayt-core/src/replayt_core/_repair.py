"""Asking a model again for a reply that did not fit: what is added to the messages.

What is added is made of the log alone, in every log mode: of the stage and the field paths of
`structured_output_failed`. So a resumed run asks what the first process would have asked, and the
log mode never changes what a model is sent. The bad reply itself is therefore not sent along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from replayt_core._content import message_info
from replayt_core.errors import DefinitionError, LLMError
from replayt_core.events import Payload
from replayt_core.payloads import RepairInfo
from replayt_core.ports.llm import Message
from replayt_core.redaction import LogMode

REPAIRABLE = frozenset({"not_json", "schema"})
"""Failures of a reply that arrived whole. What else may go wrong is not mended by asking again."""

MOST_FIELDS = 20
MOST_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One more request for an output: the first call it repairs, which repair, and what to add."""

    of_call: int
    number: int
    text: str

    def described(self, mode: LogMode) -> RepairInfo:
        """What the log says of it."""
        added = message_info({"role": "user", "content": self.text}, mode)
        return {"of_call": self.of_call, "number": self.number, "added": added}

    def added_to(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages as they are sent: with the text at their end.

        It joins a last message of the user, since some chat templates want the roles to alternate.
        """
        last = messages[-1]
        content = last.get("content")
        if last.get("role") != "user" or not isinstance(content, str | list):
            return *messages, {"role": "user", "content": self.text}
        joined: JsonValue
        if isinstance(content, str):
            joined = f"{content}\n\n{self.text}"
        else:
            joined = [*content, {"type": "text", "text": self.text}]
        return *messages[:-1], {**last, "content": joined}


def next_repair(failed: Payload, before: Repair | None) -> Repair:
    """The repair that follows a `structured_output_failed`, and the repair `before` it."""
    schema_name = failed.get("schema_name")
    problems = _named(failed.get("fields")) if failed.get("stage") == "schema" else ""
    if not problems:
        problems = str(failed.get("message") or "").removeprefix(f"{schema_name}: ")
    return Repair(
        of_call=before.of_call if before else int(failed.get("call") or 0),
        number=before.number + 1 if before else 1,
        text=(
            f"Your previous reply was no valid {schema_name}: {problems}. Reply again with one "
            "JSON object that fits the schema, and with nothing else."
        ),
    )


def _named(fields: object) -> str:
    """The fields at fault, as many as help: the reply decides how many and how long they are."""
    if not isinstance(fields, list):
        return ""
    named = [str(field)[:MOST_CHARS] for field in fields[:MOST_FIELDS]]
    if len(fields) > MOST_FIELDS:
        named.append(f"and {len(fields) - MOST_FIELDS} more")
    return "; ".join(named)


def check_repairs(repair: object) -> int:
    """The number of repairs allowed. Raises `DefinitionError` for what is no count."""
    if type(repair) is not int or repair < 0:
        raise DefinitionError(
            f"ctx.llm.parse: repair is how often to ask again, 0 or more, not {repair!r:.60}"
        )
    return repair


def after_repairs(error: LLMError, last: Repair | None) -> LLMError:
    """The error of the last reply, which says how often was asked."""
    if last is None:
        return error
    times = "once" if last.number == 1 else f"{last.number} times"
    return LLMError(
        error.kind,
        f"{error.message} (asked again {times})",
        status=error.status,
        request_id=error.request_id,
        fields=error.fields,
    )
