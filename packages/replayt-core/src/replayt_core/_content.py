"""What the log keeps of the messages that go to a model: text, and parts such as images.

Messages are handed to the client as they are. Outside log mode `full` the log holds roles, sizes
and hashes, and of each part its type, never what it carries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from replayt_core.errors import DefinitionError
from replayt_core.payloads import MessageInfo, PartInfo
from replayt_core.ports.llm import Message
from replayt_core.redaction import LogMode

MAX_KEPT_BYTES = 8 * 1024 * 1024
"""How much of messages mode `full` keeps of one call: what one event may hold."""

_PART_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")


def message_infos(messages: Sequence[Message], mode: LogMode) -> list[MessageInfo]:
    """What the log keeps of the messages of one call.

    Raises `DefinitionError` where mode `full` would have to keep more than one event may hold.
    """
    infos = [message_info(message, mode) for message in messages]
    size = sum(info["bytes"] for info in infos)
    if mode is LogMode.full and size > MAX_KEPT_BYTES:
        raise DefinitionError(
            f"ctx.llm: the messages are {size:,} bytes; log mode full keeps them, and an event "
            f"holds at most {MAX_KEPT_BYTES:,}: use log mode redacted, or send a URL of the data"
        )
    return infos


def message_info(message: Message, mode: LogMode) -> MessageInfo:
    """What the log keeps of a message that goes out."""
    content = message.get("content")
    rest = {name: message[name] for name in message if name not in ("role", "content")}
    if rest:
        data = to_json({"content": content, **rest})
    else:
        data = content.encode() if isinstance(content, str) else to_json(content)
    info: MessageInfo = {
        "role": str(message.get("role", "")),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if isinstance(content, list):
        info["parts"] = [_part_info(part) for part in content]
    if mode is LogMode.full:
        info["content"] = content
        if rest:
            info["fields"] = rest
    return info


def _part_info(part: JsonValue) -> PartInfo:
    """The size and hash of what a part carries: those of the file that somebody sent."""
    if not isinstance(part, dict):
        return _measured("", to_json(part))
    kind = part.get("type")
    name = kind if isinstance(kind, str) and _PART_TYPE.fullmatch(kind) else ""
    carried = _carried(part.get(name) if name else None)
    if isinstance(part.get("text"), str):
        return _measured(name, str(part["text"]).encode())
    if carried is None:
        return _measured(name, to_json(part))
    data, media_type = carried
    info = _measured(name, data)
    if media_type:
        info["media_type"] = media_type
    return info


def _measured(name: str, data: bytes) -> PartInfo:
    return {"type": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _carried(body: JsonValue) -> tuple[bytes, str] | None:
    """The bytes that a part carries, and their media type; None where it names them only.

    `image_url` has a data URL in `url`, `input_audio` base64 in `data` with a `format`, `file` a
    data URL or base64 in `file_data`. Everything else, such as a link, is hashed as it stands.
    """
    if not isinstance(body, Mapping):
        return None
    for field in ("url", "file_data", "data"):
        value = body.get(field)
        if isinstance(value, str):
            return _decoded(value, field, body.get("format"))
    return None


def _decoded(value: str, field: str, named: Any) -> tuple[bytes, str] | None:
    found = _DATA_URL.match(value) if value.startswith("data:") else None
    if found is None and field == "url":
        return None
    text = value[found.end() :] if found else value
    media_type = found[1] if found else (str(named) if isinstance(named, str) else "")
    if found and not found[2].endswith(";base64"):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    shown = _MEDIA_TYPE.fullmatch(media_type) or re.fullmatch(r"[A-Za-z0-9]{1,16}", media_type)
    return data, media_type if shown else ""
