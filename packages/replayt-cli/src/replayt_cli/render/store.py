"""What `store copy`, `store rebuild` and `store repair` did, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from replayt_cli.check.repair import Repaired
from replayt_cli.render.text import bytes_of, count_of, echo, escape, one_line, warn, width, wrap
from replayt_store.transfer import Copied, Rebuilt, RunProblem, SavedPart

_COMPLAINTS = 10


def print_copied(copied: Copied) -> None:
    """What was copied; what was not is said on stderr."""
    _complain(copied.problems)
    if copied.runs or copied.present or copied.problems:
        _say(_counts(copied))
    elif not copied.empty:
        echo("No runs found")
    _tell_empty(copied)


def print_rebuilt(rebuilt: Rebuilt) -> None:
    """What the mirror was given, and what it has that its store has not."""
    _complain(rebuilt.problems)
    _say(_counts(rebuilt))
    _tell_empty(rebuilt)
    if rebuilt.replaced:
        _say(f"other bytes stood there for {count_of(len(rebuilt.replaced), 'run')}, now replaced")
    if rebuilt.extra:
        _say(f"{count_of(len(rebuilt.extra), 'run')} only in the mirror, left as they are")


def repair_document(run_id: str, log: str, repaired: Repaired) -> dict[str, Any]:
    """What became of a log that is not damaged."""
    return {
        "run_id": run_id,
        "log": log,
        "repair": "none" if repaired.tail is None else "tail put aside",
        "last_seq": repaired.last_seq,
        "tail": None if repaired.tail is None else asdict(repaired.tail),
        "saved_as": None,
        "damage": None,
    }


def saved_document(log: str, saved: SavedPart, place: str) -> dict[str, Any]:
    """What was saved of a damaged log."""
    return {
        "run_id": saved.run_id,
        "log": log,
        "repair": "readable part copied",
        "last_seq": saved.last_seq,
        "tail": None,
        "saved_as": place,
        "damage": saved.problem,
    }


def print_repair(document: dict[str, Any]) -> None:
    """What was done, where it is, and what is left as it was."""
    run_id, last_seq, tail = document["run_id"], document["last_seq"], document["tail"]
    if document["saved_as"] is not None:
        _say(document["damage"] or "")
        _say(f"copied seq 1 to {last_seq} to {escape(document['saved_as'])}")
        _say(f"the damaged log stays as it is: {escape(document['log'])}")
    elif tail is None:
        _say(f"run {run_id} needs no repair: its log ends whole, at seq {last_seq}")
    else:
        where = f" to {escape(tail['saved_as'])}" if tail["saved_as"] else ""
        _say(f"moved {bytes_of(tail['bytes'])} of a batch that was cut short{where}")
        if last_seq:
            _say(f"run {run_id} ends at seq {last_seq} now, and can go on")
        else:
            _say(f"nothing else was in the log: run {run_id} does not exist any more")


def _counts(copied: Copied) -> str:
    text = f"copied {count_of(copied.runs, 'run')}, {count_of(copied.events, 'event')}"
    return f"{text}; {copied.present} there already" if copied.present else text


def _tell_empty(copied: Copied) -> None:
    for run_id in copied.empty[:_COMPLAINTS]:
        _say(f"run {run_id} has no event to copy: its first batch was cut short, or it was deleted")
    if len(copied.empty) > _COMPLAINTS:
        _say(f"{len(copied.empty) - _COMPLAINTS} more have no event; --output json lists them")


def _complain(problems: Sequence[RunProblem]) -> None:
    for item in problems[:_COMPLAINTS]:
        warn(f"run {item.run_id} was not copied: {item.problem}")
    if len(problems) > _COMPLAINTS:
        warn(f"{len(problems) - _COMPLAINTS} more were not copied; --output json lists them")


def _say(text: str) -> None:
    for line in wrap(one_line(text), width(), indent=""):
        echo(line)
