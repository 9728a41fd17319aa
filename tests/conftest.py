"""Settings that every test folder shares."""

from __future__ import annotations

import importlib.util
import os

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
    "test_completion", "test_gc", "test_yaml_corpus",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.endswith(THOROUGH):
            item.add_marker(pytest.mark.thorough)


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
