"""Run the bundled issue triage with the real command line: run, pause, approve, look back.

Usage: python tools/demo.py. The run is logged under .replayt/runs in the current directory. Without
a key the `offline` provider answers; set OPENAI_API_KEY or REPLAYT_PROVIDER to call a model.
Exits with 0 when every step ended as expected, else with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUT = ROOT / "packages/replayt/src/replayt/examples/issue_triage.json"
TARGET = "examples.issue_triage:wf"
WIDTH = 78


def say(text: str) -> None:
    """Print prose, wrapped, with an empty line before it."""
    print()
    print(textwrap.fill(text, WIDTH), flush=True)


def chosen_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands: `offline`, unless a key or a provider is set."""
    env = {**given, "PYTHONUTF8": "1"}
    if not (given.get("OPENAI_API_KEY", "").strip() or given.get("REPLAYT_PROVIDER", "").strip()):
        env["REPLAYT_PROVIDER"] = "offline"
    return env


def shown(words: Sequence[str]) -> str:
    """A command as it can be typed, on lines of at most `WIDTH` columns."""
    break_mark = " `" if os.name == "nt" else " \\"
    lines = [""]
    for word in words:
        quoted = f'"{word}"' if word.startswith("@") else word
        if lines[-1] and len(lines[-1]) + 1 + len(quoted) + len(break_mark) > WIDTH:
            lines[-1] += break_mark
            lines.append("   ")
        lines[-1] += f" {quoted}" if lines[-1] else quoted
    return "\n".join(lines)


def replayt(*arguments: str, env: Mapping[str, str], expected: int) -> None:
    """Show and run one command. Ends the demo where its exit code is not the expected one."""
    print()
    print(shown(["$ replayt", *arguments]))
    print(flush=True)
    command = [sys.executable, "-m", "replayt", *arguments]
    code = subprocess.run(command, env=env, check=False).returncode
    if code != expected:
        raise SystemExit(
            f"demo: this should have ended with exit code {expected}, not {code}. If the model is "
            "the cause: without OPENAI_API_KEY and REPLAYT_PROVIDER the demo needs none."
        )


def main() -> None:
    """The demo, step by step."""
    env = chosen_environment(os.environ)
    run_id = f"demo-{uuid.uuid4().hex[:6]}"
    folder = Path(".replayt")
    folder.mkdir(exist_ok=True)
    given = folder / "issue.json"
    shutil.copyfile(INPUT, given)

    say(
        "replayt demo: triage of one issue. States, a structured model output, a typed tool call, "
        "a pause for approval, then the timeline of the run from its log."
    )
    provider = env.get("REPLAYT_PROVIDER", "").strip().lower() or "openai"
    if provider == "offline":
        say(
            "Provider: offline. No model is called; answers are made up from the JSON schema, so "
            "what they say means nothing. Set OPENAI_API_KEY, or REPLAYT_PROVIDER=ollama, to have "
            "a model answer."
        )
    else:
        say(f"Provider: {provider}. A model is called.")

    say(
        f"1. Run the workflow on {given.as_posix()}. A person has to approve before anything is "
        "applied, so it pauses: exit code 2."
    )
    start = ["run", TARGET, "--inputs-json", f"@{given.as_posix()}", "--run-id", run_id]
    replayt(*start, env=env, expected=2)

    say("2. Approve. A new process takes the run up from its log alone: exit code 0.")
    replayt("resume", TARGET, run_id, "--approval", "triage", env=env, expected=0)

    say("3. What happened, and why: read from the log. No handler runs, no model is called.")
    replayt("replay", run_id, env=env, expected=0)

    log = folder / "runs" / f"{run_id}.jsonl"
    if not log.is_file():
        raise SystemExit(f"demo: there should be a log at {log}.")
    events = log.read_bytes().count(b"\n")
    say(f"The log is yours, {events} events, one JSON object a line:")
    print(f"  {log.resolve()}")
    say("Next:")
    print(f"  replayt inspect {run_id}")
    print(f"  replayt graph {TARGET}")
    print("  replayt runs")
    print("\nIn this checkout, put `hatch run` before these commands.")


if __name__ == "__main__":
    main()
