"""Write the tables of docs/cli.md from the commands' signatures and the table of exit codes.

Usage: python tools/gen_cli_docs.py [--check]

With `--check` nothing is written; exit code 1 when the page is not what the commands say. The
signatures are read, and not the help that typer renders: that differs from release to release.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from generated_pages import ROOT, cell, filled, write_or_check
from typer.models import ArgumentInfo, OptionInfo

from replayt_cli import exit_codes, main
from replayt_cli.arguments.help_examples import EXAMPLES

PAGE = ROOT / "docs/cli.md"
_DEFAULT = re.compile(r"\s*\[default: (?P<value>.*)\]$")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument or option of a command, as its signature says."""

    names: tuple[str, ...]
    argument: bool
    metavar: str
    default: str
    variable: str
    text: str


def commands() -> dict[str, Callable[..., Any]]:
    """Every command by the words that call it; a group stands before its parts."""
    found: dict[str, Callable[..., Any]] = {c.__name__: c for c in main.commands()}
    for group in main.groups():
        name = str(group.info.name)
        if group.registered_callback is not None and group.registered_callback.callback is not None:
            found[name] = group.registered_callback.callback
        for part in group.registered_commands:
            if part.callback is not None:
                found[f"{name} {part.callback.__name__}"] = part.callback
    return found


def parameters(command: Callable[..., Any]) -> Iterator[Parameter]:
    """What a command takes, in the order of its signature."""
    hints = get_type_hints(command, include_extras=True)
    for name, declared in inspect.signature(command).parameters.items():
        hint, info, default = hints[name], declared.default, declared.default
        names: tuple[str, ...] = ()
        for each in (hint, *get_args(hint)):  # Python 3.10 makes it optional where it may be None
            for extra in getattr(each, "__metadata__", ()):
                info, hint = extra, each.__origin__
        if not isinstance(info, ArgumentInfo | OptionInfo):
            continue  # the context, which is typer's
        if default is info:
            default = info.default
        elif isinstance(info.default, str):
            names = (info.default,)  # the first word of an annotated Option("--name", ...)
        yield _parameter(hint, info, default, (*names, *(info.param_decls or ())) or (name,))


def _parameter(
    hint: Any, info: ArgumentInfo | OptionInfo, default: Any, names: tuple[str, ...]
) -> Parameter:
    name = names[0]
    if not info.metavar and hint is not bool:
        raise SystemExit(f"{name} has no metavar")
    if not info.help:
        raise SystemExit(f"{name} has no help")
    text = " ".join(info.help.split())
    said = _DEFAULT.search(text)
    if default in (inspect.Parameter.empty, ...):
        shown = "" if isinstance(info, ArgumentInfo) else "required"
    elif said is not None:
        text, shown = text[: said.start()], said["value"]
    else:
        shown = _shown(default) if info.show_default else ""
    variables = [info.envvar] if isinstance(info.envvar, str) else info.envvar or ()
    return Parameter(
        names=names,
        argument=isinstance(info, ArgumentInfo),
        metavar=info.metavar or "",
        default=shown,
        variable=", ".join(f"`{each}`" for each in variables),
        text=text,
    )


def _shown(default: Any) -> str:
    if default is None or default is False:
        return ""
    if isinstance(default, float):
        return f"{default:g}"
    return str(default.value) if isinstance(default, Enum) else str(default)


def exit_code_rows() -> Iterator[tuple[str, str]]:
    """Each code with what the module that defines it says it means."""
    tree = ast.parse(Path(exit_codes.__file__).read_text(encoding="utf-8"))
    for node, text in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        name = node.targets[0].id
        if not name.isupper() or name.startswith("_"):
            continue
        if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
            raise SystemExit(f"exit_codes.{name} does not say what it means")
        code = getattr(exit_codes, name)
        yield (f"{code}+n" if name == "SIGNAL" else str(code), str(text.value.value))


def page(found: Mapping[str, Callable[..., Any]]) -> str:
    """The part of the page that is generated."""
    parts = ["\n## Exit codes\n\n| Code | What it says |\n| --- | --- |\n"]
    parts += [f"| {code} | {cell(text)} |\n" for code, text in exit_code_rows()]
    parts.append("\n## All commands\n\n| Command | What it does |\n| --- | --- |\n")
    for words, command in found.items():
        parts.append(f"| [`{words}`](#{_anchor(words)}) | {cell(_prose(command)[0])} |\n")
    parts.append("\n## The command itself\n\n```text\nreplayt [OPTIONS] COMMAND\n```\n")
    parts.append(_table([*parameters(_root()), _help()]))
    for words, command in found.items():
        parts.append(_section(words, command))
    return "".join([*parts, "\n"])


def _root() -> Callable[..., Any]:
    callback = main.application([], []).registered_callback
    if callback is None or callback.callback is None:
        raise SystemExit("the application has no callback")
    return callback.callback


def _help() -> Parameter:
    """The option that the parser adds to each command."""
    settings = main.application([], []).info.context_settings or {}
    return Parameter(
        names=tuple(settings["help_option_names"]),
        argument=False,
        metavar="",
        default="",
        variable="",
        text="Show what it takes, with examples. Every command has it.",
    )


def _section(words: str, command: Callable[..., Any]) -> str:
    taken = list(parameters(command))
    group = any(words == str(each.info.name) for each in main.groups())
    usage = ["replayt", words, *(each.metavar for each in taken if each.argument)]
    usage.append("COMMAND" if group else "[OPTIONS]")
    first, *rest = _prose(command)
    parts = [f"\n### {_heading(words)}\n\n{first}\n\n```text\n{' '.join(usage)}\n```\n"]
    parts += [f"\n{text}\n" for text in rest]
    parts.append(_table(taken))
    label = "Example" if len(EXAMPLES[words]) == 1 else "Examples"
    parts.append(f"\n{label}:\n\n")
    parts += [f"- `{example}`\n" for example in EXAMPLES[words]]
    return "".join(parts)


def _prose(command: Callable[..., Any]) -> list[str]:
    """The paragraphs of a docstring: the first sentence's line, then what more there is to say."""
    text = inspect.getdoc(command)
    if not text:
        raise SystemExit(f"{command.__name__} has no docstring")
    return [" ".join(part.split()) for part in text.replace("\b\n", "").split("\n\n")]


def _table(taken: list[Parameter]) -> str:
    parts = []
    arguments = [each for each in taken if each.argument]
    options = [each for each in taken if not each.argument]
    if arguments:
        parts.append("\n| Argument | What it is |\n| --- | --- |\n")
        for each in arguments:
            default = f" Default: {cell(each.default)}." if each.default else ""
            parts.append(f"| `{cell(each.metavar)}` | {cell(each.text)}{default} |\n")
    if options:
        parts.append("\n| Option | Default | What it does |\n| --- | --- | --- |\n")
    for each in options:
        value = f" {each.metavar}" if each.metavar else ""
        names = ", ".join(f"`{cell(name + value)}`" for name in each.names)
        default = cell(each.default)
        literal = default and default != "required" and not re.search("[ `]", default)
        default = f"`{default}`" if literal else default
        variable = f" Variable: {each.variable}." if each.variable else ""
        parts.append(f"| {names} | {default} | {cell(each.text)}{variable} |\n")
    return "".join(parts)


def _heading(words: str) -> str:
    return f"replayt {words}"


def _anchor(words: str) -> str:
    return _heading(words).replace(" ", "-")


def _wanted() -> dict[Path, str]:
    return {PAGE: filled(PAGE, Path(__file__).name, page(commands()))}


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], str(__doc__), _wanted, "the commands"))
