"""What a step costs: replayt against a floor, and against peers from the package index.

    python tools/bench/steps.py                  # ours and the floor
    python tools/bench/steps.py --peers          # peers too, each in a throw-away environment
    python tools/bench/steps.py --small          # few steps: does it still run?

A step is one trivial state: three events (exited, transition, entered). The floor is the least
Python that serialises three such events and writes them to an append-only file. Every contender
runs in a process of its own, all of them once a round; the figures are medians, and only ratios
taken in one call count.

What survives: `jsonl durable`, `sqlite` and `floor sync` survive power loss at every step,
`jsonl os` and `floor` the death of the process, `memory` nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

PEERS = {"replayt 0.2.0": "replayt==0.2.0", "replayt 0.4.25": "replayt==0.4.25"}

# Peers share the code of this workflow but for the import; each file is run by its environment.
PEER_CODE = """
import json, pathlib, sys, time
from replayt import Runner, Workflow
from replayt.persistence import {store}
def cost(count, folder):
    wf = Workflow("bench")
    wf.set_initial("a")
    state = {{"i": 0}}
    def move(ctx, target):
        state["i"] += 1
        return target if state["i"] < count else None
    @wf.step("a")
    def a(ctx):
        return move(ctx, "b")
    @wf.step("b")
    def b(ctx):
        return move(ctx, "a")
    wf.note_transition("a", "b")
    wf.note_transition("b", "a")
    folder.mkdir(exist_ok=True)
    store = {make}
    try:
        runner = Runner(wf, store, max_steps=10**9)
    except TypeError:
        runner = Runner(wf, store)
    started = time.perf_counter()
    result = runner.run(inputs={{}})
    assert result.status == "completed", result
    return (time.perf_counter() - started) / count * 1e6
