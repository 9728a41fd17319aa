"""Which store the options mean, and which run a (short) id means. The same for every command."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass

from replayt_cli.errors import NotFoundError, UsageError
from replayt_cli.options import DEFAULT_LOG_DIR
from replayt_core import DamagedLogError, check_run_id
from replayt_core.ports import EventStore

_CANDIDATES = 5
_EXAMPLES = {
    "--log-dir": "a directory",
    "--store": "a URL such as jsonl:///.replayt/runs",
    "--sqlite": "a file",
}


@dataclass(frozen=True, kw_only=True)
class StoreChoice:
    """What `--log-dir`, `--store` and `--sqlite` mean together.

    A directory of JSONL logs, a URL, or `source`, the SQLite file that a command reads. A command
    that writes has a `mirror` instead: the SQLite file that follows the store.
    """

    log_dir: str | None
    url: str | None
    source: str | None = None
    mirror: str | None = None

    def open(self, *, pinned: bool = False) -> EventStore:
        """The store. Opening creates nothing.

        A `pinned` one stays where it is, wherever the user's code changes to.
        """
        primary = self._primary(pinned=pinned)
        if self.mirror is None:
            return primary
        from replayt_store import MirrorStore, SQLiteStore

        copy = SQLiteStore(_placed(self.mirror, "--sqlite", pinned=pinned))
        own_file = getattr(primary, "file", None)
        if own_file is not None and os.path.realpath(own_file) == os.path.realpath(copy.file):
            raise UsageError(f"--sqlite {self.mirror} is the store itself: leave it out")
        return MirrorStore(primary, copy)

    def flags(self) -> list[str]:
        """The options that lead another command to the same store."""
        flags = []
        if self.url is not None:
            flags = ["--store", _without_password(self.url)]
        elif self.log_dir not in (None, DEFAULT_LOG_DIR):
            flags = ["--log-dir", str(self.log_dir)]
        file = self.source or self.mirror
        return flags if file is None else [*flags, "--sqlite", file]

    def place(self, store: EventStore, run_id: str) -> str:
        """Where the log of a run is: its path, its database, or the scheme of another store."""
        primary = getattr(store, "primary", store)
        path = getattr(primary, "path", None)
        if callable(path):
            if self.url is None:
                return os.path.join(self.log_dir or DEFAULT_LOG_DIR, path(run_id).name)
            return str(path(run_id))
        file = self.source or getattr(primary, "file", None)
        if file is not None:
            return f"{file}, run {run_id}"
        scheme = (self.url or "").partition("://")[0]
        return f"{scheme} store, run {run_id}"

    def _primary(self, *, pinned: bool) -> EventStore:
        from replayt_store import JSONLStore, open_store

        if self.url is not None:
            return open_store(self.url)
        if self.source is not None:
            from replayt_store import SQLiteStore

            return SQLiteStore(_placed(self.source, "--sqlite", pinned=pinned))
        return JSONLStore(_placed(self.log_dir or DEFAULT_LOG_DIR, "--log-dir", pinned=pinned))


def choose_store(
    log_dir: str | None, url: str | None, *, source: str | None = None, mirror: str | None = None
) -> StoreChoice:
    """The store that the options of a command mean.

    `--sqlite` is the `source` of a command that reads, the `mirror` of one that writes.
    """
    given = {"--log-dir": log_dir, "--store": url, "--sqlite": source}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} name two places: give one of them")
    for name, value in {**given, "--sqlite": source if mirror is None else mirror}.items():
        if value is not None and not value.strip():
            raise UsageError(f"{name} is empty: give {_EXAMPLES[name]}, or leave it out")
    if ":memory:" in (source, mirror):
        raise UsageError("--sqlite :memory: names no file: give one, or leave it out")
    return StoreChoice(log_dir=log_dir, url=url, source=source, mirror=mirror)


def open_url(url: str) -> EventStore:
    """The store of a URL that is an argument of its own."""
    from replayt_store import open_store

    if not url.strip():
        raise UsageError("an empty URL: give one such as sqlite:///runs.db")
    return open_store(url)


def _placed(place: str, option: str, *, pinned: bool) -> str:
    try:
        absolute = os.path.abspath(place)
    except FileNotFoundError:
        raise UsageError(
            f"the working directory is gone: go to another, or give {option} as a full path"
        ) from None
    return absolute if pinned else place


def find_run(store: EventStore, text: str) -> str:
    """The id that `text` means: an id, or a unique start or end of one."""
    check_run_id(text)
    if _exists(store, text):
        return text
    fitting = sorted(
        run_id for run_id in store.run_ids() if run_id.startswith(text) or run_id.endswith(text)
    )
    if not fitting:
        place = getattr(store, "file", None) or getattr(store, "directory", None)
        if place is not None and not os.path.exists(place):
            raise NotFoundError(f"no run {text!r}: {place} does not exist")
        raise NotFoundError(f"no run {text!r} in this store; `replayt runs` lists what there is")
    if len(fitting) > 1:
        shown = ", ".join(fitting[:_CANDIDATES]) + (", …" if len(fitting) > _CANDIDATES else "")
        raise UsageError(f"{text!r} fits {len(fitting)} runs: {shown}; give more of the id")
    return fitting[0]


def _exists(store: EventStore, run_id: str) -> bool:
    try:
        return next(iter(store.read(run_id)), None) is not None
    except DamagedLogError:
        return True


def command_line(*words: str) -> str:
    """A command to be copied into a shell, quoted where needed."""
    return shlex.join(words)


def _without_password(url: str) -> str:
    """A command that is shown leaves the password to who runs it."""
    return re.sub(r"(://[^/?#@]*:)[^/?#]*@", r"\1***@", url)
