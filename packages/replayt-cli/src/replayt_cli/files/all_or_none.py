"""Writing several files: all of them or none, and never over what is there without being asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from replayt_cli.errors import CommandError, OutputError

_NAMED = 3


def write_files(contents: Mapping[Path, bytes], *, force: bool, elsewhere: str) -> list[Path]:
    """Write every file, with the folders that it needs; the paths in order.

    Without `force` nothing is written where a file exists, and never where a directory does:
    `CommandError` names what is in the way and the option, `elsewhere`, that leads to another
    place. Raises `OutputError` where the disk
    does not take them; files and folders of this call are then gone again.
    """
    in_the_way = [str(path) for path in contents if os.path.lexists(path)]
    if in_the_way and not force:
        raise CommandError(
            f"{_listed(in_the_way)} left alone; --force overwrites, {elsewhere} writes elsewhere"
        )
    for path in contents:
        if path.is_dir() and not path.is_symlink():
            raise CommandError(f"{path} is a directory; {elsewhere} writes elsewhere")
    try:
        _write_beside(contents)
    except OSError as error:
        where = error.filename or next(iter(contents)).parent
        raise OutputError(f"cannot write {where}: {refusal(error)}") from error
    return list(contents)


def refusal(error: OSError) -> str:
    """Why a path could not be written, and what to do about it where the system does not say."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a part of the path is no directory: choose another"
    return error.strerror or str(error)


def _write_beside(contents: Mapping[Path, bytes]) -> None:
    """Write every file under another name, and only then give all of them theirs."""
    written: dict[Path, Path] = {}
    made: list[Path] = []
    try:
        for path, data in contents.items():
            made += [folder for folder in reversed(path.parents) if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with _meaning(path), beside.open("xb") as file:
                written[beside] = path
                file.write(data)
        for beside, path in written.items():
            with _meaning(path):
                beside.replace(path)
        made.clear()
    finally:
        for beside in written:
            beside.unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _meaning(path: Path) -> Iterator[None]:
    """An error names the file that is meant, and not the one beside it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _listed(paths: list[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} exists already and was"
    if len(paths) <= _NAMED:
        return f"{' and '.join(paths)} exist already and were"
    return f"{paths[0]} and {len(paths) - 1} more files exist already and were"
