"""What a fork must not carry into the child: locks, and connections to a database.

A child that kept the descriptor of a locked file would keep a dead run looking executed. A child
that kept a SQLite connection could destroy the database by merely closing it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

GATE = threading.RLock()
"""Held over a fork, and by whoever opens a file and has not registered it here yet."""


class StopsForFork(Protocol):
    """Something that must be at rest, with nothing open, while the process forks."""

    def stop_for_fork(self) -> None:
        """Come to rest and stay there."""
        ...

    def go_on(self) -> None:
        """In the parent and in the child: the fork is over."""
        ...


_T = TypeVar("_T")
_FORGET: weakref.WeakKeyDictionary[object, Callable[[Any], None]] = weakref.WeakKeyDictionary()
_STOP: weakref.WeakSet[StopsForFork] = weakref.WeakSet()
_stopped: list[StopsForFork] = []


def forget_in_child(thing: _T, forget: Callable[[_T], None]) -> None:
    """Call `forget(thing)` in every forked child, as long as `thing` lives.

    It lets go of everything without touching what the parent holds.
    """
    with GATE:
        _FORGET[thing] = forget


def stop_for_fork(thing: StopsForFork) -> None:
    """Call `thing.stop_for_fork()` before every fork and `thing.go_on()` behind it."""
    with GATE:
        _STOP.add(thing)


def _before() -> None:
    GATE.acquire()
    for thing in tuple(_STOP):
        thing.stop_for_fork()
        _stopped.append(thing)


def _go_on() -> None:
    while _stopped:
        _stopped.pop().go_on()
    GATE.release()


def _in_child() -> None:
    for thing, forget in tuple(_FORGET.items()):
        forget(thing)
    _go_on()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_go_on, after_in_child=_in_child)
