"""The directory of a JSONL store: what in it is a run, and how it comes into being."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from replayt_core.errors import InvalidRunIdError, StoreError
from replayt_core.run_ids import check_run_id
from replayt_store._os import System
from replayt_store._problems import cause

SUFFIX = ".jsonl"
_GENERATED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run_ids(root: str) -> Iterator[str]:
    """The runs in a directory: regular files with a byte in them and a run id for a name."""
    try:
        entries = os.scandir(root)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot list the runs in {root}: {cause(error)}") from error
    with entries:
        for entry in entries:
            run_id = entry.name[: -len(SUFFIX)]
            if not entry.name.endswith(SUFFIX) or not is_run_id(run_id):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since it was listed
            if is_regular(found) and found.st_size:
                yield run_id


def refuse_other_case(root: str, run_id: str) -> None:
    """Raise `InvalidRunIdError` when another run's id differs in case only.

    On another file system both would be one file. The names are read for ids that people choose;
    of a generated id, whose digits are random, only the upper-case form is looked for.
    """
    if _GENERATED.fullmatch(run_id):
        paths = [os.path.join(root, name + SUFFIX) for name in (run_id.upper(), run_id)]
        # Where upper and lower case are one file, it is our own that is found.
        clash = os.path.lexists(paths[0]) and not os.path.samefile(*paths)
        others = [run_id.upper()] if clash else []
    else:
        folded = (run_id + SUFFIX).lower()
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.name.lower() == folded]
        others = [name[: -len(SUFFIX)] for name in names if name != run_id + SUFFIX]
    if others:
        raise InvalidRunIdError(
            f"run id {run_id!r} differs from the existing run {others[0]!r} in case only: "
            "choose another"
        )


def make_directory(root: str, system: System, *, sync: bool) -> None:
    """Create the directory and what is missing above it, readable by its owner only."""
    missing = []
    while not os.path.isdir(root):
        missing.append(root)
        parent = os.path.dirname(root)
        if parent == root:
            break
        root = parent
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        else:
            if sync:
                system.sync_directory(os.path.dirname(path))


def is_regular(found: os.stat_result) -> bool:
    """Whether it is a plain file: no link, FIFO, device or directory."""
    return stat.S_ISREG(found.st_mode)


def is_same_file(path: str, now: os.stat_result) -> bool:
    """Whether the path still leads to the open file."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return is_regular(there) and os.path.samestat(there, now)


def is_run_id(name: str) -> bool:
    """Whether a run can have that name."""
    try:
        check_run_id(name)
    except InvalidRunIdError:
        return False
    return True
