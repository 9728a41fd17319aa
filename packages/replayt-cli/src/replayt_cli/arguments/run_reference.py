"""Which run a reference on the command line means. The same for every command.

A reference is a run id, a start or an end of one that fits no other, or a place among the newest
runs: `@last`, `@-2` for the one before. The newest are those at the top of `replayt runs`.
"""

from __future__ import annotations

import os
import re
from itertools import islice

from replayt_cli.errors import NotFoundError, UsageError
from replayt_core import DamagedLogError, InvalidRunIdError, check_run_id
from replayt_core.ports import EventStore

_CANDIDATES = 5
_PART_OF_AN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_FROM_THE_END = re.compile(r"@-([1-9][0-9]{0,8})", re.ASCII)


def find_run(store: EventStore, text: str) -> str:
    """The id of the run that `text` refers to.

    Raises `NotFoundError` where there is no such run, `UsageError` for what fits several or is no
    reference, and `InvalidRunIdError` for what fits none and can be no id.
    """
    if text.startswith("@"):
        return _newest(store, text)
    unlike = _unlike_an_id(text)
    if unlike is None and _exists(store, text):
        return text
    if unlike is not None and not _PART_OF_AN_ID.fullmatch(text):
        raise unlike
    fitting = sorted(
        run_id for run_id in store.run_ids() if run_id.startswith(text) or run_id.endswith(text)
    )
    if text in fitting:  # a log without an event: there is nothing to show, but to repair
        return text
    if not fitting:
        raise unlike or _not_found(store, f"no run {text!r} in this store")
    if len(fitting) > 1:
        shown = ", ".join(fitting[:_CANDIDATES]) + (", …" if len(fitting) > _CANDIDATES else "")
        raise UsageError(f"{text!r} fits {len(fitting)} runs: {shown}; give more of the id")
    return fitting[0]


def _newest(store: EventStore, text: str) -> str:
    """The run at that place of the listing."""
    from replayt_cli.analyse.fresh_index import fresh_index

    counted = _FROM_THE_END.fullmatch("@-1" if text == "@last" else text)
    if counted is None:
        raise UsageError(
            f"{text!r:.60} refers to no run: use @last for the newest, @-2 for the one before it, "
            "or a run id"
        )
    place = int(counted[1])
    with fresh_index(store) as index:
        found = next(islice(index.runs(limit=place), place - 1, None), None)
        there = index.count()
    if found is not None:
        return found.run_id
    if not there:
        raise _not_found(store, f"no run {text!r}: this store has no runs")
    runs = "one run" if there == 1 else f"{there} runs"
    raise NotFoundError(f"no run {text!r}: this store has {runs}; `replayt runs` lists them")


def _not_found(store: EventStore, problem: str) -> NotFoundError:
    primary = getattr(store, "primary", store)
    place = getattr(primary, "file", None) or getattr(primary, "directory", None)
    if place is not None and not os.path.exists(place):
        return NotFoundError(f"{problem}, since {place} does not exist")
    return NotFoundError(f"{problem}; `replayt runs` lists what there is")


def _unlike_an_id(text: str) -> InvalidRunIdError | None:
    """Why it can be no whole id, if it cannot; it may end one all the same."""
    try:
        check_run_id(text)
    except InvalidRunIdError as error:
        return error
    return None


def _exists(store: EventStore, run_id: str) -> bool:
    try:
        return next(iter(store.read(run_id)), None) is not None
    except DamagedLogError as damage:
        if not damage.run_id:  # not of this log, but of the place where all of them should be
            raise
        return True
