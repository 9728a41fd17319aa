"""The project's configuration: which file it is, what it says, and where each value came from.

`.replaytrc.toml` (the keys at its top), or the table `[tool.replayt]` of `pyproject.toml`, of the
nearest folder that has one: the working directory, then each folder above it up to the root of the
repository. One file counts; files are not merged.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replayt_cli.arguments.options import LOG_MODES, LONGEST_TIMEOUT
from replayt_cli.errors import UsageError

RC_FILE = ".replaytrc.toml"
PYPROJECT = "pyproject.toml"
TABLE = "[tool.replayt]"

PATHS = ("log_dir", "sqlite", "prices")
KEYS = ("log_dir", "store", "sqlite", "log_mode", "timeout", "provider", "model", "prices")

_MOST_BYTES = 1_000_000  # also how much of a file is searched for our name
_KEY_LIKE = re.compile(r"(api|token|secret).*key|^key$|token|secret", re.IGNORECASE)
_RELATIVE_URL = re.compile(r"((?:jsonl|sqlite):///)(?!/)(.+)", re.IGNORECASE | re.DOTALL)


class ConfigError(UsageError):
    """The configuration cannot be used: which file, which key, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the project's file says; None for what it leaves out, `file` None where there is none.

    Relative paths of the file are resolved: they are relative to the working directory where they
    lie below it, else absolute.
    """

    file: str | None = None
    log_dir: str | None = None
    store: str | None = None
    sqlite: str | None = None
    log_mode: str | None = None
    timeout: float | None = None
    provider: str | None = None
    model: str | None = None
    prices: str | None = None

    def origin(self, key: str) -> str:
        """Where the value of a key stands, as `pyproject.toml: log_dir`."""
        return f"{self.file}: {key}"


def find_config(start: str | os.PathLike[str] | None = None) -> Config:
    """The configuration that holds in `start`, by default the working directory.

    Raises `ConfigError` for a file that cannot be read or is no TOML, a key that nobody knows, a
    value of the wrong kind, and a file of somebody else's repository around the working directory.
    """
    try:
        here = Path(os.path.abspath(os.curdir if start is None else start))
    except FileNotFoundError:  # the working directory is gone; who needs it says so
        return Config()
    folders = _folders(here)
    repository = os.path.lexists(folders[-1] / ".git")
    for folder in folders:
        for name in (RC_FILE, PYPROJECT):
            path = folder / name
            if not _is_there(path) or (not repository and _is_foreign(path, here)):
                continue
            table = _table(path, _near(path, here))
            if table is not None:
                if repository:
                    _check_owner(folders[-1] / ".git", path, here)
                return _checked(table, path, here)
    return Config()


def _folders(here: Path) -> list[Path]:
    """From the working directory to the root of the repository, or to the top."""
    folders = []
    for folder in (here, *here.parents):
        folders.append(folder)
        if os.path.lexists(folder / ".git"):
            break
    return folders


def _is_there(path: Path) -> bool:
    """Whether there is such a file; a `.replaytrc.toml` that is none is found, and refused."""
    return os.path.lexists(path) if path.name == RC_FILE else os.path.isfile(path)


def _is_foreign(path: Path, here: Path) -> bool:
    """Whether somebody else made what lies above the working directory.

    As in a shared `/tmp`: nobody else may say where one's logs go. Whose working directory it is
    counts as oneself: who runs in a mounted checkout is often root.
    """
    if path.parent == here or not hasattr(os, "getuid"):
        return False
    return os.lstat(path).st_uid not in {0, os.getuid(), os.stat(here).st_uid}


def _check_owner(git: Path, path: Path, here: Path) -> None:
    """Raise where the repository is somebody else's: anyone can make a `.git` in `/tmp`, too."""
    if path.parent != here and _is_foreign(git, here):
        raise ConfigError(
            f"{path}: the repository around it belongs to somebody else (user "
            f"{os.lstat(git).st_uid}), so it does not count here; a {RC_FILE} in {here} does"
        )


