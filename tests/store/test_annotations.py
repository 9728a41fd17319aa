"""What the stores promise can be asked at run time: no annotation needs a private import."""

from __future__ import annotations

from inspect import getmembers, isfunction
from typing import get_type_hints

import pytest

from replayt_core.ports.store import RunFollower
from replayt_store import JSONLStore, MirrorStore, SQLiteStore


@pytest.mark.parametrize("kind", [JSONLStore, SQLiteStore, MirrorStore])
def test_annotations_of_public_methods_can_be_resolved(kind: type) -> None:
    methods = {
        name: method for name, method in getmembers(kind, isfunction) if not name.startswith("_")
    }
    assert {"append", "read", "run_ids"} <= methods.keys()
    for method in methods.values():
        assert "return" in get_type_hints(method)


def test_a_follower_of_a_log_is_the_public_one() -> None:
    assert get_type_hints(JSONLStore.follow)["return"] is RunFollower
