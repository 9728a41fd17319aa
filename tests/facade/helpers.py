"""The bundled examples and their inputs, for the tests that run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import replayt.examples

FOLDER = Path(replayt.examples.__file__).parent


def sample(name: str) -> dict[str, Any]:
    """The inputs in `<name>.json`, which is shipped beside the examples."""
    inputs: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return inputs
