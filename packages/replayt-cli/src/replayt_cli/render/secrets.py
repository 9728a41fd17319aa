"""Where secrets were found, as text: never what they are."""

from __future__ import annotations

from replayt_cli.check.secrets import ScannedRun, SecretTally
from replayt_cli.render.text import count_of, echo, one_line, paint


def print_scanned(run: ScannedRun) -> None:
    """One line for each finding of a run, and one where it cannot be read to its end."""
    for found in run.findings:
        kind = paint(found.kind, "error")
        echo(f"{one_line(run.place)} seq {found.seq}: {kind} at {one_line(found.path)}")
    if run.problem is not None:
        echo(f"{one_line(run.place)}: {paint('damaged', 'damaged')}: {one_line(run.problem)}")


def print_secret_tally(tally: SecretTally) -> None:
    """The closing line."""
    found = "nothing found"
    if tally.secrets:
        found = f"{count_of(tally.secrets, 'finding')} in {count_of(tally.with_secrets, 'run')}"
    parts = [f"{count_of(tally.checked, 'run')} searched for secrets: {found}"]
    if tally.damaged:
        parts.append(f"{tally.damaged} could not be read to the end")
    if tally.other_tags:
        parts.append(f"{tally.other_tags} with other tags skipped")
    echo("; ".join(parts))
