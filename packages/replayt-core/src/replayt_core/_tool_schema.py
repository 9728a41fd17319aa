"""The JSON Schema of a tool, in the shape that chat protocols take."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from pydantic import JsonValue, PydanticInvalidForJsonSchema, TypeAdapter
from pydantic_core import PydanticSerializationError

from replayt_core._values import to_json_value
from replayt_core.errors import DefinitionError, NotJSONError

Adapters = Mapping[str, TypeAdapter[Any]]


def function_schema(
    name: str,
    function: object,
    parameters: Mapping[str, inspect.Parameter],
    adapters: Adapters,
) -> dict[str, JsonValue]:
    """`{"type": "function", "function": {...}}` for a tool of that name and those parameters."""
    described: dict[str, JsonValue] = {"name": name}
    text = inspect.getdoc(function)
    if text:
        described["description"] = text
    described["parameters"] = _object_schema(name, parameters, adapters)
    return {"type": "function", "function": described}


def _object_schema(
    name: str, parameters: Mapping[str, inspect.Parameter], adapters: Adapters
) -> dict[str, JsonValue]:
    """One object with a property for each parameter, in the order of the signature."""
    try:
        schemas, shared = TypeAdapter.json_schemas(
            [(parameter, "validation", adapters[parameter]) for parameter in parameters]
        )
    except PydanticInvalidForJsonSchema as error:
        raise DefinitionError(
            f"tool {name!r}: a parameter has no JSON schema, so no model can be told of it: "
            f"{str(error).splitlines()[0]}"
        ) from None
    properties: dict[str, JsonValue] = {}
    required: list[JsonValue] = []
    for parameter, declared in parameters.items():
        schema = dict(cast("dict[str, JsonValue]", schemas[parameter, "validation"]))
        if declared.default is inspect.Parameter.empty:
            required.append(parameter)
        else:
            schema.update(_default(declared.default, adapters[parameter]))
        properties[parameter] = schema
    made: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    made.update(cast("dict[str, JsonValue]", shared))
    return made


def _default(value: object, adapter: TypeAdapter[Any]) -> dict[str, JsonValue]:
    """The default of a parameter, where it has a JSON form."""
    try:
        dumped = adapter.dump_python(value, mode="json", warnings=False)
        return {"default": to_json_value(dumped, "default")}
    except (PydanticSerializationError, NotJSONError, ValueError):
        return {}
