"""The examples that end the help of each command: one table, so that none is forgotten."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "replayt run flow.py --input customer=Zoe --tag env=dev",
        "replayt run shop.flows:refund --inputs-json @order.json --timeout 60",
    ),
    "resume": (
        "replayt resume flow.py @last --approval publish --by ana",
        "replayt resume flow.py 3f2a91bc --retry-failed",
    ),
    "inspect": (
        "replayt inspect @last",
        "replayt inspect @last --follow --type state_entered",
        "replayt inspect 3f2a91bc --output json",
    ),
    "replay": (
        "replayt replay @last",
        "replayt replay @last --step",
        "replayt replay 3f2a91bc --format html --out run.html",
    ),
    "report": ("replayt report @last --out run.html",),
    "why": ("replayt why @last",),
    "diff": ("replayt diff @-2 @last",),
    "verify": (
        "replayt verify @last --target flow.py",
        "replayt verify --all --target flow.py",
    ),
    "fork": ("replayt fork flow.py @last --at review --set 'limit=200'",),
    "pin": ("replayt pin @last --out tests/runs --redact",),
    "runs": (
        "replayt runs --status paused",
        "replayt runs --tag env=prod --limit 50 --output json",
    ),
    "stats": ("replayt stats --days 7 --prices prices.json",),
    "query": ("replayt query 'SELECT status, count(*) FROM runs GROUP BY status'",),
    "gc": (
        "replayt gc --older-than 90d --dry-run",
        "replayt gc --older-than 30d --status failed --keep-last 100",
    ),
    "graph": ("replayt graph flow.py --format svg --out flow.svg",),
    "validate": ("replayt validate flow.py",),
    "examples": (
        "replayt examples",
        "replayt examples travel_approval --out tutorial",
    ),
    "init": ("replayt init --path my-flow --template approval",),
    "doctor": (
        "replayt doctor",
        "replayt doctor --output json",
    ),
    "store": ("replayt store copy jsonl:///.replayt/runs sqlite:///runs.db",),
    "store copy": ("replayt store copy jsonl:///.replayt/runs sqlite:///runs.db",),
    "store rebuild": ("replayt store rebuild sqlite:///runs.db",),
    "store repair": ("replayt store repair @last",),
}
"""By the words that call a command."""

_VERBATIM = "\b\n"
"""Before a paragraph of help: its lines stay as they are."""


def epilog(command: str) -> str | None:
    """What ends the help of a command; None where the table has no example for it."""
    lines = EXAMPLES.get(command)
    if lines is None:
        return None
    return f"{_VERBATIM}{'Example' if len(lines) == 1 else 'Examples'}:\n" + "\n".join(
        f"  {line}" for line in lines
    )
