"""Where runs are kept, and the interface that a store of one's own implements."""

from replayt_core import MemoryStore
from replayt_core.ports import EventStore
from replayt_store import JSONLStore, MirrorStore, MultiStore, SQLiteStore, open_store

__all__ = [
    "EventStore",
    "JSONLStore",
    "MemoryStore",
    "MirrorStore",
    "MultiStore",
    "SQLiteStore",
    "open_store",
]