def _table(path: Path, shown: str) -> Mapping[str, Any] | None:
    """The keys of a file; None for a `pyproject.toml` that has no table of ours."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{shown}: is no regular file: move it away, or write one")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror or error}") from None
    if path.name == PYPROJECT and b"replayt" not in data:
        return None  # not ours, whatever else is wrong with it
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{shown}: is larger than {_MOST_BYTES:,} bytes, so it is not read")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{shown}: is not UTF-8 text") from None
    except ValueError as error:  # no TOML, or a number with more digits than Python reads
        raise ConfigError(f"{shown}: is no TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{shown}: is nested too deeply") from None
    if path.name == RC_FILE:
        return document
    tools = document.get("tool", {})
    if not isinstance(tools, dict) or "replayt" not in tools:
        return None
    table = tools["replayt"]
    if not isinstance(table, dict):
        raise ConfigError(f"{shown}: tool.replayt must be a table, {TABLE}")
    return table


def _checked(table: Mapping[str, Any], path: Path, here: Path) -> Config:
    shown = _near(path, here)
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"{shown}: {_unknown(key, path)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if problem := _problem(key, value):
            raise ConfigError(f"{shown}: {key} {problem}")
        if key in PATHS:
            values[key] = _resolved(value, path.parent, here)
        elif key == "store":
            values[key] = _resolved_url(value, path.parent, here)
        elif key == "timeout":
            values[key] = float(value)
        elif key == "log_mode":
            values[key] = value.replace("-", "_")
        else:
            values[key] = value.strip()
    if "log_dir" in values and "store" in values:
        raise ConfigError(f"{shown}: log_dir and store name two places: keep one of them")
    return Config(file=shown, **values)


def _unknown(key: str, path: Path) -> str:
    from difflib import get_close_matches

    where = f"{TABLE} has no key" if path.name == PYPROJECT else "there is no key"
    if key == "tool" and path.name == RC_FILE:
        return f"the keys stand at the top of this file, without {TABLE}"
    if _KEY_LIKE.search(key):
        return f"{where} {key!r:.60}: keys of providers are read from the environment alone"
    near = get_close_matches(key.lower().replace("-", "_"), KEYS, n=1, cutoff=0.6)
    what = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
    return f"{where} {key!r:.60}; {what}"


def _problem(key: str, value: object) -> str | None:
    """What is wrong with a value, if anything is."""
    if key == "timeout":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= LONGEST_TIMEOUT:  # type: ignore[operator]
            most = f"{LONGEST_TIMEOUT:,}"
            return f"must be a number of seconds above 0, up to {most}, not {_shown(value)}"
        return None
    if not isinstance(value, str):
        return f"must be a text in quotes, not {_shown(value)}"
    if not value.strip():
        return "is empty: give a value, or leave the key out"
    if "\0" in value:
        return "holds a NUL"
    if key == "log_mode" and value.replace("-", "_") not in LOG_MODES.split("|"):
        return f"must be one of {LOG_MODES}, not {value!r:.60}"
    if key == "sqlite" and value == ":memory:":
        return "must name a file; :memory: is none"
    return None


def _shown(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # Python does not write numbers of so many digits
        return "a number of so many digits"


def _resolved(text: str, folder: Path, here: Path) -> str:
    return _near(folder / os.path.expanduser(text), here)


def _resolved_url(url: str, folder: Path, here: Path) -> str:
    """The URL of a store, its path resolved; what the URL of another package means, it knows."""
    match = _RELATIVE_URL.fullmatch(url)
    if match is None:
        return url
    place, mark, query = match[2].partition("?")
    return match[1] + _near(folder / place, here) + mark + query


def _near(path: Path, here: Path) -> str:
    """The path as one would write it in the working directory."""
    absolute = os.path.abspath(path)
    try:
        relative = os.path.relpath(absolute, here)
    except ValueError:  # another drive
        return absolute
    return absolute if relative.split(os.sep)[0] == os.pardir else relative
