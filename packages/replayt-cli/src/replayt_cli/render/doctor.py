"""What `doctor` found, as lines and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from replayt_cli.project.finding import Finding
from replayt_cli.render.text import echo, one_line, paint, width, wrap


def findings_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Each finding's value by its name; whether all is well, what is not, and the sources."""
    document: dict[str, Any] = {finding.name: finding.value for finding in findings}
    document["ok"] = all(finding.level != "error" for finding in findings)
    for level, name in (("error", "errors"), ("warning", "warnings")):
        document[name] = [
            f"{finding.name}: {finding.note}" for finding in findings if finding.level == level
        ]
    document["sources"] = {finding.name: finding.source for finding in findings if finding.source}
    return document


def print_findings(findings: Sequence[Finding]) -> None:
    """One finding a line, its source and what is to be said about it in brackets."""
    for finding in findings:
        line = f"{finding.name}: {one_line(finding.value)}"
        if finding.source:
            line = f"{line}  [{one_line(finding.source)}]"
        if finding.note:
            level = "" if finding.level == "ok" else f"{finding.level}: "
            line = f"{line}  ({level}{one_line(finding.note)})"
        for part in wrap(line, width(), indent=""):
            echo(part if finding.level == "ok" else paint(part, finding.level))
