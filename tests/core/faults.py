"""A broken store says which clauses of the kit name its fault: these, and no others."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

Store = TypeVar("Store", bound=type)


def breaks(*clauses: str) -> Callable[[Store], Store]:
    """A store that fails these clauses and passes all others."""

    def mark(store: Store) -> Store:
        store.fails = list(clauses)
        return store

    return mark


def broken_in(module: ModuleType) -> list[Any]:
    """The broken stores of a module."""
    return [each for each in vars(module).values() if hasattr(each, "fails")]
