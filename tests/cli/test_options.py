"""The options of the commands: few, regular, and all that the description promises."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.cli.signatures import options

SEVERAL = {
    "--dry-run": "what is only pretended: calling a model, or deleting",
    "--format": "the forms that a command has",
    "--limit": "rows have no most, runs do",
    "--out": "a file, or a directory of files",
    "--output": "inspect prints lines of JSON, too",
    "--run-id": "with run --resume it is a reference",
    "--set": "what is hidden in a log, or what a fork changes",
    "--sqlite": "commands that read read it, commands that write keep it, gc deletes from it",
    "--status": "gc takes several, and never a run that is executed",
    "--timeout": "of a run, of a check, of a query",
}
"""Options that mean the same with different words, each with the reason."""


def test_the_same_name_means_the_same_everywhere() -> None:
    """Issue 6 point 1: one definition a name, but for those above, whose short names agree too."""
    found: dict[str, dict[tuple[Any, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, command, definition in options():
        found[name][definition].append(command)
    assert {name for name, definitions in found.items() if len(definitions) > 1} == set(SEVERAL)
    for name, definitions in found.items():
        assert len({words for _, words, _, _ in definitions}) == 1, name
    short = defaultdict(set)
    for name, definitions in found.items():
        for _, words, _, _ in definitions:
            for word in words[1:]:
                short[word].add(name)
    assert {word: len(names) for word, names in short.items()} == dict.fromkeys(short, 1)


PROMISED = """
init --path -p --force --template
run --inputs-json --output -o --log-mode --tag --timeout --resume --run-id --sqlite --dry-run
inspect --output --json
replay --format -f --out
resume --approval --reject --allow-changed
graph
validate
diff --output -o
gc --older-than --dry-run
runs --tag --limit
stats --days --tag --output -o
doctor --output
report --out
"""
LOGS = "run resume inspect replay report why diff verify fork pin runs stats query gc graph doctor"


def test_every_option_of_the_description_is_there() -> None:
    """SC-112 to SC-179, and SC-120 for all commands that touch logs."""
    have: dict[str, set[str]] = defaultdict(set)
    for _, command, (_, words, _, _) in options():
        have[command] |= set(words)
    for line in PROMISED.strip().splitlines():
        command, *words = line.split()
        assert set(words) <= have[command], command
    for command in LOGS.split():
        assert {"--log-dir", "--store", "--sqlite"} <= have[command], command
    assert all("--debug" in words for words in have.values())
