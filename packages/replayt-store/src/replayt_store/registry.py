"""From a URL to a store: the schemes of this package, then those that others registered."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from replayt_core.errors import ReplaytError, StoreURLError
from replayt_core.ports.store import EventStore
from replayt_store.jsonl import open_jsonl

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "replayt.stores"
"""The entry-point group: the name is the scheme, the object a callable that takes the URL."""


def _open_sqlite(url: str) -> EventStore:
    from replayt_store.sqlite import open_sqlite  # loaded when it is asked for

    return open_sqlite(url)


# Also registered as entry points; named here so that the usual case need not look them up.
_BUILT_IN: dict[str, Callable[[str], EventStore]] = {
    "jsonl": open_jsonl,
    "sqlite": _open_sqlite,
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store(url: str) -> EventStore:
    """The store that a URL names: `jsonl:///runs`, `sqlite:///runs.db`, or one of another package.

    Raises `StoreURLError` for a scheme nobody knows (it lists the known ones), for a malformed
    URL, and for a registered store that cannot be loaded. The URL itself is shown only where it
    cannot hold a password.
    """
    match = _SCHEME.match(url)
    if not _is_path_text(url):
        raise StoreURLError(
            "a store URL holds a NUL or half of a character, which no path can hold"
        )
    if not match:
        raise StoreURLError(
            "a store is named by a URL with a scheme, for example jsonl:///.replayt/runs; known: "
            + _known()
        )
    scheme = match[1].lower()
    opener = _BUILT_IN.get(scheme) or _load(scheme)
    store = opener(url)
    if not isinstance(store, EventStore):
        raise StoreURLError(
            f"what is registered for {scheme}:// is no store: it lacks append, read or run_ids"
        )
    return store


def _is_path_text(url: str) -> bool:
    try:
        return b"\0" not in os.fsencode(url)
    except UnicodeEncodeError:
        return False


def _load(scheme: str) -> Callable[[str], EventStore]:
    found = [point for point in _entry_points() if point.name == scheme]
    if not found:
        raise StoreURLError(
            f"no store is known for {scheme}://; known: {_known()}. "
            f"Install the package that registers {scheme!r} under {GROUP}"
        )
    values = sorted({point.value for point in found})
    if len(values) > 1:
        raise StoreURLError(f"{scheme}:// is registered more than once: {', '.join(values)}")
    try:
        opener: object = found[0].load()
    except ReplaytError:
        raise
    except Exception as error:
        raise StoreURLError(
            f"the store for {scheme}:// ({values[0]}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(opener):
        raise StoreURLError(f"the store for {scheme}:// ({values[0]}) is not callable")
    return opener


def _known() -> str:
    names = _BUILT_IN.keys() | {point.name for point in _entry_points()}
    return ", ".join(sorted(names))


def _entry_points() -> tuple[EntryPoint, ...]:
    # Slow to import, and not needed for the built-in schemes.
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))
