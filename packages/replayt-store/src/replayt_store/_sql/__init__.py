"""The SQL of the analytics, as files beside this one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

# Not importlib.resources: its import takes longer than the files, and wheels are unpacked.
_FOLDER = Path(__file__).parent


@cache
def statements(name: str) -> tuple[str, ...]:
    """The statements of a file, without comments; they end where a line ends with `;`."""
    text = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    found = "\n".join(lines).split(";\n")
    return tuple(statement.strip().rstrip(";") for statement in found if statement.strip())
