"""`ctx.tools`: registering tools for a visit, and calling them, live or served."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any, TypeVar, cast, overload

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from replayt_core._attempt import Attempt, OutcomeUnknownSignal
from replayt_core._effects import (
    Call,
    CallInterrupted,
    Invoke,
    PerformsCalls,
    Serve,
    Start,
    perform,
)
from replayt_core._error_info import error_message, validation_fields
from replayt_core._journal import CallAnswer, RecordedCall
from replayt_core._outcome import OutcomeUnknown
from replayt_core._values import decode_value, to_json_value
from replayt_core.errors import (
    DefinitionError,
    NotJSONError,
    NotReplayableError,
    RefusedError,
    ToolError,
)
from replayt_core.events import Draft, Payload
from replayt_core.tools import Tool, make_tool

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class _Tools:
    """The tools of the run and those registered in this visit."""

    def __init__(self, attempt: Attempt, tools: Iterable[Tool]) -> None:
        self._attempt = attempt
        self._tools = {item.name: item for item in tools}

    @overload
    def register(self, function: FunctionT, /) -> FunctionT: ...
    @overload
    def register(
        self, function: None = None, /, *, name: str | None = None, idempotent: bool = False
    ) -> Callable[[FunctionT], FunctionT]: ...
    def register(
        self, function: Any = None, /, *, name: str | None = None, idempotent: bool = False
    ) -> Any:
        """Register a tool for this visit; the function is returned unchanged."""
        names = _names_at(sys._getframe(1))

        def add(added: FunctionT) -> FunctionT:
            self._attempt.require_open("ctx.tools.register")
            marked = make_tool(added, names)
            made = Tool(name or marked.name, added, idempotent or marked.idempotent, names)
            self._check(made)
            self._tools[made.name] = made
            return added

        return add if function is None else add(function)

    def names(self) -> list[str]:
        """The names of the tools that can be called here."""
        return list(self._tools)

    def schemas(self) -> list[dict[str, JsonValue]]:
        """The tools that can be called here, as chat protocols take them; see `Tool.schema`.

        Tools of the run come first, then those of this visit in the order of their registration.
        What a model wants called, the handler calls: nothing is called by itself.
        """
        return [known.schema() for known in self._tools.values()]

    def _check(self, added: Tool) -> None:
        """Raises where the tool cannot be called here."""


class ToolBox(_Tools):
    """`ctx.tools` of a plain handler."""

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a tool; its validated result. Raises `ToolError`, whatever went wrong."""
        known = self._tools.get(name)
        if known is not None:
            self._check(known)
        return perform(call_tool(self._attempt, self._tools, name, arguments))

    def _check(self, added: Tool) -> None:
        if added.is_async:
            raise DefinitionError(
                f"tool {added.name!r} is `async def`; Runner calls plain functions: use AsyncRunner"
            )


