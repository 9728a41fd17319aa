"""What each package brings when it is installed: these names and no others."""

from __future__ import annotations

import re

import pytest

from tests.workspace.helpers import MEMBERS

SIBLINGS = {"replayt-core", "replayt-llm", "replayt-store", "replayt-cli"}
HARD = {
    "replayt-core": {"pydantic"},
    "replayt-llm": {"replayt-core", "httpx"},
    "replayt-store": {"replayt-core"},
    "replayt-cli": {
        "replayt-core",
        "replayt-llm",
        "replayt-store[duckdb]",
        "typer",
        "Jinja2",
        "tomli",  # on Python 3.10 alone
    },
    "replayt": SIBLINGS,
}
EXTRAS = {
    "replayt-core": {"yaml": {"PyYAML"}},
    "replayt-llm": {},
    "replayt-store": {"duckdb": {"duckdb"}},
    "replayt-cli": {},
    "replayt": {"yaml": {"replayt-core[yaml]"}, "notebook": {"ipython"}},
}


def names(requirements: list[str]) -> set[str]:
    """The requirements without their version ranges, extras kept."""
    return {re.split(r"[<>=!~; ]", line, maxsplit=1)[0] for line in requirements}


@pytest.mark.parametrize("package", HARD)
def test_hard_dependencies_are_exactly_these(package: str) -> None:
    """SC-3. typing_extensions may be named by the core, since pydantic brings it anyway."""
    declared = names(MEMBERS[package].project["dependencies"])
    if package == "replayt-core":
        declared.discard("typing_extensions")
        declared.discard("typing-extensions")
    assert declared == HARD[package]


@pytest.mark.parametrize("package", EXTRAS)
def test_extras_add_exactly_these(package: str) -> None:
    """SC-4 (yaml) and SC-6 (notebook)."""
    extras = MEMBERS[package].project.get("optional-dependencies", {})
    assert {extra: names(lines) for extra, lines in extras.items()} == EXTRAS[package]


def test_third_parties_register_beside_our_own_entry_points() -> None:
    """DESIGN.md section 1: the core finds its client by entry point and names no sibling."""
    groups = MEMBERS["replayt-llm"].project["entry-points"]
    assert groups == {"replayt.llm_clients": {"default": "replayt_llm:client_factory_from_env"}}
    groups = MEMBERS["replayt-store"].project["entry-points"]
    assert groups["replayt.stores"]["jsonl"] == "replayt_store.jsonl:open_jsonl"
