"""Payloads of approvals."""

from __future__ import annotations

from pydantic import JsonValue
from typing_extensions import NotRequired, TypedDict


class ApprovalRequested(TypedDict):
    """The run asks a person. `digest` is the SHA-256 of what was shown."""

    approval_id: str
    """The id that the handler gave."""
    state: str
    """The state."""
    visit: int
    """The visit that asks."""
    summary: str
    """What is asked, in one line."""
    details: JsonValue
    """What else was shown, as JSON."""
    digest: str
    """SHA-256 of what was shown, in hex."""
    on_approve: str | None
    """The state to go to when approved; null: the state runs again."""
    on_reject: str | None
    """The same when rejected."""


class ApprovalResolved(TypedDict):
    """A person's answer; without `request_seq` it belongs to the one open request of that id."""

    approval_id: str
    """The id of the request."""
    request_seq: NotRequired[int]
    """The `approval_requested` that is answered."""
    approved: bool
    """The answer."""
    by: NotRequired[str | None]
    """Who answered."""
    reason: NotRequired[str | None]
    """Why."""


class ApprovalApplied(TypedDict):
    """The run acts on an answer, which is thereby consumed."""

    approval_id: str
    """The id of the request."""
    request_seq: int
    """The request."""
    approved: bool
    """The answer that is acted on."""
