"""`ctx`, what a handler gets: the context, model calls, tools, approvals, time and chance."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from replayt_core._attempt import Attempt, hash_parts
from replayt_core._effects import PerformsCalls
from replayt_core._fold import Approval
from replayt_core._llm_bridge import AsyncLLMBridge, LLMBridge
from replayt_core._outcome import AskedApproval
from replayt_core._tool_calls import AsyncToolBox, ToolBox
from replayt_core._values import decode_value, encode_value, to_json_value
from replayt_core.errors import ApprovalPending, DefinitionError, NotReplayableError
from replayt_core.tools import Tool


class _Context:
    """One attempt's view of its run. Valid while the handler runs, in the handler's thread."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._random: random.Random | None = None

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._attempt.state.run_id

    @property
    def state(self) -> str:
        """The state this handler serves."""
        return self._attempt.state.state or ""

    @property
    def visit(self) -> int:
        """How many times the run has arrived in this state, this one included."""
        return self._attempt.state.visit

    @property
    def attempt(self) -> int:
        """Which attempt of this visit this is, from 1."""
        self._attempt.look("attempt", "attempt", self._attempt.state.entered_seq)
        return self._attempt.state.attempt

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, or `default`. It is the run's own: changing it is a write."""
        self._attempt.require_open("ctx.get", in_tool=True)
        self._attempt.look_at_key(key)
        value = self._attempt.data.get(key, default)
        return self._shown(value) if value is not default else value

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON copy of `value`; see `get` for what comes back.

        Raises `NotJSONError` naming path and type for what is no JSON, and `NotReplayableError`
        for a live API key.
        """
        self._attempt.require_open("ctx.set")
        if self._attempt.services.writer.scrubber.holds_secret(encode_value(value, str(key))):
            raise NotReplayableError(
                f"ctx.set({key!r:.80}): the value holds a live API key, which no log may hold"
            )
        self._attempt.data.set(key, value)

    @property
    def data(self) -> dict[str, Any]:
        """The whole context as a plain dict. Touching it counts as reading every key."""
        self._attempt.require_open("ctx.data", in_tool=True)
        self._attempt.look("context", "*", None)
        whole: dict[str, Any] = self._shown(self._attempt.data.whole())
        return whole

    def because(self, text: str) -> None:
        """Say in a sentence why the step decides as it does; the transition records it."""
        self._attempt.require_open("ctx.because")
        self._attempt.reason = str(to_json_value(text, "because"))

    def note(self, kind: str, summary: str | None = None, data: Any = None) -> None:
        """Put something on record, as a `step_note` event."""
        self._attempt.require_open("ctx.note")
        self._attempt.journal.note(
            {
                "state": self.state,
                "kind": to_json_value(kind, "note kind"),
                "summary": to_json_value(summary, "note summary"),
                "data": to_json_value(data, "note data"),
            }
        )

    @property
    def now(self) -> datetime:
        """When this attempt was entered, with time zone UTC; the same when re-executed."""
        return datetime.fromisoformat(self._attempt.state.entered_ts.replace("Z", "+00:00"))

    @property
    def random(self) -> random.Random:
        """A random stream of this attempt, seeded by run, state, visit and attempt.

        Reproducible on purpose, so not for secrets.
        """
        if self._attempt.tool_use() is not None:
            # A served call does not run the body, so the body must not move the handler's stream.
            return random.Random(self._attempt.idempotency_key())  # noqa: S311 as below
        if self._random is None:
            state = self._attempt.state
            seed = f"{state.run_id}/{state.state}/{state.visit}/{state.attempt}"
            self._random = random.Random(seed)  # noqa: S311 reproducible on purpose
        return self._random

    @property
    def idempotency_key(self) -> str:
        """64 hex digits, the same in every attempt and resume of this visit.

        Inside a tool body it is that of this use of the tool. Hand it to services that
        deduplicate.
        """
        return self._attempt.idempotency_key()

    def request_approval(
        self,
        approval_id: str,
        *,
        summary: str = "",
        details: Any = None,
        on_approve: str | None = None,
        on_reject: str | None = None,
    ) -> bool:
        """Pause the run until a person answers; the answer, where this visit has one already.

        With `on_approve` or `on_reject` that answer leads straight to the state named, and this
        handler is not run again. Without, the handler starts again from its top, with the calls it
        had finished served from the log. One answer opens its gate once.
        """
        attempt = self._attempt
        attempt.require_open("ctx.request_approval")
        known = attempt.state.visit_approval(approval_id)
        if known is not None and known.approved is not None:
            attempt.look("approval", approval_id, known.resolved_seq)
            return known.approved
        if not isinstance(approval_id, str) or not approval_id:
            raise DefinitionError("request_approval: the id is a non-empty text")
        on_approve = self._checked_route(approval_id, on_approve)
        on_reject = self._checked_route(approval_id, on_reject)
        where = f"approval {approval_id!r}"
        shown = {
            "summary": str(to_json_value(summary, f"{where}: summary")),
            "details": to_json_value(details, f"{where}: details"),
        }
        delta, bad = attempt.data.delta()
        if bad is not None:
            raise bad
        signal = ApprovalPending(approval_id)
        attempt.pause = AskedApproval(
            approval_id=str(to_json_value(approval_id, "approval id")),
            summary=str(shown["summary"]),
            details=shown["details"],
            digest=hash_parts(shown),
            on_approve=on_approve,
            on_reject=on_reject,
            delta=delta,
        )
        attempt.pause_signal = signal
        raise signal

    def is_approved(self, approval_id: str) -> bool:
        """Whether the request of that id made in this visit was approved."""
        return self._answer(approval_id) is True

    def is_rejected(self, approval_id: str) -> bool:
        """Whether the request of that id made in this visit was rejected."""
        return self._answer(approval_id) is False

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """All approvals of the run so far, those of earlier visits too, as copies."""
        self._attempt.require_open("ctx.approvals")
        found = self._attempt.state.approvals.values()
        for approval in found:
            self._attempt.look("approval", approval.approval_id, approval.resolved_seq)
        reveal = self._attempt.hiding.reveal
        return tuple(replace(approval, details=reveal(approval.details)) for approval in found)

    def _answer(self, approval_id: str) -> bool | None:
        self._attempt.require_open("ctx.is_approved")
        known = self._attempt.state.visit_approval(approval_id)
        answer = known.approved if known is not None else None
        self._attempt.look(
            "approval", approval_id, known.resolved_seq if known is not None else None
        )
        return answer

    def _checked_route(self, approval_id: str, route: str | None) -> str | None:
        if route is None:
            return None
        workflow = self._attempt.services.workflow
        allowed = workflow.targets(self.state)
        if route not in workflow.steps or (allowed is not None and route not in allowed):
            raise DefinitionError(
                f"approval {approval_id!r}: the route to {route!r} is not declared for step "
                f"{self.state!r}; add it to its to=[...]"
            )
        return str.__str__(route)

    def _shown(self, value: Any) -> Any:
        """The run's own object; inside a tool a copy, since nothing it changes may count."""
        if self._attempt.tool_use() is None:
            return value
        return decode_value(encode_value(value))


class RunContext(_Context):
    """What a plain handler gets. Valid while the handler runs, in the handler's thread."""

    def __init__(self, attempt: Attempt, tools: Iterable[Tool]) -> None:
        super().__init__(attempt)
        self._llm = LLMBridge(attempt)
        self._tools = ToolBox(attempt, tools)

    @property
    def llm(self) -> LLMBridge:
        """Model calls."""
        return self._llm

    @property
    def tools(self) -> ToolBox:
        """Typed tools: `register` and `call`."""
        return self._tools


class AsyncRunContext(_Context):
    """What a handler of `AsyncRunner` gets: the same, with calls that are awaited."""

    def __init__(self, attempt: Attempt, tools: Iterable[Tool], calls: PerformsCalls) -> None:
        super().__init__(attempt)
        self._llm = AsyncLLMBridge(attempt, calls)
        self._tools = AsyncToolBox(attempt, tools, calls)

    @property
    def llm(self) -> AsyncLLMBridge:
        """Model calls."""
        return self._llm

    @property
    def tools(self) -> AsyncToolBox:
        """Typed tools: `register` and `call`."""
        return self._tools
