"""Where replayt runs are kept: append-only files or SQLite, and the tools around them."""

from typing import TYPE_CHECKING

from replayt_store.jsonl import JSONLStore
from replayt_store.registry import open_store

if TYPE_CHECKING:
    from replayt_store.mirror import MirrorStore, MultiStore
    from replayt_store.sqlite import SQLiteStore

__all__ = ["JSONLStore", "MirrorStore", "MultiStore", "SQLiteStore", "open_store"]

# Loaded when they are asked for: most processes use one store.
_LATER = {"MirrorStore": "mirror", "MultiStore": "mirror", "SQLiteStore": "sqlite"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found
