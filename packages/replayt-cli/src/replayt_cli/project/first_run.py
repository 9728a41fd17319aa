"""The run that a new project with CI begins with: recorded here and now, with no model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from replayt_cli.arguments.target import load_target
from replayt_core import Runner, resolve
from replayt_llm import LLMSettings
from replayt_store import JSONLStore


def record_run(name: str, workflow: bytes, run_id: str, inputs: Mapping[str, Any]) -> bytes:
    """The log of one run of a workflow file called `name`; what it waits for is approved.

    Answers of a model are made up. The file is one of our own templates.
    """
    path = list(sys.path)
    with TemporaryDirectory(prefix="replayt-init-") as folder:
        file = Path(folder) / name
        file.write_bytes(workflow)
        store = JSONLStore(Path(folder) / "runs")
        try:
            runner = Runner(
                load_target(str(file)), store, llm_settings=LLMSettings.for_provider("offline")
            )
        finally:
            sys.path[:] = path
        result = runner.run(inputs, run_id=run_id)
        while result.status == "paused":
            for approval in result.waiting:
                resolve(store, run_id, approval.approval_id, approved=True, by="replayt init")
            result = runner.run(run_id=run_id, resume=True)
        return store.path(run_id).read_bytes()
