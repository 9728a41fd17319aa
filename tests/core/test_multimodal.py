"""Messages with images, sound and files: passed through, and never kept but in `full`.

Issue 5 point 5, SC-71, SC-72, SC-74.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import pytest
from pydantic_core import to_json

from replayt_core import DefinitionError, LogMode, MemoryStore, RunContext, Runner, verify
from replayt_core.pin import redacted_copy
from replayt_core.testing import MockLLMClient
from replayt_core.timeline import timeline
from tests.core.helpers import RUN, cut_behind, log, one_step, only, run_once
from tests.core.strict import strictly_valid

IMAGE = bytes(range(256)) * 40
SOUND = b"RIFF" + IMAGE[::-1]
PAPER = b"%PDF-1.7 " + IMAGE * 2
OUTSIDE_FULL = [LogMode.redacted, LogMode.structured_only]


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def parts(image: bytes = IMAGE, detail: str = "low") -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": "What is on it? Grüße"},
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{base64_of(image)}", "detail": detail},
        },
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png?token=s3cret"}},
        {"type": "input_audio", "input_audio": {"data": base64_of(SOUND), "format": "wav"}},
        {
            "type": "file",
            "file": {
                "filename": "paper.pdf",
                "file_data": f"data:application/pdf;base64,{base64_of(PAPER)}",
            },
        },
        {"type": "file", "file": {"file_id": "file-abc"}},
        {"type": "of_tomorrow", "data": [1, 2]},
    ]


def asking(content: Any, **more: Any) -> Any:
    def handler(ctx: RunContext) -> None:
        ctx.llm.complete_text(messages=[{"role": "user", "content": content, **more}])

    return handler


def asked(mode: LogMode, content: Any, **more: Any) -> tuple[MemoryStore, MockLLMClient]:
    store, mock = MemoryStore(), MockLLMClient().enqueue("a cat")
    result = run_once(asking(content, **more), store=store, llm_client=mock, log_mode=mode)
    assert result.status == "completed", result.error
    return store, mock


@pytest.mark.parametrize("mode", list(LogMode))
def test_parts_are_handed_to_the_client_as_they_are(mode: LogMode) -> None:
    """Issue 5 point 5."""
    given = parts()
    _, mock = asked(mode, copy.deepcopy(given))
    assert mock.requests[0].messages[0]["content"] == given


@pytest.mark.parametrize("mode", OUTSIDE_FULL)
def test_outside_full_the_log_has_types_sizes_and_hashes_and_no_bytes(mode: LogMode) -> None:
    """SC-72, SC-74: the hash is that of the file that somebody sent."""
    store, _ = asked(mode, parts())
    (message,) = only(store, "llm_request")["messages"]
    assert set(message) == {"role", "bytes", "sha256", "parts"}
    text = "What is on it? Grüße".encode()
    expected = [
        ("text", text, None),
        ("image_url", IMAGE, "image/png"),
        ("input_audio", SOUND, "wav"),
        ("file", PAPER, "application/pdf"),
    ]
    found = message["parts"]
    for kind, data, media_type in expected:
        digest = hashlib.sha256(data).hexdigest()
        (info,) = (item for item in found if item["sha256"] == digest)
        assert (info["type"], info["bytes"], info.get("media_type")) == (
            kind,
            len(data),
            media_type,
        )
    assert [item["type"] for item in found] == [part["type"] for part in parts()]
    raw = b"".join(event.line for event in log(store))
    needles = (b"s3cret", b"file-abc", b"What is on it", b"paper.pdf")
    for needle in (*needles, *(base64_of(data)[:24].encode() for data in (IMAGE, SOUND, PAPER))):
        assert needle not in raw
    assert len(raw) < 6_000
    strictly_valid("llm_request", only(store, "llm_request"))


def test_full_keeps_the_parts_and_the_timeline_does_not_spill_them() -> None:
    """SC-71."""
    store, _ = asked(LogMode.full, parts())
    (message,) = only(store, "llm_request")["messages"]
    assert message["content"] == parts()
    strictly_valid("llm_request", only(store, "llm_request"))
    (entry,) = (e for e in timeline(RUN, log(store)) if e.kind == "llm_request")
    (content,) = entry.details["content"]  # type: ignore[misc]
    assert content[0] == "What is on it? Grüße"  # type: ignore[index, call-overload]
    assert content[1]["bytes"] == len(IMAGE)  # type: ignore[index, call-overload]
    assert len(str(entry)) < 4_000


@pytest.mark.parametrize("mode", list(LogMode))
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (parts(image=IMAGE[::-1]), "part 2: recorded image_url image/png of 10240 bytes"),
        (parts(detail="high"), "messages[0] recorded"),
        (parts()[:-1], "part 7: recorded of_tomorrow of"),
    ],
)
def test_verify_finds_a_changed_part(mode: LogMode, changed: Any, said: str) -> None:
    """DESIGN 5: the fingerprint covers all of every part."""
    store, _ = asked(mode, parts())
    assert verify(one_step(asking(parts())), log(store)).difference is None
    difference = verify(one_step(asking(changed)), log(store)).difference
    assert difference is not None
    assert said in "\n".join(difference.details)


def test_a_call_with_parts_is_served_when_the_run_is_resumed() -> None:
    """SC-88."""
    store, _ = asked(LogMode.full, parts())
    mock = MockLLMClient()
    killed = cut_behind(store, "llm_response")
    result = Runner(one_step(asking(parts())), killed, llm_client=mock).resume(RUN)
    assert (result.status, mock.requests) == ("completed", [])


@pytest.mark.parametrize("mode", list(LogMode))
def test_what_a_message_has_besides_role_and_content_is_in_its_fingerprint(mode: LogMode) -> None:
    """Issue 5 point 4: a handler that passes tool calls on sends `tool_calls` and ids."""
    wanted = [{"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{}"}}]
    store, mock = asked(mode, None, tool_calls=wanted)
    assert mock.requests[0].messages[0]["tool_calls"] == wanted
    (message,) = only(store, "llm_request")["messages"]
    assert message.get("fields") == ({"tool_calls": wanted} if mode is LogMode.full else None)
    strictly_valid("llm_request", only(store, "llm_request"))
    assert verify(one_step(asking(None, tool_calls=wanted)), log(store)).ok
    assert not verify(one_step(asking(None, tool_calls=[])), log(store)).ok
    assert not verify(one_step(asking(None)), log(store)).ok


def test_full_refuses_more_than_an_event_may_hold_and_says_what_to_do() -> None:
    """RELIABILITY b3: 8 MiB an event; nothing is asked, and nothing of it is logged."""
    large = parts(image=b"x" * (6 * 1024 * 1024 + 3))
    mock, store = MockLLMClient().enqueue("a cat"), MemoryStore()
    result = run_once(asking(large), store=store, llm_client=mock, log_mode="full")
    error = result.error or {}
    assert error["type"] == DefinitionError.__name__
    assert "log mode full keeps them, and an event holds at most 8,388,608" in error["message"]
    assert "use log mode redacted" in error["message"]
    assert (mock.requests, sum(len(event.line) for event in log(store)) < 5_000) == ([], True)
    assert asked(LogMode.redacted, large)[1].requests


def test_a_pinned_copy_keeps_what_structured_only_keeps_of_parts() -> None:
    """SC-74: sizes and hashes stay, so that a changed image is still found."""
    store, _ = asked(LogMode.full, parts())
    copied = redacted_copy(log(store))
    (request,) = (event.payload for event in copied if event.type == "llm_request")
    bare = asked(LogMode.structured_only, parts())[0]
    assert request["messages"] == only(bare, "llm_request")["messages"]
    assert not any(base64_of(IMAGE)[:24].encode() in event.line for event in copied)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,not base64!"}},
        {"type": "image_url", "image_url": {"url": "data:text/plain,helloyou"}},
        {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
        {"type": "image_url", "image_url": None},
        {"type": 7},
        "a bare text",
        None,
        {"type": "x" * 500, "text": 3},
        {"type": "iVBORw0KGgoAAAANSUhEUgAAaGk"},
    ],
)
def test_a_part_of_another_shape_is_measured_as_it_stands(part: Any) -> None:
    """Issue 5 point 5: it is the client's to refuse; the log keeps size and hash."""
    store, mock = asked(LogMode.redacted, [part])
    assert mock.requests[0].messages[0]["content"] == [part]
    request = only(store, "llm_request")
    strictly_valid("llm_request", request)
    (info,) = request["messages"][0]["parts"]
    assert info["bytes"] == len(to_json(part))
    assert len(str(info)) < 250
    assert "iVBOR" not in str(info)


def test_a_media_type_that_is_none_is_left_out() -> None:
    """Issue 5 point 5: what a URL says of itself is not copied unless it is a media type."""
    part = {"type": "file", "file": {"file_data": "data:" + "a/b" * 300 + ";base64,aGk="}}
    store, _ = asked(LogMode.redacted, [part])
    (info,) = only(store, "llm_request")["messages"][0]["parts"]
    assert info == {"type": "file", "bytes": 2, "sha256": hashlib.sha256(b"hi").hexdigest()}
