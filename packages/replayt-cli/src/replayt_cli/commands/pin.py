"""`replayt pin`: keep a run beside the tests, as the test of what it recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replayt_cli.arguments.options import (
    Debug,
    LogDir,
    Output,
    OutputAs,
    RunId,
    SQLiteSource,
    StoreURL,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replayt_core import Event
    from replayt_core.ports import EventStore
    from replayt_store import JSONLStore


def pin(
    run_id: RunId,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The directory of pinned runs: `runs` beside the test file, for example.",
            show_default=False,
        ),
    ],
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Copy no prompts and no replies. The copy gets a chain of its own.",
            show_default=False,
        ),
    ] = False,
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteSource = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Copy a run into a directory, for `replay_run` in pytest to verify.

    The copy is the same byte for byte, so its head hash is that of the run. With --redact it
    keeps what the log mode structured_only keeps, and names the head hash of the original. A batch
    that was cut short at the end is left out.
    """
    from replayt_cli.arguments.run_reference import find_run
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.errors import UsageError
    from replayt_cli.exit_codes import DONE
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import echo, escape, warn
    from replayt_cli.show.recorded_run import torn_bytes
    from replayt_core.chain import line_hash
    from replayt_core.pin import redacted_copy
    from replayt_store import JSONLStore

    choice = choose_store(log_dir, store_url, source=sqlite)
    if not out.strip():
        raise UsageError("--out is empty: give a directory, such as tests/runs")
    store = choice.open()
    found = find_run(store, run_id)
    events = _whole(store, found)
    torn = torn_bytes(store, found, sum(len(event.line) + 1 for event in events))
    if redact:
        events = redacted_copy(events)
    target = JSONLStore(out)
    _copy(events, target)
    origin = events[0].payload.get("pinned_from")
    document = {
        "run_id": found,
        "path": str(target.path(found)),
        "head": line_hash(events[-1].line),
        "events": len(events),
        "redacted": redact,
        "pinned_from": origin.get("head") if isinstance(origin, dict) else None,
        "torn_bytes": torn,
    }
    if torn:
        warn(f"{torn} bytes of a batch that was cut short are left out of the copy")
    if output is Output.json:
        print_json(document)
        return DONE
    for name in ("run_id", "path", "head", "pinned_from"):
        if document[name] is not None:
            echo(f"{name}={escape(str(document[name]))}")
    return DONE


def _whole(store: EventStore, run_id: str) -> Sequence[Event]:
    """All events of a run that nobody executes. Raises `DamagedLogError`."""
    from replayt_core import DamagedLogError, RunLockedError, verify
    from replayt_core.ports import LocksRuns

    if isinstance(store, LocksRuns) and store.locked(run_id):
        raise RunLockedError(f"run {run_id} is being executed: wait until it has ended")
    events = list(store.read(run_id))
    damage = verify(None, events).damage
    if damage is not None:
        raise DamagedLogError(damage, run_id=run_id, where="the log")
    return events


def _copy(events: Sequence[Event], target: JSONLStore) -> None:
    """Write the events batch by batch: all of them, or none."""
    import os

    from replayt_core import RunExistsError

    run_id = events[0].run_id
    path = target.path(run_id)
    if os.path.lexists(path):
        raise RunExistsError(f"{path} exists: remove it first to pin run {run_id} again")
    with target.lock(run_id):
        begin = 0
        try:
            for end, event in enumerate(events, 1):
                if not event.more:
                    target.append(run_id, events[begin:end], after=begin)
                    begin = end
        except BaseException:
            if begin:
                target.delete(run_id, after=begin)
            raise
