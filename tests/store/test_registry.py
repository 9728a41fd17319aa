"""Stores are found by URL, slashes as SQLAlchemy users know them (DESIGN section 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from replayt_core.errors import StoreURLError
from replayt_core.memory import MemoryStore
from replayt_store import JSONLStore, open_store
from replayt_store.jsonl import open_jsonl


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("jsonl:///runs", "runs"),
        ("jsonl:///.replayt/runs", ".replayt/runs"),
        ("jsonl:////srv/runs", "/srv/runs"),
        ("JSONL:///a b/ü", "a b/ü"),
        ("jsonl:///C:/runs", "C:/runs"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, directory: str) -> None:
    store = open_store(url)
    assert isinstance(store, JSONLStore)
    assert (store.directory, store.sync) == (Path(directory), "durable")


@pytest.mark.parametrize("sync", ["durable", "always", "os"])
def test_the_sync_mode_can_stand_in_the_url(sync: str) -> None:
    assert open_jsonl(f"jsonl:///runs?sync={sync}").sync == sync


@pytest.mark.parametrize(
    "url",
    [
        *("jsonl://runs", "jsonl://", "jsonl:///", "jsonl:///runs?sync=fast"),
        *("jsonl:///runs?fsync=os", "jsonl:///runs?sync"),
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(StoreURLError, match="jsonl"):
        open_store(url)


@pytest.mark.parametrize("url", ["", "runs", "/srv/runs", "jsonl:/runs", "://x", "C:\\runs"])
def test_a_path_is_no_url(url: str) -> None:
    with pytest.raises(StoreURLError, match=r"jsonl:///\.replayt/runs"):
        open_store(url)


@pytest.mark.parametrize("scheme", ["jsonl", "sqlite"])
@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
def test_what_no_path_can_hold_is_refused_at_once(scheme: str, odd: str) -> None:
    with pytest.raises(StoreURLError, match="no path can hold"):
        open_store(f"{scheme}:///{odd}")


def test_an_unknown_scheme_lists_the_known_ones_and_shows_no_password() -> None:
    with pytest.raises(StoreURLError, match=r"known: .*jsonl") as caught:
        open_store("nosuch://user:secret@host/db")
    assert "secret" not in str(caught.value)


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that registers stores, as pip would have installed it."""
    (tmp_path / "shop_stores.py").write_text(
        "from replayt_core.memory import MemoryStore\n"
        "def opened(url):\n    store = MemoryStore()\n    store.url = url\n    return store\n"
        "def nothing(url):\n    return object()\n"
        "number = 7\n"
    )
    info = tmp_path / "shop_stores-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-stores\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[replayt.stores]\nshop = shop_stores:opened\nnothing = shop_stores:nothing\n"
        "number = shop_stores:number\ngone = shop_stores:gone\nmissing = no_such_module:x\n"
        "jsonl = shop_stores:opened\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("registered")
def test_a_package_registers_a_store_under_its_scheme() -> None:
    store = open_store("shop://user:secret@host/db?x=1")
    assert isinstance(store, MemoryStore)
    assert store.url == "shop://user:secret@host/db?x=1"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        ("nothing", "is no store"),
        ("number", "not callable"),
        ("gone", "cannot be loaded"),
        ("missing", "cannot be loaded"),
    ],
)
def test_a_registration_that_gives_no_store_is_named(scheme: str, problem: str) -> None:
    with pytest.raises(StoreURLError, match=f"{scheme}://.*{problem}"):
        open_store(f"{scheme}:///x")


@pytest.mark.usefixtures("registered")
def test_a_built_in_scheme_cannot_be_taken_over() -> None:
    assert isinstance(open_store("jsonl:///runs"), JSONLStore)


def test_two_registrations_of_one_scheme_are_refused(registered: Path) -> None:
    info = registered / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[replayt.stores]\nshop = other:opened\n")
    with pytest.raises(StoreURLError, match="more than once: other:opened, shop_stores:opened"):
        open_store("shop:///x")
