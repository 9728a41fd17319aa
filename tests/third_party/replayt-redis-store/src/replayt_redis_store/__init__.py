"""Keeps replayt runs in Redis."""

from replayt_redis_store.store import RedisStore, open_redis

__all__ = ["RedisStore", "open_redis"]
