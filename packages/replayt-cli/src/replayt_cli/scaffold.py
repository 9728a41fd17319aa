"""The files that `init` writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from replayt_cli.errors import CommandError, OutputError, UsageError

TEMPLATES = ("basic", "approval", "tool-using")
_ENV = (".env.example", "env.example.txt")


def write_scaffold(directory: str, template: str, *, force: bool = False) -> list[Path]:
    """Write `workflow.py` and `.env.example` into `directory`; the paths that were written.

    All or nothing where something is in the way: without `force` existing files are left alone
    and `CommandError` names them.
    """
    if template not in TEMPLATES:
        raise UsageError(f"--template {template!r:.40} is none of {', '.join(TEMPLATES)}")
    root = Path(directory)
    contents = {
        root / "workflow.py": _workflow(template),
        root / _ENV[0]: _text(_ENV[1]),
    }
    in_the_way = [str(path) for path in contents if os.path.lexists(path)]
    if in_the_way and not force:
        raise CommandError(
            f"{' and '.join(in_the_way)} exist already and were left alone; "
            "--force overwrites, --path DIR writes elsewhere"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        _write_all(contents)
    except OSError as error:
        where = error.filename or root
        raise OutputError(f"cannot write {where}: {error.strerror or error}") from error
    return list(contents)


def _write_all(contents: Mapping[Path, str]) -> None:
    """Write every file under another name, and only then give all of them theirs."""
    written: dict[Path, Path] = {}
    try:
        for path, text in contents.items():
            beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with beside.open("x", encoding="utf-8", newline="\n") as file:
                written[beside] = path
                file.write(text)
        for beside, path in written.items():
            beside.replace(path)
    finally:
        for beside in written:
            beside.unlink(missing_ok=True)


def _workflow(template: str) -> str:
    text = _text(f"{template.replace('-', '_')}.py.txt")
    if find_spec("replayt") is None:
        # The command can be installed without the package that has the short names.
        text = text.replace("from replayt import", "from replayt_core import")
    return text


def _text(name: str) -> str:
    return (files("replayt_cli") / "templates" / name).read_text(encoding="utf-8")
