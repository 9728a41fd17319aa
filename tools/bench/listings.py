"""What listing, counting and summing many runs costs: the index and DuckDB against replayt 0.2.0.

    python tools/bench/listings.py               # 50,000 runs, ours
    python tools/bench/listings.py --peers       # replayt 0.2.0 too, in a throw-away environment
    python tools/bench/listings.py --small       # few runs, one round: does it still work?

Every figure is the wall time of a process of its own, from its start to its end, and its peak
memory; medians of the rounds, and only ratios taken in one call count. `build` starts without an
index, and with as many processes to read logs as there are cores; `again` finds the index. Memory
is that of the largest process. The figures of `stats` are compared to the last count with plain
Python that reads every line with `json`. The page cache is warm: every log was just written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PEER = "replayt==0.2.0"

OURS = {
    "refresh": "index.refresh()",
    "check": "index.check()",
    "runs": "index.refresh(); print([run.run_id for run in index.runs(limit=20)])",
    "stats": (
        "index.refresh()\n"
        "from replayt_store.analytics import Analytics\n"
        "with Analytics(index, store) as analytics: print(analytics.stats())"
    ),
}
OURS_CODE = """
import sys
from replayt_store import JSONLStore
from replayt_store.index import RunIndex
store = JSONLStore(sys.argv[1])
with RunIndex.of(store, readers=int(sys.argv[2])) as index:
{body}
"""
# Runs a command and prints its wall time and peak memory, so that a child measures a child.
MEASURE = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
wall = time.perf_counter() - started
if done.returncode: sys.exit(done.stderr)
print(json.dumps([wall, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def templates() -> list[list[tuple[str, dict[str, Any], bool]]]:
    """Real runs as drafts: type, payload, and whether the batch goes on."""
    from pydantic import BaseModel

    from replayt_core import MemoryStore, RunContext, Runner, Workflow
    from replayt_core.testing import MockLLMClient

    class Verdict(BaseModel):
        label: str
        score: int

    def double(n: int) -> int:
        return n * 2

    wf = Workflow("triage", version="3")
    wf.set_initial("intake")
    ask = [{"role": "user", "content": "what is it?"}]

    @wf.step("intake", to=["classify"])
    def intake(ctx: RunContext) -> str:
        ctx.set("text", "a ticket " * 8)
        return "classify"

    @wf.step("classify", to=["enrich", "review"])
    def classify(ctx: RunContext) -> str:
        verdict = ctx.llm.parse(Verdict, messages=ask)
        ctx.set("label", verdict.label)
        if ctx.data["kind"] == "failed":
            raise ValueError("the ticket cannot be read")
        return "review" if ctx.data["kind"] in ("paused", "review") else "enrich"

    @wf.step("enrich", to=["answer"])
    def enrich(ctx: RunContext) -> str:
        ctx.set("n", ctx.tools.call("double", {"n": 4}))
        ctx.llm.parse(Verdict, messages=ask)
        return "answer"

    @wf.step("review", to=["answer"])
    def review(ctx: RunContext) -> str:
        if ctx.data["kind"] == "paused":
            ctx.request_approval("look", summary="Look at it")
        return "answer"

    @wf.step("answer", to=["close"])
    def answer(ctx: RunContext) -> str:
        ctx.llm.parse(Verdict, messages=ask)
        ctx.tools.call("double", {"n": 5})
        return "close"

    @wf.step("close")
    def close(ctx: RunContext) -> None:
        ctx.set("closed", True)

    made = []
    for kind in ("done", "review", "failed", "paused", "interrupted"):
        mock, store = MockLLMClient(), MemoryStore()
        for score in range(3):
            mock.enqueue(json.dumps({"label": "bug", "score": score}))
        runner = Runner(wf, store, llm_client=mock, tools=[double])
        run_id = runner.run({"kind": kind}, tags={"team": "a"}).run_id
        drafts = [(event.type, event.payload, event.more) for event in store.read(run_id)]
        if kind == "interrupted":
            ends = [n for n, (_, _, more) in enumerate(drafts, 1) if not more]
            drafts = drafts[: ends[len(ends) // 2]]
        made.append(drafts)
    return made


def generate(folder: Path, count: int) -> None:
    """Write that many logs: 84 % run to their end, the others fail, wait or are cut short."""
    from replayt_core.chain import first_prev, line_hash, seal
    from replayt_core.events import Draft
    from replayt_core.ports.system import UUIDv7Source

    rng = random.Random(7)  # noqa: S311 the same figures in every run
    ids, kinds = UUIDv7Source(), templates()
    folder.mkdir(mode=0o700)
    for number in range(count):
        run_id = ids.new_run_id()
        (drafts,) = rng.choices(kinds, weights=(70, 14, 8, 5, 3))
        second = 1_700_000_000 + number * 30 + rng.randrange(30)
        head = first_prev(run_id)
        lines: list[bytes] = []
        batch: list[Draft] = []
        for kind, payload, more in drafts:
            batch.append(Draft(kind, varied(kind, payload, rng)))
            if more:
                continue
            second += rng.randrange(3)
            ts = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + ".250000Z"
            events = seal(run_id, batch, after=len(lines), head=head, ts=ts)
            lines += [event.line for event in events]
            head, batch = line_hash(lines[-1]), []
        (folder / f"{run_id}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def varied(kind: str, payload: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same payload with other figures."""
    if kind == "run_started":
        return {**payload, "tags": {"team": rng.choice("abcd")}}
    if kind == "llm_response":
        sent, back = rng.randrange(50, 4_000), rng.randrange(5, 800)
        usage = {"prompt_tokens": sent, "completion_tokens": back, "total_tokens": sent + back}
        return {**payload, "latency_ms": round(rng.lognormvariate(6, 0.8), 3), "usage": usage}
    return payload


