"""Looking for secrets in recorded runs: one of them, or a whole store one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from replayt_cli import exit_codes
from replayt_core import DamagedLogError, Event, RunNotFoundError, RunSummary, apply_summary
from replayt_core.ports import EventStore
from replayt_core.secret_scan import SecretFinding, find_secrets


@dataclass(frozen=True, kw_only=True)
class ScannedRun:
    """One run, where its log is, and what was found up to where it can be read.

    `problem` says why the rest of it could not be looked at.
    """

    run_id: str
    place: str
    findings: tuple[SecretFinding, ...]
    problem: str | None = None

    def documents(self) -> Iterator[dict[str, Any]]:
        """The findings as JSON: places and kinds, never values."""
        for found in self.findings:
            yield {"run_id": self.run_id, "place": self.place, **asdict(found)}


@dataclass(kw_only=True)
class SecretTally:
    """What all runs came to."""

    checked: int = 0
    with_secrets: int = 0
    secrets: int = 0
    damaged: int = 0
    other_tags: int = 0

    @property
    def exit_code(self) -> int:
        """The exit code of the whole."""
        if self.damaged:
            return exit_codes.DAMAGED
        return exit_codes.FAILED if self.secrets else exit_codes.DONE

    def document(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {"ok": self.exit_code == exit_codes.DONE, **asdict(self)}

    def add(self, run: ScannedRun) -> None:
        """Count a run."""
        self.checked += 1
        self.with_secrets += bool(run.findings)
        self.secrets += len(run.findings)
        self.damaged += run.problem is not None


def scan_runs(
    store: EventStore,
    run_ids: Sequence[str],
    tally: SecretTally,
    *,
    place: Callable[[EventStore, str], str],
    tags: Mapping[str, str],
    step: Callable[[], None] = lambda: None,
) -> Iterator[ScannedRun]:
    """The runs in which something was found or that cannot be read to their end.

    `tally` counts all, `step` hears of each. A log that does not even start is a problem, whatever
    tags are wanted: nobody can tell whose it was.
    """
    for run_id in run_ids:
        try:
            scanned = _scan(store, run_id, place(store, run_id), tags)
        except _OtherTagsError:
            tally.other_tags += 1
        except RunNotFoundError:
            pass  # deleted meanwhile, or begun and not yet written
        else:
            tally.add(scanned)
            if scanned.findings or scanned.problem is not None:
                yield scanned
        step()


def _scan(store: EventStore, run_id: str, place: str, tags: Mapping[str, str]) -> ScannedRun:
    findings: list[SecretFinding] = []
    problem: str | None = None
    try:
        for event in _of_tags(store.read(run_id), run_id, tags):
            findings += find_secrets([event])
    except (_OtherTagsError, RunNotFoundError):
        raise
    except DamagedLogError as error:
        problem = str(error)
    except Exception as error:
        # One bad run never breaks the check of the others.
        problem = f"cannot be read: {type(error).__name__}: {error}"
    return ScannedRun(run_id=run_id, place=place, findings=tuple(findings), problem=problem)


class _OtherTagsError(Exception):
    """The run is not one of those that were asked for."""


def _of_tags(events: Iterator[Event], run_id: str, tags: Mapping[str, str]) -> Iterator[Event]:
    """The events of a run that has those tags, which its first line says."""
    summary: RunSummary | None = None
    for event in events:
        if summary is None:
            summary = RunSummary(run_id)
            apply_summary(summary, event)
            if not tags.items() <= summary.tags.items():
                raise _OtherTagsError
        yield event
    if summary is None:
        raise RunNotFoundError(f"no run {run_id!r} in this store")
