"""Settings that every test folder shares."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

# The real model server: `model_server`, `keyed_model_server`, `running_model_server`.
pytest_plugins = ["tests.model_server.plugin"]

# What each package brings by name, beside the package itself (SC-3).
BROUGHT_BY = {
    "replayt_core": ("pydantic",),
    "replayt_llm": ("httpx",),
    "replayt_store": ("duckdb",),
    "replayt_cli": ("typer", "jinja2"),
    "replayt": (),
}

# Kill loops, races, injected faults, long property tests and sessions on pseudo-terminals, by the
# end of their module's name.
# They run once, on the Python that runs everything; the other Pythons leave them out.
THOROUGH = (
    "_processes", "_faults", "_injected", "_tears", "_properties", "_concurrency", "_signals",
    "_timeout", "_ends", "_streams", "test_store_contract", "test_mirror", "test_sqlite_runs",
    "test_reexecution", "test_kill", "test_resume", "test_corpus", "test_offline_models",
    "test_injection", "test_commands", "test_live", "test_follow", "test_replay_step", "test_init",
    "test_completion", "test_gc", "test_yaml_corpus", "test_index_readers",
)  # fmt: skip

# The clauses of the kit for stores that write 100,000 events or 10 MB: what they find does not
# depend on the Python. The others of the kit run on each.
THOROUGH_CLAUSES = {
    "test_a_large_event_comes_back",
    "test_a_long_run_comes_back",
    "test_an_append_costs_the_same_in_a_long_run",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.endswith(THOROUGH) or item.name in THOROUGH_CLAUSES:
            item.add_marker(pytest.mark.thorough)


def pytest_collection_finish() -> None:
    """From here on no bytecode is written, by this process or one that it starts.

    A workflow that a test writes twice within a second, at the same length, would be run from the
    bytecode of the first.
    """
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_configure() -> None:
    """With REPLAYT_ALONE=replayt_core,... refuse to start where another package is importable."""
    alone = os.environ.get("REPLAYT_ALONE")
    if alone is None:
        return
    allowed = {name.strip() for name in alone.split(",")}
    if unknown := allowed - BROUGHT_BY.keys():
        raise pytest.UsageError(f"REPLAYT_ALONE names no package: {', '.join(sorted(unknown))}")
    absent = {
        module
        for package, brought in BROUGHT_BY.items()
        if package not in allowed
        for module in (package, *brought)
    }
    if present := sorted(module for module in absent if importlib.util.find_spec(module)):
        raise pytest.UsageError(f"REPLAYT_ALONE={alone}, but importable here: {', '.join(present)}")
