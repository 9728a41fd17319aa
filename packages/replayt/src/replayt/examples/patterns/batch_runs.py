"""One input, one run: the part of a batch or a queue that knows what was done already.

Why it exists: the run id is made from the input, so the log itself says whether an input was done.
There is no second list to keep, and none that could disagree with the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from replayt import ReplaytError, Runner, Workflow, fold
from replayt.persistence import JSONLStore

DONE_BEFORE = "done before"
Outcome = tuple[str, str, str]
"""Run id, what became of it, and why."""


def run_id_of(workflow: Workflow, inputs: dict[str, Any]) -> str:
    """The id of the run for these inputs. Another version of the workflow makes other runs."""
    text = json.dumps([workflow.name, workflow.version, inputs], sort_keys=True)
    return f"batch-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def message_of(error: Mapping[str, Any] | None) -> str:
    """What a failed run says went wrong; empty for any other."""
    return str(error["message"]) if error else ""


def run_once(workflow: Workflow, store: JSONLStore, inputs: dict[str, Any]) -> Outcome:
    """One input: started, taken up, or passed over. Every error is an outcome."""
    run_id = run_id_of(workflow, inputs)
    try:
        state = fold(run_id, store.read(run_id))
        if state.phase == "absent":
            result = Runner(workflow, store).run(inputs, run_id=run_id)
        elif state.summary.status == "completed":
            return run_id, "completed", DONE_BEFORE
        elif state.summary.status == "failed":  # `replayt resume --retry-failed`, when it is mended
            return run_id, "failed", f"before: {message_of(state.summary.error)}"
        else:
            result = Runner(workflow, store).resume(run_id)
        return run_id, result.status, message_of(result.error)
    except ReplaytError as error:  # RunLockedError: another driver is at it
        return run_id, "refused", str(error)
