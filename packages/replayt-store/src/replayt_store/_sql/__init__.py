"""The SQL of the analytics, as files beside this one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statements(name: str) -> tuple[str, ...]:
    """The statements of a file, without comments; they end where a line ends with `;`."""
    text = files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    found = "\n".join(lines).split(";\n")
    return tuple(statement.strip().rstrip(";") for statement in found if statement.strip())
