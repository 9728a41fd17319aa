"""The Python functions that a workflow file names: imported, and checked before anything runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from replayt_core._yaml_problems import Problems
from replayt_core._yaml_step_specs import ToolSpec
from replayt_core.errors import DefinitionError
from replayt_core.tools import make_tool

_LONGEST = 300


def load_tool(spec: ToolSpec, problems: Problems) -> Callable[..., Any] | None:
    """The function, or None where there is none that fits, which is a problem then.

    Its module is imported, so its code runs.
    """
    module_name, _, name = spec.function.partition(":")
    module = _imported(spec, module_name, problems)
    if module is None:
        return None
    try:
        function = getattr(module, name, None)
    except Exception as error:  # a module may compute its names
        _note_failure(spec, f"{name!r:.80} of module {module_name}", "read", error, problems)
        return None
    if function is None:
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        problems.add_unknown(
            spec.node,
            name,
            functions,
            f"module {module_name}{_file_of(module)} has no {name!r:.80}",
            "name one of its functions",
        )
    elif not inspect.isfunction(function):
        kind = type(function).__name__
        problems.add(spec.node, f"{spec.function} is a {kind}; name a function written in Python")
    elif inspect.iscoroutinefunction(function):
        problems.add(spec.node, f"{spec.function} is `async def`; name a plain function")
    elif _fits(spec, function, problems):
        return function
    return None


def _imported(spec: ToolSpec, name: str, problems: Problems) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            problems.add(
                spec.node, f"there is no module {name!r:.80}; put it beside the file, or install it"
            )
        else:
            _note_failure(spec, f"module {name!r:.80}", "imported", error, problems)
    except (Exception, SystemExit) as error:
        _note_failure(spec, f"module {name!r:.80}", "imported", error, problems)
    return None


def _note_failure(
    spec: ToolSpec, what: str, done: str, error: BaseException, problems: Problems
) -> None:
    said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
    problems.add(spec.node, f"{what} cannot be {done}: {said}; mend it")


def _file_of(module: ModuleType) -> str:
    """Where a module is: one of the same name may stand before the one that was meant."""
    path = getattr(module, "__file__", None)
    return f" ({path})" if isinstance(path, str) else ""


def _fits(spec: ToolSpec, function: Callable[..., Any], problems: Problems) -> bool:
    """Whether the function is a tool, and takes the arguments that the file has for it."""
    tool = make_tool(function)
    try:
        parameters = tool.parameters
        tool.check()
    except DefinitionError as error:
        problems.add(spec.node, f"{spec.function}: {error}; mend the function")
        return False
    bare = [
        name
        for name, parameter in parameters.items()
        if parameter.annotation is inspect.Parameter.empty
    ]
    if bare:
        problems.add(
            spec.node, f"{spec.function}: {', '.join(bare)} has no annotation; add one to each"
        )
        return False
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in spec.arguments
    ]
    if missing:
        problems.add(spec.node, f"{spec.function} needs {', '.join(missing)}; add to `arguments`")
    unknown = [name for name in spec.arguments if name not in parameters]
    for name in unknown:
        problems.add_unknown(
            spec.argument_nodes[name],
            name,
            parameters,
            f"{spec.function} takes no argument {name!r:.80}",
            f"it takes {', '.join(parameters) or 'none'}",
        )
    return not (missing or unknown)
