"""Which store the options and the configuration mean: the same for every command."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from replayt_cli.arguments.options import DEFAULT_LOG_DIR
from replayt_cli.errors import UsageError
from replayt_cli.project.config import Config, ConfigError, find_config
from replayt_core.ports import EventStore

_EXAMPLES = {
    "--log-dir": "a directory",
    "--store": "a URL such as jsonl:///.replayt/runs",
    "--sqlite": "a file",
}


class Mirror(Enum):
    """Said of a command that reads: no SQLite file follows what it does."""

    none = "none"


@dataclass(frozen=True, kw_only=True)
class StoreChoice:
    """What `--log-dir`, `--store`, `--sqlite` and the configuration mean together.

    A directory of JSONL logs, a URL, or `source`, the SQLite file that a command reads. A command
    that writes has a `mirror` instead: the SQLite file that follows the store. `options` are those
    that were given; `config` is the configuration that stood in for the others.
    """

    log_dir: str | None
    url: str | None
    source: str | None = None
    mirror: str | None = None
    options: tuple[str, ...] = ()
    config: Config = field(default_factory=Config)

    def open(self, *, pinned: bool = False) -> EventStore:
        """The store. Opening creates nothing.

        A `pinned` one stays where it is, wherever the user's code changes to.
        """
        primary = self._primary(pinned=pinned)
        if self.mirror is None:
            return primary
        from replayt_store import MirrorStore, SQLiteStore
        from replayt_store.mirror import same_place

        copy = SQLiteStore(_placed(self.mirror, "--sqlite", pinned=pinned))
        if same_place(primary, copy):
            if "--sqlite" in self.options:
                raise UsageError(f"--sqlite {self.mirror} is the store itself: leave it out")
            if "--store" in self.options:
                return primary  # it names the file that the configuration keeps a copy in
            raise ConfigError(
                f"{self.config.origin('sqlite')} names the store itself: leave it out"
            )
        return MirrorStore(primary, copy)

    def flags(self) -> list[str]:
        """The options that lead another command to the same store."""
        values = {
            "--store": None if self.url is None else _without_password(self.url),
            "--log-dir": self.log_dir,
            "--sqlite": self.source or self.mirror,
        }
        flags = []
        for name, value in values.items():
            # What the configuration says, the next command finds there, too.
            if value is not None and name in self.options:
                flags += [name, value]
        return flags

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
        from replayt_core.errors import StoreURLError
        from replayt_store import JSONLStore, open_store

        if self.url is not None:
            try:
                return open_store(self.url)
            except StoreURLError as error:
                if "--store" in self.options:
                    raise
                raise ConfigError(f"{self.config.origin('store')}: {error}") from None
        if self.source is not None:
            from replayt_store import SQLiteStore

            return SQLiteStore(_placed(self.source, "--sqlite", pinned=pinned))
        return JSONLStore(_placed(self.log_dir or DEFAULT_LOG_DIR, "--log-dir", pinned=pinned))


def choose_store(
    log_dir: str | None,
    url: str | None,
    *,
    source: str | None = None,
    mirror: str | Literal[Mirror.none] | None = Mirror.none,
    config: Config | None = None,
) -> StoreChoice:
    """The store that the options of a command mean, with the configuration for those not given.

    `--sqlite` is the `source` of a command that reads, the `mirror` of one that writes. A place on
    the command line wins over a place in the configuration, whose `sqlite` is always a mirror: it
    follows what commands write and is never what they read. Raises `UsageError` for options that
    contradict each other, and for a configuration that cannot be used.
    """
    writes = mirror is not Mirror.none
    copy = None if mirror is Mirror.none else mirror
    given = {"--log-dir": log_dir, "--store": url, "--sqlite": source}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} name two places: give one of them")
    given = {**given, "--sqlite": source if copy is None else copy}
    for name, value in given.items():
        if value is not None and not value.strip():
            raise UsageError(f"{name} is empty: give {_EXAMPLES[name]}, or leave it out")
    if given["--sqlite"] == ":memory:":
        raise UsageError("--sqlite :memory: names no file: give one, or leave it out")
    found = find_config() if config is None else config
    if not names:
        log_dir, url = found.log_dir, found.store
    if writes and copy is None:
        copy = found.sqlite
    options = [name for name, value in given.items() if value is not None]
    if log_dir == DEFAULT_LOG_DIR and found.log_dir is None and found.store is None:
        options = [name for name in options if name != "--log-dir"]  # it goes without saying
    return StoreChoice(
        log_dir=log_dir, url=url, source=source, mirror=copy, options=tuple(options), config=found
    )


def refuse_same(source: EventStore, target: EventStore, names: str) -> None:
    """Raise `UsageError` where what is read is what is written; `names` are those of the two."""
    from replayt_store.mirror import same_place

    if same_place(source, target):
        raise UsageError(f"{names} are the same store: name two")


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


def command_line(*words: str) -> str:
    """A command to be copied into a shell, quoted where needed, and printable whatever it names."""
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    r"""The word for a POSIX shell; `$'\n'`, which bash and zsh know, where it is not printable."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_in_ansi_c_quotes, word))}'"


def _in_ansi_c_quotes(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    # Bytes of an argument that were no UTF-8 are single surrogates from U+DC80 on.
    kept = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", kept))


def _without_password(url: str) -> str:
    """A command that is shown leaves the password to who runs it."""
    return re.sub(r"(://[^/?#@]*:)[^/?#]*@", r"\1***@", url)
