"""What each command promises: how it succeeds, the keys of its JSON, and how mistakes are told.

One row a command. `test_commands` holds each row against the command, and that no command is left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cli.helpers import GATE, HELLO, Shell

_OUTCOME = (
    "run_id workflow status final_state error log head llm_calls llm_calls_unsent served_calls "
    "tool_calls total_tokens retries hosts providers cost_usd unpriced_models waiting waiting_call"
)
_VERIFIED = (
    "run_id ok finding workflow_name workflow_version events chained unchained head head_found "
    "damage torn_bytes illegal executed attempts served_calls difference not_replayable notes "
    "log_mode"
)
_TARGETS = "use module:variable, a .py file with a workflow called `wf` or `workflow`"
_LISTS = "`replayt runs` lists what there is"
_PAIR = "is not KEY=VALUE"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong command line: how it ends, the word that it blames, and what it says to do."""

    line: str
    code: int
    blames: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A command in the directory that `prepare` makes.

    `line` succeeds with exit code `code`. `as_json` is the line that prints JSON, whose keys are
    `keys`; both are None for a command without. `empty` is how `line` ends where there are no logs,
    `damaged` where that of `done` is damaged: the exit code, and a part of what is said. Both are
    None for a command that reads no logs.
    """

    line: str
    code: int = 0
    as_json: str | None = None
    keys: str | None = None
    missing: str | None = None
    empty: tuple[int, str] | None = None
    damaged: tuple[int, str] | None = None
    mistakes: tuple[Mistake, Mistake, Mistake]


_NO_RUN = (66, "no run 'done' in this store, since {logs} does not exist")
_DAMAGED = (65, "the log of run done is damaged: the line that should be event 4 has seq 9")


def _unknown_run(line: str) -> Mistake:
    return Mistake(line=line, code=66, blames="no run 'nope'", remedy=_LISTS)


def _unknown_target(line: str) -> Mistake:
    return Mistake(line=line, code=66, blames="nope.py: no such file", remedy=_TARGETS)


def _unknown_choice(line: str, option: str, choices: str) -> Mistake:
    return Mistake(line=line, code=64, blames=option, remedy=choices)


CONTRACTS: dict[str, Contract] = {
    "run": Contract(
        line="run flow.py --run-id new",
        as_json="run flow.py --run-id json -o json",
        keys=_OUTCOME,
        missing="TARGET",
        empty=(0, "status=completed"),
        damaged=(0, "status=completed"),
        mistakes=(
            _unknown_target("run nope.py"),
            Mistake(
                line="run flow.py --input name", code=64, blames="--input 'name'", remedy=_PAIR
            ),
            Mistake(
                line="run flow.py --run-id done",
                code=75,
                blames="run done exists",
                remedy="choose another, or resume it",
            ),
        ),
    ),
    "resume": Contract(
        line="resume gate.py waits --approval publish",
        as_json="resume gate.py waits --approval publish -o json",
        keys=_OUTCOME,
        missing="TARGET",
        empty=(66, "no run 'waits' in this store, since {logs} does not exist"),
        damaged=(0, "status=completed"),
        mistakes=(
            _unknown_run("resume gate.py nope"),
            Mistake(
                line="resume gate.py waits --approval nope",
                code=66,
                blames="no approval 'nope'",
                remedy="requested so far: 'publish'",
            ),
            Mistake(
                line="resume flow.py waits",
                code=75,
                blames="workflow 'hello'",
                remedy="use the recorded workflow",
            ),
        ),
    ),
    "inspect": Contract(
        line="inspect done",
        as_json="inspect done -o json",
        keys="summary events filter",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("inspect nope"),
            Mistake(line="inspect done --seq x", code=64, blames="--seq 'x'", remedy="write A..B"),
            Mistake(line="inspect @lst", code=64, blames="'@lst'", remedy="use @last"),
        ),
    ),
    "replay": Contract(
        line="replay done",
        as_json="replay done -f json",
        keys="run_id status timeline",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("replay nope"),
            Mistake(
                line="replay done --out a.html", code=64, blames="--out", remedy="--format html"
            ),
            Mistake(
                line="replay done --step", code=64, blames="--step", remedy="give --format json"
            ),
        ),
    ),
    "report": Contract(
        line="report done --out pages/done.html",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("report nope"),
            Mistake(
                line="report done --out .", code=74, blames="write .", remedy="give the name of a"
            ),
            Mistake(
                line="report done --out flow.py/a.html",
                code=74,
                blames="cannot write flow.py/a.html",
                remedy="choose another",
            ),
        ),
    ),
    "why": Contract(
        line="why done",
        as_json="why done -o json",
        keys="run_id status moves",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("why nope"),
            Mistake(line="why done nope", code=66, blames="'nope'", remedy="it left greet"),
            _unknown_choice("why done -o yaml", "'yaml'", "'text', 'json'"),
        ),
    ),
    "diff": Contract(
        line="diff done other",
        as_json="diff done other -o json",
        keys="a b relation changed first differences workflow inputs states moves outputs prompts "
        "replies settings tool_calls approvals context status tokens latency_ms llm_retries "
        "retries notes not_compared",
        missing="RUN_A",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("diff done nope"),
            Mistake(line="diff done", code=64, blames="'RUN_B'", remedy="replayt diff --help"),
            Mistake(
                line="diff done other --other-store nope:///x",
                code=64,
                blames="nope://",
                remedy="known: jsonl, sqlite",
            ),
        ),
    ),
    "verify": Contract(
        line="verify done",
        as_json="verify done -o json",
        keys=_VERIFIED,
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("verify nope"),
            Mistake(line="verify", code=64, blames="RUN_ID", remedy="--all"),
            _unknown_target("verify done --target nope.py"),
        ),
    ),
    "fork": Contract(
        line="fork flow.py done --at done --run-id new",
        as_json="fork flow.py done --at done --run-id json -o json",
        keys=f"{_OUTCOME} forked_from",
        missing="TARGET",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            Mistake(
                line="fork flow.py done --at nope",
                code=66,
                blames="--at 'nope'",
                remedy="one of greet:1, done:1",
            ),
            Mistake(line="fork flow.py done", code=64, blames="'--at'", remedy="fork --help"),
            Mistake(
                line="fork flow.py done --at done --set name",
                code=64,
                blames="--set 'name'",
                remedy=_PAIR,
            ),
        ),
    ),
    "pin": Contract(
        line="pin done --out kept",
        as_json="pin done --out kept -o json",
        keys="run_id path head events redacted pinned_from torn_bytes",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=_DAMAGED,
        mistakes=(
            _unknown_run("pin nope --out kept"),
            Mistake(line="pin done", code=64, blames="'--out'", remedy="replayt pin --help"),
            Mistake(
                line="pin done --out .replayt/runs",
                code=75,
                blames=".replayt/runs/done.jsonl exists",
                remedy="remove it first",
            ),
        ),
    ),
    "runs": Contract(
        line="runs",
        as_json="runs -o json",
        keys="runs not_looked_at of_them_damaged",
        empty=(0, "No runs found"),
        damaged=(0, "hello@2"),
        mistakes=(
            _unknown_choice("runs --status nope", "--status 'nope'", "completed, failed, paused"),
            Mistake(line="runs --limit 0", code=64, blames="--limit is 0", remedy="use 1 to 200"),
            Mistake(line="runs --tag env", code=64, blames="--tag 'env'", remedy=_PAIR),
        ),
    ),
    "stats": Contract(
        line="stats",
        as_json="stats -o json",
        keys="runs_included runs_total_on_disk status_counts llm_response_count llm_call_count "
        "llm_failure_count llm_retry_count llm_latency_ms_avg llm_latency_ms token_usage cost "
        "tool_call_count approval_count step_retry_count event_count top_failure_states top_paths "
        "event_time_range_utc filter_days filter_tags filter_workflow",
        empty=(0, "No runs found"),
        damaged=(0, "damaged"),
        mistakes=(
            _unknown_choice("stats --days 0", "'--days'", "greater than or equal to 1"),
            Mistake(line="stats --tag env", code=64, blames="--tag 'env'", remedy=_PAIR),
            Mistake(
                line="stats --prices nope.json",
                code=64,
                blames="nope.json",
                remedy="no such file or directory",
            ),
        ),
    ),
    "query": Contract(
        line="query 'SELECT run_id, status FROM runs ORDER BY run_id'",
        as_json="query 'SELECT run_id, status FROM runs' -f json",
        keys="run_id status",
        missing="SQL",
        empty=(0, "(0 rows)"),
        damaged=(0, "completed"),
        mistakes=(
            Mistake(
                line="query 'SELECT nope FROM runs'",
                code=64,
                blames='"nope" not found',
                remedy="the views are runs",
            ),
            Mistake(
                line="query 'DELETE FROM runs'", code=64, blames="a query", remedy="one SELECT"
            ),
            Mistake(line="query @nope.sql", code=64, blames="nope.sql", remedy="No such file"),
        ),
    ),
    "gc": Contract(
        line="gc --older-than 90d --dry-run",
        as_json="gc --older-than 90d --dry-run -o json",
        keys="older_than_seconds statuses tags keep_last dry_run runs run_count bytes kept "
        "kept_count skipped",
        missing="--older-than",
        empty=(0, "would delete 0 runs"),
        damaged=(0, "1 damaged"),
        mistakes=(
            Mistake(
                line="gc --older-than 90", code=64, blames="--older-than '90'", remedy="90d, 24h"
            ),
            _unknown_choice(
                "gc --older-than 1d --status nope", "--status 'nope'", "completed, failed, paused"
            ),
            Mistake(
                line="gc --older-than 1d --keep-last -1",
                code=64,
                blames="'--keep-last'",
                remedy="replayt gc --help",
            ),
        ),
    ),
    "graph": Contract(
        line="graph flow.py --runs",
        as_json="graph flow.py --runs -f json",
        keys="workflow initial states edges declared counted",
        missing="TARGET",
        empty=(0, "flowchart TD"),
        damaged=(0, "1 log is damaged"),
        mistakes=(
            _unknown_target("graph nope.py"),
            _unknown_choice("graph flow.py -f pdf", "'pdf'", "'mermaid', 'svg', 'json'"),
            Mistake(line="graph flow.py --tag a=b", code=64, blames="--tag", remedy="--runs"),
        ),
    ),
    "validate": Contract(
        line="validate flow.py",
        as_json="validate flow.py -o json",
        keys="workflow ok initial state_count edge_count findings",
        missing="TARGET",
        mistakes=(
            _unknown_target("validate nope.py"),
            Mistake(line="validate json:loads", code=66, blames="json:loads", remedy=_TARGETS),
            Mistake(line="validate flow", code=64, blames="'flow' is no target", remedy=_TARGETS),
        ),
    ),
    "examples": Contract(
        line="examples",
        as_json="examples -o json",
        keys="examples",
        mistakes=(
            Mistake(line="examples nope", code=66, blames="'nope'", remedy="lists them all"),
            Mistake(line="examples 99", code=66, blames="99", remedy="numbered 1 to"),
            Mistake(line="examples 1 --force", code=64, blames="--force", remedy="give --out DIR"),
        ),
    ),
    "init": Contract(
        line="init --path project",
        mistakes=(
            _unknown_choice("init --template nope", "--template 'nope'", "basic, approval"),
            _unknown_choice("init --ci nope", "'nope'", "'github'"),
            Mistake(
                line="init --path flow.py",
                code=74,
                blames="cannot write flow.py",
                remedy="choose another",
            ),
        ),
    ),
    "doctor": Contract(
        line="doctor",
        as_json="doctor -o json",
        keys="ok errors warnings sources python replayt replayt-core replayt-llm replayt-store "
        "replayt-cli api_key base_url provider model provider_connectivity config log_dir log_mode "
        "timeout prices stores llm_clients duckdb yaml_extra notebook_extra",
        empty=(0, "log_dir"),
        damaged=(0, "log_dir"),
        mistakes=(
            Mistake(line="doctor --log-dir ''", code=64, blames="--log-dir", remedy="directory"),
            Mistake(
                line="doctor --log-dir a --store jsonl:///b",
                code=64,
                blames="--log-dir and --store",
                remedy="give one of them",
            ),
            _unknown_choice("doctor -o yaml", "'yaml'", "'text', 'json'"),
        ),
    ),
    "store": Contract(
        line="store",
        mistakes=(
            Mistake(line="store nope", code=64, blames="'nope'", remedy="replayt store --help"),
            Mistake(line="store --nope", code=64, blames="--nope", remedy="replayt store --help"),
            Mistake(line="store mend a", code=64, blames="'mend'", remedy="replayt store --help"),
        ),
    ),
    "store copy": Contract(
        line="store copy jsonl:///.replayt/runs sqlite:///copy.db",
        as_json="store copy jsonl:///.replayt/runs sqlite:///json.db -o json",
        keys="runs events present empty problems",
        missing="FROM_URL",
        empty=(0, "No runs found"),
        damaged=(1, _DAMAGED[1]),
        mistakes=(
            Mistake(
                line="store copy jsonl:///.replayt/runs",
                code=64,
                blames="'TO_URL'",
                remedy="replayt store copy --help",
            ),
            Mistake(
                line="store copy jsonl:///.replayt/runs nope:///x",
                code=64,
                blames="nope://",
                remedy="known: jsonl, sqlite",
            ),
            _unknown_run("store copy jsonl:///.replayt/runs sqlite:///x.db nope"),
        ),
    ),
    "store rebuild": Contract(
        line="store rebuild sqlite:///copy.db",
        as_json="store rebuild sqlite:///json.db -o json",
        keys="runs events present empty problems replaced extra",
        missing="MIRROR_URL",
        empty=(0, "copied 0 runs"),
        damaged=(1, _DAMAGED[1]),
        mistakes=(
            Mistake(
                line="store rebuild copy.db",
                code=64,
                blames="a URL with a scheme",
                remedy="jsonl:///.replayt/runs",
            ),
            Mistake(
                line="store rebuild nope:///x",
                code=64,
                blames="nope://",
                remedy="known: jsonl, sqlite",
            ),
            Mistake(
                line="store rebuild sqlite:///x.db --log-dir a --store jsonl:///b",
                code=64,
                blames="--log-dir and --store",
                remedy="give one of them",
            ),
        ),
    ),
    "store repair": Contract(
        line="store repair done",
        as_json="store repair done -o json",
        keys="run_id log repair last_seq tail damage saved_as",
        missing="RUN_ID",
        empty=_NO_RUN,
        damaged=(0, _DAMAGED[1]),
        mistakes=(
            _unknown_run("store repair nope"),
            Mistake(line="store repair @lst", code=64, blames="'@lst'", remedy="use @last"),
            Mistake(
                line="store repair done --log-dir a --store jsonl:///b",
                code=64,
                blames="--log-dir and --store",
                remedy="give one of them",
            ),
        ),
    ),
}
"""By the words that call a command."""


def prepare(shell: Shell) -> None:
    """Two targets, and the logs of three runs: `done`, `other`, and `waits` for an approval."""
    shell.write("flow.py", HELLO)
    shell.write("gate.py", GATE)
    for words, code in (
        ("flow.py --run-id done", 0),
        ("flow.py --run-id other --input name=Zoe", 0),
        ("gate.py --run-id waits", 2),
    ):
        ended = shell.call("run", *words.split())
        assert ended.code == code, ended.err


def damage_one(shell: Shell) -> None:
    """Change a byte in the log of `done`."""
    path = shell.log("done")
    path.write_bytes(path.read_bytes().replace(b'"seq":4', b'"seq":9'))


def files(directory: Path) -> set[str]:
    """What stands in a directory, but for what Python and the index of runs leave behind."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if not {"__pycache__", ".index"} & set(path.parts)
    }