def reference(folder: Path) -> dict[str, Any]:
    """The figures by plain Python that reads every line."""
    found: Counter[str] = Counter()
    latencies: list[float] = []
    failed: Counter[str] = Counter()
    starts: list[tuple[str, str]] = []
    for path in folder.glob("*.jsonl"):
        status = "interrupted"
        for line in path.read_bytes().splitlines():
            event = json.loads(line)
            kind, payload = event["type"], event["payload"]
            found["events"] += 1
            if kind == "run_started":
                starts.append((event["ts"], event["run_id"]))
            elif kind == "llm_request":
                found["llm_calls"] += 1
            elif kind == "llm_response":
                latencies.append(payload["latency_ms"])
                for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
                    found[name] += payload["usage"][name]
            elif kind == "tool_call":
                found["tool_calls"] += 1
            elif kind == "approval_requested":
                found["approvals"] += 1
            elif kind == "run_paused":
                status = "paused"
            elif kind == "run_failed":
                failed[payload["state"]] += 1
            elif kind == "run_completed":
                status = payload["status"]
        found[f"status {status}"] += 1
        found["runs"] += 1
    return {
        **found,
        "latency calls": len(latencies),
        "latency mean": round(statistics.fmean(latencies), 6),
        "failed": failed.most_common(5),
        "newest": [run_id for _, run_id in sorted(starts, reverse=True)[:20]],
    }


def ours(folder: Path) -> dict[str, Any]:
    """The same figures by the index and DuckDB."""
    from replayt_store import JSONLStore
    from replayt_store.analytics import Analytics
    from replayt_store.index import RunIndex

    store = JSONLStore(folder)
    with RunIndex.of(store) as index:
        index.refresh()
        with Analytics(index, store) as analytics:
            stats = analytics.stats()
        newest = [run.run_id for run in index.runs(limit=20)]
    names = ("events", "llm_calls", "prompt_tokens", "completion_tokens", "total_tokens")
    return {
        **{name: getattr(stats, name) for name in (*names, "tool_calls", "approvals", "runs")},
        **{f"status {status}": count for status, count in stats.statuses.items()},
        "latency calls": stats.latency.calls if stats.latency else 0,
        "latency mean": round(stats.latency.mean, 6) if stats.latency else None,
        "failed": [(item.name, item.count) for item in stats.failed_states],
        "newest": newest,
    }


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and megabytes of a command."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.strip()[-800:]}")
    wall, memory = json.loads(done.stdout)
    return wall, memory


def contenders(folder: Path, peer: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Name and command of everything that is measured, in the order of a round."""
    code = {
        name: OURS_CODE.format(body="".join(f"    {line}\n" for line in body.splitlines()))
        for name, body in OURS.items()
    }
    cores = os.cpu_count() or 1

    def command(name: str, readers: int = cores) -> list[str]:
        return [sys.executable, "-c", code[name], str(folder), str(readers if cores > 1 else 0)]

    yield "refresh · 1 process, build", command("refresh", 0)
    for first, again in (("refresh", "check"), ("stats", "stats"), ("runs", "runs")):
        yield f"{first} · build", command(first)
        yield f"{again} · again", command(again)
        if first == "refresh":
            yield "refresh · again", command(first)
    if peer is not None:
        for words in (["stats"], ["runs", "--limit", "20"]):
            yield f"0.2.0 {words[0]}", [str(peer), *words, "--log-dir", str(folder)]


def install_peer(root: Path) -> Path:
    """The `replayt` command of the peer."""
    venv.create(root / "peer", with_pip=True)
    programs = root / "peer" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([programs / "python", "-m", "pip", "install", "-q", PEER], check=True)
    return programs / "replayt"


def main() -> None:
    """Generate, compare, measure, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="replayt 0.2.0 from the index too")
    parser.add_argument("--small", action="store_true", help="200 runs and one round")
    parser.add_argument("--folder", type=Path, help="where the logs go")
    options = parser.parse_args()
    count, rounds = (200, 1) if options.small else (options.runs, options.rounds)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        root = Path(made)
        folder = root / "runs"
        peer = install_peer(root) if options.peers else None
        generate(folder, count)
        size = sum(path.stat().st_size for path in folder.iterdir())
        expected, got = reference(folder), ours(folder)
        if got != expected:
            wrong = {name for name in expected if expected[name] != got.get(name)}
            raise SystemExit(f"the figures differ from plain Python: {sorted(wrong)}")
        print(f"{count} runs, {expected['events']} events, {size / 1e6:.0f} MB: counts are equal")
        seen: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for name, command in contenders(folder, peer):
                if name.endswith("build"):
                    shutil.rmtree(folder / ".index", ignore_errors=True)
                seen.setdefault(name, []).append(measured(command))
        walls = {name: statistics.median(wall for wall, _ in all_) for name, all_ in seen.items()}
        print(f"{'':28}{'seconds':>10}{'MB':>8}{'/ 0.2.0':>10}")
        for name, wall in walls.items():
            base = walls.get(f"0.2.0 {name.partition(' ')[0]}")
            ratio = f"{wall / base:10.3f}" if base else ""
            memory = max(memory for _, memory in seen[name])
            print(f"{name:28}{wall:10.3f}{memory:8.0f}{ratio}")


if __name__ == "__main__":
    main()
