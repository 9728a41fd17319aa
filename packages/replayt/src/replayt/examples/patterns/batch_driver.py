"""Run a workflow once for each line of a JSONL file; run it again, and nothing happens twice.

Why it exists: a batch of ten thousand is stopped in the middle sooner or later. Here the run id is
made from the input, so the log itself knows what was done: a second start passes over what is
completed, goes on with what was cut short, and starts the rest. Nothing else has to be kept.

    python -m replayt.examples.patterns.batch_driver TARGET INPUTS.jsonl --log-dir DIR --processes 4

TARGET is `module:variable`. The report is one JSON document; the exit code is that of `replayt`:
0 all completed, 1 something failed, 2 nothing failed but something waits for an answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from replayt.examples.patterns.batch_runs import DONE_BEFORE, Outcome, run_id_of, run_once
from replayt.examples.patterns.command_line import Options, load
from replayt.persistence import JSONLStore


def _work(tasks: Connection, target: str, log_dir: str) -> None:
    """A process of the pool. It ends when the driver closes its end, or is killed."""
    workflow, store = load(target), JSONLStore(log_dir)
    try:
        while True:
            tasks.send(run_once(workflow, store, tasks.recv()))
    except (EOFError, OSError, KeyboardInterrupt):  # the run that was cut short says so in its log
        return


def run_all(
    target: str, inputs: list[dict[str, Any]], log_dir: str, processes: int
) -> Iterator[Outcome]:
    """The outcome of each, as they come. A process that dies costs one outcome, not the batch."""
    context = get_context("spawn")
    waiting = list(reversed(inputs))
    busy: dict[Connection, tuple[dict[str, Any], BaseProcess]] = {}

    def start() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, target, log_dir), daemon=True)
        process.start()
        theirs.close()  # so that its end is seen here
        give(ours, process)

    def give(connection: Connection, process: BaseProcess) -> None:
        if not waiting:
            connection.close()
            process.join()
            return
        task = waiting.pop()
        busy[connection] = task, process
        with suppress(OSError):  # it has died; waiting for its answer tells
            connection.send(task)

    try:
        for _ in range(min(processes, len(waiting))):
            start()
        while busy:
            for connection in cast("list[Connection]", wait(list(busy))):
                task, process = busy.pop(connection)
                try:
                    yield connection.recv()
                except (EOFError, OSError):
                    process.join()
                    why = f"its process ended with {process.exitcode}; start the batch again"
                    yield run_id_of(load(target), task), "died", why
                    if waiting:
                        start()
                else:
                    give(connection, process)
    finally:  # Ctrl-C reaches the processes, too: each says in its log that it was interrupted
        for connection, (_, process) in busy.items():
            connection.close()
            process.join()


def read_inputs(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The objects of a JSONL file, and the numbers of the lines that hold none."""
    inputs, bad = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            inputs.append(value)
        else:
            bad.append(number)
    return inputs, bad


def main() -> int:
    """Run the batch and print the report."""
    options = Options(description="Run a workflow for each line of a JSONL file.")
    options.add_argument("target")
    options.add_argument("inputs", type=Path)
    options.add_argument("--log-dir", default=".replayt/runs")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = options.parse_args()
    try:
        workflow = load(chosen.target)
        lines, bad = read_inputs(chosen.inputs)
    except (OSError, ValueError) as error:
        options.error(str(error))
    unique = {run_id_of(workflow, inputs): inputs for inputs in lines}
    tasks = list(unique.values())
    try:
        outcomes = list(run_all(chosen.target, tasks, chosen.log_dir, chosen.processes))
    except KeyboardInterrupt:
        print("stopped; start it again to go on", file=sys.stderr)
        return 130
    counts = Counter(status for _, status, _ in outcomes)
    report = {
        "lines": len(lines) + len(bad),
        "bad_lines": bad,
        "repeated_lines": len(lines) - len(unique),
        "done_before": sum(why == DONE_BEFORE for _, _, why in outcomes),
        "outcomes": dict(sorted(counts.items())),
        "problems": {
            run_id: f"{status}: {why}"
            for run_id, status, why in sorted(outcomes)
            if status not in {"completed", "paused"}
        },
    }
    print(json.dumps(report, indent=2))
    if bad or report["problems"]:
        return 1
    return 2 if counts["paused"] else 0


if __name__ == "__main__":
    sys.exit(main())
