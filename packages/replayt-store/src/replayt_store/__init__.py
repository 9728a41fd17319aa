"""Where replayt runs are kept: append-only JSONL files, and the tools around them."""

from replayt_store.jsonl import JSONLStore
from replayt_store.registry import open_store

__all__ = ["JSONLStore", "open_store"]
