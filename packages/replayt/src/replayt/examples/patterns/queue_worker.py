"""A worker on a queue that delivers at least once: the message id is the run id.

Why it exists: a queue that loses nothing delivers some messages twice, and a worker may die at any
line. The run's log takes care of both. A message whose run is completed is settled at once, one
whose run was cut short is resumed from its last boundary, and one that is executed by another
worker at this moment is left alone. A message that ends worker after worker goes aside. A disk that
is full ends the worker, not the message.

    python -m replayt.examples.patterns.queue_worker TARGET QUEUE.db --log-dir DIR

It ends when the queue is empty, with 1 if it had to put a message aside. TARGET is
`module:variable`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from replayt import (
    DamagedLogError,
    RefusedError,
    RunEndedError,
    RunExistsError,
    RunLockedError,
    Runner,
    Workflow,
    fold,
)
from replayt.examples.patterns.batch_runs import message_of
from replayt.examples.patterns.command_line import Options, load
from replayt.examples.patterns.queue_store import Message, Queue
from replayt.persistence import JSONLStore

IDLE_SECONDS = 0.05


def handle(
    workflow: Workflow, store: JSONLStore, queue: Queue, message: Message, max_deliveries: int
) -> str | None:
    """Do what one delivery asks for; `done`, `dead`, or None where another worker has the run."""
    try:
        state, note = _execute(workflow, store, message, max_deliveries)
    except (RunLockedError, RunExistsError, RunEndedError):  # another worker has it, or had it
        queue.give_back(message.id)
        return None
    except (RefusedError, DamagedLogError) as error:  # the next delivery would meet it again
        state, note = "dead", f"{type(error).__name__}: {error}"
    queue.settle(message.id, state, note)
    return state


def _execute(
    workflow: Workflow, store: JSONLStore, message: Message, max_deliveries: int
) -> tuple[str, str]:
    with store.lock(message.id):  # so that a run in progress is not judged from its log
        state = fold(message.id, store.read(message.id))
    if state.phase == "ended":
        return _settled(state.summary.status, message_of(state.summary.error))
    if message.deliveries > max_deliveries:
        where = f" in state {state.state}" if state.state else ""
        return "dead", f"given up after {max_deliveries} deliveries{where}"
    if not isinstance(message.body, dict):
        return "dead", "the message is no JSON object"
    runner = Runner(workflow, store)
    if state.phase == "absent":
        result = runner.run(message.body, run_id=message.id)
    else:
        result = runner.resume(message.id)
    return _settled(result.status, message_of(result.error))


def _settled(status: str, error: str) -> tuple[str, str]:
    """A run that waits for a person is done for the queue: its answer comes another way."""
    return ("dead", f"the run failed: {error}") if status == "failed" else ("done", status)


def work(
    workflow: Workflow,
    store: JSONLStore,
    queue: Queue,
    *,
    visibility_seconds: float = 60.0,
    max_deliveries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Handle messages until none is left; how many this worker settled as what."""
    counts = {"done": 0, "dead": 0}
    while queue.left():
        message = queue.receive(visibility_seconds)
        if message is None:
            sleep(IDLE_SECONDS)
        elif settled := handle(workflow, store, queue, message, max_deliveries):
            counts[settled] += 1
    return counts


def main() -> int:
    """Work until the queue is empty."""
    options = Options(description="Run a workflow for each message of a queue.")
    options.add_argument("target")
    options.add_argument("queue", type=Path)
    options.add_argument("--log-dir", default=".replayt/runs")
    options.add_argument("--visibility", type=float, default=60.0)
    options.add_argument("--max-deliveries", type=int, default=5)
    chosen = options.parse_args()
    try:
        workflow = load(chosen.target)
    except ValueError as error:
        options.error(str(error))
    try:
        counts = work(
            workflow,
            JSONLStore(chosen.log_dir),
            Queue(chosen.queue),
            visibility_seconds=chosen.visibility,
            max_deliveries=chosen.max_deliveries,
        )
    except KeyboardInterrupt:
        print("stopped; what it was at comes again", file=sys.stderr)
        return 130
    print(f"{counts['done']} done, {counts['dead']} put aside")
    return 1 if counts["dead"] else 0


if __name__ == "__main__":
    sys.exit(main())