cost(5, pathlib.Path(sys.argv[2], "warm"))
print(json.dumps(cost(int(sys.argv[1]), pathlib.Path(sys.argv[2]))))
"""


def ours(kind: Literal["memory", "durable", "os", "sqlite"], count: int, folder: Path) -> float:
    """Microseconds a step of replayt with one store."""
    from replayt_core import MemoryStore, RunContext, Runner, Workflow
    from replayt_core.ports import EventStore
    from replayt_store import JSONLStore, SQLiteStore

    wf = Workflow("bench")
    wf.set_initial("a")
    done = {"steps": 0}

    def move(target: str) -> str | None:
        done["steps"] += 1
        return target if done["steps"] < count else None

    @wf.step("a", to=["b"])
    def a(ctx: RunContext) -> str | None:
        return move("b")

    @wf.step("b", to=["a"])
    def b(ctx: RunContext) -> str | None:
        return move("a")

    store: EventStore
    if kind == "memory":
        store = MemoryStore()
    elif kind == "sqlite":
        store = SQLiteStore(folder / "runs.db")
    else:
        store = JSONLStore(folder / "runs", sync=kind)
    runner = Runner(wf, store, max_steps=10**9)
    started = time.perf_counter()
    result = runner.run()
    cost = (time.perf_counter() - started) / count * 1e6
    if result.status != "completed":
        raise SystemExit(f"the benchmark's run is {result.status}: {result.error}")
    return cost


def floor(count: int, folder: Path, *, sync: Callable[[int], None] | None) -> float:
    """Microseconds a step of the least that writes three such events."""
    from pydantic_core import to_json

    def event(seq: int, kind: str, payload: object) -> dict[str, object]:
        return {"ts": "", "run_id": "bench", "seq": seq, "type": kind, "payload": payload}

    path = folder / "floor.jsonl"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    started = time.perf_counter()
    seq = 0
    for _ in range(count):
        lines = []
        for kind, payload in (
            ("state_exited", {"state": "a", "next_state": "b", "context": {}, "elapsed_ms": 0.1}),
            ("transition", {"from_state": "a", "to_state": "b", "reason": "", "because": []}),
            ("state_entered", {"state": "b", "visit": seq, "attempt": 1}),
        ):
            seq += 1
            lines.append(to_json(event(seq, kind, payload)))
        os.write(descriptor, b"\n".join(lines) + b"\n")
        if sync is not None:
            sync(descriptor)
    os.close(descriptor)
    return (time.perf_counter() - started) / count * 1e6


def bare_loop(count: int) -> float:
    """Microseconds a step of a plain loop over two handlers that counts events."""
    handlers: dict[str, Callable[[dict[str, int]], str]] = {
        "a": lambda data: "b",
        "b": lambda data: "a",
    }
    data: dict[str, int] = {}
    state = "a"
    events: list[dict[str, object]] = []
    started = time.perf_counter()
    for _ in range(count):
        following = handlers[state](data)
        for kind in ("state_exited", "transition", "state_entered"):
            events.append({"seq": len(events) + 1, "type": kind, "payload": {"state": following}})
        state = following
    return (time.perf_counter() - started) / count * 1e6


def import_ms(statement: str) -> float:
    """Milliseconds above a bare interpreter that importing costs."""

    def wall(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - started) * 1000

    return wall(statement) - wall("pass")


CONTENDERS: dict[str, Callable[[int, Path], float]] = {
    "floor": lambda count, folder: floor(count, folder, sync=None),
    "floor sync": lambda count, folder: floor(count, folder, sync=os.fdatasync),
    "bare loop": lambda count, folder: bare_loop(count),
    "memory": lambda count, folder: ours("memory", count, folder),
    "jsonl os": lambda count, folder: ours("os", count, folder),
    "jsonl durable": lambda count, folder: ours("durable", count, folder),
    "sqlite": lambda count, folder: ours("sqlite", count, folder),
}


def measure(name: str, count: int, root: Path, peers: dict[str, Path]) -> float:
    """One contender, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        if name in CONTENDERS:
            command = [sys.executable, __file__, "--one", name, str(count), folder]
        else:
            peer, _, store = name.partition(" · ")
            script = Path(folder) / "peer.py"
            make = {
                "jsonl": ("JSONLStore", "JSONLStore(folder)"),
                "sqlite": ("SQLiteStore", 'SQLiteStore(folder / "runs.db")'),
            }[store]
            script.write_text(PEER_CODE.format(store=make[0], make=make[1]), encoding="utf-8")
            command = [str(peers[peer]), str(script), str(count), folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
        return float(json.loads(done.stdout.strip().splitlines()[-1]))


def install_peers(root: Path) -> dict[str, Path]:
    """A Python for each peer, with that peer installed."""
    found = {}
    for name, requirement in PEERS.items():
        folder = root / name.replace(" ", "-")
        venv.create(folder, with_pip=True)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
        found[name] = python
    return found


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("NAME", "COUNT", "FOLDER"))
    parser.add_argument("--peers", action="store_true", help="peers from the package index too")
    parser.add_argument("--small", action="store_true", help="few steps and one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where logs go; a tmpfs shows the CPU alone")
    options = parser.parse_args()
    if options.one:
        name, count, folder = options.one
        warm = Path(folder, "warm")
        warm.mkdir()
        CONTENDERS[name](5, warm)  # the first JSON of a process costs milliseconds of imports
        print(CONTENDERS[name](int(count), Path(folder)))
        return
    counts, rounds = ((20,), 1) if options.small else ((100, 1_000, 10_000), options.rounds)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        root = Path(made)
        peers = install_peers(root) if options.peers else {}
        names = [
            *CONTENDERS,
            *(f"{peer} · {kind}" for peer in peers for kind in ("jsonl", "sqlite")),
        ]
        print(f"microseconds a step, medians of {rounds} rounds, logs in {options.folder or 'tmp'}")
        print(f"{'':24}" + "".join(f"{f'N={count}':>12}" for count in counts) + f"{'/ floor':>12}")
        table: dict[str, list[float]] = {name: [] for name in names}
        for count in counts:
            seen: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    if name.startswith("replayt 0.2.0") and count > 1_000:
                        continue  # its append reads the whole log again
                    seen[name].append(measure(name, count, root, peers))
            for name in names:
                table[name].append(statistics.median(seen[name]) if seen[name] else float("nan"))
        for name, row in table.items():
            at = min(1, len(row) - 1)
            ratio = row[at] / table["floor"][at]
            print(f"{name:24}" + "".join(f"{cost:12.1f}" for cost in row) + f"{ratio:12.2f}")
    one_model = "from pydantic import BaseModel\nclass M(BaseModel):\n    a: int"
    pairs = [(import_ms(one_model), import_ms("import replayt_core")) for _ in range(rounds * 2)]
    base, core = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"import: pydantic with one model {base:.0f} ms, replayt_core {core:.0f} ms")
    print(f"        ratio {core / base:.2f}")


if __name__ == "__main__":
    main()
