"""The inside of the sandbox: limits first, then `main(task)` of one file, JSON in and out.

`sandbox` starts this file as a program of its own, so it imports nothing of replayt. What the loop
prints goes to stderr; stdout carries the answer alone.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main() -> None:
    """`sandbox_child.py PROGRAM SECONDS MEMORY_BYTES OUTPUT_BYTES`."""
    import resource

    seconds, memory, output = (int(word) for word in sys.argv[2:5])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output, output))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.dup(1)
    os.dup2(2, 1)
    task = json.load(sys.stdin)
    answer = json.dumps(runpy.run_path(sys.argv[1])["main"](task), allow_nan=False)
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        out.write(answer)


if __name__ == "__main__":
    main()
