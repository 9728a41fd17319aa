"""The store passes replayt's kit on a real server: REDIS_URL says where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from replayt_redis_store import RedisStore, open_redis

from replayt_core import MemoryStore, Runner, StoreError, StoreURLError, StoreWriteError, Workflow
from replayt_core.testing import StoreContract, check_store

URL = os.environ["REDIS_URL"]
SECRET = URL.partition("@")[0].rpartition(":")[2]


@pytest.fixture(autouse=True)
def empty() -> Iterator[redis.Redis]:
    """Another connection to the database, which is emptied."""
    client = redis.Redis.from_url(URL)
    client.flushdb()
    yield client
    client.close()


class TestRedisStore(StoreContract):
    def make_store(self, directory: Path) -> RedisStore:
        return open_redis(URL)

    def damage(self, directory: Path, run_id: str, seq: int) -> None:
        client, key = redis.Redis.from_url(URL), f"{{replayt}}:run:{run_id}"
        line = client.lindex(key, seq - 1)
        client.lset(key, seq - 1, line.replace(b'"n":', b'"m":'))
        client.close()


def test_the_function_reports_what_is_not_offered() -> None:
    report = check_store(lambda: open_redis(URL))
    assert report.ok, str(report)
    lacking = {each.clause.ability for each in report.results if each.outcome == "not offered"}
    assert lacking == {"locking", "repair", "damage", "following"}


def test_prefixes_are_apart() -> None:
    one, other = open_redis(URL + "?prefix=one"), open_redis(URL + "?prefix=other")
    Runner(_workflow(), one).run(run_id="r1")
    assert list(one.run_ids()) == ["r1"]
    assert list(other.run_ids()) == []
    assert list(other.read("r1")) == []


def test_a_server_that_is_away_is_one_line_without_the_password() -> None:
    store = open_redis(f"redis://user:{SECRET}@127.0.0.1:1/0")
    events = MemoryStore()
    Runner(_workflow(), events).run(run_id="r1")
    batch = list(events.read("r1"))[:1]
    for call, error in (
        (lambda: store.append("r1", batch, after=0), StoreWriteError),
        (lambda: list(store.read("r1")), StoreError),
        (lambda: list(store.run_ids()), StoreError),
    ):
        with pytest.raises(error, match=r"redis://127\.0\.0\.1:1/0") as caught:
            call()
        assert SECRET not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert SECRET not in repr(store)


def test_a_wrong_password_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="cannot list the runs") as caught:
        list(open_redis(URL.replace(SECRET, "wrong-one")).run_ids())
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@host:port/0",
        f"redis://user:{SECRET}@host/zero",
        f"redis://:{SECRET}@/0",
        f"redis://:{SECRET}@host/0?decode_responses=true",
        f"redis://:{SECRET}@host/0?prefix=",
        f"redis://:{SECRET}@host/0?socket_timeout=soon",
    ],
)
def test_a_malformed_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(StoreURLError) as caught:
        open_redis(url)
    assert SECRET not in str(caught.value)


def _workflow() -> Workflow:
    workflow = Workflow("one")
    workflow.set_initial("a")
    workflow.step("a")(lambda ctx: None)
    return workflow
