"""What the signatures of the commands say: each command, and each option of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

from typer.models import OptionInfo

from replayt_cli import main

_DEFAULT = re.compile(r"\s*\[default: [^]]*\]$")
"""What is said about a default, which is a command's own."""


def callbacks() -> dict[str, Callable[..., Any]]:
    """Every command by the words that call it."""
    found: dict[str, Callable[..., Any]] = {each.__name__: each for each in main.commands()}
    for group in main.groups():
        assert group.registered_callback is not None
        assert group.registered_callback.callback is not None
        found[str(group.info.name)] = group.registered_callback.callback
        for part in group.registered_commands:
            assert part.callback is not None
            found[f"{group.info.name} {part.callback.__name__}"] = part.callback
    return found


def options() -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Each option of each command, with all that its definition says."""
    for command, callback in callbacks().items():
        hints = get_type_hints(callback, include_extras=True)
        for name, parameter in inspect.signature(callback).parameters.items():
            hint, info = _declared(hints[name]), parameter.default
            for extra in getattr(hint, "__metadata__", ()):
                info = extra
                hint = hint.__origin__
            if not isinstance(info, OptionInfo):
                continue
            words = [info.default] if isinstance(info.default, str) else []
            words += [word for word in info.param_decls or () if word not in words]
            said = _DEFAULT.sub("", info.help or "")
            yield words[0], command, (hint, tuple(words), info.metavar, said)


def _declared(hint: Any) -> Any:
    """The annotation as it was written: Python 3.10 makes it optional where the default is None."""
    return next((each for each in get_args(hint) if hasattr(each, "__metadata__")), hint)
