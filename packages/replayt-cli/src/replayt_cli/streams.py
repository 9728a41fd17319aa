"""The standard streams: closed ones made harmless, and stdout kept for the result alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO


def fill_closed_streams() -> None:
    """Put nothing in the place of descriptors that the caller has closed (`>&-`).

    Otherwise the first file that is opened gets their number, and what is printed ends up in it.
    A closed stdin stays None: there is nothing to read.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextmanager
def kept_for_results() -> Iterator[None]:
    """While the user's code runs: what it prints goes to stderr, stdout carries the result alone.

    What it starts in other processes, or writes to descriptor 1 itself, goes there as well.
    """
    with _descriptor_aside(sys.stdout), redirect_stdout(sys.stderr):
        yield


@contextmanager
def _descriptor_aside(stdout: TextIO) -> Iterator[None]:
    if not _is_descriptor_1(stdout):
        yield
        return
    stdout.flush()
    aside = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        # The user's code may hold the stream itself: what waits in it is no result either.
        with suppress(OSError, ValueError):
            stdout.flush()
        os.dup2(aside, 1)
        os.close(aside)


def _is_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):  # a stream in memory, as under a test
        return False
