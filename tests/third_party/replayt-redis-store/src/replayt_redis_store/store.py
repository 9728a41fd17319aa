"""`RedisStore`: a run is a list of lines, so its length is the seq of its last event.

What an append does, a script does in one step on the server: compare the length, push the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from replayt_core import (
    ConflictError,
    StoreError,
    StoreURLError,
    StoreWriteError,
    check_run_id,
)
from replayt_core.chain import ChainReader, decode, line_hash, starts_chain
from replayt_core.events import Event
from replayt_core.ports import RunEntry

# KEYS: the run's list, the hash of all runs and their sizes. ARGV: after, the run id, the lines.
_APPEND = """
local last = redis.call('LLEN', KEYS[1])
if last ~= tonumber(ARGV[1]) then return last end
local size = 0
for at = 3, #ARGV, 1000 do
  redis.call('RPUSH', KEYS[1], unpack(ARGV, at, math.min(at + 999, #ARGV)))
end
for at = 3, #ARGV do size = size + #ARGV[at] end
redis.call('HINCRBY', KEYS[2], ARGV[2], size)
return -1
"""
_DELETE = """
local last = redis.call('LLEN', KEYS[1])
if last ~= tonumber(ARGV[1]) then return {last, 0} end
local size = redis.call('HGET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], ARGV[2])
return {-1, tonumber(size or 0)}
"""
_PAGE = 500
_OPTIONS = {
    "prefix",
    "socket_connect_timeout",
    "socket_timeout",
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
}


class RedisStore:
    """The runs under one prefix of a Redis database. It can list and delete them.

    An object may be used from several threads, and by a forked child. A connection is opened at
    the first use.
    """

    def __init__(
        self, client: redis.Redis, *, prefix: str = "replayt", place: str = "redis"
    ) -> None:
        self._client = client
        self._place = place
        # The braces keep both keys of a script on one node of a cluster.
        self._prefix = f"{{{prefix}}}"
        self._append = client.register_script(_APPEND)
        self._delete = client.register_script(_DELETE)

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r}, prefix={self._prefix[1:-1]!r})"

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Add a whole batch to a run whose last seq is `after`; 0 means that it does not exist.

        Raises `ConflictError` (nothing was written), `ValueError` (not numbered `after` + 1, …),
        and `StoreWriteError` when the server could not be asked or refused: the outcome is unknown.
        """
        keys = self._keys(run_id)
        seqs = [event.seq for event in events]
        if not seqs or seqs != list(range(after + 1, after + len(seqs) + 1)):
            raise ValueError(
                f"run {run_id}: a batch behind {after} is numbered {after + 1}, …, not {seqs[:5]}"
            )
        arguments: list[bytes | int | str] = [after, run_id, *(event.line for event in events)]
        with self._mapped(StoreWriteError, f"cannot append to run {run_id}"):
            last: Any = self._append(keys=keys, args=arguments)
        if last != -1:
            raise ConflictError(
                f"run {run_id} is at seq {last}, not {after}: nothing was written, read it again"
            )

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events behind `after` as they stand now. An unknown run reads as nothing.

        Raises `DamagedLogError` after the events that stand before the damage.
        """
        return self._read(run_id, self._keys(run_id)[0], after)

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs."""
        return (run_id for run_id, _ in self._sizes())

    def runs(self) -> Iterator[RunEntry]:
        """One entry a run, from its length and its last line."""
        for run_id, size in self._sizes():
            with self._mapped(StoreError, f"cannot look at run {run_id}"):
                key = self._keys(run_id)[0]
                pipeline: Any = self._client.pipeline()
                length, last = pipeline.llen(key).lindex(key, -1).execute()
            if last is not None:
                yield RunEntry(run_id=run_id, last_seq=length, last_ts=_ts(last), size=size)

    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run if its last seq is `after`, else raise `ConflictError`; bytes freed."""
        keys = self._keys(run_id)
        with self._mapped(StoreWriteError, f"cannot delete run {run_id}"):
            answer: Any = self._delete(keys=keys, args=[after, run_id])
        last, freed = answer
        if last != -1:
            raise ConflictError(f"run {run_id} is at seq {last}, not {after}: nothing was deleted")
        return int(freed)

    # --- how ----------------------------------------------------------------------------------

    def _keys(self, run_id: str) -> list[str]:
        return [f"{self._prefix}:run:{check_run_id(run_id)}", f"{self._prefix}:runs"]

    def _read(self, run_id: str, key: str, after: int) -> Iterator[Event]:
        with self._mapped(StoreError, f"cannot read run {run_id}"):
            # A batch is pushed in one step, so the length is the end of a batch.
            pipeline: Any = self._client.pipeline()
            pipeline.llen(key).lindex(key, 0).lindex(key, after - 1)
            length, first, before = pipeline.execute()
        if after >= length:
            return
        reader = ChainReader(run_id)
        if after:
            chained = _is_chained(first)
            reader = ChainReader(run_id, seq=after, head=line_hash(before), chained=chained)
        for start in range(after, length, _PAGE):
            with self._mapped(StoreError, f"cannot read run {run_id}"):
                lines: Any = self._client.lrange(key, start, min(start + _PAGE, length) - 1)
            for line in lines:
                yield from reader.feed(line)

    def _sizes(self) -> Iterator[tuple[str, int]]:
        with self._mapped(StoreError, "cannot list the runs"):
            # A scan may give an entry twice.
            found = dict(self._client.hscan_iter(f"{self._prefix}:runs", count=1000))
        return ((run_id.decode(), int(size)) for run_id, size in found.items())

    @contextmanager
    def _mapped(self, kind: type[StoreError], what: str) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            text = str(error).rstrip(".") or type(error).__name__
            raise kind(f"{what} in {self._place}: {text}") from error


def open_redis(url: str) -> RedisStore:
    """The store of a `redis:` or `rediss:` URL: `redis://[user:password@]host[:port][/db]`.

    `?prefix=` tells several stores in one database apart. Raises `StoreURLError`, which never
    shows the URL, since it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port, path = parts.hostname, parts.port or 6379, parts.path.strip("/") or "0"
        options = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
        database = int(path)
    except ValueError:
        raise StoreURLError(
            "the URL of the Redis store is malformed: write redis://host:6379/0"
        ) from None
    if unknown := sorted(options.keys() - _OPTIONS):
        raise StoreURLError(f"a Redis store knows no option {unknown[0]!r}: {', '.join(_OPTIONS)}")
    prefix = options.pop("prefix", "replayt")
    if not host or not prefix or set(prefix) & set("{}"):
        raise StoreURLError("a Redis store needs a host, and a prefix without braces")
    plain = urlunsplit(parts._replace(query=urlencode(options)))
    # Never twice: after a failure nobody knows whether the append has been done.
    once: Any = Retry(NoBackoff(), 0)
    try:
        client = redis.Redis.from_url(
            plain, retry=once, socket_connect_timeout=5, socket_timeout=60
        )
    except (ValueError, TypeError):
        raise StoreURLError("an option in the URL of the Redis store has a wrong value") from None
    return RedisStore(client, prefix=prefix, place=f"{parts.scheme}://{host}:{port}/{database}")


def _is_chained(first: bytes) -> bool:
    try:
        return starts_chain(decode(first))
    except ValueError:
        return True


def _ts(line: bytes) -> str | None:
    try:
        return decode(line).ts
    except ValueError:
        return None
