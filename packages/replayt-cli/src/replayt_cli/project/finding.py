"""What a look at this machine comes to: one finding a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: its name, what was found, and what is to be said about it.

    `source` says where a setting comes from: an option, a variable, a file and its key, or
    `default`. It is empty for what is no setting.
    """

    name: str
    value: str
    level: Literal["ok", "warning", "error"] = "ok"
    note: str = ""
    source: str = ""
