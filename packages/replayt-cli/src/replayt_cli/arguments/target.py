"""TARGET -> `Workflow`: the forms that commands take, and what is wrong with the others.

A target is the user's own code, so the working directory (and the folder of a file) joins
`sys.path` here and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from replayt_cli.errors import NotFoundError, TargetError, UsageError
from replayt_cli.render.text import complain
from replayt_cli.streams import kept_for_results
from replayt_core import Workflow, WorkflowFileError

FORMS = "use module:variable, a .py file with a workflow called `wf` or `workflow`, or a .yaml file"
_VARIABLES = ("wf", "workflow")


def load_target(target: str) -> Workflow:
    """The workflow that TARGET names. Its module is imported, no handler is run.

    What the module prints goes to stderr: stdout carries results alone.
    Raises `UsageError` for a text that is no target, `NotFoundError` where nothing of that name is
    found, `TargetError` where the module itself fails.
    """
    if target.lower().endswith((".yaml", ".yml")):
        with kept_for_results():
            return _from_yaml(target)
    if target.lower().endswith(".py"):
        with kept_for_results():
            return _from_file(target)
    module, separator, variable = target.partition(":")
    names = [*module.split("."), *variable.split(".")]
    if module.lower().endswith(".py") and _is_file(module):
        raise UsageError(
            f"{target!r:.120} is no target: a file is named without a variable, "
            f"{_targets(module, variable)}"
        )
    if not separator or not all(name.isidentifier() for name in names):
        beside = (f"{target}{ending}" for ending in (".py", ".yaml", ".yml"))
        meant = next((name for name in beside if _is_file(name)), None)
        perhaps = f": perhaps {meant}" if meant else ""
        raise UsageError(f"{target!r:.120} is no target{perhaps}; {FORMS}")
    with kept_for_results():
        return _from_module(target, module, variable)


def _targets(file: str, variable: str) -> str:
    """How the file is named, and its variable where that is a name from here."""
    names = [*Path(file).with_suffix("").parts, *variable.split(".")]
    if not all(name.isidentifier() for name in names):
        return file
    return f"{file} or {'.'.join(Path(file).with_suffix('').parts)}:{variable}"


def _is_file(path: str | Path) -> bool:
    """Whether there is such a file, as far as the system lets itself be asked."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that is too long, a directory that may not be searched
        return False


def _from_file(target: str) -> Workflow:
    path = Path(target)
    if not _is_file(path):
        raise NotFoundError(f"{target}: no such file; {FORMS}")
    _look_beside(path)
    # Registered under a name of its own: pydantic looks up annotations there, and a file called
    # like an installed module must not replace it.
    name = f"replayt_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{target}: cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failure(target, error) from error
    for variable in _VARIABLES:
        found = getattr(module, variable, None)
        if found is not None:
            return _checked(target, found)
    raise NotFoundError(f"{target}: it has neither `wf` nor `workflow`; name the workflow so")


def _from_yaml(target: str) -> Workflow:
    from replayt_core.yaml_spec import load_workflow

    path = Path(target)
    if not _is_file(path):
        raise NotFoundError(f"{target}: no such file; {FORMS}")
    _look_beside(path)
    try:
        return load_workflow(target)
    except WorkflowFileError as error:
        *others, last = error.problems
        for problem in others:
            complain(problem)
        raise TargetError(last) from error


def _from_module(target: str, module_name: str, variable: str) -> Workflow:
    _put_first(os.getcwd())
    module = _import(target, module_name)
    found: Any = module
    for name in variable.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise NotFoundError(
                f"{target}: module {module_name} has no {variable!r}; {FORMS}"
            ) from None
    return _checked(target, found)


def _import(target: str, name: str) -> ModuleType:
    """The module; `examples.X` is the user's own where there is one, else the bundled one."""
    candidates = [name, f"replayt.{name}"] if name.startswith("examples.") else [name]
    for candidate in candidates:
        try:
            return importlib.import_module(candidate)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, candidate):
                raise _failure(target, error) from error
        except (Exception, SystemExit) as error:
            raise _failure(target, error) from error
    raise NotFoundError(f"{target}: no module {name} here or among the installed packages; {FORMS}")


def _is_part(missing: str | None, name: str) -> bool:
    """Whether what is missing is the target itself, not something that the target imports."""
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def _checked(target: str, found: object) -> Workflow:
    if isinstance(found, Workflow):
        return found
    raise NotFoundError(f"{target}: that is of type {type(found).__name__}, no Workflow; {FORMS}")


def _failure(target: str, error: BaseException) -> TargetError:
    place = _place(error)
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        message = f"{type(error).__name__}: {error.msg}"
    at = f" ({place})" if place else ""
    return TargetError(f"{target} cannot be loaded: {message}{at}; --debug shows the traceback")


def _place(error: BaseException) -> str | None:
    """`file:line` in the user's code, or the innermost place where there is no such."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    libraries = tuple(
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    own = (
        str(Path(__file__).parents[1]),
        str(Path(sys.modules["replayt_core"].__file__ or "").parent),
    )
    theirs = innermost = None
    traceback = error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not filename.startswith("<") and not filename.startswith(own[0]):
            innermost = f"{_shown(filename)}:{traceback.tb_lineno}"
            if not filename.startswith((*libraries, own[1])):
                theirs = innermost
        traceback = traceback.tb_next
    return theirs or innermost


def _shown(filename: str) -> str:
    try:
        relative = os.path.relpath(filename)
    except (ValueError, OSError):
        return filename
    return filename if relative.startswith("..") else relative


def _look_beside(path: Path) -> None:
    _put_first(os.getcwd())
    _put_first(str(path.resolve().parent))


def _put_first(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