class AsyncToolBox(_Tools):
    """`ctx.tools` of an `async def` handler."""

    def __init__(self, attempt: Attempt, tools: Iterable[Tool], calls: PerformsCalls) -> None:
        super().__init__(attempt, tools)
        self._calls = calls

    async def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a tool; its validated result. Raises `ToolError`, whatever went wrong.

        An `async def` body is awaited, and other tasks run meanwhile; a plain one runs at once.
        """
        call = call_tool(self._attempt, self._tools, name, arguments)
        return await self._calls.perform(call)


def call_tool(
    attempt: Attempt, tools: Mapping[str, Tool], name: str, arguments: Mapping[str, Any] | None
) -> Call[Any]:
    """One tool call, live or served."""
    attempt.require_open("ctx.tools.call")
    asked: Payload = {"name": name, "arguments": _json_arguments(name, arguments)}
    known = tools.get(name)
    if known is not None:
        known.check()
    call, recorded = attempt.journal.next_call("tool", asked)
    state = attempt.state.state
    head: Payload = {"call": call, "state": state}
    key = attempt.use_tool(name, asked["arguments"])
    if recorded is not None:
        attempt.look("call", name, recorded.seq)
    if recorded is not None and attempt.journal.serves(recorded):
        yield Serve(recorded, inline=not _waits(known, asked["arguments"]))
        return _hand_over(attempt, known, cast(Payload, recorded.response))
    yield Start(call)
    if recorded is not None:
        result = _settled(attempt, known, recorded, head)
        if result is not None:
            return _hand_over(attempt, known, result)
    requested = Draft("tool_call", {**head, **asked})
    try:
        if known is None:
            raise ToolError("UnknownTool", _unknown(name, tools))
        bound = known.bind(asked["arguments"])
    except ToolError as error:
        # Nothing ran: call and result are one batch, so no crash leaves an unknown outcome.
        failed = _error(error, attempt)
        result = {**head, "name": name, "ok": False, "error": failed, "elapsed_ms": 0.0}
        events = attempt.journal.append(requested, Draft("tool_result", result))
        attempt.look("call", name, events[0].seq)
        return _hand_over(attempt, known, events[1].payload, error)
    event = attempt.journal.append(requested)[0]
    attempt.look("call", name, event.seq)
    result, cause = yield from _run(attempt, known, bound, key, head)
    logged = attempt.journal.append(Draft("tool_result", result))[0]
    if isinstance(cause, CallInterrupted):
        raise cause
    return _hand_over(attempt, known, logged.payload, cause)


def _json_arguments(name: object, arguments: object) -> JsonValue:
    """The arguments as they are logged. Raises `ToolError` where they have no such form."""
    where = f"arguments of tool {name!r:.120}"
    if not isinstance(name, str) or not isinstance(arguments, Mapping | None):
        got = type(arguments).__name__
        raise ToolError("InvalidArguments", f"{where}: a mapping of names to values, not a {got}")
    try:
        to_json_value(name, "the name of a tool")
        return to_json_value(dict(arguments or {}), where)
    except NotJSONError as error:
        raise ToolError("InvalidArguments", str(error)) from error


def _run(
    attempt: Attempt, known: Tool, bound: dict[str, Any], key: str, head: Payload
) -> Call[tuple[Payload, BaseException | None]]:
    """Run the body; the result as it is to be logged, and the live exception if there was one."""
    clock = attempt.services.clock
    result: Payload = {**head, "name": known.name, "ok": True}
    cause: BaseException | None = None
    started = clock.monotonic()
    try:
        with attempt.inside_tool(known.name, key):
            value = yield Invoke(known.function, bound, known.is_async)
            result["result"] = known.encode_result(value)
    except Exception as error:
        cause = error
        result["ok"] = False
        result["error"] = _error(error, attempt)
    except CallInterrupted as signal:
        cause = signal
        result["ok"] = False
        result["error"] = {
            "type": signal.error_type,
            "kind": "interrupted",
            "message": str(signal),
        }
    result["elapsed_ms"] = round(max(clock.monotonic() - started, 0.0) * 1000, 3)
    return result, cause


def _waits(known: Tool | None, arguments: Mapping[str, JsonValue]) -> bool:
    """Whether other tasks run while the tool does."""
    if known is None or not known.is_async:
        return False
    try:
        known.bind(arguments)
    except ToolError:
        return False
    return True


def _settled(
    attempt: Attempt, known: Tool | None, recorded: RecordedCall, head: Payload
) -> Payload | None:
    """What a person said of a call without a result; None when the call has to be made again."""
    answer = attempt.journal.answers.get(recorded.seq)
    if answer is None:
        if known is not None and known.idempotent:
            return None
        signal = OutcomeUnknownSignal()
        attempt.pause = OutcomeUnknown(call=recorded.seq, delta=attempt.data.delta()[0])
        attempt.pause_signal = signal
        raise signal
    if answer.action == "retry":
        return None
    if answer.action == "result" and known is not None:
        problem = known.misfit(answer.value)
        if problem is not None:
            # What a person says happened must not end in the tool being called again.
            attempt.pause = OutcomeUnknown(call=recorded.seq, delta=attempt.data.delta()[0])
            attempt.journal.refusal = RefusedError(
                f"run {attempt.state.run_id}: the result given for call {recorded.seq} does not "
                f"fit tool {known.name!r} ({problem}); the run still waits for it"
            )
            attempt.pause_signal = OutcomeUnknownSignal()
            raise attempt.pause_signal
    result = {**head, "name": recorded.request.get("name"), **_answered(answer), "elapsed_ms": 0.0}
    return attempt.journal.append(Draft("tool_result", result))[0].payload


def _answered(answer: CallAnswer) -> Payload:
    if answer.action == "result":
        return {"ok": True, "result": answer.value}
    message = "a person said that the call failed" if answer.value is None else str(answer.value)
    return {"ok": False, "error": {"type": "ToolError", "kind": "CallFailed", "message": message}}


def _hand_over(
    attempt: Attempt, known: Tool | None, result: Payload, cause: BaseException | None = None
) -> Any:
    """The value of a logged result, or the error that it records."""
    if not result.get("ok"):
        error = result.get("error") or {}
        message = str(error.get("message", ""))
        if error.get("type") == "NotReplayableError":
            raise NotReplayableError(message) from cause
        kind = str(error.get("kind") or error.get("type") or "ToolError")
        raise ToolError(kind, message) from cause
    result = attempt.hiding.reveal(result.get("result"))
    logged = decode_value(to_json(result))  # the log's own stays as it is
    if known is None:
        return logged
    try:
        return known.decode_result(logged)
    except ValidationError as error:
        raise ToolError(
            "InvalidResult",
            f"tool {known.name!r}: the recorded result does not fit its annotation: "
            + "; ".join(validation_fields(error)),
        ) from error


def _error(error: Exception, attempt: Attempt) -> Payload:
    services = attempt.services
    attempt.learn_hidden()
    message = error_message(error, services.mode, services.writer.scrubber)
    if isinstance(error, ToolError):
        return {"type": "ToolError", "kind": error.error_type, "message": message}
    if isinstance(error, NotReplayableError):
        return {"type": "NotReplayableError", "message": message}
    return {"type": "ToolError", "kind": type(error).__name__, "message": message}


def _unknown(name: str, tools: Mapping[str, Tool]) -> str:
    known = ", ".join(sorted(tools)) or "none"
    return f"no tool {name!r:.120} is registered here; registered: {known}"


def _names_at(frame: FrameType) -> dict[str, Any]:
    """The names that annotations of a function defined in `frame` may use."""
    return dict(frame.f_locals)
