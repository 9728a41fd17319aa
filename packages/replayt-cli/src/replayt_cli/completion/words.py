"""What may come next on a command line, read from the parameters that typer made of a command.

A parameter's metavar says what its values are: `RUN_ID` is a run, `DIR` a directory, `a|b` one of
these two; where it is `ID` or `NAME`, the parameter's own name says it. Only attributes are read:
what typer's classes are called and where they live changes between its versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_CHOICE = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_CHOICES = re.compile(rf"{_CHOICE.pattern}(?:\|{_CHOICE.pattern})+", re.ASCII)
_URLS = {"jsonl:///": "a directory of logs", "sqlite:///": "a SQLite file"}
_HELP = "Show this message and exit."
_NAMED = {
    "--approval": "APPROVAL",
    "--state": "STATE",
    "--workflow": "WORKFLOW",
    "name": "EXAMPLE",  # the argument of `examples`
}
_LOOKED_UP = ("RUN", "APPROVAL", "CALL", "STATE", "WORKFLOW", "TYPE", "EXAMPLE")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A word that may come next, and what it is."""

    value: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What may come next: these words, or what the shell itself completes."""

    kind: Literal["values", "files", "dirs"] = "values"
    candidates: Sequence[Candidate] = ()


NOTHING = Completion()


@dataclass(kw_only=True)
class CommandLine:
    """The words before the one to complete, sorted: a parameter and its values.

    `expecting` is the option whose value comes next, and which of its values.
    """

    arguments: list[str] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)
    expecting: tuple[Any, int] | None = None
    only_arguments: bool = False


LookUp = Callable[[str, Any, CommandLine, str], Iterable[Candidate]]
"""Called for what no parameter lists, a `RUN` or a `STATE`: with that word, the command, what was
read of its line, and how the value begins."""


def complete(root: Any, before: Sequence[str], word: str, look_up: LookUp) -> Completion:
    """What may stand in the place of `word`, after the words `before`.

    `root` is the group that typer made of the application, with the command that is called.
    """
    command, rest = _called(root, before)
    line = read(command, rest)
    if line.expecting is not None:
        option, index = line.expecting
        return _values(command, option, index, line, word, look_up)
    name, separator, value = word.partition("=")
    if separator and name.startswith("--") and not line.only_arguments:
        option = _option(command, name)
        if option is None or _is_flag(option):
            return NOTHING
        found = _values(command, option, 0, line, value, look_up)
        return _behind(f"{name}=", found)
    if word.startswith("-") and not line.only_arguments:
        return _matching(word, _options(command, line))
    commands = getattr(command, "commands", None)
    if commands is not None:
        # A word that stands where a command should, and is none, is followed by nothing.
        return NOTHING if line.arguments else _matching(word, _commands(commands))
    argument = _argument(command, len(line.arguments))
    if argument is not None:
        return _values(command, argument, 0, line, word, look_up)
    return NOTHING if line.only_arguments else _matching(word, _options(command, line))


def read(command: Any, words: Sequence[str]) -> CommandLine:
    """What the words say to a command; what cannot be understood counts as an argument."""
    line = CommandLine()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--" and not line.only_arguments:
            line.only_arguments = True
            continue
        name, separator, value = word.partition("=")
        option = None if line.only_arguments else _option(command, name)
        if option is None:
            if line.only_arguments or not word.startswith("-") or word == "-":
                line.arguments.append(word)
            continue
        values = line.options.setdefault(option.opts[0], [])
        if _is_flag(option):
            continue
        if separator:
            values.append(value)
            continue
        count = max(int(option.nargs), 1)
        values += waiting[:count]
        if len(waiting) < count:
            line.expecting = (option, len(waiting))
        del waiting[:count]
    return line


def _called(root: Any, words: Sequence[str]) -> tuple[Any, list[str]]:
    """The innermost command that the words call, and the words that are left for it."""
    command, rest = root, list(words)
    for index, word in enumerate(words):
        below = getattr(command, "commands", None)
        if below is None:
            break
        if not word.startswith("-") and word in below:
            command, rest = below[word], list(words[index + 1 :])
    return command, rest


def _values(
    command: Any, parameter: Any, index: int, line: CommandLine, word: str, look_up: LookUp
) -> Completion:
    kind = _kind(parameter, index, line)
    if choices := _choices(kind, str(getattr(parameter, "help", None) or "")):
        return _matching(word, (Candidate(value=choice) for choice in choices))
    looked_up = next((name for name in re.findall("[A-Z]+", kind) if name in _LOOKED_UP), None)
    if looked_up is not None:
        return Completion(candidates=tuple(look_up(looked_up, command, line, word)))
    if "DIR" in kind:
        return Completion(kind="dirs")
    if "FILE" in kind or "TARGET" in kind:
        return Completion(kind="files")
    if kind.endswith("URL"):
        return _matching(word, (Candidate(value=url, help=what) for url, what in _URLS.items()))
    return NOTHING


def _kind(parameter: Any, index: int, line: CommandLine) -> str:
    """What a value of the parameter is, in a word of capitals."""
    name = parameter.opts[0]
    if name == "--run-id" and "--resume" in line.options:
        return "RUN_ID"
    kinds = str(parameter.metavar or "").split(" ")
    return _NAMED.get(name) or kinds[min(index, len(kinds) - 1)]


def _choices(metavar: str, text: str) -> list[str]:
    """The alternatives that a metavar lists, or the help behind it begins with."""
    match = _CHOICES.fullmatch(metavar) or _CHOICE.fullmatch(metavar) or _CHOICES.match(text)
    return match[0].split("|") if match else []


def _commands(commands: dict[str, Any]) -> Iterator[Candidate]:
    for name, command in commands.items():
        if not command.hidden:
            yield Candidate(value=name, help=first_sentence(command.help))


def _options(command: Any, line: CommandLine) -> Iterator[Candidate]:
    for parameter in command.params:
        if parameter.param_type_name != "option" or getattr(parameter, "hidden", False):
            continue
        if parameter.opts[0] in line.options and not parameter.multiple:
            continue
        name = next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])
        yield Candidate(value=name, help=first_sentence(parameter.help))
    yield Candidate(value="--help", help=_HELP)


def _option(command: Any, name: str) -> Any:
    for parameter in command.params:
        if parameter.param_type_name == "option" and name in parameter.opts:
            return parameter
    return None


def arguments_of(command: Any) -> list[Any]:
    """The parameters of a command that are no options, in their order."""
    return [item for item in command.params if item.param_type_name == "argument"]


def _argument(command: Any, index: int) -> Any:
    """The argument in that place; one that takes many words takes all that follow."""
    arguments = arguments_of(command)
    if index < len(arguments):
        return arguments[index]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False))


def _matching(word: str, candidates: Iterable[Candidate]) -> Completion:
    return Completion(candidates=tuple(c for c in candidates if c.value.startswith(word)))


def _behind(prefix: str, found: Completion) -> Completion:
    return Completion(
        kind=found.kind,
        candidates=tuple(Candidate(value=prefix + c.value, help=c.help) for c in found.candidates),
    )


def first_sentence(text: str | None) -> str:
    """What a command or an option is about."""
    line = " ".join((text or "").partition("\n\n")[0].split("  [default")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", line, maxsplit=1)[0]
