"""Typed tools: plain functions whose arguments and results are validated and logged.

The handler receives what was logged: the result is encoded, decoded and validated against the
return annotation before it is handed over, live as well as served.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload

from pydantic import JsonValue, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from replayt_core._error_info import validation_fields
from replayt_core._tool_schema import function_schema
from replayt_core._values import to_json_value
from replayt_core.errors import (
    DefinitionError,
    NotJSONError,
    NotReplayableError,
    ToolError,
)

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Tool:
    """A function that workflows may call by name.

    `idempotent` says that calling it again with the same arguments does no harm: only then is a
    call whose result the log lacks made again without asking.
    """

    name: str
    function: Callable[..., Any]
    idempotent: bool = False
    names: Mapping[str, Any] | None = None
    """What annotations may refer to besides the function's own module."""

    @cached_property
    def is_async(self) -> bool:
        """Whether the body is `async def`: only `AsyncRunner` can await it."""
        function = inspect.unwrap(self.function)
        return any(map(inspect.iscoroutinefunction, (function, function.__call__)))

    @cached_property
    def _types(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(
                _declared(self.function), localns=dict(self.names or {}), include_extras=True
            )
        except Exception as error:  # an annotation in quotes is code, which may raise anything
            raise DefinitionError(
                f"tool {self.name!r}: an annotation is unknown: {error}"
            ) from None

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters by name. Raises `DefinitionError` where they cannot be named."""
        try:
            found = dict(inspect.signature(self.function).parameters)
        except ValueError as error:
            raise DefinitionError(f"tool {self.name!r}: {error}; wrap it in a function") from None
        for parameter in found.values():
            if parameter.kind not in _BY_NAME:
                raise DefinitionError(
                    f"tool {self.name!r}: parameter {parameter} cannot be passed by name"
                )
            if isinstance(parameter.default, FieldInfo):
                raise DefinitionError(
                    f"tool {self.name!r}: parameter {parameter.name!r} would get the Field itself "
                    "as its default; annotate it: Annotated[..., Field(...)] = default"
                )
        return found

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {name: self._adapter(self._types.get(name, Any)) for name in self.parameters}

    @cached_property
    def returns(self) -> TypeAdapter[Any] | None:
        """What the result is validated against; None without a return annotation."""
        return self._adapter(self._types["return"]) if "return" in self._types else None

    def _adapter(self, annotation: Any) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise DefinitionError(
                f"tool {self.name!r}: Pydantic has no schema for {annotation!r:.120}: "
                f"{str(error).splitlines()[0]}"
            ) from None

    def schema(self) -> dict[str, JsonValue]:
        """The tool as chat protocols take it: `{"type": "function", "function": {...}}`.

        Name, description (the docstring) and the JSON Schema of the parameters; `strict` is left to
        the caller. Changing it changes nothing here. Raises `DefinitionError` where a parameter has
        no JSON Schema.
        """
        return function_schema(
            self.name, _documented(self.function), self.parameters, self._adapters
        )

    def check(self) -> None:
        """Raises `DefinitionError` where an annotation has no schema: before anything has run."""
        _ = self._adapters, self.returns

    def bind(self, arguments: Mapping[str, JsonValue]) -> dict[str, Any]:
        """The validated arguments. Raises `ToolError` naming each that does not fit."""
        problems = [f"unexpected argument {name!r}" for name in arguments.keys() - self._adapters]
        bound: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if name not in arguments:
                if parameter.default is inspect.Parameter.empty:
                    problems.append(f"missing argument {name!r}")
                continue
            try:
                bound[name] = self._adapters[name].validate_json(to_json(arguments[name]))
            except ValidationError as error:
                problems += [f"argument {name!r}: {fault}" for fault in validation_fields(error)]
        if problems:
            raise ToolError("InvalidArguments", f"tool {self.name!r}: " + "; ".join(problems))
        return bound

    def encode_result(self, result: Any) -> JsonValue:
        """The result as it is logged. Raises where it has no such form or would not come back."""
        if self.returns is None:
            return to_json_value(result, f"result of tool {self.name!r}")
        try:
            valid = self.returns.validate_python(result)
            dumped = self.returns.dump_python(
                valid, mode="json", by_alias=True, round_trip=True, warnings=False
            )
        except ValidationError as error:
            raise ToolError(
                "InvalidResult",
                f"tool {self.name!r}: the result does not fit its annotation: "
                + "; ".join(validation_fields(error)),
            ) from error
        except ValueError as error:
            raise NotJSONError(f"result of tool {self.name!r}", str(error)) from error
        encoded = to_json_value(dumped, f"result of tool {self.name!r}")
        self._check_round_trip(valid, encoded)
        return encoded

    def misfit(self, value: JsonValue) -> str | None:
        """Why a result that was given by hand is not of the declared type, or None."""
        try:
            self.decode_result(value)
        except ValidationError as error:
            return "; ".join(validation_fields(error))
        return None

    def decode_result(self, logged: JsonValue) -> Any:
        """What the handler gets for a logged result."""
        if self.returns is None:
            return logged
        return self.returns.validate_json(to_json(logged))

    def _check_round_trip(self, valid: Any, encoded: JsonValue) -> None:
        try:
            same = bool(self.decode_result(encoded) == valid)
        except ValidationError:
            same = False
        if not same:
            raise NotReplayableError(
                f"tool {self.name!r}: its result would not come back from the log as it is "
                f"({type(valid).__name__}); return fields that survive JSON"
            )


@overload
def tool(function: FunctionT, /) -> FunctionT: ...
@overload
def tool(
    function: None = None, /, *, name: str | None = None, idempotent: bool = False
) -> Callable[[FunctionT], FunctionT]: ...
def tool(function: Any = None, /, *, name: str | None = None, idempotent: bool = False) -> Any:
    """Mark a function as a tool for `Runner(tools=[...])`, with a name or `idempotent=True`."""

    def mark(marked: FunctionT) -> FunctionT:
        marked.__replayt_tool__ = (name or marked.__name__, idempotent)  # type: ignore[attr-defined]  # functions take attributes
        return marked

    return mark if function is None else mark(function)


def _documented(function: Callable[..., Any]) -> Callable[..., Any]:
    """What has the name and the docstring: of a `functools.partial` what it calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _declared(function: Callable[..., Any]) -> Callable[..., Any]:
    """What has the annotations: of an object that can be called, its class's `__call__`."""
    function = _documented(function)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def make_tool(function: Callable[..., Any], names: Mapping[str, Any] | None = None) -> Tool:
    """The `Tool` of a function, with what `tool` marked on it."""
    plain = getattr(_documented(function), "__name__", type(function).__name__)
    name, idempotent = getattr(function, "__replayt_tool__", (plain, False))
    return Tool(name, function, idempotent, names)
