"""What the patterns with a command line share: a target to load, and mistakes told in one line."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import NoReturn

from replayt import Workflow


class Options(argparse.ArgumentParser):
    """Says what is wrong and exits with 64, as `replayt` does: 2 means that a run waits."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave."""
        self.exit(64, f"{self.prog}: {message}\n")


def load(target: str) -> Workflow:
    """The workflow at `module:variable`. Raises `ValueError` when there is none."""
    module, _, name = target.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{target}: {error}; a target is module:variable") from None
    if not isinstance(found, Workflow):
        raise ValueError(f"{target} is no Workflow")
    return found
