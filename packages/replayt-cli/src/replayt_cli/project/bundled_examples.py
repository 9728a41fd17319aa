"""The bundled workflows: which there are, what they are about, and copies of them.

They come with the package `replayt`, which this package must not import: they are looked up as
files, in the order that their `catalogue.json` has.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from replayt_cli.errors import NotFoundError
from replayt_cli.files.all_or_none import write_files

_OFFLINE = "export REPLAYT_PROVIDER=offline"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line to be copied into a shell, and the code that it exits with."""

    text: str
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Example:
    """One bundled workflow: its place in the tutorial, its files and the commands to try.

    `commands` name its files as they are called in its folder; `asks_model` says whether they need
    a model, or the provider `offline`.
    """

    number: int
    name: str
    asks_model: bool
    commands: tuple[Command, ...]
    folder: Path

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The module (or YAML file) first, then its sample inputs and recorded runs."""
        own = sorted(self.folder.glob(f"{self.name}*"))
        paths = [path for path in own if path.is_file()]
        for folder in own:
            if folder.is_dir():
                paths += sorted(path for path in folder.iterdir() if path.is_file())
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        first = {f"{self.name}.py", f"{self.name}.yaml"}
        return tuple(sorted(names, key=lambda name: name not in first))

    @cached_property
    def about(self) -> str:
        """What it is about, as its module's docstring (a YAML file's first comment) has it."""
        path = self.folder / self.files[0]
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return ast.get_docstring(ast.parse(text)) or self.name
        comment = re.match(r"(?:#.*\n)*", text)
        lines = comment[0].splitlines() if comment else []
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        return self.about.partition("\n")[0].partition(":")[0].rstrip(".")

    def commands_in(self, folder: str) -> tuple[Command, ...]:
        """The commands for a copy in `folder`, the setting of the provider first if needed."""
        first = (Command(text=_OFFLINE),) if self.asks_model else ()
        own = {part for name in self.files for part in (name, name.partition("/")[0])}
        placed = (
            Command(
                text=" ".join(_placed(word, own, folder) for word in command.text.split(" ")),
                exit_code=command.exit_code,
            )
            for command in self.commands
        )
        return (*first, *placed)


def load_examples() -> tuple[Example, ...]:
    """The bundled workflows in order. Raises `NotFoundError` where they are not installed."""
    spec = find_spec("replayt")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "examples"
        try:
            listed = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
        except OSError:
            continue
        return tuple(
            Example(
                number=number,
                name=entry["name"],
                asks_model=entry["asks_model"],
                commands=tuple(
                    Command(text=one["command"], exit_code=one.get("exits", 0))
                    for one in entry["commands"]
                ),
                folder=folder,
            )
            for number, entry in enumerate(listed, 1)
        )
    raise NotFoundError(
        "the examples come with the package replayt, which is not installed here (or an older "
        "one is): install it beside replayt-cli"
    )


def find_example(examples: Sequence[Example], reference: str) -> Example:
    """The example of that number or name; the start of a name, or a part of it, will do.

    Raises `NotFoundError` naming what was probably meant.
    """
    wanted = reference.lower().removesuffix(".py").removesuffix(".yaml").replace("-", "_")
    number = re.fullmatch(r"e?0*(\d{1,4})", wanted)
    for example in examples:
        if wanted == example.name or (number and int(number[1]) == example.number):
            return example
    if number:
        raise NotFoundError(f"no example {reference:.60}: they are numbered 1 to {len(examples)}")
    parts = [example for example in examples if wanted and wanted in example.name]
    if len(parts) == 1:
        return parts[0]
    raise NotFoundError(
        f"no example {reference!r:.60}{_meant(examples, parts, wanted)}; "
        "`replayt examples` lists them all"
    )


def copy_examples(examples: Sequence[Example], folder: str, *, force: bool) -> list[Path]:
    """Copy the files of the examples into `folder`, all or none; the paths that were written."""
    contents = {
        Path(folder) / name: (example.folder / name).read_bytes()
        for example in examples
        for name in example.files
    }
    return write_files(contents, force=force, elsewhere="--out DIR")


def _meant(examples: Sequence[Example], parts: Sequence[Example], wanted: str) -> str:
    from difflib import get_close_matches

    short = {re.sub(r"^e\d+_", "", example.name): example.name for example in examples}
    short |= {example.name: example.name for example in examples}
    near = [example.name for example in parts] or [
        short[name] for name in get_close_matches(wanted, short, n=1, cutoff=0.5)
    ]
    return f": perhaps {' or '.join(near[:3])}" if near else ""


def _placed(word: str, own: set[str], folder: str) -> str:
    """A word of a command; where it names a file of the example, with the copy's folder."""
    bare = word.strip('"')
    at = "@" if bare.startswith("@") else ""
    name = bare.removeprefix("@")
    if name not in own:
        return word
    path = at + (Path(folder) / name).as_posix()
    quoted = shlex.quote(path)
    # PowerShell reads a bare @ as its own.
    return f'"{path}"' if at and quoted == path else quoted
