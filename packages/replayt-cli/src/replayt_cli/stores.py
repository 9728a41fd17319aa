"""Which store the options mean, and which run a (short) id means. The same for every command."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from replayt_cli.errors import NotFoundError, UsageError
from replayt_cli.options import DEFAULT_LOG_DIR
from replayt_core import DamagedLogError, check_run_id
from replayt_core.ports import EventStore

_CANDIDATES = 5


@dataclass(frozen=True, kw_only=True)
class StoreChoice:
    """What `--log-dir` and `--store` mean together: a directory of JSONL logs, or a URL."""

    log_dir: str | None
    url: str | None

    def open(self, *, pinned: bool = False) -> EventStore:
        """The store. Opening creates nothing.

        A `pinned` one stays where it is, wherever the user's code changes to.
        """
        from replayt_store import JSONLStore, open_store

        if self.url is not None:
            return open_store(self.url)
        directory = self.log_dir or DEFAULT_LOG_DIR
        try:
            absolute = os.path.abspath(directory)
        except FileNotFoundError:
            raise UsageError(
                "the working directory is gone: go to another, or give --log-dir as a full path"
            ) from None
        return JSONLStore(absolute if pinned else directory)

    def flags(self) -> list[str]:
        """The options that lead another command to the same store."""
        if self.url is not None:
            return ["--store", self.url]
        return [] if self.log_dir in (None, DEFAULT_LOG_DIR) else ["--log-dir", str(self.log_dir)]

    def place(self, store: EventStore, run_id: str) -> str:
        """Where the log of a run is: its path, or the scheme of a store without files."""
        path = getattr(store, "path", None)
        if callable(path):
            if self.url is None:
                return os.path.join(self.log_dir or DEFAULT_LOG_DIR, path(run_id).name)
            return str(path(run_id))
        scheme = (self.url or "").partition("://")[0]
        return f"{scheme} store, run {run_id}"


def choose_store(log_dir: str | None, url: str | None) -> StoreChoice:
    """The store that the options of a command mean."""
    if log_dir is not None and url is not None:
        raise UsageError("--log-dir and --store name two places: give one of them")
    if log_dir is not None and not log_dir.strip():
        raise UsageError("--log-dir is empty: give a directory, or leave it out")
    if url is not None and not url.strip():
        raise UsageError("--store is empty: give a URL such as jsonl:///.replayt/runs")
    return StoreChoice(log_dir=log_dir, url=url)


def find_run(store: EventStore, text: str) -> str:
    """The id that `text` means: an id, or a unique start or end of one."""
    check_run_id(text)
    if _exists(store, text):
        return text
    fitting = sorted(
        run_id for run_id in store.run_ids() if run_id.startswith(text) or run_id.endswith(text)
    )
    if not fitting:
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
